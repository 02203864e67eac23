"""Ours without its ECG encoder."""

from physiopipe.methods.ours import FUSION_SOURCES, Ours


class EegOnly(Ours):
    """The EEG encoder's embedding alone; heads and training are those of Ours."""

    name = "eeg_only"
    inputs = ("eeg",)
    modalities = ("eeg",)
    sources = ("methods/eeg_only.py", *FUSION_SOURCES)
