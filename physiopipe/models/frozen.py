"""Parameters that training must leave alone, and the proof that it did."""

import hashlib

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from physiopipe.errors import PhysiopipeError


def frozen_parameters(model: nn.Module) -> dict[str, Tensor]:
    """The model's parameters that have no gradient, by name."""
    return {name: value for name, value in model.named_parameters() if not value.requires_grad}


def frozen_digests(model: nn.Module) -> dict[str, str]:
    """A digest of the bytes of each frozen parameter, by name: take it before training for `check_frozen`."""
    found = {}
    for name, value in frozen_parameters(model).items():
        content: npt.NDArray[np.uint8] = value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        found[name] = hashlib.sha256(content.data).hexdigest()
    return found


def check_frozen(model: nn.Module, before: dict[str, str]) -> None:
    """Raise PhysiopipeError unless the frozen parameters are those of `before`, byte for byte."""
    after = frozen_digests(model)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed:
        raise PhysiopipeError(
            f"{len(changed)} parameters that should be frozen changed, or were not frozen all along, as "
            f"{', '.join(changed[:3])}: expected the {len(before)} from before training, byte for byte. Give the "
            "optimiser only parameters whose requires_grad is true."
        )
