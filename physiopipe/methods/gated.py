"""Ours with a gate in place of concatenation."""

from physiopipe.clips.clip_data import LABELS
from physiopipe.methods.ours import FUSION_SOURCES, Ours
from physiopipe.models.fusion import Scaled
from physiopipe.models.fusion_heads import GatedHeads


class Gated(Ours):
    """Gated fusion of the two embeddings; encoders, training and number of parameters are those of Ours."""

    name = "gated"
    sources = ("methods/gated.py", "models/fusion_heads.py", *FUSION_SOURCES)

    def _heads(self, widths: tuple[int, ...]) -> Scaled:
        eeg, ecg = widths
        return GatedHeads((eeg, ecg), self._params.hidden, self._params.dropout, len(LABELS))
