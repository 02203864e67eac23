"""`methods`, `evaluate`, `ablations` and `robustness`: what is compared, and how."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from physiopipe.params.section import Count, Section

MethodName = Literal[
    "always_high",
    "clip_prior",
    "chance",
    "handcrafted",
    "nearest_neighbours",
    "ecg_only",
    "eeg_only",
    "ours",
    "transductive",
    "gated",
    "cross_attention",
    "mixture",
]
METHODS: tuple[MethodName, ...] = get_args(MethodName)

FUSIONS: tuple[MethodName, ...] = ("gated", "cross_attention", "mixture")  # compared in a table of their own

AblationName = Literal[
    "ecg_untrained",
    "eeg_untrained",
    "both_untrained",
    "dual_masking",
    "patch_masking",
    "channel_masking",
    "one_rate",
    "shared_encoder",
    "train_25",
    "train_50",
    "leaky_ours",
    "honest_neighbours",
    "leaky_neighbours",
]
ABLATIONS: tuple[AblationName, ...] = get_args(AblationName)


class Ablations(Section):
    """Ours with one thing changed, see `physiopipe.experiments.ablations`."""

    variants: tuple[AblationName, ...] = Field(
        ABLATIONS, min_length=1, description="rows of the table of ablations, in this order"
    )
    pretrain_epochs: Count | None = Field(
        None, description="epochs of the pretraining runs that ablations need; null: as many as pretrain.epochs"
    )


class Robustness(Section):
    """What test clips lose after training: curves of AUC against the level of each loss."""

    methods: tuple[MethodName, ...] = Field(
        ("handcrafted", "ecg_only", "eeg_only", "ours", "gated", "cross_attention", "mixture"),
        min_length=1,
        description="methods that are tested so",
    )
    lost_modalities: tuple[Literal["eeg", "ecg"], ...] = Field(
        ("eeg", "ecg"), description="modalities that test clips lose whole, one at a time"
    )
    dropped_eeg_channels: tuple[Annotated[int, Field(ge=1, le=14)], ...] = Field(
        (1, 2, 4, 7, 10, 13), description="EEG channels that each test subject loses, of 14"
    )
    noise_snr_db: tuple[float, ...] = Field(
        (20.0, 15.0, 10.0, 5.0, 0.0, -5.0),
        description="white noise added to every channel of both modalities: signal over noise in power, dB",
    )
    seed: int = Field(0, ge=0, description="seed of the channels that go and of the noise")


class Evaluate(Section):
    """Protocol, seeds and statistics."""

    protocol: Literal["paper", "crossval"] = Field(
        "paper", description="paper: one 60/20/20 split of subjects; crossval: five fixed groups of subjects"
    )
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (0,), min_length=1, description="seeds of split and training"
    )
    bootstrap: Count = Field(2000, description="bootstrap resamples of the subjects")
    confidence: float = Field(0.95, gt=0, lt=1, description="coverage of the intervals")
    permutations: Count = Field(2000, description="permutations of the labels within each subject, for p-values")
    resampling_seed: int = Field(0, ge=0, description="seed of resamples and permutations")
