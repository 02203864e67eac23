"""Weights and signals given by formula, for which the authors' code of each method was run; see the golden files.

The numbers are those of the finaliser of splitmix64, seeded by a tensor's name: unlike sinusoids they make matrices of
full rank, so that attention over a wrong axis shows.
"""

import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

U64 = np.uint64


def uniform(name: str, n: int) -> npt.NDArray[np.float64]:
    """n pseudo-random numbers in [0, 1) that belong to a name."""
    i = np.arange(1, n + 1, dtype=U64)
    with np.errstate(over="ignore"):
        z = U64(zlib.crc32(name.encode()) << 32) + i * U64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
    z ^= z >> U64(31)
    return (z >> U64(11)).astype(np.float64) / 2.0**53


def formula_tensor(name: str, shape: tuple[int, ...], is_norm_scale: bool) -> Tensor:
    """Float32 weights of a name: scales of normalisation about 1, matrices by their fan-in, other vectors small."""
    v = 2 * uniform(name, int(np.prod(shape))).reshape(shape) - 1
    if is_norm_scale:
        value = 1 + 0.1 * v
    elif len(shape) >= 2:
        value = v * 1.5 / np.sqrt(np.prod(shape[1:]))
    else:
        value = 0.1 * v
    return torch.from_numpy(value.astype(np.float32))


def fill_by_formula(model: torch.nn.Module, is_norm_scale: Callable[[str], bool]) -> None:
    """Put the formula's values into every parameter of a model, in place; buffers stay."""
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            tensor.copy_(formula_tensor(name, tuple(tensor.shape), is_norm_scale(name)))


def formula_signal(shape: tuple[int, ...]) -> Tensor:
    i = np.arange(np.prod(shape), dtype=np.float64)
    value = np.sin(0.05 * i + 1) + 0.5 * np.sin(0.31 * i) * np.cos(0.007 * i)
    return torch.from_numpy(value.astype(np.float32).reshape(shape))
