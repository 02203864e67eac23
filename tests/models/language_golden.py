"""Weights of the two methods on GPT-2 by their formula, and their authors' numbers: a few carried, all in the sample.

The formula is another than that of formula.py: an integer hash of 32 bits, seeded by a parameter's name.
"""

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn


def golden_body() -> Any:
    """The body of both methods' numbers, before its weights: of random_gpt2's kind, but with 100 tokens."""
    import transformers

    sizes = {"n_layer": 2, "n_embd": 64, "n_head": 4, "n_positions": 64, "vocab_size": 100}
    return transformers.GPT2Model(transformers.GPT2Config(**sizes, bos_token_id=99, eos_token_id=99))


def hashed_weight(name: str, shape: tuple[int, ...]) -> Tensor:
    h = np.arange(np.prod(shape), dtype=np.uint64) * np.uint64(2654435761) + np.uint64(zlib.crc32(name.encode()))
    h &= np.uint64(0xFFFFFFFF)
    for _ in range(2):
        h ^= h >> np.uint64(16)
        h = (h * np.uint64(0x45D9F3B)) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(16)
    v = (h.astype(np.float64) / 2147483648 - 1).reshape(shape)
    if len(shape) >= 2:
        v = v * 3 / np.sqrt(np.prod(shape[1:]))
    elif any(norm in name for norm in ("ln_1.weight", "ln_2.weight", "ln_f.weight", "ln_proj.weight")):
        v = 1 + 0.1 * v
    else:
        v = 0.05 * v
    return torch.from_numpy(v.astype(np.float32))


def fill_by_hash(model: nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(hashed_weight(name, tuple(parameter.shape)))


def gradient_norms(model: nn.Module) -> dict[str, float]:
    found = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    return {name: float(grad.double().norm()) for name, grad in found.items() if grad is not None}


def carried(name: str) -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads(Path(__file__).with_name(name).read_text())
    return numbers


def sampled(array: Any, positions: int) -> Any:
    """An array's values at evenly spaced positions, all of them where it is small."""
    flat = np.asarray(array).ravel()
    return flat[np.linspace(0, flat.size - 1, positions).astype(int)] if flat.size > positions else flat


def in_sample(name: str) -> Any:
    sample = os.environ.get("PHYSIOPIPE_SAMPLE_DIR")
    if not sample:
        pytest.skip("PHYSIOPIPE_SAMPLE_DIR is not set")
    return np.load(Path(sample) / "methods-golden" / name)
