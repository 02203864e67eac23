"""Ours with attention between the two sequences of patches in place of concatenated averages."""

from physiopipe.clips.clip_data import LABELS
from physiopipe.methods.ours import FUSION_SOURCES, Ours
from physiopipe.models.fusion import Output, Scaled
from physiopipe.models.fusion_heads import CrossAttentionHeads


class CrossAttention(Ours):
    """Each modality's patches attend to the other's; encoders, training and number of parameters are those of Ours.

    `finetune.pooling` does not apply: patches stay apart until they have attended.
    """

    name = "cross_attention"
    sources = ("methods/cross_attention.py", "models/fusion_heads.py", *FUSION_SOURCES)

    @property
    def _output(self) -> Output:
        return "patches"

    def _heads(self, widths: tuple[int, ...]) -> Scaled:
        eeg, ecg = widths
        return CrossAttentionHeads((eeg, ecg), self._params.hidden, self._params.dropout, len(LABELS))
