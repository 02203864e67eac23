"""Dual masking (paper section 2.1, eq. 2): patches at random, and whole channels at random.

A mask is a pure function of (seed, step, window id): integer hashing on the device instead of a random stream, so
that it is the same however a batch is split over devices, and after any interruption.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from physiopipe.params import Masking

_PATCHES, _CHANNELS = 1, 2  # the two draws of a window are independent: each has its own key
_INT64_SIGN = 1 << 63


class Masks(NamedTuple):
    """What is hidden from the encoder, and what may enter a loss; all bool.

    Attributes:
        patches: (B, C, P) the Bernoulli mask M; valid patches only.
        channels: (B, C) channels hidden whole; present ones only.
        valid: (B, C, P) patches of present channels that hold signal.
    """

    patches: Tensor
    channels: Tensor
    valid: Tensor

    @property
    def replaced(self) -> Tensor:
        """Patches that the mask token replaces, (B, C, P): M or in a hidden channel (eq. 2)."""
        return self.patches | (self.channels.unsqueeze(-1) & self.valid)


def draw_masks(masking: "Masking", seed: int, step: int, window_id: Tensor, valid: Tensor) -> Masks:
    """Draw the masks of a batch.

    Args:
        masking: patch_ratio r, the probability of M; channel_ratio r_c: of C present channels,
            max(1, round(r_c C)) are hidden where r_c > 0 (halves round to even).
        seed, step: with the window's id they determine its masks.
        window_id: int64 (B,), on the device where the masks are wanted.
        valid: (B, C, P) bool, from `normalisation.valid_patch_mask`. A channel without a valid patch is not present.
    """
    batch, channels, patches = valid.shape
    base = _mix(window_id + _mix_int(_mix_int(seed) + step))
    cells = torch.arange(channels * patches, device=valid.device).view(channels, patches)
    draw = _shift_right(_mix(_mix(base + _PATCHES).view(batch, 1, 1) + cells), 32)
    hidden_patches = (draw < round(masking.patch_ratio * (1 << 32))) & valid

    present = valid.any(-1)
    wanted = torch.zeros(batch, dtype=torch.int64, device=valid.device)
    if masking.channel_ratio > 0:
        count = present.sum(-1)
        wanted = torch.minimum((count.double() * masking.channel_ratio).round().long().clamp(min=1), count)
    keys = _shift_right(_mix(_mix(base + _CHANNELS).unsqueeze(-1) + torch.arange(channels, device=valid.device)), 1)
    keys = keys.masked_fill(~present, torch.iinfo(torch.int64).max)
    rank = keys.argsort(stable=True, dim=-1).argsort(-1)
    return Masks(hidden_patches, (rank < wanted.unsqueeze(-1)) & present, valid)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser (Steele et al. 2014, doi 10.1145/2714064.2660195) of int64 as unsigned; wraps around."""
    x = x + _signed(0x9E3779B97F4A7C15)
    x = (x ^ _shift_right(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift_right(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift_right(x, 31)


def _mix_int(x: int) -> int:
    return int(_mix(torch.tensor(_signed(x % (1 << 64)))))


def _shift_right(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)  # torch's shift keeps the sign; an unsigned one is wanted


def _signed(x: int) -> int:
    return x - (1 << 64) if x >= _INT64_SIGN else x
