"""What passes through a GPT-2 body: embeddings to hidden states, whole or after a prompt whose keys are known.

The body is `transformers.GPT2Model`; here its parameters are used, not its `forward`, whose GELU is a chain of eight
passes on a CPU and whose key cache can neither share a common beginning nor leave out padding.
Source: Radford et al. 2019, "Language models are unsupervised multitask learners", as `transformers` implements it.
"""

from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models import cpu_kernels
from physiopipe.models.dropout import Dropout

Body: TypeAlias = Any  # transformers.GPT2Model, a name that only exists where transformers is installed


class KeysValues(NamedTuple):
    """Keys and values of the tokens before those at hand, by layer: first those all rows share, then each row's own."""

    shared: Tensor  # (layers, 2, heads, tokens, size); 2: keys, values
    own: Tensor  # (layers, 2, heads, rows, tokens, size); padded at the end
    lengths: Tensor  # (rows,) int64: own tokens that are no padding


def hidden_states(body: Body, embedded: Tensor) -> Tensor:
    """Last hidden states (rows, n, width) of embedded tokens of that shape, at positions 0 to n - 1.

    Each token attends to itself and those before it. In training mode the body's own dropout is on.
    """
    x = add_positions(body, embedded, torch.arange(embedded.shape[1], device=embedded.device))
    for block in body.h:
        x = run_block(block, x)
    return _norm(body.ln_f, x)


def hidden_states_after(body: Body, embedded: Tensor, past: KeysValues) -> Tensor:
    """Last hidden states (rows, n, width) of embedded tokens of that shape that follow the tokens of `past`.

    Row r's tokens have the positions after its own last token. No dropout: keys that are kept could not have it.
    """
    before = past.shared.shape[3] + past.lengths
    x = add_positions(body, embedded, before[:, None] + torch.arange(embedded.shape[1], device=before.device), 0.0)
    padding = _padding(past, x.dtype)
    for i, block in enumerate(body.h):
        query, key, value = _heads_first(block, x)
        mixed = _AttentionAfter.apply(query, key, value, *past.shared[i], *past.own[i], padding)  # type: ignore[no-untyped-call]
        x = _feed(block, x + _linear(block.attn.c_proj, mixed.permute(1, 2, 0, 3).reshape(x.shape)))
    return _norm(body.ln_f, x)


@torch.no_grad()
def keys_values(body: Body, tokens: Tensor, shared: Tensor | None = None) -> Tensor:
    """Keys and values (layers, 2, heads, rows, n, size) of tokens (rows, n), int64, that follow the `shared` ones.

    shared: (layers, 2, heads, tokens, size), as `keys_values(...)[:, :, :, 0]` gives them. No gradient, no dropout.
    """
    layers, heads, width = len(body.h), body.config.num_attention_heads, body.config.hidden_size
    rows, n = tokens.shape
    if shared is None:
        shared = body.wte.weight.new_empty(layers, 2, heads, 0, width // heads)
    start = shared.shape[3]
    x = functional.embedding(tokens, body.wte.weight)
    x = add_positions(body, x, torch.arange(start, start + n, device=tokens.device), 0.0)
    found = x.new_empty(layers, 2, heads, rows, n, width // heads)
    none = x.new_empty(heads, rows, 0, width // heads)
    for i, block in enumerate(body.h):
        query, key, value = _heads_first(block, x)
        found[i, 0], found[i, 1] = key, value
        if i + 1 < layers:
            mixed = _AttentionAfter.apply(query, key, value, *shared[i], none, none, None)  # type: ignore[no-untyped-call]
            x = _feed(block, x + _linear(block.attn.c_proj, mixed.permute(1, 2, 0, 3).reshape(x.shape)))
    return found


def add_positions(body: Body, embedded: Tensor, positions: Tensor, dropout: float | None = None) -> Tensor:
    """Embedded tokens (rows, n, width) plus the learned embedding of their positions, (n,) or (rows, n), int64.

    dropout: that of the body in training mode unless given. Raises PhysiopipeError past the body's last position.
    """
    last, known = int(positions.max()) if positions.numel() else 0, body.wpe.num_embeddings
    if last >= known:
        raise PhysiopipeError(
            f"{last + 1} tokens, of prompt and patches, in one row; this GPT-2 has {known} positions. "
            "Shorten the prompt, take a larger patch or stride, or a GPT-2 with more positions."
        )
    if dropout is None:
        dropout = body.config.embd_pdrop if body.training else 0.0
    return _drop(embedded + body.wpe(positions), dropout)


def run_block(block: Any, x: Tensor) -> Tensor:
    """One block: x (rows, n, width) plus causal self-attention, plus feed-forward, each of the normalised x."""
    probability = block.attn.attn_dropout.p if block.training else 0.0
    heads = _heads(block, x)  # (3, rows, heads, n, size)
    if cpu_kernels.fits(x) and probability:  # torch's fused attention has no dropout on a CPU
        mixed = cpu_kernels.attention(heads, _causal(x.shape[1], x), probability)
    else:
        mixed = functional.scaled_dot_product_attention(heads[0], heads[1], heads[2], None, probability, True)
    mixed = _linear(block.attn.c_proj, mixed.transpose(1, 2).reshape(x.shape))
    probability = block.attn.resid_dropout.p if block.training else 0.0  # the feed-forward's, too
    return _feed(block, x + _drop(mixed, probability), probability)


def _feed(block: Any, x: Tensor, dropout: float = 0.0) -> Tensor:
    fed = _linear(block.mlp.c_proj, functional.gelu(_linear(block.mlp.c_fc, _norm(block.ln_2, x)), approximate="tanh"))
    return x + _drop(fed, dropout)


def _heads(block: Any, x: Tensor) -> Tensor:
    """Queries, keys, values (3, rows, heads, n, size) of x (rows, n, width)."""
    projected = _linear(block.attn.c_attn, _norm(block.ln_1, x))
    heads = block.attn.num_heads
    return projected.view(*x.shape[:2], 3, heads, x.shape[2] // heads).permute(2, 0, 3, 1, 4)


def _heads_first(block: Any, x: Tensor) -> Tensor:
    """Queries, keys, values (3, heads, rows, n, size): with a head's rows together, shared keys are one product."""
    return _heads(block, x).transpose(1, 2).contiguous()


def _linear(layer: Any, x: Tensor) -> Tensor:
    """x (..., in) by a layer whose weight is stored (in, out)."""
    return torch.addmm(layer.bias, x.flatten(0, -2), layer.weight).view(*x.shape[:-1], layer.weight.shape[1])


def _norm(layer: Any, x: Tensor) -> Tensor:
    return functional.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)


def _drop(x: Tensor, probability: float) -> Tensor:
    dropped: Tensor = Dropout(probability)(x) if probability else x  # a module starts in training mode
    return dropped


def _causal(n: int, like: Tensor) -> Tensor:
    """What to add to scores (n, n): -inf where the key comes after the query."""
    return like.new_full((n, n), -torch.inf).triu_(1)


def _padding(past: KeysValues, dtype: torch.dtype) -> Tensor | None:
    """What to add to the scores of own keys (rows, 1, tokens): -inf for padding; None where there is none."""
    tokens = past.own.shape[4]
    if bool((past.lengths == tokens).all()):
        return None
    after = torch.arange(tokens, device=past.lengths.device) >= past.lengths[:, None]
    return torch.zeros(after.shape, dtype=dtype, device=after.device).masked_fill_(after, -torch.inf)[:, None]


class _AttentionAfter(Function):
    """Attention of queries (heads, rows, n, size) to shared keys, own keys and, causally, to those of the same tokens.

    Only queries and the same tokens' keys and values have gradients: earlier tokens are those of a frozen body. The
    shared keys serve all rows by one product a head, no key is copied, and the three kinds of scores are written side
    by side, so that one softmax runs over them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        shared_key: Tensor,
        shared_value: Tensor,
        own_key: Tensor,
        own_value: Tensor,
        padding: Tensor | None,
    ) -> Tensor:
        ctx.before, ctx.scale = (shared_key.shape[1], own_key.shape[2]), query.shape[-1] ** -0.5
        scores = query.new_empty(*query.shape[:3], sum(ctx.before) + query.shape[2])
        shared, own, same = _split(scores, *ctx.before)
        _multiply(_as_one(query), shared_key.mT, shared, ctx.scale)
        _multiply(_each(query), _each(own_key).mT, own, ctx.scale)
        _multiply(_each(query), _each(key).mT, same, ctx.scale)
        if padding is not None:
            own.view(*query.shape[:2], *own.shape[1:]).add_(padding)
        same.add_(_causal(query.shape[2], scores))
        weights = torch.softmax(scores, -1, out=scores)  # a pass over -inf leaves zeros, which then weigh nothing
        mixed = torch.empty_like(query)
        _multiply(shared, shared_value, _as_one(mixed))
        _multiply(own, _each(own_value), _each(mixed), add=True)
        _multiply(same, _each(value), _each(mixed), add=True)
        ctx.save_for_backward(query, key, value, shared_key, shared_value, own_key, own_value, weights, mixed)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, shared_key, shared_value, own_key, own_value, weights, mixed = ctx.saved_tensors
        grad = grad.contiguous()
        of_scores = torch.empty_like(weights)
        shared, own, same = _split(of_scores, *ctx.before)
        _multiply(_as_one(grad), shared_value.mT, shared)
        _multiply(_each(grad), _each(own_value).mT, own)
        _multiply(_each(grad), _each(value).mT, same)
        of_scores.sub_((grad * mixed).sum(-1, keepdim=True)).mul_(weights)  # the softmax's: w (g - sum of w g)
        of_query, of_key, of_value = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
        _multiply(shared, shared_key, _as_one(of_query), ctx.scale)
        _multiply(own, _each(own_key), _each(of_query), ctx.scale, add=True)
        _multiply(same, _each(key), _each(of_query), ctx.scale, add=True)
        _multiply(same.mT, _each(query), _each(of_key), ctx.scale)
        _multiply(_split(weights, *ctx.before)[2].mT, _each(grad), _each(of_value))
        return of_query, of_key, of_value, None, None, None, None, None


def _split(scores: Tensor, shared: int, own: int) -> tuple[Tensor, Tensor, Tensor]:
    """Views of scores (heads, rows, n, tokens) for the three kinds of keys, each shaped as its product wants it."""
    each = _each(scores)
    return _as_one(scores)[..., :shared], each[..., shared : shared + own], each[..., shared + own :]


def _as_one(x: Tensor) -> Tensor:
    return x.flatten(1, 2)  # (heads, rows n, ...)


def _each(x: Tensor) -> Tensor:
    return x.flatten(0, 1)  # (heads rows, n, ...)


def _multiply(a: Tensor, b: Tensor, out: Tensor, factor: float = 1.0, add: bool = False) -> None:
    """Write factor a b into `out`, or add it there, without a pass for either."""
    torch.baddbmm(out, a, b, beta=1 if add else 0, alpha=factor, out=out)
