"""Weights, input and mask given by formula, for which the authors' CBraMod was run; see golden.json."""

import zlib

import numpy as np
import torch
from torch import Tensor

from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.params import Encoder

SHAPES = [
    (12, (1, 12, 10, 200)),
    (12, (1, 14, 10, 200)),
    (12, (1, 2, 10, 200)),
    (2, (1, 19, 30, 200)),
    (2, (2, 12, 10, 200)),
]
SCALES = ("norm1.weight", "norm2.weight", "proj_in.1.weight", "proj_in.4.weight", "proj_in.7.weight")


def case_name(layers: int, shape: tuple[int, ...]) -> str:
    return f"layers{layers}_{'x'.join(map(str, shape))}"


def formula_weight(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("mask_encoding"):
        return torch.zeros(shape)
    k = zlib.crc32(name.encode()) % 9973
    i = np.arange(np.prod(shape), dtype=np.float64)
    value = (np.sin(0.7 * i + 0.013 * k) * np.cos(0.031 * i + 0.11 * k)).reshape(shape)
    if name.endswith(SCALES):
        value = 1 + 0.1 * value
    elif len(shape) >= 2:
        value = value * 1.5 / np.sqrt(np.prod(shape[1:]))
    else:
        value = 0.05 * value
    return torch.from_numpy(value.astype(np.float32))


def formula_encoder(layers: int) -> CrissCrossEncoder:
    encoder = CrissCrossEncoder(Encoder(layers=layers)).eval()
    weights = {name: formula_weight(name, tuple(tensor.shape)) for name, tensor in encoder.state_dict().items()}
    encoder.load_state_dict(weights, strict=True)
    return encoder


def formula_input(shape: tuple[int, ...]) -> Tensor:
    i = np.arange(np.prod(shape), dtype=np.float64)
    value = np.sin(0.05 * i + 1) + 0.5 * np.sin(0.31 * i) * np.cos(0.007 * i)
    return torch.from_numpy(value.astype(np.float32).reshape(shape))


def formula_mask(shape: tuple[int, ...]) -> Tensor:
    i = np.arange(np.prod(shape[:3]))
    return torch.from_numpy((((7919 * i + 3 * 104729) % 1000) < 500).reshape(shape[:3]))


def masked_loss_and_gradients(
    encoder: CrissCrossEncoder, x: Tensor, mask: Tensor
) -> tuple[Tensor, float, dict[str, float]]:
    """Output of the masked input, its mean squared error over masked patches, gradient norm by parameter."""
    output = encoder(x, mask)
    loss = torch.nn.functional.mse_loss(output[mask], x[mask])
    loss.backward()
    norms = {name: float(p.grad.norm()) for name, p in encoder.named_parameters() if p.grad is not None}
    return output.detach(), float(loss.detach()), norms
