"""Stored windows reach the encoder scaled, with padding, missing and flat leads exactly 0."""

from typing import Any

import numpy as np
import pytest
import torch

from physiopipe.models.normalisation import normalised, valid_patch_mask


@pytest.fixture
def stored() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Three windows of four leads and five patches: lead 1 missing, lead 2 flat at 300, two patches of padding."""
    generator = np.random.default_rng(3)
    samples = (generator.standard_normal((3, 4, 5, 200)) * 700 + 150).astype(np.int16)
    samples[:, 1] = 0
    samples[:, 2] = 300
    samples[:, :, 3:] = 0
    valid = valid_patch_mask(torch.tensor([[True, False, True, True]] * 3), torch.tensor([3, 3, 3]), 5)
    return torch.from_numpy(samples), torch.full((3,), 0.001), valid


def test_lead_zscore(stored: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    x = normalised(*stored, "lead_zscore")
    for lead in (0, 3):
        inside = stored[0][:, lead, :3].reshape(3, -1).numpy().astype(np.float64)
        expected = (inside - inside.mean(1, keepdims=True)) / inside.std(1, keepdims=True)
        np.testing.assert_allclose(x[:, lead, :3].reshape(3, -1), expected, atol=1e-5)
    assert not x[:, 1].any()
    assert not x[:, 2].any()
    assert not x[:, :, 3:].any()


def test_record_zscore_keeps_the_leads_relative_sizes(stored: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    x = normalised(*stored, "record_zscore")
    present = stored[0][:, [0, 3], :3].reshape(3, -1).numpy().astype(np.float64)
    expected = (present - present.mean(1, keepdims=True)) / present.std(1, keepdims=True)
    np.testing.assert_allclose(x[:, [0, 3], :3].reshape(3, -1), expected, atol=1e-5)
    assert not x[:, 1].any()
    assert not x[:, 2].any()
    assert not x[:, :, 3:].any()


def test_millivolt(stored: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    x = normalised(*stored, "millivolt")
    np.testing.assert_allclose(x[:, 0, :3], stored[0][:, 0, :3].numpy() * 0.001, rtol=1e-6)
    assert not x[:, :, 3:].any()


@pytest.mark.parametrize("how", ["lead_zscore", "record_zscore", "millivolt"])
def test_a_window_without_signal_is_zero_not_nan(how: Any) -> None:
    samples = torch.full((1, 2, 2, 200), 7, dtype=torch.int16)
    x = normalised(samples, torch.ones(1), torch.zeros(1, 2, 2, dtype=torch.bool), how)
    assert not x.any()
