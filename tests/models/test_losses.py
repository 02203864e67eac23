"""Eq. 4 and 5 by hand, and what must hold for any mask."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physiopipe.models.losses import combine, named_terms, part_sums, part_targets
from physiopipe.models.masking import Masks, draw_masks
from physiopipe.models.normalisation import valid_patch_mask
from physiopipe.params import Masking, Objective

YES, NO = True, False


def terms_of(error: torch.Tensor, masks: Masks, objective: Objective) -> dict[str, float]:
    """Terms where each patch's reconstruction is off by sqrt(error (B, C, P)) at every sample."""
    prediction = error.sqrt().unsqueeze(-1).expand(*error.shape, 200)
    sums, counts = part_sums(prediction, torch.zeros_like(prediction), part_targets(masks, objective))
    return dict(named_terms(combine(sums.sum(-1), counts.sum(-1), objective)))


# three leads of two patches: the second lead is hidden whole, the last patch of the third is padding
MASKS = Masks(
    patches=torch.tensor([[[YES, NO], [NO, YES], [NO, NO]]]),
    channels=torch.tensor([[NO, YES, NO]]),
    valid=torch.tensor([[[YES, YES], [YES, YES], [YES, NO]]]),
)
ERROR = torch.tensor([[[1.0, 2.0], [4.0, 8.0], [16.0, 1000.0]]])


def test_by_hand() -> None:
    terms = terms_of(ERROR, MASKS, Objective())
    expected = {
        "patch_masked": (1 + 4 + 8) / 3,  # M and the hidden lead
        "patch_visible": (2 + 16) / 2,
        "channel_masked": (4 + 8) / 2,
        "channel_other": (1 + 2 + 16) / 3,
        "patch": (1 + 4 + 8) / 3,
        "channel": (6 + 19 / 3) / 2,
        "total": 0.5 * 13 / 3 + 0.5 * (6 + 19 / 3) / 2,
    }
    assert terms == pytest.approx(expected, rel=1e-6)


def test_switches_by_hand() -> None:
    objective = Objective(patch_targets="bernoulli", visible_weight=0.25, patch_weight=2, channel_weight=3)
    terms = terms_of(ERROR, MASKS, objective)
    assert terms["patch_masked"] == pytest.approx((1 + 8) / 2)  # M alone
    assert terms["patch"] == pytest.approx(0.75 * 4.5 + 0.25 * 9)
    assert terms["total"] == pytest.approx(2 * terms["patch"] + 3 * terms["channel"])


def test_sizes_weigh_by_patch_not_by_window() -> None:
    """A global sum over a global count: a window with one target weighs a third of one with three."""
    valid = torch.ones(2, 1, 3, dtype=torch.bool)
    patches = torch.tensor([[[YES, NO, NO]], [[YES, YES, YES]]])
    masks = Masks(patches, torch.zeros(2, 1, dtype=torch.bool), valid)
    error = torch.tensor([[[8.0, 0, 0]], [[4.0, 4, 4]]])
    assert terms_of(error, masks, Objective())["patch_masked"] == pytest.approx((8 + 12) / 4)


def test_empty_terms_are_zero() -> None:
    valid = torch.ones(1, 2, 2, dtype=torch.bool)
    nothing = Masks(torch.zeros_like(valid), torch.zeros(1, 2, dtype=torch.bool), valid)
    terms = terms_of(torch.ones(1, 2, 2), nothing, Objective())
    assert (terms["patch_masked"], terms["channel_masked"]) == (0, 0)
    assert (terms["patch_visible"], terms["channel_other"]) == (1, 1)
    empty = Masks(torch.zeros_like(valid), torch.zeros(1, 2, dtype=torch.bool), torch.zeros_like(valid))
    assert set(terms_of(torch.ones(1, 2, 2), empty, Objective()).values()) == {0}


@settings(deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1), st.sampled_from(["replaced", "bernoulli"]))
def test_properties(seed: int, ratio: float, channel_ratio: float, patch_targets: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    present = torch.rand(6, 4, generator=generator) < 0.8
    valid = valid_patch_mask(present, torch.randint(0, 6, (6,), generator=generator), 5)
    masking = Masking(patch_ratio=ratio, channel_ratio=channel_ratio)
    masks = draw_masks(masking, seed, 0, torch.arange(6), valid)
    objective = Objective(patch_targets=patch_targets, visible_weight=0.3)
    masked, visible, hidden, others = part_targets(masks, objective)
    assert not (masked & ~masks.replaced).any()  # a visible patch is never a target of the masked term
    assert not (visible & masks.replaced).any()
    assert torch.equal(hidden | others, valid)
    assert not (hidden & others).any()

    prediction = torch.randn(6, 4, 5, 200, generator=generator, requires_grad=True)
    target = torch.randn(6, 4, 5, 200, generator=generator)
    sums, counts = part_sums(prediction, target, part_targets(masks, objective))
    whole = combine(sums.sum(-1), counts.sum(-1), objective)
    whole[0].backward()
    assert prediction.grad is not None
    assert not prediction.grad[~valid].any()  # padding and missing leads teach nothing

    # devices that hold parts of the batch add up to it, given the global counts
    parts = sum(combine(sums[:, part].sum(-1), counts.sum(-1), objective) for part in (slice(0, 2), slice(2, 6)))
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
