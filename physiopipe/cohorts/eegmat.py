"""The cohort `eegmat`: EEG and ECG of 36 people at rest and during mental arithmetic (Zyma et al. 2019,
doi:10.3390/data4010014).

PhysioNet's "EEG During Mental Arithmetic Tasks" 1.0.0, a flat tree of EDF+ files: `Subject<NN>_1.edf` at rest, then
`Subject<NN>_2.edf` during serial subtraction; RECORDS and SHA256SUMS.txt name them all.
"""

from typing import ClassVar, Literal

from pydantic import Field

from physiopipe.cohorts.base import Cohort, Modality, PublishedTree, Task
from physiopipe.cohorts.hidden_parameters import change_s, hidden_share
from physiopipe.params.preparation import Filter, PublishedAt, Quality, Recordings, Resample, Shard
from physiopipe.params.section import Section

RATE_HZ = 500
# As published, and as the international 10-20 system calls them today: T3 T4 T5 T6 are T7 T8 P7 P8.
# fmt: off
PUBLISHED_EEG = (
    "Fp1", "Fp2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4", "T5", "T6", "P3", "P4", "O1", "O2", "Fz", "Cz", "Pz",
)
# fmt: on
_RENAMED = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
EEG_CHANNELS = tuple(_RENAMED.get(name, name) for name in PUBLISHED_EEG)
EAR_CHANNEL = "A2-A1"  # one ear against the other: no electrode on the scalp, so left out unless asked for
ECG_CHANNEL = "ECG"  # its electrodes are not published
TASK = "arithmetic"


class EegmatData(Recordings):
    """Where EEGMAT comes from, and what is read of it.

    `cohort` is whose section it is, for the words of errors.
    """

    cohort: ClassVar[str] = "eegmat"
    origin: Literal["published", "simulated"] = Field(
        "published",
        description="published: the tree at base_url; simulated: what the cohort's section of `simulate` describes",
    )
    base_url: PublishedAt = Field(
        "https://physionet.org/files/eegmat/1.0.0",
        description="root of the published tree (https://, http://, s3://, a folder) with RECORDS and SHA256SUMS.txt",
    )
    allow_missing: bool = Field(False, description="go on without people whose files the tree lists and does not have")
    use_a2_a1: bool = Field(False, description="keep the channel A2-A1 (ear against ear) as the last one of the EEG")


class SimulateEegmat(Section):
    """A simulated stand-in for EEGMAT with planted effects (used where its origin in `data` is simulated)."""

    subjects: int = Field(36, ge=5, le=99, description="simulated people (real: 36)")
    rest_s: float = Field(70.0, ge=10, description="length of the recordings at rest, s (real: 180)")
    arithmetic_s: float = Field(60.0, ge=10, description="length of those during arithmetic, s (real: 60)")
    effect_d: float = Field(1.16, ge=0, description="planted effect: shift between rest and arithmetic, in clip SDs")
    hidden_share: float = hidden_share()
    change_s: float = change_s("eegmat")
    subject_rho: float = Field(0.5, ge=0, description="spread of the people's own levels, in clip SDs")
    seed: int = Field(201914, ge=0, description="seed of the simulation")


def eeg_channels(data: EegmatData) -> tuple[str, ...]:
    """Channels of the EEG as they are stored."""
    return (*EEG_CHANNELS, EAR_CHANNEL) if data.use_a2_a1 else EEG_CHANNELS


def origin_in_words(data: EegmatData) -> str:
    """Where the recordings come from."""
    return "simulated" if data.origin == "simulated" else "published, ODC-By 1.0, checked by its SHA256SUMS.txt"


def _notes(data: EegmatData) -> tuple[str, ...]:
    return (
        f"Origin: {origin_in_words(data)}. EEG in µV and ECG in mV, as the files say; which lead the ECG is, is not "
        "published.",
        "A clip is the last 60 s that were recorded; the padding with which each file ends is cut off.",
    )


CAVEATS = (
    "Rest always comes first and arithmetic after it, so whatever changes with time looks like the task.",
    "Its authors cleaned the EEG by independent component analysis and published artefact-free stretches only: "
    "what that took away, or left, may differ between rest and arithmetic too.",
)
PUBLISHED_IN = "eegmat-1.0.0"  # the folder below data/raw, of every cohort that is made of this tree

_CUT_BACK = {"align": "end", "max_windows_per_record": None, "min_fill": 1.0}

COHORT = Cohort(
    name="eegmat",
    title="EEGMAT",
    modalities={
        "eeg": Modality(
            channels=EEG_CHANNELS,
            unit="uV",
            rate_hz=RATE_HZ,
            # What its authors left in: they filtered to 0.5-45 Hz, and 0.1 % of the power is above 45 Hz.
            filter=Filter(highpass_hz=0.5, lowpass_hz=45.0, notch_hz={"default": 50.0}),
            resample=Resample(rates_hz=(200,)),
            shard=Shard.model_validate(
                _CUT_BACK | {"quality": Quality(flat_peak_to_peak=1.0, amplitude_limit=100.0, wander_share=1.0)}
            ),
            montage="colin27_1020",
        ),
        "ecg": Modality(
            channels=(ECG_CHANNEL,),
            unit="mV",
            rate_hz=RATE_HZ,
            filter=Filter(highpass_hz=0.5, lowpass_hz=40.0, notch_hz={"default": 50.0}),
            resample=Resample(rates_hz=(200,)),
            shard=Shard.model_validate(_CUT_BACK),
        ),
    },
    tasks=(Task(TASK, high_from=1.0, what="0 at rest, 1 during serial subtraction"),),
    publication=PublishedTree(
        folder=PUBLISHED_IN,
        plan="physiopipe.cohorts.eegmat_tree:plan_batches",
        read="physiopipe.cohorts.eegmat_tree:read_recording",
    ),
    data=EegmatData,
    simulate=SimulateEegmat,
    simulator="physiopipe.cohorts.eegmat_simulation:simulate_eegmat",
    latents="physiopipe.cohorts.eegmat_simulation:latents",
    without_meaning={"clip_prior": "the clip's number is the label"},
    headline="auc",  # with two clips a person, the AUC within one is 0, ½ or 1
    subjects=36,
    licence="ODC-By 1.0",
    access="open",
    citation="Zyma et al., Data 4:14, 2019, doi:10.3390/data4010014",
    caveats=CAVEATS,
    reading=("use_a2_a1",),
    data_notes=_notes,
)
