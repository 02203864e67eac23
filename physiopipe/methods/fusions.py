"""Ours with another fusion in place of concatenation; encoders, training and number of parameters are those of Ours."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from physiopipe.methods.fusion_settings import FusionSettings, ReadOut
from physiopipe.methods.ours import Ours
from physiopipe.params.section import Share

if TYPE_CHECKING:
    from physiopipe.models.fusion import Output, Scaled


class Gated(Ours):
    """Gated fusion of the two embeddings."""

    name = "gated"
    title = "Gated fusion"
    note = "Ours with a gate in place of concatenation."
    family = "fusion"
    any_read_out = False

    def _heads(self, widths: tuple[int, ...], tasks: int) -> "Scaled":
        from physiopipe.models.fusion_heads import GatedHeads

        eeg, ecg = widths
        return GatedHeads((eeg, ecg), self.settings.hidden, self.settings.dropout, tasks)


class CrossAttention(Ours):
    """Each modality's patches attend to the other's.

    The parameter `pooling` does not apply: patches stay apart until they have attended.
    """

    name = "cross_attention"
    title = "Cross-attention"
    note = "Ours with attention between the two sequences of patches."
    family = "fusion"
    any_read_out = False

    def _output_of(self, read_out: ReadOut) -> "Output":  # noqa: ARG002
        return "patches"

    def _heads(self, widths: tuple[int, ...], tasks: int) -> "Scaled":
        from physiopipe.models.fusion_heads import CrossAttentionHeads

        eeg, ecg = widths
        return CrossAttentionHeads((eeg, ecg), self.settings.hidden, self.settings.dropout, tasks)


class MixtureSettings(FusionSettings):
    """Ours with a mixture of experts."""

    modality_dropout: Share = Field(0.3, description="share of training windows that lose a modality, either alike")


class Mixture(Ours):
    """Experts on EEG, ECG and both, a learned token for an absent modality, trained with modality dropout."""

    name = "mixture"
    title = "Mixture"
    note = "Ours with three experts and a learned token for an absent modality."
    family = "fusion"
    any_read_out = False
    Settings: ClassVar[type[FusionSettings]] = MixtureSettings

    def _heads(self, widths: tuple[int, ...], tasks: int) -> "Scaled":
        from physiopipe.models.fusion_heads import MixtureHeads

        settings = self.settings
        assert isinstance(settings, MixtureSettings)
        eeg, ecg = widths
        return MixtureHeads((eeg, ecg), settings.hidden, settings.dropout, tasks, settings.modality_dropout)
