"""The embeddings that a method of two encoders works on: which encoders, which layer, which pooling, side by side."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from physiopipe.clips.amplitude import eeg_rms_uv, log_amplitude
from physiopipe.clips.baseline import embeddings_against_baseline
from physiopipe.clips.clip_data import F32, ClipData, Modality
from physiopipe.methods.base import Setup
from physiopipe.methods.fusion_settings import FusionSettings, ReadOut

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from physiopipe.clips.embeddings import EncoderChoice, Encoders, Kept
    from physiopipe.models.fusion import Output


class FusedEmbeddings:
    """Encoders by what determines them; once made they, and what they have embedded, serve every fold."""

    def __init__(
        self, setup: Setup, settings: FusionSettings, modalities: tuple[Modality, ...], device: "torch.device"
    ) -> None:
        self._setup, self._settings, self._modalities, self._device = setup, settings, modalities, device
        self._known: dict[EncoderChoice, Encoders] = {}

    def encoders(self, read_out: ReadOut, **changes: Any) -> "Encoders":
        """The encoders that the parameters name, read at a layer; `changes` are fields of `EncoderChoice`."""
        from physiopipe.clips.embeddings import EncoderChoice, Encoders

        whole = self._setup.params
        choice = EncoderChoice(
            eeg=whole.encoders.eeg,
            ecg=whole.pretrain.encoder,
            eeg_weights=whole.encoders.eeg_weights,
            ecg_weights=self._setup.ecg_encoder,
            eeg_scale_uv=whole.encoders.eeg_scale_uv,
            shared=self._settings.shared_encoder,
            layer=read_out.layer,
            draw=self._settings.untrained_seed or 0,
        )
        choice = replace(choice, **changes)
        if choice not in self._known:
            self._known[choice] = Encoders(choice, self._setup.state_folder, self._device)
        return self._known[choice]

    def encoders_of_fold(self, read_out: ReadOut, train: ClipData, seed: int) -> "Encoders":
        """As `encoders`, with what a fold's training subjects, or its seed, determine."""
        encoders = self.encoders(read_out)
        changes: dict[str, Any] = {} if self._settings.untrained_seed is not None else {"draw": seed}
        if self.scaled_by_rms(read_out):
            rms_uv = eeg_rms_uv(train)
            changes |= {"eeg_scale_uv": float(f"{rms_uv:.2g}")} if rms_uv > 0 else {}  # rounded: folds share embeddings
        return self.encoders(read_out, **changes) if changes else encoders

    def scaled_by_rms(self, read_out: ReadOut) -> bool:
        """Whether the EEG is divided by its own RMS; weights were trained on the fixed scale, and stay with it."""
        return read_out.eeg_scale == "rms" and "eeg" in self._modalities and self.encoders(read_out).untrained("eeg")

    def precompute(self, clips: ClipData, read_out: ReadOut, output: "Output") -> None:
        """Embed what no fold and no seed determines."""
        from physiopipe.models.fusion import BY_CHANNEL

        if self._settings.untrained_seed is None:
            return
        kinds: tuple[Kept, ...] = ("patches", "channels") if output in BY_CHANNEL else ("patches",)
        ready = tuple(each for each in self._modalities if not (each == "eeg" and self.scaled_by_rms(read_out)))
        self.encoders(read_out).precompute(clips, ready, kinds)

    def of(self, clips: ClipData, encoders: "Encoders", read_out: ReadOut, output: "Output") -> F32:
        """Fused embedding of every window: float32 (w, sum of widths), or (w, rows, sum of widths) for sequences.

        Each modality's is set against that of the clips' baselines, where there are any.
        """
        import torch

        from physiopipe.models.fusion import side_by_side

        def part(modality: Modality) -> "Tensor":
            def embedding(windows: ClipData) -> F32:
                return _embedding(windows, encoders, modality, read_out, output)

            return torch.from_numpy(embeddings_against_baseline(clips, embedding))

        fused: F32 = side_by_side([part(each) for each in self._modalities]).numpy()
        return fused

    def widths(self, clips: ClipData, encoders: "Encoders", read_out: ReadOut, output: "Output") -> tuple[int, ...]:
        """Width of each modality's embedding of these clips' windows."""
        widths: list[int] = []
        for each in self._modalities:
            channels, patches = getattr(clips, each).shape[1:3]
            times = {"channels": patches, "mean_and_sd": 2, "per_channel": channels}.get(output, 1)
            beside = channels if _amplitude(each, read_out) else 0
            widths.append(times * encoders.sizes(each).width + beside)
        return tuple(widths)

    def rows(self, clips: ClipData) -> int:
        """Length of the sequence of patches and channels, of the modality with more channels."""
        shapes: list[tuple[int, ...]] = [getattr(clips, each).shape for each in self._modalities]
        return max(shape[1] + shape[2] for shape in shapes)


def _embedding(clips: ClipData, encoders: "Encoders", modality: Modality, read_out: ReadOut, output: "Output") -> F32:
    """One modality's embedding of every window, as it is."""
    import torch

    from physiopipe.models.fusion import BY_CHANNEL, pooled

    patches = torch.from_numpy(encoders.patches(clips, modality))
    channels = torch.from_numpy(encoders.channels(clips, modality)) if output in BY_CHANNEL else None
    found: F32 = _with_amplitude(pooled(patches, output, channels), clips, modality, read_out).numpy()
    return found


def _with_amplitude(part: "Tensor", clips: ClipData, modality: Modality, read_out: ReadOut) -> "Tensor":
    """A modality's embedding with the log amplitude of its channels after it, where that is asked for."""
    import torch

    if not _amplitude(modality, read_out):
        return part
    beside = torch.from_numpy(log_amplitude(clips, modality))
    if part.ndim == 3:  # the same in every row with signal: any weighted mean of them has it
        beside = beside.unsqueeze(1) * (part != 0).any(-1, keepdim=True)
    return torch.cat((part, beside), dim=-1)


def _amplitude(modality: Modality, read_out: ReadOut) -> bool:
    return read_out.eeg_amplitude if modality == "eeg" else read_out.ecg_amplitude
