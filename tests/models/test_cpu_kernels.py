"""The gradients that are written out by hand equal autograd's, with the same elements dropped."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from physiopipe.models import cpu_kernels
from physiopipe.models.dropout import Dropout, draw_dropped
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.params import Encoder

DROPOUT = pytest.mark.parametrize("dropout", [0.0, 0.3])


def made(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32).requires_grad_()


def kept(shape: tuple[int, ...], dropout: float) -> Tensor:
    """The scaled mask that the next draw with this seed gives."""
    mask = torch.ones(math.prod(shape))
    if dropout:
        mask[draw_dropped(len(mask), dropout)] = 0
    return mask.view(shape) / (1 - dropout)


def equal_gradients(ours: Tensor, reference: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-4)
    above = torch.randn(ours.shape, generator=torch.Generator().manual_seed(9))
    for found, expected in zip(
        torch.autograd.grad(ours, inputs, above), torch.autograd.grad(reference, inputs, above), strict=True
    ):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-4)


@DROPOUT
def test_feed_forward(dropout: float) -> None:
    x, w1, b1, w2, b2 = made(3, 7, 20), made(90, 20, seed=1), made(90, seed=2), made(20, 90, seed=3), made(20, seed=4)
    torch.manual_seed(5)
    ours = cpu_kernels.feed_forward(x, w1, b1, w2, b2, dropout)
    torch.manual_seed(5)
    hidden = functional.gelu(functional.linear(x, w1, b1)) * kept((3, 7, 90), dropout)
    equal_gradients(ours, functional.linear(hidden, w2, b2), [x, w1, b1, w2, b2])


@DROPOUT
@pytest.mark.parametrize("with_bias", [False, True])
def test_attention(dropout: float, with_bias: bool) -> None:
    projected = made(3, 2, 5, 4, 6, 25)
    bias = None
    if with_bias:
        bias = torch.zeros(2, 5, 1, 1, 6)
        bias[0, :, ..., 4:] = -torch.inf
    torch.manual_seed(5)
    ours = cpu_kernels.attention(projected, bias, dropout)
    torch.manual_seed(5)
    query, key, value = projected
    scores = query @ key.transpose(-1, -2) / 5
    weights = (scores if bias is None else scores + bias).softmax(-1)
    equal_gradients(ours, (weights * kept(weights.shape, dropout)) @ value, [projected])


def test_attention_of_huge_scores() -> None:
    projected = (made(3, 1, 1, 1, 6, 25) * 100).detach()
    found = cpu_kernels.attention(projected, None, 0.0)
    torch.testing.assert_close(found, functional.scaled_dot_product_attention(*projected), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kernel", [(19, 7), (3, 3), (1, 5)])
@pytest.mark.parametrize("grid", [(12, 10), (2, 1), (1, 30)])
def test_depthwise(kernel: tuple[int, int], grid: tuple[int, int]) -> None:
    x, weight, bias = made(3, 8, *grid), made(8, 1, *kernel, seed=1), made(8, seed=2)
    padding = (kernel[0] // 2, kernel[1] // 2)
    reference = functional.conv2d(x, weight, bias, padding=padding, groups=8)
    equal_gradients(cpu_kernels.depthwise(x, weight, bias), reference, [x, weight, bias])
    strided = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)  # as the encoder's
    equal_gradients(
        cpu_kernels.depthwise(strided, weight, bias),
        functional.conv2d(strided, weight, bias, padding=padding, groups=8),
        [x, weight, bias],
    )


def test_whole_encoder_equals_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    encoder = CrissCrossEncoder(Encoder(layers=2, dropout=0)).train()
    x, mask = made(2, 5, 4, 200).detach(), torch.rand(2, 5, 4) < 0.4
    valid = torch.ones(2, 5, 4, dtype=torch.bool)
    valid[0, :, 3] = valid[1, 2] = False
    trained = [p for p in encoder.parameters() if p.requires_grad]
    assert cpu_kernels.fits(x)
    ours = encoder(x, mask, valid)
    gradients = torch.autograd.grad(ours.square().mean(), trained)
    monkeypatch.setattr(cpu_kernels, "fits", lambda x: False)  # noqa: ARG005
    plain = encoder(x, mask, valid)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)
    for found, expected in zip(gradients, torch.autograd.grad(plain.square().mean(), trained), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("elements", "probability"), [(1_000_003, 0.1), (4096, 0.5), (70_000, 0.9)])
def test_dropped_elements_are_bernoulli(elements: int, probability: float) -> None:
    torch.manual_seed(1)
    hit = np.zeros(elements)
    hit[draw_dropped(elements, probability)] = 1
    deviation = math.sqrt(probability * (1 - probability) / elements)
    assert abs(hit.mean() - probability) < 4 * deviation
    for lag in (1, 2, 64, 4096 % (elements - 1)):  # neighbours are independent of one another
        both = (hit[:-lag] * hit[lag:]).mean()
        assert abs(both - probability**2) < 8 * deviation
    thirds = [part.mean() for part in np.array_split(hit, 3)]
    assert max(thirds) - min(thirds) < 10 * deviation


def test_dropout_keeps_the_mean_and_follows_the_seed() -> None:
    dropout = Dropout(0.2).train()
    x = torch.ones(300, 401, requires_grad=True)
    torch.manual_seed(3)
    y = dropout(x)
    assert set(y.unique().tolist()) == {0.0, 1.25}
    assert float(y.detach().mean()) == pytest.approx(1, abs=0.01)
    torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], y.detach())
    torch.manual_seed(3)
    assert torch.equal(dropout(x), y)
    assert not torch.equal(dropout(x), y)
    assert torch.equal(dropout.eval()(x), x)
