"""Every knob of the study: names with units, defaults, limits and descriptions.

`params.yaml` holds all of them; sections are named after the rules and stages that read them, so that a changed
number reruns what depends on it and nothing else. `workflow/schemas/params.schema.json` is generated from here.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from physiopipe.errors import PhysiopipeError

PATCH_SAMPLES = 200  # one patch of CBraMod; its convolutions and spectrum are made for this length

Source = Literal[
    "chapman_shaoxing", "cpsc_2018", "cpsc_2018_extra", "georgia", "ningbo", "ptb", "ptb-xl", "st_petersburg_incart"
]
SOURCES: tuple[Source, ...] = get_args(Source)
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of params.yaml: unknown keys are refused, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# ---------------------------------------------------------------------------------------------------------- data


class ChallengeData(Section):
    """Where the 12-lead ECG recordings come from."""

    origin: Literal["published", "simulated"] = Field(
        "published", description="published: the tree at base_url; simulated: what `simulate.challenge` describes"
    )
    base_url: str = Field(
        "https://physionet.org/files/challenge-2021/1.0.3",
        description="root of the published tree (https://, http://, s3://, a folder) with RECORDS and SHA256SUMS.txt",
    )
    sources: tuple[Source, ...] = Field(
        SOURCES, min_length=1, description="folders under training/ to use, in this order"
    )
    allow_missing_sources: bool = Field(False, description="go on without sources that the tree does not have")
    max_records_per_source: Count | None = Field(
        None, description="records taken from each source, in published order; null: all"
    )


class DreamerData(Section):
    """Where DREAMER comes from."""

    origin: Literal["file", "simulated"] = Field(
        "file", description="file: the real DREAMER.mat at path; simulated: what `simulate.dreamer` describes"
    )
    path: str = Field("data/raw/dreamer/DREAMER.mat", description="the file from Zenodo 546113 (access on request)")
    eeg_unit_uv: Positive = Field(
        1.0, description="microvolts of one unit of the file's EEG (not documented by its authors: an assumption)"
    )


class Data(Section):
    challenge: ChallengeData = ChallengeData()
    dreamer: DreamerData = DreamerData()


# ------------------------------------------------------------------------------------------------------ simulate


class SimulateChallenge(Section):
    """A simulated stand-in for the Challenge 2021 tree (used where data.challenge.origin is simulated)."""

    records_per_source: Count = Field(40, description="records of each simulated source folder")
    min_length_s: Positive = Field(5.0, description="shortest simulated record, s")
    max_length_s: Positive = Field(120.0, description="longest simulated record, s (most last 10 s)")
    seed: int = Field(2021, ge=0, description="seed of the simulation")


class SimulateDreamer(Section):
    """A simulated stand-in for DREAMER.mat with planted effects (used where data.dreamer.origin is simulated)."""

    subjects: int = Field(23, ge=5, description="simulated subjects (real: 23)")
    clips: int = Field(18, ge=2, description="film clips each subject watches (real: 18)")
    min_clip_s: float = Field(65.0, ge=10, description="shortest clip, s (real: 65)")
    max_clip_s: float = Field(120.0, ge=10, description="longest clip, s (real: 393)")
    baseline_s: float = Field(10.0, ge=1, description="neutral baseline before each clip, s (real: 61)")
    effect_d: float = Field(1.16, ge=0, description="planted effect: shift between low and high, in clip SDs")
    subject_rho: float = Field(0.5, ge=0, description="spread of the subjects' own levels, in clip SDs")
    seed: int = Field(546113, ge=0, description="seed of the simulation")

    @model_validator(mode="after")
    def _lengths_in_order(self) -> "SimulateDreamer":
        if self.min_clip_s > self.max_clip_s:
            raise ValueError(f"min_clip_s {self.min_clip_s:g} is above max_clip_s {self.max_clip_s:g}")
        return self


class Simulate(Section):
    challenge: SimulateChallenge = SimulateChallenge()
    dreamer: SimulateDreamer = SimulateDreamer()


# --------------------------------------------------------------------------------------------- filter, resample, shard


class Filter(Section):
    """Zero-phase band-pass and notch, applied before resampling."""

    highpass_hz: Positive = Field(description="-3 dB corner of one pass of the Butterworth high-pass, Hz")
    lowpass_hz: Positive = Field(description="-3 dB corner of one pass of the Butterworth low-pass, Hz")
    order: Count = Field(3, description="order of the Butterworth; forward and backward filtering doubles it")
    notch_hz: dict[str, Positive] = Field(description="mains frequency to remove by source, Hz; `default` for others")
    notch_quality: Positive = Field(30.0, description="quality factor of the notch: its frequency over its width")

    @model_validator(mode="after")
    def _corners_in_order(self) -> "Filter":
        if self.highpass_hz >= self.lowpass_hz:
            raise ValueError(f"highpass_hz {self.highpass_hz:g} is not below lowpass_hz {self.lowpass_hz:g}")
        return self

    def notch_of(self, source: str) -> float | None:
        """Mains frequency of a source in Hz, or None where none is named."""
        return self.notch_hz.get(source, self.notch_hz.get("default"))


_ECG_NOTCH: dict[str, float] = {"default": 50.0, "georgia": 60.0}


class FilterChallenge(Section):
    ecg: Filter = Filter(highpass_hz=0.5, lowpass_hz=40.0, notch_hz=_ECG_NOTCH)


class FilterDreamer(Section):
    eeg: Filter = Filter(highpass_hz=0.3, lowpass_hz=60.0, notch_hz={"default": 50.0})
    ecg: Filter = Filter(highpass_hz=0.5, lowpass_hz=40.0, notch_hz={"default": 50.0})


class FilterSection(Section):
    challenge: FilterChallenge = FilterChallenge()
    dreamer: FilterDreamer = FilterDreamer()


class Resample(Section):
    rates_hz: tuple[Count, ...] = Field(min_length=1, description="rates that every recording is resampled to, Hz")


class ResampleChallenge(Section):
    ecg: Resample = Resample(rates_hz=(100, 200, 500, 1000))


class ResampleDreamer(Section):
    eeg: Resample = Resample(rates_hz=(200,))
    ecg: Resample = Resample(rates_hz=(200,))


class ResampleSection(Section):
    challenge: ResampleChallenge = ResampleChallenge()
    dreamer: ResampleDreamer = ResampleDreamer()


class Quality(Section):
    """Limits behind the quality flags of a window; a flag marks, it never drops."""

    flat_peak_to_peak: Positive = Field(0.01, description="a lead whose range stays under this is flat, stored unit")
    amplitude_limit: Positive = Field(10.0, description="an absolute value above this is flagged, stored unit")
    clipping_share: Share = Field(0.02, description="share of samples at a lead's extremes: clipping")
    wander_share: Share = Field(0.8, description="share of raw power under 0.5 Hz: baseline wander")
    mains_share: Share = Field(0.2, description="share of raw power within 1 Hz of the mains: noise")


class Shard(Section):
    """Cutting into windows of patches, and their storage."""

    patches: Count = Field(10, description=f"patches of {PATCH_SAMPLES} samples in a window")
    min_fill: float = Field(0.4, gt=0, le=1, description="a shorter rest of a record than this share is left out")
    max_windows_per_record: Count | None = Field(
        30, description="windows of one record and rate, spread over the record; null: all"
    )
    align: Literal["start", "end"] = Field("start", description="cut from the recording's start, or back from its end")
    quality: Quality = Quality()


class ShardChallenge(Section):
    ecg: Shard = Shard()


class ShardDreamer(Section):
    eeg: Shard = Shard(
        align="end",
        max_windows_per_record=None,
        min_fill=1.0,
        quality=Quality(flat_peak_to_peak=1.0, amplitude_limit=100.0),
    )
    ecg: Shard = Shard(
        align="end",
        max_windows_per_record=None,
        min_fill=1.0,
        quality=Quality(flat_peak_to_peak=1.0, amplitude_limit=30000.0),
    )


class ShardSection(Section):
    challenge: ShardChallenge = ShardChallenge()
    dreamer: ShardDreamer = ShardDreamer()


# ---------------------------------------------------------------------------------------------------------- encoder


class Encoder(Section):
    """Sizes of the criss-cross encoder; the defaults are CBraMod's."""

    layers: Count = Field(12, description="criss-cross transformer layers")
    width: Count = Field(200, description="embedding width d")
    feedforward: Count = Field(800, description="width of the feed-forward layers")
    heads: int = Field(8, ge=2, multiple_of=2, description="attention heads, half over channels, half over patches")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="dropout while training")
    position_kernel: tuple[Count, Count] = Field(
        (19, 7), description="depth-wise positional convolution over (channel, patch); odd sizes"
    )


class Masking(Section):
    """Dual masking (paper section 2.1, eq. 2)."""

    patch_ratio: Share = Field(0.5, description="r: probability that a patch is masked")
    channel_ratio: Share = Field(0.25, description="r_c: share of leads masked whole; 0: none")


class Objective(Section):
    """Reconstruction loss (paper eq. 4-5); readings of what the paper leaves open."""

    patch_weight: float = Field(0.5, ge=0, description="weight of the patch loss in eq. 5")
    channel_weight: float = Field(0.5, ge=0, description="weight of the channel loss in eq. 5")
    patch_targets: Literal["replaced", "bernoulli"] = Field(
        "replaced", description="patch loss over every replaced patch (CBraMod), or over the Bernoulli mask alone"
    )
    visible_weight: Share = Field(
        0.0, description="share of the patch loss over patches that were not replaced (the inverse mask)"
    )


class Pretrain(Section):
    encoder: Encoder = Encoder()
    masking: Masking = Masking()
    objective: Objective = Objective()
    normalisation: Literal["lead_zscore", "record_zscore", "millivolt"] = Field(
        "lead_zscore", description="scale of the encoder's input; valid samples only"
    )
    rate_weights: dict[int, Annotated[float, Field(ge=0)]] = Field(
        {100: 1.0, 200: 1.0, 500: 1.0, 1000: 1.0}, description="how often each rate is drawn; every record counts once"
    )
    epochs: Count = Field(40, description="passes over the training windows")
    batch_size: Count = Field(128, description="windows of a step, over all devices")
    learning_rate: Positive = Field(5e-4, description="peak learning rate of AdamW")
    final_learning_rate: float = Field(1e-5, ge=0, description="learning rate at the end of the cosine")
    warmup_steps: int = Field(0, ge=0, description="steps of linear warm-up before the cosine")
    weight_decay: float = Field(5e-2, ge=0, description="AdamW's weight decay")
    clip_norm: Positive = Field(1.0, description="gradients are scaled down to this norm")
    precision: Literal["float32", "bf16"] = Field(
        "float32", description="of training's products: float32, or bfloat16 (weights and loss stay float32) for a GPU"
    )
    held_out_share: float = Field(0.05, gt=0, lt=1, description="share of records (never windows) kept for validation")
    seed: int = Field(42, ge=0, description="seed of weights, order and masks")


class Weights(Section):
    """Pretrained weights of the EEG encoder."""

    origin: Literal["none", "hub", "file"] = Field(
        "hub", description="none: untrained (the table says so); hub: Hugging Face; file: a local .pth or .safetensors"
    )
    path: str = Field("models/cbramod_pretrained_weights.pth", description="the local file (origin: file)")
    repository: str = Field("weighting666/CBraMod", description="Hugging Face repository (origin: hub)")
    filename: str = Field("pretrained_weights.pth", description="file in that repository")
    revision: str = Field("main", description="pinned revision: a branch, tag or commit")
    sha256: str = Field(
        "0792cb808c14e6b7a2bb2ce1dff379bc47bc54c49a779825bdfeb33bf8157178", description="expected sha256 of the file"
    )


class Finetune(Section):
    """The two-encoder fusion and its training (paper section 2.2 and Table 2)."""

    eeg_encoder: Encoder = Encoder()
    eeg_weights: Weights = Weights()
    eeg_scale_uv: Positive = Field(100.0, description="EEG input is divided by this many microvolts (CBraMod)")
    last_s: Positive = Field(60.0, description="part of a clip that is used: its last seconds")
    high_from: Literal[3, 4] = Field(3, description="ratings from here on are high (paper: 3; DREAMER's authors: 4)")
    pooling: Literal["channels_and_patches", "channels"] = Field(
        "channels_and_patches", description="what an encoder's output is averaged over: 200-d, or 2000-d a modality"
    )
    standardise: bool = Field(
        True, description="z-score embeddings by the training subjects' windows before the head; the paper says nothing"
    )
    frozen: bool = Field(True, description="train the head alone on embeddings computed once, or everything")
    epochs: Count = Field(10, description="passes over the training windows")
    batch_size: Count = Field(8, description="windows of a step")
    recipe: Literal["table2", "two_rate"] = Field(
        "table2", description="table2: Adam and StepLR (paper, Table 2); two_rate: AdamW, encoders slower than the head"
    )
    learning_rate: Positive = Field(1e-3, description="initial learning rate of Adam (table2)")
    step_epochs: Count = Field(4, description="StepLR: epochs between reductions (table2)")
    step_gamma: Positive = Field(0.1, description="StepLR: factor of each reduction (table2)")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.2, description="dropout of the classification head")
    hidden: Count = Field(200, description="hidden width of the feed-forward head")
    backbone_learning_rate: Positive = Field(1e-4, description="peak rate of the encoders, cosine to 0 (two_rate)")
    head_learning_rate: Positive = Field(1e-3, description="peak rate of the head, cosine to 0 (two_rate)")
    weight_decay: float = Field(5e-2, ge=0, description="AdamW's weight decay (two_rate)")
    modality_dropout: Share = Field(
        0.3, description="mixture: share of training windows that lose a modality, EEG or ECG alike"
    )
    shared_encoder: bool = Field(False, description="embed the EEG with the ECG encoder too: one for both modalities")
    train_share: float = Field(1.0, gt=0, le=1, description="share of each fold's training subjects that is used")


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
    """Ours with one thing changed, see `physiopipe.methods.ablations`."""

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


class Run(Section):
    """What changes speed and not results; no rule or stage depends on it."""

    connections: Annotated[int, Field(ge=1, le=8)] = Field(8, description="connections to a server, all jobs together")
    timeout_s: Positive = Field(60.0, description="a server that is silent for this long is tried again")
    retries: int = Field(5, ge=0, description="tries after the first, with growing waits")
    threads: int = Field(0, ge=0, description="threads of torch; 0: one per core")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where training runs")
    devices: Count | Literal["auto"] = Field(
        "auto", description="processes of pretraining, one a device; auto: all GPUs of this machine, or one CPU process"
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto", description="compile the encoder's layer for pretraining (a minute at the start); auto: on a GPU"
    )
    state_folder: str = Field("state", description="where an interrupted training keeps its state")
    log_folder: str = Field("logs/pretrain", description="curves while pretraining runs, for TensorBoard; empty: none")


class Params(Section):
    """The whole of params.yaml."""

    data: Data = Data()
    simulate: Simulate = Simulate()
    filter: FilterSection = FilterSection()
    resample: ResampleSection = ResampleSection()
    shard: ShardSection = ShardSection()
    pretrain: Pretrain = Pretrain()
    methods: tuple[MethodName, ...] = Field(
        METHODS, min_length=1, description="measured rows, in this order; other fusions go to a table of their own"
    )
    finetune: Finetune = Finetune()
    evaluate: Evaluate = Evaluate()
    ablations: Ablations = Ablations()
    robustness: Robustness = Robustness()
    run: Run = Run()

    @property
    def table_methods(self) -> tuple[MethodName, ...]:
        """Methods that are rows of Table 1: all but the fusions that the paper did not use."""
        return tuple(name for name in self.methods if name not in FUSIONS) or self.methods

    @property
    def simulated(self) -> bool:
        """Whether the cohort that the table is computed on is simulated."""
        return self.data.dreamer.origin == "simulated"


def load_params(path: Path) -> Params:
    """Read and check params.yaml; every fault is named with its key, and unknown keys with the nearest known one."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PhysiopipeError(f"{path} is missing: write one with `physiopipe preset demo`.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PhysiopipeError(f"{path} is not readable YAML: {error}") from None
    return check_params(content, str(path))


def check_params(content: Any, where: str) -> Params:
    """Build Params from plain data; raise PhysiopipeError listing every fault."""
    if not isinstance(content, dict):
        raise PhysiopipeError(f"{where}: expected a mapping of sections, found {type(content).__name__}.")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        faults = "\n".join(f"  {_describe(fault, content)}" for fault in error.errors())
        raise PhysiopipeError(
            f"{where} has {error.error_count()} fault(s):\n{faults}\n"
            "Every key is described in workflow/schemas/params.schema.json."
        ) from None


def _describe(fault: Any, content: dict[str, Any]) -> str:
    path = [str(step) for step in fault["loc"]]
    key = ".".join(path)
    if fault["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(path[-1], _known_keys(path[:-1]), n=1, cutoff=0.5)
        if nearest:
            return f"{key}: unknown key; did you mean `{'.'.join([*path[:-1], nearest[0]])}`?"
        return f"{key}: unknown key; known here: {', '.join(_known_keys(path[:-1]))}"
    found: Any = content
    for step in fault["loc"]:
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            return f"{key}: {fault['msg']}"
    return f"{key}: {fault['msg']}, found {found!r}" if not isinstance(found, dict) else f"{key}: {fault['msg']}"


def _known_keys(path: list[str]) -> list[str]:
    section: type[BaseModel] = Params
    for step in path:
        field = section.model_fields.get(step)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        section = field.annotation
    return list(section.model_fields)
