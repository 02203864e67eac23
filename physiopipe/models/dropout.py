"""Dropout that costs a CPU little.

On a CPU `torch.nn.functional.dropout` draws one Bernoulli number an element from a slow serial stream: a quarter of a
training step of this model. Sixteen random bits an element are enough, and four elements share one draw.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 1 << 16


def keep_mask(shape: torch.Size, probability: float) -> Tensor:
    """Random float32 mask on the CPU: 0 with `probability` (to 1/65536), else 1 / (1 - that probability).

    The stream is seeded from torch's generator, so `torch.manual_seed` governs it, whatever the number of threads.
    """
    dropped = round(probability * _LEVELS)
    elements = shape.numel()
    seed = int(torch.empty((), dtype=torch.int64).random_())
    raw = np.random.SFC64(seed).random_raw(-(-elements // 4))
    bits = torch.from_numpy(raw.view(np.int16))[:elements].view(shape)
    mask = torch.empty(shape)
    torch.ge(bits, dropped - _LEVELS // 2, out=mask)  # straight into float32: bool masks multiply at half the speed
    return mask.mul_(_LEVELS / (_LEVELS - dropped))


class Dropout(nn.Module):
    """`torch.nn.Dropout` with the CPU's random numbers made cheaply; the same law, the same scale."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Zero elements of x (any shape) at random while training, and scale up the others."""
        if not self.training or self.probability == 0:
            return x
        if x.device.type == "cpu" and x.dtype == torch.float32:
            return x * keep_mask(x.shape, self.probability)
        return functional.dropout(x, self.probability)
