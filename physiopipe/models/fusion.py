"""Two encoders, their embeddings averaged and concatenated, and a feed-forward head a label (paper eq. 6-9)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from physiopipe.models.encoder import CrissCrossEncoder, mean_features

Pooling = Literal["channels_and_patches", "channels"]


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


class LabelHeads(nn.Module):
    """Parallel feed-forward heads, one a label: linear, GELU, dropout, linear → one logit each.

    The input is first put on the scale of the training subjects (`scale_by`); until then it is taken as it is.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int, hidden: int, dropout: float, labels: int = 3) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 1))
            for _ in range(labels)
        )

    def scale_by(self, embeddings: Tensor) -> None:
        """Take mean and SD of training embeddings (n, width); a constant dimension is only centred."""
        deviation = embeddings.std(dim=0, unbiased=False)
        self.mean.copy_(embeddings.mean(dim=0))
        self.deviation.copy_(torch.where(deviation > 1e-8, deviation, torch.ones_like(deviation)))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits (B, labels) of embeddings (B, width)."""
        scaled = (embeddings - self.mean) / self.deviation
        return torch.cat([head(scaled) for head in self.heads], dim=1)


class TwoEncoders(nn.Module):
    """EEG encoder and ECG encoder: windows to fused embeddings (eq. 6-8)."""

    def __init__(self, eeg: CrissCrossEncoder, ecg: CrissCrossEncoder, pooling: Pooling) -> None:
        super().__init__()
        self.eeg = eeg
        self.ecg = ecg
        self.pooling: Pooling = pooling

    def forward(self, eeg: Tensor, ecg: Tensor, eeg_valid: Tensor, ecg_valid: Tensor) -> Tensor:
        """Embedding (B, 2d), EEG first, of EEG (B, 14, P, 200) and ECG (B, 2, P, 200); valid entries are (B, C, P)."""
        parts = (embed(self.eeg, eeg, eeg_valid, self.pooling), embed(self.ecg, ecg, ecg_valid, self.pooling))
        return torch.cat(parts, dim=1)


class Fusion(nn.Module):
    """Two encoders and the heads on their fused embedding (eq. 9); trained end to end."""

    def __init__(self, encoders: TwoEncoders, heads: LabelHeads) -> None:
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
