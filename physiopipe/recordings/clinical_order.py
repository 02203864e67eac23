"""A recording's ECG leads in clinical order, whether it is held in memory or read in stretches."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.recording import LongRecording, LongSignal, Recording, RejectedRecord
from physiopipe.signals.leads import CLINICAL_LEADS, to_clinical_order


def in_clinical_order(found: Recording | LongRecording) -> Recording | LongRecording:
    """The recording with its leads as `CLINICAL_LEADS`: sorted by name, limb leads derived, others missing and 0.

    Raises:
        RejectedRecord: no channel is a clinical lead, or two are the same.
    """
    recording = found.head if isinstance(found, LongRecording) else found
    try:
        leads = to_clinical_order(recording.signal, recording.channels)
    except PhysiopipeError as error:
        raise RejectedRecord(str(error)) from None
    named = np.array(CLINICAL_LEADS)
    ordered = replace(
        recording,
        signal=leads.signal,
        channels=CLINICAL_LEADS,
        missing=tuple(named[~leads.present].tolist()),
        derived=tuple(named[leads.derived].tolist()),
    )
    return LongRecording(ordered, _InOrder(found)) if isinstance(found, LongRecording) else ordered


class _InOrder(LongSignal):
    """The leads of a long record in clinical order."""

    def __init__(self, found: LongRecording) -> None:
        self.shape = (len(CLINICAL_LEADS), found.signal.shape[1])
        self._found = found

    def read(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """See LongSignal."""
        return to_clinical_order(self._found.signal.read(first, end), self._found.head.channels).signal
