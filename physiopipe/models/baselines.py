"""What reconstructs without learning: the lines below which a pretrained encoder has to come."""

from collections.abc import Callable

import torch
from torch import Tensor

from physiopipe.models.masking import Masks


def predict_zero(x: Tensor, masks: Masks) -> Tensor:  # noqa: ARG001 - every baseline is called alike
    """Zeros everywhere, of the shape of x (B, C, P, 200): the mean of any z-scored lead."""
    return torch.zeros_like(x)


def predict_lead_mean(x: Tensor, masks: Masks) -> Tensor:
    """The mean of each lead's visible patches everywhere in that lead of x (B, C, P, 200); 0 in leads hidden whole."""
    visible = (masks.valid & ~masks.replaced).unsqueeze(-1)
    mean = torch.where(visible, x, 0.0).sum((2, 3)) / (visible.sum((2, 3)) * x.shape[-1]).clamp(min=1)
    return mean[..., None, None].expand_as(x)


def predict_interpolation(x: Tensor, masks: Masks) -> Tensor:
    """A straight line across each gap of x (B, C, P, 200), from the last visible sample to the next.

    Where one side has none, the other is held; leads hidden whole are 0; visible patches are returned as they are.
    """
    batch, channels, patches, samples = x.shape
    visible = (masks.valid & ~masks.replaced).unsqueeze(-1).expand_as(x).reshape(batch, channels, -1)
    flat = x.reshape(batch, channels, -1)
    length = patches * samples
    at = torch.arange(length, device=x.device).expand(batch, channels, length)
    before = torch.where(visible, at, -1).cummax(-1).values
    after = torch.where(visible, at, length).flip(-1).cummin(-1).values.flip(-1)
    left = torch.where(before >= 0, before, after).clamp(max=length - 1)
    right = torch.where(after < length, after, before).clamp(min=0)
    share = (at - left) / (right - left).clamp(min=1)
    line = torch.lerp(flat.gather(-1, left), flat.gather(-1, right), share.clamp(0, 1).to(x.dtype))
    line = torch.where(visible.any(-1, keepdim=True), line, 0.0).reshape(x.shape)
    return torch.where(masks.replaced.unsqueeze(-1), line, x)


BASELINES: dict[str, Callable[[Tensor, Masks], Tensor]] = {
    "zero": predict_zero,
    "lead_mean": predict_lead_mean,
    "interpolation": predict_interpolation,
}
