"""Attention, feed-forward and positional convolution of the encoder on a CPU, with their gradients written out.

Training and embedding both take them. Half of a training step is matrix products at the core's own rate; these
functions cut the other half. Against the same written with torch's autograd: no pass over a tensor for a mask or a
scale, fewer copies, and a softmax that runs along the vector unit (torch's takes 20 ns an element in rows as short as
these). The numbers are the same up to rounding.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from physiopipe.models.dropout import draw_dropped, drop_


def fits(x: Tensor) -> bool:
    """Whether these functions can take x: float32 on the CPU, neither compiled nor under autocast."""
    return (
        not torch.compiler.is_compiling()
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


def feed_forward(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, dropout: float) -> Tensor:
    """dropout(gelu(x w1' + b1)) w2' + b2 of x (..., width); w1 (wide, width), w2 (width, wide)."""
    out: Tensor = _FeedForward.apply(x.reshape(-1, x.shape[-1]), w1, b1, w2, b2, dropout)  # type: ignore[no-untyped-call]
    return out.view(x.shape)


def attention(projected: Tensor, bias: Tensor | None, dropout: float) -> Tensor:
    """Softmax attention over the last dimension but one of projected (3, ..., length, size): queries, keys, values.

    bias, broadcastable to (..., length, length), is added to the scores. Returns (..., length, size).
    """
    attended: Tensor = _Attention.apply(projected, bias, dropout)  # type: ignore[no-untyped-call]
    return attended


def depthwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolution of x (B, width, C, P) to the same shape, a filter each channel; weight (width, 1, R, K), R, K odd."""
    convolved: Tensor = _Depthwise.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return convolved


class _FeedForward(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, dropout: float) -> Tensor:
        before = torch.addmm(b1, x, w1.t())
        after = functional.gelu(before)
        ctx.dropped, ctx.scale = None, 1 / (1 - dropout)
        if dropout:
            ctx.dropped = draw_dropped(after.numel(), dropout)
            drop_(after, ctx.dropped)
        ctx.save_for_backward(x, w1, w2, before, after)
        return torch.addmm(b2, after, w2.t(), alpha=ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w1, w2, before, after = ctx.saved_tensors
        grad_w2 = _product(grad.t(), after, ctx.scale)
        of_wide = _product(grad, w2, ctx.scale, out=after)  # the memory that is at hand: its content has served
        if ctx.dropped is not None:
            drop_(of_wide, ctx.dropped)
        torch.ops.aten.gelu_backward.grad_input(of_wide, before, grad_input=of_wide)
        return of_wide @ w1, of_wide.t() @ x, of_wide.sum(0), grad_w2, grad.sum(0), None


class _Attention(Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, bias: Tensor | None, dropout: float) -> Tensor:
        projected = projected.contiguous()
        query, key, value = projected.view(3, -1, *projected.shape[-2:])
        scores = _product(query, _transposed(key), query.shape[-1] ** -0.5)
        if bias is not None:
            scores.view(*projected.shape[1:-1], -1).add_(bias)
        weights = kept = _softmax_(scores)
        ctx.dropped, ctx.scale = None, 1 / (1 - dropout)
        if dropout:
            ctx.dropped = draw_dropped(weights.numel(), dropout)
            kept = drop_(weights.clone(), ctx.dropped)
        ctx.save_for_backward(projected, weights, kept)
        return _product(kept, value, ctx.scale).view(projected.shape[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        projected, weights, kept = ctx.saved_tensors
        query, key, value = projected.view(3, -1, *projected.shape[-2:])
        grad = grad.reshape(query.shape)
        of_projected = torch.empty_like(projected)
        of_query, of_key, of_value = of_projected.view(3, *query.shape)
        _product(kept.transpose(1, 2), grad, ctx.scale, of_value)
        of_scores = _product(grad, _transposed(value), ctx.scale)
        if ctx.dropped is not None:
            drop_(of_scores, ctx.dropped)
        of_scores.mul_(weights)  # the softmax's gradient: w (g - sum of w g)
        of_scores.addcmul_(weights, _row_sums(of_scores), value=-1)
        _product(of_scores, key, query.shape[-1] ** -0.5, of_query)
        _product(of_scores.transpose(1, 2), query, query.shape[-1] ** -0.5, of_key)
        return of_projected, None, None


class _Depthwise(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.conv2d(x, weight, bias, padding=_half(weight), groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        x, weight = ctx.saved_tensors
        of_x = functional.conv2d(grad, weight.flip(2, 3), padding=_half(weight), groups=len(weight))
        return of_x, _depthwise_weight_gradient(x, grad, weight), grad.sum((0, 2, 3))


def _depthwise_weight_gradient(x: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    """The sums over windows, rows i and columns of grad[i] x[i + r] for each tap, as one product for each channel.

    The product is between all rows of grad and all rows of x under each of the kernel's columns; the wanted sums are
    its diagonals: a view with a stride of one row more. torch's own takes three times as long.
    """
    (batch, width, rows, columns), (_, _, taps, across) = x.shape, weight.shape
    padded = functional.pad(x, (across // 2, across // 2))
    to_batch, to_channel, to_row, to_column = padded.stride()
    shifted = padded.as_strided(
        (width, batch, columns, rows, across), (to_channel, to_batch, to_column, to_row, to_column)
    ).reshape(width, batch * columns, rows * across)
    pairs = torch.bmm(grad.permute(1, 2, 0, 3).reshape(width, rows, -1), shifted).view(width, rows, rows, across)
    pairs = functional.pad(pairs, (0, 0, taps // 2, taps // 2))
    line = pairs.shape[2] * across
    diagonals = pairs.as_strided((width, rows, taps, across), (rows * line, line + across, across, 1))
    return diagonals.sum(1).view(weight.shape)


def _half(weight: Tensor) -> tuple[int, int]:
    return weight.shape[2] // 2, weight.shape[3] // 2


def _product(a: Tensor, b: Tensor, factor: float, out: Tensor | None = None) -> Tensor:
    """factor times the (batched) matrix product of a and b, without a pass over the result for the factor."""
    if out is None:
        out = a.new_empty(*a.shape[:-1], b.shape[-1])
    multiply = torch.addmm if a.ndim == 2 else torch.baddbmm
    return multiply(out, a, b, beta=0, alpha=factor, out=out)


def _transposed(x: Tensor) -> Tensor:
    """x (n, length, size) as contiguous (n, size, length): small products of a mere view take three times as long."""
    return x.transpose(1, 2).contiguous()


def _softmax_(scores: Tensor) -> Tensor:
    """Softmax over the last dimension, in place."""
    scores.sub_(scores.amax(-1, keepdim=True)).exp_()
    return scores.div_(_row_sums(scores))


def _row_sums(x: Tensor) -> Tensor:
    """Sums of contiguous x (n, rows, length) over its last dimension (kept): a product is far faster in short rows."""
    return (x.view(-1, x.shape[-1]) @ x.new_ones(x.shape[-1])).view(*x.shape[:-1], 1)
