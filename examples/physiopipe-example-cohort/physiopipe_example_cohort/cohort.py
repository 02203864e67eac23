"""The cohort `eyes_closed`: all that is known of it before a file is read."""

from typing import Literal

from pydantic import Field

from physiopipe.cohorts.base import Cohort, Modality, OneFile, Task
from physiopipe.params import Filter, Positive, Quality, Recordings, Resample, Section, Shard

EEG_CHANNELS = ("O1", "O2")
ECG_CHANNELS = ("I",)
RATE_HZ = 128


class EyesClosedData(Recordings):
    """Where the recordings come from."""

    origin: Literal["file", "simulated"] = Field(
        "file", description="file: the .npz at path; simulated: what `simulate.eyes_closed` describes"
    )
    path: str = Field("data/raw/eyes_closed/eyes_closed.npz", description="arrays as in the package's file.py")


class SimulateEyesClosed(Section):
    """Simulated people (used where data.eyes_closed.origin is simulated)."""

    subjects: int = Field(12, ge=5, le=99, description="simulated people")
    clips: int = Field(6, ge=2, description="clips of each, every other one with eyes closed")
    clip_s: float = Field(70.0, ge=10, description="length of a clip, s")
    alpha_ratio: Positive = Field(1.5, description="planted effect: alpha amplitude, eyes closed over eyes open")
    seed: int = Field(7, ge=0, description="seed of the simulation")


_CUT_BACK = {"align": "end", "max_windows_per_record": None, "min_fill": 1.0}

COHORT = Cohort(
    name="eyes_closed",  # as in the entry point
    title="Eyes closed (example)",
    modalities={
        "eeg": Modality(
            channels=EEG_CHANNELS,
            unit="uV",
            rate_hz=RATE_HZ,
            filter=Filter(highpass_hz=0.5, lowpass_hz=45.0, notch_hz={"default": 50.0}),
            resample=Resample(rates_hz=(200,)),
            shard=Shard.model_validate(_CUT_BACK | {"quality": Quality(flat_peak_to_peak=1.0, amplitude_limit=100.0)}),
        ),
        "ecg": Modality(
            channels=ECG_CHANNELS,
            unit="mV",
            rate_hz=RATE_HZ,
            filter=Filter(highpass_hz=0.5, lowpass_hz=40.0, notch_hz={"default": 50.0}),
            resample=Resample(rates_hz=(200,)),
            shard=Shard.model_validate(_CUT_BACK),
        ),
    },
    tasks=(Task("closed", high_from=1.0, what="0 eyes open, 1 eyes closed"),),
    publication=OneFile(
        "eyes_closed.npz",
        read="physiopipe_example_cohort.file:read_clips",
        access="This cohort is made up: set data.eyes_closed.origin to simulated.",
    ),
    data=EyesClosedData,
    simulate=SimulateEyesClosed,
    simulator="physiopipe_example_cohort.file:simulate",
    without_meaning={"clip_prior": "every other clip is one with eyes closed, so its number is the label"},
    licence="none: nobody was recorded",
    access="open",
    citation="none: an example",
    caveats=("An example: no person was recorded.",),
)
