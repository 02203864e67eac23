"""Ours without one of its encoders."""

from physiopipe.methods.ours import Ours


class EcgOnly(Ours):
    """The ECG encoder's embedding alone; heads and training are those of Ours."""

    name = "ecg_only"
    title = "ECG only"
    note = "Ours without its EEG encoder."
    inputs = ("ecg",)
    modalities = ("ecg",)


class EegOnly(Ours):
    """The EEG encoder's embedding alone; heads and training are those of Ours."""

    name = "eeg_only"
    title = "EEG only"
    note = "Ours without its ECG encoder."
    inputs = ("eeg",)
    modalities = ("eeg",)
