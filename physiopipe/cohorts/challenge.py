"""The cohort `challenge`: 12-lead ECG of the PhysioNet/CinC Challenge 2021, for pretraining.

88,253 recordings of eight sources (Reyna et al., Will Two Do?, 2021), most of them 10 s at 500 Hz. Published as a tree:
`training/<source>/g<k>/{RECORDS, *.hea, *.mat}`.
"""

from typing import Literal, get_args

from pydantic import Field, model_validator

from physiopipe.cohorts.base import Cohort, Modality, PublishedTree
from physiopipe.cohorts.sources import SOURCE_INFO
from physiopipe.params.preparation import Filter, PublishedAt, Recordings, Resample, Shard
from physiopipe.params.section import Count, Positive, Section

Source = Literal[
    "chapman_shaoxing", "cpsc_2018", "cpsc_2018_extra", "georgia", "ningbo", "ptb", "ptb-xl", "st_petersburg_incart"
]
SOURCES: tuple[Source, ...] = get_args(Source)
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
MAINS_HZ = {"default": 50.0, "georgia": 60.0}  # of the country of each source


class ChallengeData(Recordings):
    """Where the 12-lead ECG recordings come from."""

    origin: Literal["published", "simulated"] = Field(
        "published", description="published: the tree at base_url; simulated: what `simulate.challenge` describes"
    )
    base_url: PublishedAt = Field(
        "https://physionet.org/files/challenge-2021/1.0.3",
        description="root of the published tree (https://, http://, s3://, a folder) with RECORDS and SHA256SUMS.txt",
    )
    sources: tuple[Source, ...] = Field(
        SOURCES, min_length=1, description="folders under training/ to use, in this order"
    )
    allow_missing_sources: bool = Field(False, description="go on without sources that the tree does not have")
    allow_missing: bool = Field(False, description="go on without records that the tree lists and does not have")
    max_records_per_source: Count | dict[str, Count] | None = Field(
        None, description="records of each source, in published order: a number, or by source with `default`; null: all"
    )

    @model_validator(mode="after")
    def _known_sources(self) -> "ChallengeData":
        wanted = self.max_records_per_source
        if isinstance(wanted, dict) and (strange := sorted(set(wanted) - {*SOURCES, "default"})):
            raise ValueError(f"max_records_per_source names no source with {', '.join(strange)}")
        return self

    def most_records(self, source: str) -> int | None:
        """Records that are taken from a source; None: all."""
        wanted = self.max_records_per_source
        return wanted.get(source, wanted.get("default")) if isinstance(wanted, dict) else wanted


class SimulateChallenge(Section):
    """A simulated stand-in for the Challenge 2021 tree (used where data.challenge.origin is simulated)."""

    records_per_source: Count = Field(40, description="records of each simulated source folder")
    min_length_s: Positive = Field(5.0, description="shortest simulated record, s")
    max_length_s: Positive = Field(120.0, description="longest simulated record, s (most last 10 s)")
    seed: int = Field(2021, ge=0, description="seed of the simulation")

    @model_validator(mode="after")
    def _lengths_in_order(self) -> "SimulateChallenge":
        if self.min_length_s > self.max_length_s:
            raise ValueError(f"min_length_s {self.min_length_s:g} is above max_length_s {self.max_length_s:g}")
        return self


def _notes(data: ChallengeData) -> tuple[str, ...]:
    published = "Published, CC BY 4.0, checked by its SHA256SUMS.txt."
    return (
        "Simulated." if data.origin == "simulated" else published,
        "PTB and PTB-XL have several records of some patients, and the headers name no patient.",
    )


def _rates_hz(data: ChallengeData) -> dict[str, float]:
    return {source: rate for source in data.sources if (rate := SOURCE_INFO[source].rate_hz) is not None}


COHORT = Cohort(
    name="challenge",
    title="PhysioNet/CinC Challenge 2021",
    modalities={
        "ecg": Modality(
            channels=LEADS,
            unit="mV",
            rate_hz=None,
            filter=Filter(highpass_hz=0.5, lowpass_hz=40.0, notch_hz=MAINS_HZ),
            resample=Resample(rates_hz=(100, 200, 500, 1000)),
            shard=Shard(),
        )
    },
    publication=PublishedTree(
        folder="challenge-2021",
        plan="physiopipe.cohorts.challenge_tree:plan_batches",
        read="physiopipe.cohorts.challenge_tree:read_record",
    ),
    data=ChallengeData,
    simulate=SimulateChallenge,
    simulator="physiopipe.cohorts.challenge_simulation:simulate_challenge",
    licence="CC BY 4.0",
    access="open",
    citation="Reyna et al., Will Two Do? Varying Dimensions in Electrocardiography, 2021, doi:10.13026/34va-7q14",
    source_rates_hz=_rates_hz,
    data_notes=_notes,
)
