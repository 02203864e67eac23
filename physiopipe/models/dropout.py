"""Dropout that costs a CPU little.

On a CPU `torch.nn.functional.dropout` draws one Bernoulli number an element from a slow serial stream: a quarter of a
training step of this model. Here only the dropped elements cost anything: they are the places that a Poisson process
hits, which, at a rate of -log(1 - p) an element, leaves each element out with probability p, independently.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

_BLOCK = 1 << 12  # places come block by block: 12 random bits each, and writes that stay in the nearest cache


def draw_dropped(elements: int, probability: float) -> npt.NDArray[np.int64]:
    """Places of the dropped ones among `elements`, each dropped with `probability`; in no strict order, some twice.

    The stream is seeded from torch's generator, so `torch.manual_seed` governs it, whatever the number of threads.
    """
    bits = np.random.SFC64(int(torch.empty((), dtype=torch.int64).random_()))
    blocks = -(-elements // _BLOCK)
    hits = np.random.Generator(bits).poisson(-_BLOCK * math.log1p(-probability), blocks)
    count = int(hits.sum())
    places = (bits.random_raw(-(-count // 4)).view(np.uint16)[:count] & np.uint16(_BLOCK - 1)).astype(np.int64)
    places += np.repeat(np.arange(blocks) * _BLOCK, hits)
    return places[places < elements] if elements % _BLOCK else places


def drop_(x: Tensor, dropped: npt.NDArray[np.int64]) -> Tensor:
    """Set the dropped elements of contiguous x, on the CPU and outside autograd, to 0; return x."""
    x.detach().view(-1).numpy()[dropped] = 0
    return x


class Dropout(nn.Module):
    """`torch.nn.Dropout` with the CPU's random numbers made cheaply; the same law, the same scale."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Zero elements of x (any shape) at random while training, and scale up the others."""
        if not self.training or self.probability == 0:
            return x
        if x.device.type == "cpu" and x.dtype == torch.float32 and not torch.compiler.is_compiling():
            y: Tensor = _Drop.apply(x, self.probability)  # type: ignore[no-untyped-call]
            return y
        return functional.dropout(x, self.probability)


class _Drop(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, probability: float) -> Tensor:
        ctx.scale, ctx.dropped = 1 / (1 - probability), draw_dropped(x.numel(), probability)
        return drop_(torch.mul(x.contiguous(), ctx.scale), ctx.dropped)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return drop_(torch.mul(grad.contiguous(), ctx.scale), ctx.dropped), None
