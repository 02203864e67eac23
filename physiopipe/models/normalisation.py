"""Stored int16 windows to the encoder's input, on the device that trains."""

from typing import Literal

import torch
from torch import Tensor

from physiopipe.params import PATCH_SAMPLES

Normalisation = Literal["lead_zscore", "record_zscore", "millivolt"]


def normalised(samples: Tensor, scale: Tensor, valid: Tensor, how: Normalisation) -> Tensor:
    """Scale windows; padding, missing and flat leads come out exactly 0.

    Args:
        samples: (B, C, P, 200), int16.
        scale: (B,), float32: one unit of `samples`, in millivolt (or the stored unit).
        valid: (B, C, P) bool, patches that hold signal; no others enter a mean or a deviation.
        how: lead_zscore: each lead of the window to mean 0 and SD 1; record_zscore: one mean and one SD over all its
            leads that are not flat; millivolt: the stored unit, untouched.

    Returns:
        float32 (B, C, P, 200).
    """
    step = scale.view(-1, 1, 1, 1)
    x = samples.float() * step
    inside = valid.unsqueeze(-1)
    centred, deviation = _centred(x, inside, (2, 3))
    # a flat lead is one int16 throughout: what its deviation is above 0 is rounding, far below a stored unit;
    # a deviation that is not finite is kept, so that the loss shows it
    inside = inside & ~(deviation <= 0.01 * step)
    if how == "millivolt":
        return torch.where(inside, x, 0.0)
    if how == "record_zscore":
        centred, deviation = _centred(x, inside, (1, 2, 3))
    return torch.where(inside, centred / deviation.clamp(min=torch.finfo(torch.float32).tiny), 0.0)


def _centred(x: Tensor, inside: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """x less its mean over `over`, 0 outside, and its standard deviation there (dimensions kept)."""
    count = (inside.sum(over, keepdim=True) * PATCH_SAMPLES).clamp(min=1)
    mean = torch.where(inside, x, 0.0).sum(over, keepdim=True) / count
    centred = torch.where(inside, x - mean, 0.0)
    return centred, (centred.square().sum(over, keepdim=True) / count).sqrt()
