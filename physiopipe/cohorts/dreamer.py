"""The cohort `dreamer`: EEG and ECG of 23 people who watched 18 film clips and rated each (Katsigiannis & Ramzan 2018,
doi:10.1109/JBHI.2017.2688239). Given on request; published as one file, DREAMER.mat.
"""

from typing import Literal

from pydantic import Field, model_validator

from physiopipe.cohorts.base import ClipRule, Cohort, Modality, OneFile, Task
from physiopipe.cohorts.hidden_parameters import change_s, hidden_share
from physiopipe.params.preparation import Filter, Quality, Recordings, Resample, Shard
from physiopipe.params.section import Positive, Section

EEG_CHANNELS = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
ECG_CHANNELS = ("II", "III")  # by geometry (inferred): right arm → left leg and left arm → left leg
EEG_RATE_HZ = 128
ECG_RATE_HZ = 256
RATINGS = ("valence", "arousal", "dominance")
ACCESS = (
    "DREAMER is a database of EEG and ECG recorded while 23 people watched film clips; its terms forbid passing it on. "
    "Access is given on request at https://zenodo.org/records/546113; put DREAMER.mat (452 MB) where "
    "`data.dreamer.path` points, or set `data.dreamer.origin: simulated`."
)


class DreamerData(Recordings):
    """Where DREAMER comes from."""

    origin: Literal["file", "simulated"] = Field(
        "file", description="file: the real DREAMER.mat at path; simulated: what `simulate.dreamer` describes"
    )
    path: str = Field("data/raw/dreamer/DREAMER.mat", description="the file from Zenodo 546113 (access on request)")
    eeg_unit_uv: Positive = Field(
        1.0, description="microvolts of one unit of the file's EEG (not documented by its authors: an assumption)"
    )
    read_baseline: bool = Field(
        False, description="read the neutral film before each clip too (real: 61 s), for clips.dreamer.baseline"
    )


class SimulateDreamer(Section):
    """A simulated stand-in for DREAMER.mat with planted effects (used where data.dreamer.origin is simulated)."""

    subjects: int = Field(23, ge=5, description="simulated subjects (real: 23)")
    clips: int = Field(18, ge=2, description="film clips each subject watches (real: 18)")
    min_clip_s: float = Field(65.0, ge=10, description="shortest clip, s (real: 65)")
    max_clip_s: float = Field(120.0, ge=10, description="longest clip, s (real: 393)")
    baseline_s: float = Field(10.0, ge=1, description="neutral baseline before each clip, s (real: 61)")
    effect_d: float = Field(1.16, ge=0, description="planted effect: shift between low and high, in clip SDs")
    hidden_share: float = hidden_share()
    change_s: float = change_s("dreamer")
    subject_rho: float = Field(0.5, ge=0, description="spread of the subjects' own levels, in clip SDs")
    seed: int = Field(546113, ge=0, description="seed of the simulation")

    @model_validator(mode="after")
    def _lengths_in_order(self) -> "SimulateDreamer":
        if self.min_clip_s > self.max_clip_s:
            raise ValueError(f"min_clip_s {self.min_clip_s:g} is above max_clip_s {self.max_clip_s:g}")
        return self


class DreamerClips(ClipRule):
    """Which part of a film clip is used, and which ratings are high."""

    high_from: Literal[3, 4] = Field(3, description="ratings from here on are high (paper: 3; DREAMER's authors: 4)")


def _notes(data: DreamerData) -> tuple[str, ...]:
    origin = "simulated" if data.origin == "simulated" else "the file from its authors"
    return (
        f"Origin: {origin}. The file documents no units: one unit of its EEG is taken as {data.eeg_unit_uv:g} µV; the "
        "unit of its ECG is not known. Its two ECG leads have no names in the file; II and III are by geometry "
        "(inferred: right arm to left leg, left arm to left leg).",
    )


def _longest_clip_s(data: DreamerData, simulate: SimulateDreamer) -> float:
    return simulate.max_clip_s if data.origin == "simulated" else 393.0


COHORT = Cohort(
    name="dreamer",
    title="DREAMER",
    modalities={
        "eeg": Modality(
            channels=EEG_CHANNELS,
            unit="uV",
            rate_hz=EEG_RATE_HZ,
            filter=Filter(highpass_hz=0.3, lowpass_hz=60.0, notch_hz={"default": 50.0}),
            resample=Resample(rates_hz=(200,)),
            shard=Shard(
                align="end",
                max_windows_per_record=None,
                min_fill=1.0,
                quality=Quality(flat_peak_to_peak=1.0, amplitude_limit=100.0, wander_share=1.0),
            ),
            montage="colin27_1020",
        ),
        "ecg": Modality(
            channels=ECG_CHANNELS,
            unit="unspecified",
            rate_hz=ECG_RATE_HZ,
            filter=Filter(highpass_hz=0.5, lowpass_hz=40.0, notch_hz={"default": 50.0}),
            resample=Resample(rates_hz=(200,)),
            shard=Shard(
                align="end",
                max_windows_per_record=None,
                min_fill=1.0,
                quality=Quality(flat_peak_to_peak=1.0, amplitude_limit=30000.0),
            ),
        ),
    },
    tasks=tuple(Task(name, what=f"rating of {name}, 1 to 5") for name in RATINGS),
    publication=OneFile("DREAMER.mat", read="physiopipe.cohorts.dreamer_file:read_dreamer", access=ACCESS),
    data=DreamerData,
    simulate=SimulateDreamer,
    clips=DreamerClips,
    simulator="physiopipe.cohorts.dreamer_simulation:simulate_dreamer",
    latents="physiopipe.cohorts.dreamer_simulation:latents",
    subjects=23,
    licence="none: may not be passed on",
    access="on request",
    citation="Katsigiannis & Ramzan, IEEE J. Biomed. Health Inform. 22:98, 2018, doi:10.1109/JBHI.2017.2688239",
    longest_clip=_longest_clip_s,
    baseline=lambda data: data.read_baseline,
    reading=("eeg_unit_uv", "read_baseline"),
    data_notes=_notes,
    reported="physiopipe.cohorts.dreamer_reported:REPORTED",
)
