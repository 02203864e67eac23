"""Alignment of an ECG encoder: the loss against its formula, batches, rates, and that it learns."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from physiopipe.models.alignment import TwoLevelAlignment, symmetric_info_nce
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.params import Encoder
from physiopipe.training.alignment import AlignmentPlan, align, capped_batches, resampled_at_random

SIZES = Encoder(layers=1, width=40, feedforward=40, heads=4)


def info_nce_by_hand(a: np.ndarray, b: np.ndarray, temperature: float, left_out: np.ndarray) -> float:
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    total = 0.0
    for one, other in ((a, b), (b, a)):
        for row in range(len(one)):
            others = [k for k in range(len(one)) if k == row or not left_out[row, k]]
            scores = np.array([one[row] @ other[k] / temperature for k in others])
            total -= scores[others.index(row)] - np.log(np.exp(scores).sum())
    return total / (2 * len(a))


def test_the_loss_is_its_formula_on_both_levels() -> None:
    torch.manual_seed(0)
    heads = TwoLevelAlignment((8, 6), 4, 0.3)
    a, b = torch.randn(3, 5, 8), torch.randn(3, 5, 6)
    valid = torch.ones(3, 5, dtype=torch.bool)
    valid[1, 2:], valid[2] = False, False
    with torch.no_grad():
        found = float(heads(a, b, valid))
        window = valid.nonzero()[:, 0].numpy()
        parts = [layer(x[valid]).numpy() for layer, x in zip(heads.of_patches, (a, b), strict=True)]
        patches = info_nce_by_hand(*parts, 0.3, window[:, None] == window)
        means = [torch.stack([x[0].mean(0), x[1, :2].mean(0)]) for x in (a, b)]
        wholes = [layer(x).numpy() for layer, x in zip(heads.of_windows, means, strict=True)]
        whole = info_nce_by_hand(*wholes, 0.3, np.zeros((2, 2), dtype=bool))
    assert found == pytest.approx(patches + whole, rel=1e-5)
    assert float(heads(a, b, torch.zeros(3, 5, dtype=torch.bool))) == 0


def test_the_same_rows_are_nearest_and_nothing_is_told_from_nothing() -> None:
    rows = torch.eye(6)
    assert float(symmetric_info_nce(rows, rows, 0.01)) < 1e-6
    assert float(symmetric_info_nce(torch.ones(6, 3), torch.ones(6, 3), 0.1)) == pytest.approx(np.log(6), rel=1e-5)
    every = torch.ones(6, 6, dtype=torch.bool)
    assert float(symmetric_info_nce(torch.randn(6, 3), torch.randn(6, 3), 0.1, every)) == 0


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 5), st.integers(0, 9))
def test_batches_hold_every_row_once_and_no_clip_too_often(windows: int, size: int, most: int, seed: int) -> None:
    clip_of = np.sort(np.random.default_rng(seed).integers(0, 6, windows))
    batches = capped_batches(clip_of, size, most, np.random.default_rng(seed))
    assert sorted(np.concatenate(batches).tolist()) == list(range(windows))
    for batch in batches:
        assert 1 <= len(batch) <= size
        assert np.bincount(clip_of[batch]).max() <= most


def test_a_lower_rate_takes_what_is_above_its_half_alone() -> None:
    seconds = np.arange(2000) / 200
    low, high = np.sin(2 * np.pi * 10 * seconds), np.sin(2 * np.pi * 90 * seconds)
    windows = torch.from_numpy((low + high).astype(np.float32)).view(1, 1, 10, 200).repeat(30, 1, 1, 1)
    random = np.random.default_rng(0)
    assert torch.equal(resampled_at_random(windows, 0.0, random), windows)
    found = resampled_at_random(windows, 1.0, random).flatten(1).numpy()[:, 100:-100]
    np.testing.assert_allclose(found, np.tile(low[100:-100], (30, 1)), atol=0.05)
    some = (resampled_at_random(windows.repeat(10, 1, 1, 1), 0.5, random) != windows[0]).flatten(1).any(1)
    assert 110 < int(some.sum()) < 190


def test_an_encoder_learns_what_the_embeddings_of_the_other_signal_tell() -> None:
    """Both signals follow the window's frequency. Windows of other people are told apart after alignment."""
    random = np.random.default_rng(0)
    torch.manual_seed(0)

    def pairs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        hz = random.uniform(2, 40, count)
        phase = random.uniform(0, 2 * np.pi, (count, 1))
        ecg = np.sin(2 * np.pi * hz[:, None] * np.arange(600) / 200 + phase).reshape(count, 1, 3, 200)
        eeg = np.stack([np.cos(hz / 6), np.sin(hz / 6), np.cos(hz / 12), np.sin(hz / 12)], axis=1)
        return torch.from_numpy(np.repeat(eeg[:, None], 3, 1).astype(np.float32)), torch.from_numpy(
            ecg.astype(np.float32)
        )

    eeg, ecg = pairs(96)
    encoder = CrissCrossEncoder(SIZES)
    valid = torch.ones(96, 1, 3, dtype=torch.bool)
    plan = AlignmentPlan(12, 32, 1e-3, 4, 0.0, 16, 0.1)
    losses = align(encoder, eeg, ecg, valid, np.arange(96) // 2, plan, np.random.default_rng(1))
    assert len(losses) == 12
    assert losses[-1] < losses[0] - 1
    nothing = eeg * 0  # no EEG: no pair to learn from
    before = [weight.clone() for weight in encoder.parameters()]
    assert align(encoder, nothing, ecg, valid, np.arange(96) // 2, plan, random) == [0.0] * 12
    assert all(torch.equal(one, other) for one, other in zip(before, encoder.parameters(), strict=True))
