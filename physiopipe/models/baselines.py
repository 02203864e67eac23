"""What reconstructs without learning: the lines below which a pretrained encoder has to come."""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from physiopipe.models.masking import Masks
from physiopipe.models.normalisation import LeadScaling
from physiopipe.signals.leads import CLINICAL_LEADS, FROM_I_AND_II

LIMB_LEADS = CLINICAL_LEADS[:6]  # I, II, III, aVR, aVL, aVF


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


def predict_limb_identities(x: Tensor, masks: Masks, scaling: LeadScaling) -> Tensor:
    """Hidden limb leads from those visible in the same patch, by Einthoven's and Goldberger's identities.

    Any two of the six determine the others; of more than two, the least-squares fit is taken. The identities hold in
    millivolt, so the scaling is undone first and each lead is scaled again by its own mean and deviation, which come
    from the whole lead: the encoder never sees them, so this line is somewhat better than can be had. Hidden chest
    leads, and hidden limb leads in a patch where fewer than two are visible, are 0; visible patches are returned as
    they are.

    Args:
        x: (B, C, P, 200), normalised; its first six leads are LIMB_LEADS.
        scaling: of the same windows, from `lead_scaling`.
    """
    limbs = slice(0, len(LIMB_LEADS))
    mean, deviation, flat = (part[:, limbs] for part in scaling)
    visible = (masks.valid & ~masks.replaced)[:, limbs] & ~flat[..., 0]
    digits = 2 ** torch.arange(len(LIMB_LEADS), device=x.device)
    which = (visible * digits.view(1, -1, 1)).sum(1)
    fits = _limb_fits().to(x.device, x.dtype)[which]  # (B, P, 6, 6)
    millivolt = torch.einsum("bpij,bjps->bips", fits, x[:, limbs] * deviation + mean)
    solved = (visible.sum(1, keepdim=True) >= 2).unsqueeze(-1) & ~flat  # a flat lead is 0 in x, whatever it should be
    tiny = torch.finfo(x.dtype).tiny
    line = torch.zeros_like(x)
    line[:, limbs] = torch.where(solved, (millivolt - mean) / deviation.clamp(min=tiny), 0.0)
    return torch.where(masks.replaced.unsqueeze(-1), line, x)


def _limb_fits() -> Tensor:
    """float64 (64, 6, 6): all six limb leads by least squares from the leads whose bits are set (I is bit 0)."""
    of_one_and_two = {"I": (1.0, 0.0), "II": (0.0, 1.0), **FROM_I_AND_II}
    weights = torch.tensor([of_one_and_two[lead] for lead in LIMB_LEADS], dtype=torch.float64)
    fits = []
    for bits in product((0.0, 1.0), repeat=len(LIMB_LEADS)):
        seen = torch.tensor(bits[::-1], dtype=torch.float64).unsqueeze(-1)
        fits.append(weights @ torch.linalg.pinv(weights * seen))
    return torch.stack(fits)


BASELINES: dict[str, Callable[[Tensor, Masks], Tensor]] = {
    "zero": predict_zero,
    "lead_mean": predict_lead_mean,
    "interpolation": predict_interpolation,
}
LIMB_IDENTITIES = "limb_identities"
