"""Reconstructions without learning, by hand: what they predict, and where the limb leads' identities are exact."""

from itertools import combinations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physiopipe.models.baselines import (
    LIMB_LEADS,
    predict_interpolation,
    predict_lead_mean,
    predict_limb_identities,
    predict_zero,
)
from physiopipe.models.masking import Masks
from physiopipe.models.normalisation import lead_scaling, normalised

YES, NO = True, False
III, AVF = 2, 5  # places among the limb leads


def test_baselines_by_hand() -> None:
    ramp = torch.arange(1000.0).reshape(1, 1, 5, 200).repeat(1, 3, 1, 1)
    hidden = torch.tensor([[[NO, YES, YES, NO, NO], [YES, NO, NO, NO, YES], [NO, NO, NO, NO, NO]]])
    masks = Masks(hidden, torch.tensor([[NO, NO, YES]]), torch.ones(1, 3, 5, dtype=torch.bool))
    line = predict_interpolation(ramp, masks)
    torch.testing.assert_close(line[0, 0], ramp[0, 0])  # a ramp is what linear interpolation gets right
    assert (line[0, 1, 0] == 200).all()
    assert (line[0, 1, 4] == 799).all()
    torch.testing.assert_close(line[0, 1, 1:4], ramp[0, 1, 1:4])
    assert not line[0, 2].any()
    mean = predict_lead_mean(ramp, masks)
    assert mean[0, 0].unique().item() == pytest.approx((199 / 2 * 200 + 799.5 * 400) / 600)
    assert not mean[0, 2].any()
    assert not predict_zero(ramp, masks).any()


def test_interpolation_ignores_padding() -> None:
    x = torch.ones(1, 1, 3, 200)
    x[0, 0, 2] = 0
    valid = torch.tensor([[[YES, YES, NO]]])
    masks = Masks(torch.tensor([[[NO, YES, NO]]]), torch.tensor([[NO]]), valid)
    assert (predict_interpolation(x, masks)[0, 0, 1] == 1).all()


def exact_limb_leads(seed: int, chest: int = 2, patches: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """int16 (2, 6 + chest, patches, 200) and scale: leads I and II of even counts, so that the halves are whole."""
    generator = torch.Generator().manual_seed(seed)
    one, two = 2 * torch.randint(-900, 900, (2, 2, patches, 200), generator=generator) + 40
    limbs = (one, two, two - one, -(one + two) // 2, one - two // 2, two - one // 2)
    others = torch.randint(-900, 900, (chest, 2, patches, 200), generator=generator)
    return torch.stack((*limbs, *others), dim=1).to(torch.int16), torch.tensor([0.001, 0.005])


def error_of(samples: torch.Tensor, scale: torch.Tensor, masks: Masks, how: Any = "lead_zscore") -> torch.Tensor:
    """Mean squared error (B, C, P) of the identities."""
    x = normalised(samples, scale, masks.valid, how)
    prediction = predict_limb_identities(x, masks, lead_scaling(samples, scale, masks.valid, how))
    return (prediction - x).square().mean(-1)


def masks_of(hidden: torch.Tensor, valid: torch.Tensor | None = None) -> Masks:
    """Masks of patches `hidden` (B, C, P) alone."""
    everywhere = torch.ones_like(hidden) if valid is None else valid
    return Masks(hidden & everywhere, torch.zeros(hidden.shape[:2], dtype=torch.bool), everywhere)


@pytest.mark.parametrize("how", ["lead_zscore", "record_zscore", "millivolt"])
@pytest.mark.parametrize("pair", list(combinations(range(6), 2)))
def test_any_two_limb_leads_give_the_other_four(pair: tuple[int, int], how: Any) -> None:
    samples, scale = exact_limb_leads(1)
    hidden = torch.ones(2, 8, 3, dtype=torch.bool)
    hidden[:, list(pair)] = False
    hidden[:, 7] = False
    error = error_of(samples, scale, masks_of(hidden), how)
    assert error[:, :6].max() < 1e-7
    assert error[:, 7].max() == 0  # visible
    x = normalised(samples, scale, torch.ones_like(hidden), how)
    torch.testing.assert_close(error[:, 6], x[:, 6].square().mean(-1))  # a hidden chest lead is predicted as 0


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_patch_by_patch(seed: int) -> None:
    """A patch is solved by what is visible in that same patch; with fewer than two visible limb leads it is 0."""
    generator = torch.Generator().manual_seed(seed)
    samples, scale = exact_limb_leads(seed)
    hidden = torch.rand(2, 8, 3, generator=generator) < 0.6
    valid = (torch.rand(2, 8, 1, generator=generator) < 0.8).expand(2, 8, 3).clone()
    valid[1, :, 2] = False  # padding
    samples = torch.where(valid.unsqueeze(-1), samples, 0)
    masks = masks_of(hidden, valid)
    error = error_of(samples, scale, masks)
    enough = (valid & ~hidden)[:, :6].sum(1, keepdim=True) >= 2
    assert (error[:, :6][enough.expand(2, 6, 3)] < 1e-6).all()
    x = normalised(samples, scale, valid, "lead_zscore")
    unsolved = masks.replaced.clone()
    unsolved[:, :6] &= ~enough
    torch.testing.assert_close(error[unsolved], x.square().mean(-1)[unsolved])
    assert not error[~masks.replaced].any()


def test_more_than_two_leads_are_fitted_by_least_squares() -> None:
    """Noise on the visible leads is averaged: the fit is numpy's."""
    samples, scale = exact_limb_leads(3)
    noise = torch.randint(-50, 50, (2, 6, 3, 200), generator=torch.Generator().manual_seed(4))
    samples[:, :6] += noise.to(torch.int16)
    hidden = torch.zeros(2, 8, 3, dtype=torch.bool)
    hidden[:, AVF] = True
    masks = masks_of(hidden)
    prediction = predict_limb_identities(
        normalised(samples, scale, masks.valid, "millivolt"),
        masks,
        lead_scaling(samples, scale, masks.valid, "millivolt"),
    )
    of_one_and_two = torch.tensor([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5]])
    seen = samples[0, :AVF].reshape(5, -1) * float(scale[0])
    one, two = torch.linalg.lstsq(of_one_and_two, seen).solution
    torch.testing.assert_close(prediction[0, AVF].flatten(), two - one / 2, rtol=1e-4, atol=1e-4)


def test_a_flat_limb_lead_is_neither_used_nor_divided_by() -> None:
    samples, scale = exact_limb_leads(5)
    samples[:, III] = 70  # flat, though the index calls it present
    hidden = torch.zeros(2, 8, 3, dtype=torch.bool)
    hidden[:, AVF] = True
    assert error_of(samples, scale, masks_of(hidden))[:, AVF].max() < 1e-7
    hidden = torch.zeros_like(hidden)
    hidden[:, III] = True
    masks = masks_of(hidden)
    x = normalised(samples, scale, masks.valid, "lead_zscore")
    found = predict_limb_identities(x, masks, lead_scaling(samples, scale, masks.valid, "lead_zscore"))
    assert not found[:, III].any()


def test_limb_leads_are_the_first_six() -> None:
    assert LIMB_LEADS == ("I", "II", "III", "aVR", "aVL", "aVF")
