"""`data` and `simulate`: where the recordings of the two cohorts come from."""

from typing import Literal, get_args

from pydantic import Field, model_validator

from physiopipe.params.section import Count, Positive, Section

Source = Literal[
    "chapman_shaoxing", "cpsc_2018", "cpsc_2018_extra", "georgia", "ningbo", "ptb", "ptb-xl", "st_petersburg_incart"
]
SOURCES: tuple[Source, ...] = get_args(Source)


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
