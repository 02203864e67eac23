"""Stored int16 windows to the encoder's input, on the device that trains."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from physiopipe.patches import PATCH_SAMPLES

Normalisation = Literal["lead_zscore", "record_zscore", "millivolt"]


class LeadScaling(NamedTuple):
    """What `normalised` did to each lead: stored unit = x · deviation + mean. All are (B, C, 1, 1)."""

    mean: Tensor
    deviation: Tensor
    flat: Tensor


def valid_patch_mask(channel_mask: Tensor, valid_patches: Tensor, patches: int) -> Tensor:
    """Where windows hold signal, (B, C, P) bool, of channel_mask (B, C) bool and valid_patches (B,) leading patches."""
    leading = torch.arange(patches, device=valid_patches.device) < valid_patches.unsqueeze(-1)
    return channel_mask.unsqueeze(-1) & leading.unsqueeze(1)


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
    _, centred, deviation = _centred(x, inside, (2, 3))
    inside = inside & ~_is_flat(deviation, step)
    if how == "millivolt":
        return torch.where(inside, x, 0.0)
    if how == "record_zscore":
        _, centred, deviation = _centred(x, inside, (1, 2, 3))
    return torch.where(inside, centred / deviation.clamp(min=torch.finfo(torch.float32).tiny), 0.0)


def lead_scaling(samples: Tensor, scale: Tensor, valid: Tensor, how: Normalisation) -> LeadScaling:
    """The mean and deviation by which `normalised` scales each lead of the same windows; 0 and 1 for millivolt.

    A flat lead comes out 0 there whatever these are.
    """
    step = scale.view(-1, 1, 1, 1)
    x = samples.float() * step
    inside = valid.unsqueeze(-1)
    mean, _, deviation = _centred(x, inside, (2, 3))
    flat = _is_flat(deviation, step)
    if how == "record_zscore":
        mean, _, deviation = _centred(x, inside & ~flat, (1, 2, 3))
    if how == "millivolt":
        mean, deviation = torch.zeros_like(mean), torch.ones_like(deviation)
    return LeadScaling(mean.expand_as(flat), deviation.expand_as(flat), flat)


def _is_flat(deviation: Tensor, step: Tensor) -> Tensor:
    # a flat lead is one int16 throughout: what its deviation is above 0 is rounding, far below a stored unit;
    # a deviation that is not finite is kept, so that the loss shows it
    return deviation <= 0.01 * step


def _centred(x: Tensor, inside: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """The mean of x over `over`, x less it and 0 outside, and the standard deviation (dimensions kept)."""
    count = (inside.sum(over, keepdim=True) * PATCH_SAMPLES).clamp(min=1)
    mean = torch.where(inside, x, 0.0).sum(over, keepdim=True) / count
    centred = torch.where(inside, x - mean, 0.0)
    return mean, centred, (centred.square().sum(over, keepdim=True) / count).sqrt()
