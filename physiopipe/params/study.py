"""`cohorts`, `evaluate`, `ablations` and `robustness`: what is compared, and how."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from physiopipe.cohorts.defaults import DOWNSTREAM, PRETRAINING
from physiopipe.params.own_cohorts import CohortName, OwnCohort
from physiopipe.params.section import Count, Section


class StudyCohorts(Section):
    """Which cohorts the study reads; `physiopipe cohorts` lists those that there are."""

    pretraining: str = Field(PRETRAINING, description="12-lead ECG that the ECG encoder is pretrained on")
    downstream: tuple[str, ...] = Field(
        DOWNSTREAM, min_length=1, description="EEG and ECG with labels; each gets its own tables"
    )
    own: dict[CohortName, OwnCohort] = Field({}, description="cohorts of your own: EDF files and a table of labels")

    @property
    def in_use(self) -> tuple[str, ...]:
        """Every cohort of the study."""
        return (self.pretraining, *self.downstream)

    @model_validator(mode="after")
    def _named_once(self) -> "StudyCohorts":
        named = (self.pretraining, *self.downstream)
        if len(set(named)) < len(named):
            raise ValueError(f"a cohort is named twice in {list(named)}")
        return self


class Ablations(Section):
    """Ours with one thing changed, see `physiopipe.experiments.ablations`."""

    variants: tuple[str, ...] = Field((), description="rows of the table of ablations, in this order; [] for none")
    planned: tuple[str, ...] = Field(
        (),
        description="rows whose comparison was named before the data were seen: corrected among themselves, the others "
        "among the others",
    )
    pretrain_epochs: Count | None = Field(
        None, description="epochs of the pretraining runs that ablations need; null: as many as pretrain.epochs"
    )


class Robustness(Section):
    """What test clips lose after training: curves of AUC against the level of each loss."""

    methods: tuple[str, ...] = Field(
        ("handcrafted", "ecg_only", "eeg_only", "ours", "gated", "cross_attention", "mixture"),
        description="methods that are tested so; [] for none",
    )
    lost_modalities: tuple[Literal["eeg", "ecg"], ...] = Field(
        ("eeg", "ecg"), description="modalities that test clips lose whole, one at a time"
    )
    dropped_eeg_channels: tuple[Count, ...] = Field(
        (1, 2, 4, 7, 10, 13), description="EEG channels that each test subject loses; fewer than the cohort has"
    )
    noise_snr_db: tuple[float, ...] = Field(
        (20.0, 15.0, 10.0, 5.0, 0.0, -5.0),
        description="white noise added to every channel of both modalities: signal over noise in power, dB",
    )
    seed: int = Field(0, ge=0, description="seed of the channels that go and of the noise")


class Evaluate(Section):
    """Protocol, seeds and statistics."""

    protocol: Literal["paper", "crossval", "published"] = Field(
        "paper",
        description="paper: one 60/20/20 split of subjects; crossval: five groups of subjects, drawn by seed; "
        "published: the split that others published of the cohort, whatever the seed",
    )
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        tuple(range(20)), min_length=1, description="seeds of split and training; one split alone is a matter of luck"
    )
    train_share: float = Field(1.0, gt=0, le=1, description="share of each fold's training subjects that is used")
    bootstrap: Count = Field(2000, description="bootstrap resamples of the subjects")
    confidence: float = Field(0.95, gt=0, lt=1, description="coverage of the intervals")
    permutations: Count = Field(2000, description="permutations of the labels within each subject, for p-values")
    resampling_seed: int = Field(0, ge=0, description="seed of resamples and permutations")
