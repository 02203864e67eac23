"""The cohort `eegmat_published`: the EEG of EEGMAT as CBraMod's authors prepared and split it, to compare with theirs.

Wang et al., CBraMod, ICLR 2025, arXiv:2412.07236, and the preparation that they published beside their code: files in
order, the first 28 people train, the next 4 validate, the last 4 test; 20 channels, A2-A1 among them; 200 Hz; no
filter; windows of 5 s from a recording's start, a shorter rest left out, the padding at its end left in; each window
has the label of its recording and is scored by itself.

It shares the tree, its download and the reader of `eegmat`, from which it differs in preparation alone.
"""

from typing import ClassVar

from pydantic import Field

from physiopipe.cohorts.base import ClipRule, Cohort, Modality, PublishedTree, Task
from physiopipe.cohorts.eegmat import (
    CAVEATS,
    EAR_CHANNEL,
    EEG_CHANNELS,
    PUBLISHED_IN,
    RATE_HZ,
    TASK,
    EegmatData,
    SimulateEegmat,
    origin_in_words,
)
from physiopipe.cohorts.eegmat import COHORT as EEGMAT
from physiopipe.params.preparation import Filter, Quality, Resample, Shard
from physiopipe.params.section import Positive


class EegmatPublishedData(EegmatData):
    """Where EEGMAT comes from; all 20 channels of its EEG are read."""

    cohort: ClassVar[str] = "eegmat_published"
    use_a2_a1: bool = Field(True, description="keep the channel A2-A1 (ear against ear) as the last one of the EEG")


class WholeRecordings(ClipRule):
    """Every window of a recording is used."""

    last_s: Positive | None = Field(None, description="part of a recording that is used: its last seconds; null: all")


def _notes(data: EegmatData) -> tuple[str, ...]:
    return (
        f"Origin: {origin_in_words(data)}. EEG alone, in µV as the files say, not filtered.",
        "Recordings are cut from their start into windows of 5 s; the padding with which each file ends is left in.",
    )


COHORT = Cohort(
    name="eegmat_published",
    title="EEGMAT as published with CBraMod",
    modalities={
        "eeg": Modality(
            channels=(*EEG_CHANNELS, EAR_CHANNEL),
            unit="uV",
            rate_hz=RATE_HZ,
            filter=Filter(highpass_hz=None, lowpass_hz=None, notch_hz={}),
            resample=Resample(rates_hz=(200,)),
            shard=Shard(
                patches=5,
                min_fill=1.0,
                max_windows_per_record=None,
                quality=Quality(flat_peak_to_peak=1.0, amplitude_limit=100.0, wander_share=1.0),
            ),
            montage="colin27_1020",
        )
    },
    tasks=(Task(TASK, high_from=1.0, what="0 at rest, 1 during serial subtraction"),),
    publication=PublishedTree(
        folder=PUBLISHED_IN,
        plan="physiopipe.cohorts.eegmat_tree:plan_batches",
        read="physiopipe.cohorts.eegmat_tree:read_whole_recording",
    ),
    data=EegmatPublishedData,
    simulate=SimulateEegmat,
    simulator=EEGMAT.simulator,
    clips=WholeRecordings,
    without_meaning={"clip_prior": "the number of a recording is the label"},
    headline="auc",
    scored_by="window",
    published_split=(28, 4, 4),
    subjects=EEGMAT.subjects,
    licence=EEGMAT.licence,
    access=EEGMAT.access,
    citation=f"{EEGMAT.citation}; split: Wang et al., CBraMod, ICLR 2025, arXiv:2412.07236",
    caveats=(
        *CAVEATS,
        "Four people are tested, the same ones in every seed: another four could give another table.",
        "Rest lasts three times as long as arithmetic, so three of four windows are at rest.",
    ),
    data_notes=_notes,
)
