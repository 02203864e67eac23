"""The cohort `bcmi`: EEG and ECG of 19 people who listened to synthetic music and reported what they felt all along
(Daly et al. 2020, doi:10.1038/s41597-020-0507-6). Public: OpenNeuro ds002722, the calibration session, 6.1 GB.

A trial is one piece of music, 21 s; 18 of them make a run, one file, and most people have five runs. Two continuous
reports, 0 to 9 with 4.5 neutral, are channels of the same file. A trial's valence (arousal) is the mean report over
its second half, for a report comes later than what it reports.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from physiopipe.cohorts.base import ClipRule, Cohort, Modality, PublishedList, Task
from physiopipe.cohorts.hidden_parameters import hidden_share
from physiopipe.params.preparation import Filter, PublishedAt, Quality, Recordings, Resample, Shard
from physiopipe.params.section import Count, Section

# Names in the files, in their order; the 10-20 system writes Fp1 and Fp2.
FILE_CHANNELS = (
    "FP1", "FPz", "FP2", "F7", "F3", "Fz", "F4", "F8", "FT9", "FC5", "FC1", "FC2", "FC6", "FT10", "T7", "C3",
    "Cz", "C4", "T8", "TP9", "CP5", "CP1", "CP2", "CP6", "TP10", "P7", "P3", "Pz", "P4", "P8", "O1", "O2",
)  # fmt: skip
EEG_CHANNELS = tuple(name.replace("FP", "Fp") for name in FILE_CHANNELS)
ECG_CHANNELS = ("ECG",)
REPORTS = {"valence": "VA1", "arousal": "VA2"}  # task → channel of the continuous report
RATE_HZ = 1000
# Mean reports are rounded, so that a slider left at neutral is exactly neutral
REPORT_DECIMALS, REPORT_STEP = 3, 0.001
NEUTRAL = 4.5
ACCESS = "open: OpenNeuro ds002722, version 1.0.1, without an account"

SubjectName = Annotated[str, StringConstraints(pattern=r"^sub-[0-9]{2}$")]


class BcmiData(Recordings):
    """Where the BCMI calibration recordings come from, and how a report becomes a label."""

    origin: Literal["published", "simulated"] = Field(
        "published", description="published: the tree at base_url; simulated: what `simulate.bcmi` describes"
    )
    base_url: PublishedAt = Field(
        "s3://openneuro.org/ds002722",
        description="root of the published tree (https://, http://, s3://, a folder); its files are those of version "
        "1.0.1, by MD5",
    )
    subjects: tuple[SubjectName, ...] | None = Field(
        None, min_length=1, description="people to use, as sub-01; null: all"
    )
    max_runs_per_subject: Count | None = Field(None, description="runs taken from each person; null: all (five)")
    report_from_s: float = Field(
        10.0, ge=0, description="a report counts from here on, s after the music's start: it lags what it reports"
    )
    report_until_s: float = Field(20.0, le=40, description="up to where a report counts, s after the music's start")
    still_below: float = Field(
        0.1, ge=0, le=9, description="a report that moves less than this during a trial is flagged: slider left alone"
    )
    unnamed_unit: Literal["uV", "mV", "V"] = Field(
        "uV", description="unit of EEG and ECG where a file's header names none; the sidecar files say microvolt"
    )

    @model_validator(mode="after")
    def _report_in_order(self) -> "BcmiData":
        if self.report_from_s >= self.report_until_s:
            raise ValueError(
                f"report_from_s {self.report_from_s:g} is not below report_until_s {self.report_until_s:g}"
            )
        return self


class SimulateBcmi(Section):
    """A simulated stand-in for ds002722 with planted effects (used where data.bcmi.origin is simulated)."""

    subjects: int = Field(10, ge=5, le=19, description="simulated people (real: 19)")
    runs: int = Field(2, ge=1, le=5, description="runs of each person (real: 5)")
    trials: int = Field(9, ge=3, le=18, description="pieces of music in a run (real: 18)")
    gap_s: float = Field(3.0, ge=1, le=30, description="rest between two pieces, s (real: 26)")
    still_share: float = Field(0.1, ge=0, le=0.5, description="share of trials whose two reports do not move")
    effect_d: float = Field(1.16, ge=0, description="planted effect: shift between low and high, in clip SDs")
    hidden_share: float = hidden_share()
    subject_rho: float = Field(0.5, ge=0, description="spread of the people's own levels, in clip SDs")
    seed: int = Field(2722, ge=0, description="seed of the simulation")


class BcmiClips(ClipRule):
    """Which part of a trial is used, and which mean reports are high."""

    last_s: float = Field(20.0, gt=0, le=20, description="part of a trial that is used: its last seconds, of 20")
    high_above: float = Field(NEUTRAL, ge=0, lt=9, description="mean reports above this are high (4.5: neutral)")

    def threshold(self, task: Task) -> float:  # noqa: ARG002 - one scale for both reports
        """The least mean report that is high: half a step of its rounding above `high_above`."""
        return self.high_above + REPORT_STEP / 2


def _notes(data: BcmiData) -> tuple[str, ...]:
    origin = "Simulated." if data.origin == "simulated" else "Published, version 1.0.1, checked by MD5."
    return (
        f"{origin} The label of a trial is its mean report from {data.report_from_s:g} to {data.report_until_s:g} s "
        f"after the music's start; a report that moves less than {data.still_below:g} meanwhile is flagged "
        "(`valence_still`, `arousal_still` in `record_flags`).",
    )


COHORT = Cohort(
    name="bcmi",
    title="BCMI calibration",
    modalities={
        "eeg": Modality(
            channels=EEG_CHANNELS,
            unit="uV",
            rate_hz=RATE_HZ,
            filter=Filter(highpass_hz=0.3, lowpass_hz=75.0, notch_hz={"default": 50.0}),
            resample=Resample(rates_hz=(200,)),
            # From the music's start: two windows of 10 s, and the trial's last second is left out
            shard=Shard(
                align="start",
                max_windows_per_record=None,
                min_fill=1.0,
                quality=Quality(flat_peak_to_peak=1.0, amplitude_limit=100.0, wander_share=1.0),
            ),
            montage="colin27_1020",
        ),
        "ecg": Modality(
            channels=ECG_CHANNELS,
            unit="mV",
            rate_hz=RATE_HZ,
            filter=Filter(highpass_hz=0.5, lowpass_hz=40.0, notch_hz={"default": 50.0}),
            resample=Resample(rates_hz=(200,)),
            shard=Shard(align="start", max_windows_per_record=None, min_fill=1.0),
        ),
    },
    tasks=tuple(Task(name, what=f"mean of the continuous report of felt {name}, 0 to 9") for name in REPORTS),
    publication=PublishedList(
        folder="bcmi-ds002722",
        plan="physiopipe.cohorts.bcmi_tree:plan_batches",
        read="physiopipe.cohorts.bcmi_tree:read_run",
        files="bcmi_files.csv",
    ),
    data=BcmiData,
    simulate=SimulateBcmi,
    clips=BcmiClips,
    simulator="physiopipe.cohorts.bcmi_simulation:simulate_bcmi",
    latents="physiopipe.cohorts.bcmi_simulation:latents",
    subjects=19,
    licence="CC0 by its dataset_description.json, CC BY 4.0 by its README",
    access=ACCESS,
    citation="Daly et al., Neural and physiological data from participants listening to affective music, Sci. Data "
    "7:177, 2020, doi:10.1038/s41597-020-0507-6; dataset doi:10.18112/openneuro.ds002722.v1.0.1",
    caveats=(
        "Not yet run on the real files by us: its reader was tried on simulated signals and on the published events.",
        "What is felt is reported while the music plays: a person who leaves the slider alone gives no label. Such "
        "trials are flagged, not left out.",
        "The music is made for a target state, so a piece's mean label among other people tells much by itself.",
        "EEG is referenced to FCz; which lead the one ECG channel is, is not published.",
    ),
    reading=("report_from_s", "report_until_s", "still_below", "unnamed_unit"),
    data_notes=_notes,
)
