"""Two encoders, their embeddings averaged and concatenated, and a feed-forward head a label (paper eq. 6-9)."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from physiopipe.models.encoder import CrissCrossEncoder, mean_features

Pooling = Literal["channels_and_patches", "channels", "mean_and_sd", "per_channel", "attention"]
Output = Literal[Pooling, "patches"]  # patches: both modalities side by side patch by patch, for fusion over sequences
BY_CHANNEL: tuple[Output, ...] = ("per_channel", "attention")  # those that need an embedding a channel
_VARIANCE_FLOOR = 1e-12  # a square root without a slope at 0


def embed(encoder: CrissCrossEncoder, windows: Tensor, valid: Tensor, how: Output, layer: int | None = None) -> Tensor:
    """Embedding of windows (B, C, P, 200), the reconstruction layer left out.

    Features are averaged over what holds signal, `valid` (B, C, P): absent and flat channels and padding count for
    nothing. channels_and_patches → (B, d); the others as `pooled` gives them. Where nothing is valid it is exactly 0.
    """
    features = encoder.features(windows, layer=layer)
    if how == "channels_and_patches":
        return mean_features(features, valid)
    channels = channel_means(features, valid) if how in BY_CHANNEL else None
    return pooled(mean_features(features, valid, over_patches=False), how, channels)


def patch_embeddings(encoder: CrissCrossEncoder, windows: Tensor, valid: Tensor, layer: int | None = None) -> Tensor:
    """Embedding of each patch, (B, P, d), averaged over channels with signal; exactly 0 where no channel has any."""
    return mean_features(encoder.features(windows, layer=layer), valid, over_patches=False)


def channel_embeddings(encoder: CrissCrossEncoder, windows: Tensor, valid: Tensor, layer: int | None = None) -> Tensor:
    """Embedding of each channel, (B, C, d), averaged over patches with signal; exactly 0 where no patch has any."""
    return channel_means(encoder.features(windows, layer=layer), valid)


def channel_means(features: Tensor, valid: Tensor) -> Tensor:
    """Average features (B, C, P, d) over the valid patches of each channel: (B, C, d)."""
    return mean_features(features.transpose(1, 2), valid.transpose(1, 2), over_patches=False)


def pooled(patches: Tensor, how: Output, channels: Tensor | None = None) -> Tensor:
    """What the heads are given of a modality, from its patches (B, P, d) and channels (B, C, d), 0 without signal.

    channels_and_patches: mean over patches with signal, (B, d). channels: (B, P · d). mean_and_sd: that mean and the
    SD over patches with signal, (B, 2 · d). per_channel: (B, C · d). attention: patches, then channels, (B, P + C, d).
    patches: as they are. Where nothing has signal it is exactly 0.
    """
    if how == "patches":
        return patches
    if how == "channels":
        return patches.flatten(1)
    if how in BY_CHANNEL:
        assert channels is not None
        return channels.flatten(1) if how == "per_channel" else torch.cat((patches, channels), dim=1)
    with_signal = (patches != 0).any(-1, keepdim=True).to(patches.dtype)
    count = with_signal.sum(1).clamp(min=1)
    mean = patches.sum(1) / count
    if how == "channels_and_patches":
        return mean
    variance = ((patches - mean.unsqueeze(1)).square() * with_signal).sum(1) / count
    spread = torch.where(with_signal.any(1), (variance + _VARIANCE_FLOOR).sqrt(), 0.0)
    return torch.cat((mean, spread), dim=-1)


def side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """Modalities' embeddings (B, ..., d) along the last dimension; a shorter sequence ends in rows of 0: no signal."""
    if parts[0].ndim == 3:
        longest = max(part.shape[1] for part in parts)
        parts = [nn.functional.pad(part, (0, 0, 0, longest - part.shape[1])) for part in parts]
    return torch.cat(list(parts), dim=-1)


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

    def __init__(
        self,
        eeg: CrissCrossEncoder | None,
        ecg: CrissCrossEncoder | None,
        pooling: Output,
        layer: int | None = None,
    ) -> None:
        super().__init__()
        self.eeg = eeg
        self.ecg = ecg
        self.pooling: Output = pooling
        self.layer = layer

    def forward(self, eeg: Tensor, ecg: Tensor, eeg_valid: Tensor, ecg_valid: Tensor) -> Tensor:
        """Embedding (B, 2d), EEG first, of EEG (B, 14, P, 200) and ECG (B, 2, P, 200); valid entries are (B, C, P).

        With pooling `patches` it is (B, P, 2d); the others are as `pooled` gives them.
        """
        sides = ((self.eeg, eeg, eeg_valid), (self.ecg, ecg, ecg_valid))
        return side_by_side(
            [
                embed(encoder, windows, valid, self.pooling, self.layer)
                for encoder, windows, valid in sides
                if encoder is not None
            ]
        )


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
