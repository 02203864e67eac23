"""Ours without its EEG encoder."""

from physiopipe.methods.ours import FUSION_SOURCES, Ours


class EcgOnly(Ours):
    """The ECG encoder's embedding alone; heads and training are those of Ours."""

    name = "ecg_only"
    inputs = ("ecg",)
    modalities = ("ecg",)
    sources = ("methods/ecg_only.py", *FUSION_SOURCES)
