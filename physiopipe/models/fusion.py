"""Two encoders, their embeddings averaged and concatenated, and a feed-forward head a label (paper eq. 6-9)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from physiopipe.models.encoder import CrissCrossEncoder, mean_features

Pooling = Literal["channels_and_patches", "channels"]
Output = Literal[Pooling, "patches"]  # patches: both modalities side by side patch by patch, for fusion over sequences


def valid_entries(present: Tensor, valid_patches: Tensor, patches: int) -> Tensor:
    """bool (B, C, P) from present channels (B, C) and the number of leading valid patches (B,)."""
    within = torch.arange(patches, device=present.device) < valid_patches.unsqueeze(-1)
    return present.unsqueeze(-1) & within.unsqueeze(1)


def embed(encoder: CrissCrossEncoder, windows: Tensor, valid: Tensor, how: Pooling) -> Tensor:
    """Embedding of windows (B, C, P, 200), the reconstruction layer left out.

    Features are averaged over what holds signal, `valid` (B, C, P): absent and flat channels and padding count for
    nothing. channels_and_patches → (B, d); channels → (B, P · d). Where nothing is valid it is exactly 0.
    """
    return mean_features(encoder.features(windows), valid, how == "channels_and_patches").flatten(1)


def patch_embeddings(encoder: CrissCrossEncoder, windows: Tensor, valid: Tensor) -> Tensor:
    """Embedding of each patch, (B, P, d), averaged over channels with signal; exactly 0 where no channel has any."""
    return mean_features(encoder.features(windows), valid, over_patches=False)


def pooled(patches: Tensor, how: Pooling) -> Tensor:
    """Patch embeddings (B, P, d), 0 where a patch has no signal, to one a window: (B, d), or (B, P · d) by `channels`.

    The mean is over patches with signal; where no patch has any it is exactly 0.
    """
    if how == "channels":
        return patches.flatten(1)
    with_signal = (patches != 0).any(-1, keepdim=True).to(patches.dtype)
    return patches.sum(1) / with_signal.sum(1).clamp(min=1)


class Scaled(nn.Module):
    """A head on embeddings, put on the scale of the training subjects first (`scale_by`; until then as they are).

    A modality without signal is exactly 0 in its embedding; here it takes the place of the training mean, 0 on that
    scale, so that what is lost says nothing rather than something extreme.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = widths  # of the modalities' embeddings, side by side
        self.register_buffer("mean", torch.zeros(sum(widths)))
        self.register_buffer("deviation", torch.ones(sum(widths)))

    def scale_by(self, embeddings: Tensor) -> None:
        """Take mean and SD of training embeddings (..., width) with signal; a constant dimension is only centred."""
        flat = embeddings.reshape(-1, embeddings.shape[-1])
        for part, mean, deviation in zip(
            *(self._sides(whole) for whole in (flat, self.mean, self.deviation)), strict=True
        ):
            rows = part[part.ne(0).any(-1)]
            if len(rows):
                spread = rows.std(dim=0, unbiased=False)
                mean.copy_(rows.mean(dim=0))
                deviation.copy_(torch.where(spread > 1e-8, spread, torch.ones_like(spread)))

    def parts(self, embeddings: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each modality's embedding (..., d) on the training scale, and whether it has signal, bool (..., 1)."""
        scaled = self._sides((embeddings - self.mean) / self.deviation)
        there = [part.ne(0).any(-1, keepdim=True) for part in self._sides(embeddings)]
        return [(torch.where(has, part, 0.0), has) for part, has in zip(scaled, there, strict=True)]

    def _sides(self, whole: Tensor) -> tuple[Tensor, ...]:
        """Views of what lies side by side along the last dimension, a modality each."""
        starts = [sum(self.widths[:i]) for i in range(len(self.widths))]
        return tuple(whole.narrow(-1, start, width) for start, width in zip(starts, self.widths, strict=True))


class LabelHeads(Scaled):
    """Parallel feed-forward heads, one a label: linear, GELU, dropout, linear → one logit each (eq. 9)."""

    def __init__(self, width: int | tuple[int, ...], hidden: int, dropout: float, labels: int = 3) -> None:
        widths = (width,) if isinstance(width, int) else width
        super().__init__(widths)
        width = sum(widths)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 1))
            for _ in range(labels)
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits (B, labels) of embeddings (B, width)."""
        scaled = torch.cat([part for part, _ in self.parts(embeddings)], dim=-1)
        return torch.cat([head(scaled) for head in self.heads], dim=1)


class TwoEncoders(nn.Module):
    """EEG encoder and ECG encoder: windows to fused embeddings (eq. 6-8); the two may be one and the same.

    Without one of them the embedding is the other's alone.
    """

    def __init__(self, eeg: CrissCrossEncoder | None, ecg: CrissCrossEncoder | None, pooling: Output) -> None:
        super().__init__()
        self.eeg = eeg
        self.ecg = ecg
        self.pooling: Output = pooling

    def forward(self, eeg: Tensor, ecg: Tensor, eeg_valid: Tensor, ecg_valid: Tensor) -> Tensor:
        """Embedding (B, 2d), EEG first, of EEG (B, 14, P, 200) and ECG (B, 2, P, 200); valid entries are (B, C, P).

        With pooling `patches` it is (B, P, 2d).
        """
        sides = ((self.eeg, eeg, eeg_valid), (self.ecg, ecg, ecg_valid))
        parts = [
            patch_embeddings(encoder, windows, valid)
            if self.pooling == "patches"
            else embed(encoder, windows, valid, self.pooling)
            for encoder, windows, valid in sides
            if encoder is not None
        ]
        return torch.cat(parts, dim=-1)


class Fusion(nn.Module):
    """Encoders and the heads on their fused embedding (eq. 9); trained end to end."""

    def __init__(self, encoders: TwoEncoders, heads: Scaled) -> None:
        super().__init__()
        self.encoders = encoders
        self.heads = heads

    def forward(self, eeg: Tensor, ecg: Tensor, eeg_valid: Tensor, ecg_valid: Tensor) -> Tensor:
        """Logits (B, 3) of windows as `TwoEncoders` takes them."""
        logits: Tensor = self.heads(self.encoders(eeg, ecg, eeg_valid, ecg_valid))
        return logits


def in_blocks(compute: Callable[..., Tensor], inputs: tuple[Tensor, ...], block: int, device: torch.device) -> Tensor:
    """`compute(*inputs)` without gradients, `block` rows of the inputs at a time on `device`; result on the CPU."""
    with torch.inference_mode():
        blocks = [
            compute(*(part[start : start + block].to(device) for part in inputs)).cpu()
            for start in range(0, len(inputs[0]), block)
        ]
    return torch.cat(blocks)
