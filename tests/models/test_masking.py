"""Masks follow eq. 2, hold their ratios, and depend on (seed, step, window id) alone."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physiopipe.models.masking import Masks, draw_masks
from physiopipe.models.normalisation import valid_patch_mask
from physiopipe.params import Masking


def windows(count: int, channels: int = 12, patches: int = 10, first: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(first, first + count), torch.ones(count, channels, patches, dtype=torch.bool)


def splitmix64(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) % 2**64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def test_bernoulli_mask_is_splitmix64_of_its_keys() -> None:
    """Plain Python integers give the same mask: no wrap-around or sign of the device's int64 leaks in."""
    seed, step, ratio = 42, 7, 0.3
    identity = torch.tensor([5, -3, 2**63 - 1])
    masks = draw_masks(Masking(patch_ratio=ratio, channel_ratio=0), seed, step, identity, windows(3)[1])
    for window, value in enumerate(identity.tolist()):
        key = splitmix64((splitmix64((splitmix64(seed) + step) % 2**64) + value) % 2**64)
        key = splitmix64((key + 1) % 2**64)
        expected = [splitmix64((key + cell) % 2**64) >> 32 < ratio * 2**32 for cell in range(120)]
        assert masks.patches[window].flatten().tolist() == expected


@settings(deadline=None)
@given(
    st.integers(0, 2**32), st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1), st.integers(1, 6), st.integers(1, 6)
)
def test_properties(seed: int, step: int, ratio: float, channel_ratio: float, channels: int, patches: int) -> None:
    generator = np.random.default_rng([seed, step])
    present = torch.from_numpy(generator.random((8, channels)) < 0.7)
    leading = torch.from_numpy(generator.integers(0, patches + 1, 8))
    valid = valid_patch_mask(present, leading, patches)
    identity = torch.from_numpy(generator.integers(-(2**62), 2**62, 8))
    masking = Masking(patch_ratio=ratio, channel_ratio=channel_ratio)
    masks = draw_masks(masking, seed, step, identity, valid)

    assert not (masks.replaced & ~valid).any()
    assert not (masks.patches & ~masks.replaced).any()
    hidden_leads = valid & masks.channels.unsqueeze(-1)
    assert bool((masks.replaced[hidden_leads]).all())
    here = valid.any(-1).sum(-1)
    expected = [min(c, max(1, round(channel_ratio * c))) if channel_ratio > 0 else 0 for c in here.tolist()]
    assert masks.channels.sum(-1).tolist() == expected
    if ratio == 0:
        assert not masks.patches.any()
    if ratio == 1:
        assert torch.equal(masks.patches, valid)

    order = torch.from_numpy(generator.permutation(8))
    for part in (order[:3], order[3:]):  # any split of the batch, in any order
        again = draw_masks(masking, seed, step, identity[part], valid[part])
        assert all(torch.equal(a, b[part]) for a, b in zip(again, masks, strict=True))


def test_ratios_and_independence() -> None:
    identity, valid = windows(4000)
    masks = draw_masks(Masking(patch_ratio=0.5, channel_ratio=0.25), 42, 3, identity, valid)
    assert abs(masks.patches.float().mean() - 0.5) < 0.005  # 7 standard errors of 480,000 draws
    assert (masks.channels.sum(-1) == 3).all()
    by_channel = masks.channels.float().mean(0)
    assert (by_channel - 0.25).abs().max() < 0.03
    inside = masks.patches[masks.channels].float().mean()
    assert abs(inside - 0.5) < 0.01  # M knows nothing of the hidden channels
    by_cell = masks.patches.float().mean(0)
    assert (by_cell - 0.5).abs().max() < 0.04
    pairs = torch.corrcoef(masks.channels.float().T)
    off_diagonal = pairs[~torch.eye(12, dtype=torch.bool)]
    assert (off_diagonal + 1 / 11).abs().max() < 0.07  # without replacement: each pair correlates by -1 / (C - 1)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.floats(0, 1), st.integers(1, 14), st.integers(1, 12))
def test_any_ratio_holds(seed: int, ratio: float, channels: int, patches: int) -> None:
    identity, valid = windows(300, channels, patches)
    masks = draw_masks(Masking(patch_ratio=ratio, channel_ratio=ratio), seed, 5, identity, valid)
    draws = 300 * channels * patches
    spread = (ratio * (1 - ratio) / draws) ** 0.5
    assert abs(masks.patches.double().mean() - ratio) <= 6 * spread + 1 / draws
    assert (masks.channels.sum(-1) == (min(channels, max(1, round(ratio * channels))) if ratio > 0 else 0)).all()


def test_every_key_matters() -> None:
    identity, valid = windows(50)
    base = draw_masks(Masking(), 1, 1, identity, valid)
    for other in (
        draw_masks(Masking(), 2, 1, identity, valid),
        draw_masks(Masking(), 1, 2, identity, valid),
        draw_masks(Masking(), 1, 1, identity + 1000, valid),
    ):
        agreement = (other.patches == base.patches).float().mean()
        assert 0.45 < agreement < 0.55
        assert not torch.equal(other.channels, base.channels)


def test_replaced_is_the_union_of_eq_2() -> None:
    patches = torch.tensor([[[True, False], [False, False], [False, True]]])
    channels = torch.tensor([[False, True, False]])
    valid = torch.ones(1, 3, 2, dtype=torch.bool)
    expected = torch.tensor([[[True, False], [True, True], [False, True]]])
    assert torch.equal(Masks(patches, channels, valid).replaced, expected)
    assert torch.equal(draw_masks(Masking(patch_ratio=1), 0, 0, torch.tensor([1]), valid).replaced, valid)
    nothing = draw_masks(Masking(patch_ratio=0, channel_ratio=0), 0, 0, torch.tensor([1]), valid)
    assert not nothing.replaced.any()


def test_valid_patches_follow_channels_and_patches() -> None:
    found = valid_patch_mask(torch.tensor([[True, False], [True, True]]), torch.tensor([2, 1]), 3)
    assert found.tolist() == [
        [[True, True, False], [False, False, False]],
        [[True, False, False], [True, False, False]],
    ]
