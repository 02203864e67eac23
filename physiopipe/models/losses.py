"""Reconstruction loss (paper eq. 4 and 5) as sums and counts, so that it is the same however a batch is split.

Four mean squared errors make it up, each over valid patches alone:

- `patch_masked`: patches that were replaced (CBraMod), or those of the Bernoulli mask alone (`patch_targets`);
- `patch_visible`: patches that were not replaced, weighted by `visible_weight`;
- `channel_masked`, `channel_other`: the two halves of eq. 4, wholly hidden channels and the others. The paper prints
  the first term twice; its text says that the second is over the channels that were not hidden.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from physiopipe.models.masking import Masks

if TYPE_CHECKING:
    from physiopipe.params import Objective

PARTS = ("patch_masked", "patch_visible", "channel_masked", "channel_other")
TERMS = ("total", "patch", *PARTS[:2], "channel", *PARTS[2:])


def part_targets(masks: Masks, objective: "Objective") -> Tensor:
    """Which patches each of PARTS is over, (4, B, C, P) bool."""
    hidden = masks.channels.unsqueeze(-1)
    masked = masks.replaced if objective.patch_targets == "replaced" else masks.patches
    targets = (masked, masks.valid & ~masks.replaced, masks.valid & hidden, masks.valid & ~hidden)
    return torch.stack(targets)


def part_sums(prediction: Tensor, target: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Squared error and number of patches by part and window.

    Args:
        prediction, target: (B, C, P, 200).
        targets: (4, B, C, P), from `part_targets`.

    Returns:
        sums (4, B): mean squared error of a patch, summed over the part's patches. counts (4, B): float32.
    """
    error = (prediction.float() - target.float()).square().mean(-1)
    sums = torch.where(targets, error, 0.0).sum((-1, -2))  # where, not a product: an infinity outside stays outside
    return sums, targets.sum((-1, -2)).float()


def combine(sums: Tensor, counts: Tensor, objective: "Objective") -> Tensor:
    """The TERMS, (7,), of sums and counts (4,) over all windows of all devices; a part without patches is 0."""
    patch_masked, patch_visible, channel_masked, channel_other = (sums / counts.clamp(min=1)).unbind()
    patch = torch.lerp(patch_masked, patch_visible, objective.visible_weight)
    channel = (channel_masked + channel_other) / 2
    total = objective.patch_weight * patch + objective.channel_weight * channel
    return torch.stack((total, patch, patch_masked, patch_visible, channel, channel_masked, channel_other))


def named_terms(terms: Tensor) -> Mapping[str, float]:
    """Terms (7,) by name, as Python floats."""
    return dict(zip(TERMS, terms.tolist(), strict=True))
