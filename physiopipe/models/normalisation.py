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
            leads; millivolt: the stored unit, untouched.

    Returns:
        float32 (B, C, P, 200).
    """
    x = samples.float() * scale.view(-1, 1, 1, 1)
    inside = valid.unsqueeze(-1)
    if how == "millivolt":
        return torch.where(inside, x, 0.0)
    over = (2, 3) if how == "lead_zscore" else (1, 2, 3)
    count = (inside.sum(over, keepdim=True) * PATCH_SAMPLES).clamp(min=1)
    mean = torch.where(inside, x, 0.0).sum(over, keepdim=True) / count
    x = torch.where(inside, x - mean, 0.0)
    deviation = (x.square().sum(over, keepdim=True) / count).sqrt()
    # a flat lead is a constant int16, so its deviation is rounding alone: far below half a stored unit
    flat = deviation < scale.view(-1, 1, 1, 1) * 1e-2
    return torch.where(flat, 0.0, x / deviation.clamp(min=torch.finfo(torch.float32).tiny))
