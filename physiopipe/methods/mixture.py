"""Ours with a mixture of experts that has learned what to do without a modality."""

from physiopipe.clips.clip_data import LABELS
from physiopipe.methods.ours import FUSION_SOURCES, Ours
from physiopipe.models.fusion import Scaled
from physiopipe.models.fusion_heads import MixtureHeads


class Mixture(Ours):
    """Experts on EEG, ECG and both, a learned token for an absent modality, trained with modality dropout."""

    name = "mixture"
    sources = ("methods/mixture.py", "models/fusion_heads.py", *FUSION_SOURCES)

    def _heads(self, widths: tuple[int, ...]) -> Scaled:
        eeg, ecg = widths
        params = self._params
        return MixtureHeads((eeg, ecg), params.hidden, params.dropout, len(LABELS), params.modality_dropout)
