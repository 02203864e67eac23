"""Time-LLM: patches of one channel, rewritten in a frozen language model's terms, after a prompt about that channel.

Source: Jin et al., ICLR 2024, arXiv 2310.01728. Parameter names are the authors'. They publish a forecaster; the
classifier (flatten, then one linear layer) is ours. Each channel is a row of its own up to there.

Two deviations: the language model's dropout stays off in training, so that what is computed once for a prompt holds;
and, unless `attend_to_padding`, a row's patches follow its own prompt, so that an output does not depend on the other
windows of its batch, as it does in the authors' code.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models.dropout import Dropout
from physiopipe.models.gpt2_body import Body, KeysValues, hidden_states, hidden_states_after
from physiopipe.models.patching import PatchEmbedding, check_patching, cut_patches, patch_count
from physiopipe.models.prompts import PromptCache, PromptTokens

_EPSILON = 1e-5  # of the variance
_WINDOWS_AT_ONCE = 8  # without gradients: more only costs memory


class Normalised(NamedTuple):
    """Windows whose channels have mean 0 and variance 1, and what they had before."""

    windows: Tensor  # (B, channels, samples)
    mean: Tensor  # (B, channels, 1)
    deviation: Tensor


def normalise(x: Tensor) -> Normalised:
    """Windows x (B, channels, samples), each channel by its own mean and biased deviation (RevIN's input half)."""
    with torch.no_grad():
        in_time = x.mT.contiguous()  # summed in the authors' order: a prompt prints every digit of what comes of it
        mean = in_time.mean(1, keepdim=True).mT
        variance = in_time.var(1, keepdim=True, unbiased=False).mT + _EPSILON
        deviation = variance.double().sqrt().to(x.dtype)  # torch's root of float32 is not rounded alike everywhere
    return Normalised((x - mean) / deviation, mean, deviation)


class Reprogramming(nn.Module):
    """Cross-attention of patch tokens to prototypes of the language model's vocabulary."""

    def __init__(self, width: int, heads: int, head_width: int, language_width: int, dropout: float) -> None:
        super().__init__()
        self.heads, inner = heads, heads * head_width
        self.query_projection = nn.Linear(width, inner)
        self.key_projection = nn.Linear(language_width, inner)
        self.value_projection = nn.Linear(language_width, inner)
        self.out_projection = nn.Linear(inner, language_width)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, prototypes: Tensor) -> Tensor:
        """Tokens (rows, n, width) in terms of prototypes (P, language width): (rows, n, language width)."""
        query = self._heads(self.query_projection(tokens.flatten(0, 1)))
        key, value = self._heads(self.key_projection(prototypes)), self._heads(self.value_projection(prototypes))
        if self.training and self.dropout.probability:  # torch's fused attention has no dropout on a CPU
            scores = (query * query.shape[-1] ** -0.5) @ key.mT
            mixed = self.dropout(scores.softmax(-1)) @ value
        else:
            mixed = functional.scaled_dot_product_attention(query[None], key[None], value[None])[0]
        joined = mixed.transpose(0, 1).reshape(*tokens.shape[:2], -1)
        written: Tensor = self.out_projection(joined)
        return written

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(len(x), self.heads, -1).transpose(0, 1)


class TimeLLM(nn.Module):
    """Windows (B, channels, samples) and their prompts to logits (B, classes).

    Args:
        body: of `load_gpt2` or `random_gpt2`; all of it is frozen, in evaluation mode, and part of this model.
        channels, samples: of a window.
        classes: outputs of the one softmax.
        patch_samples, stride_samples: in samples.
        d_model: width of a patch token. The authors take 8 to 32.
        d_ff: width of a head of the reprogramming, and the hidden state's features that the classifier sees; at most
            the body's width. The authors take 32 or 128.
        heads: of the reprogramming.
        prototypes: combinations of the vocabulary that patches are written in.
        dropout: of patch tokens and of the attention to prototypes.
        attend_to_padding: as published: the padding of a prompt to the longest of its batch is read as tokens.

    New weights are drawn from torch's generator: seed it first. Sizes that do not fit raise PhysiopipeError.
    """

    def __init__(
        self,
        body: Body,
        *,
        channels: int,
        samples: int,
        classes: int = 2,
        patch_samples: int = 16,
        stride_samples: int = 8,
        d_model: int = 32,
        d_ff: int = 128,
        heads: int = 8,
        prototypes: int = 1000,
        dropout: float = 0.1,
        attend_to_padding: bool = False,
    ) -> None:
        super().__init__()
        check_patching(samples, patch_samples, stride_samples)
        vocabulary, width = body.wte.weight.shape
        if d_ff > width:
            raise PhysiopipeError(f"d_ff {d_ff}, more than the language model's width {width}: take at most that.")
        self.channels, self.samples, self.d_ff = channels, samples, d_ff
        self.patch_samples, self.stride_samples = patch_samples, stride_samples
        self.attend_to_padding = attend_to_padding
        self.patch_embedding = PatchEmbedding(patch_samples, d_model)
        self.dropout = Dropout(dropout)
        self.mapping_layer = nn.Linear(vocabulary, prototypes)
        self.reprogramming_layer = Reprogramming(d_model, heads, d_ff, width, dropout)
        self.llm_model: Body = body.requires_grad_(False).eval()
        self.classifier = nn.Linear(channels * d_ff * patch_count(samples, patch_samples, stride_samples), classes)

    def train(self, mode: bool = True) -> "TimeLLM":
        """Switch dropout on or off everywhere but in the language model, where it stays off."""
        super().train(mode)
        self.llm_model.eval()
        return self

    def patch_tokens(self, x: Tensor) -> Tensor:
        """Normalised windows x (B, channels, samples) as tokens (B channels, n, width) of the language model."""
        if x.ndim != 3 or x.shape[1:] != (self.channels, self.samples):
            raise ValueError(f"expected windows (batch, {self.channels}, {self.samples}), found {tuple(x.shape)}")
        patches = cut_patches(x.flatten(0, 1), self.patch_samples, self.stride_samples)
        tokens: Tensor = self.reprogramming_layer(self.dropout(self.patch_embedding(patches)), self.prototypes())
        return tokens

    def prototypes(self) -> Tensor:
        """The prototypes (P, width): weighted sums of the token embeddings, plus one number each."""
        return torch.addmm(self.mapping_layer.bias[:, None], self.mapping_layer.weight, self.llm_model.wte.weight)

    def head_input(self, x: Tensor, prompts: PromptTokens | KeysValues) -> Tensor:
        """Features (B, channels, d_ff, n) of windows x (B, channels, samples); prompts as in `forward`."""
        tokens = self.patch_tokens(normalise(x).windows)
        if isinstance(prompts, KeysValues):
            if self.attend_to_padding:
                raise ValueError("attend_to_padding needs PromptTokens: a prompt's padding depends on its batch")
            hidden = hidden_states_after(self.llm_model, tokens, prompts)
        else:
            hidden = self._hidden_states(tokens, prompts)
        return hidden[..., : self.d_ff].reshape(*x.shape[:2], -1, self.d_ff).transpose(2, 3)

    def forward(self, x: Tensor, prompts: PromptTokens | KeysValues) -> Tensor:
        """Logits (B, classes) of windows x (B, channels, samples), float32.

        prompts: of the B channels rows, window by window: their tokens (`pad_prompts`), or, for the same output many
        times faster, their keys and values (`PromptCache`).
        """
        logits: Tensor = self.classifier(self.head_input(x, prompts).flatten(1))
        return logits

    def _hidden_states(self, tokens: Tensor, prompts: PromptTokens) -> Tensor:
        """Hidden states of tokens (rows, n, width) that are put after the last token of each row's prompt.

        Padding ends up behind the patches, where the causal attention never looks and positions no longer count.
        """
        rows, n, width = tokens.shape
        longest = prompts.tokens.shape[1]
        before = torch.full_like(prompts.lengths, longest) if self.attend_to_padding else prompts.lengths
        prompt = functional.embedding(prompts.tokens, self.llm_model.wte.weight)
        at = (before[:, None] + torch.arange(n, device=before.device))[..., None].expand(rows, n, width)
        embedded = functional.pad(prompt, (0, 0, 0, n)).scatter(1, at, tokens)
        return hidden_states(self.llm_model, embedded).gather(1, at)


class Prompted(nn.Module):
    """A TimeLLM that looks up its windows' prompts: windows (B, channels, samples), their places (B,) to logits.

    Attributes:
        prompts: where the keys and values of windows are; to be set before the first call, and whenever windows come
            from elsewhere. It is no part of the model's state.
    """

    def __init__(self, network: TimeLLM) -> None:
        super().__init__()
        self.network = network
        self.prompts: PromptCache | None = None

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """Logits (B, classes) of windows x (B, channels, samples) whose prompts are at `places` (B,), int64.

        Outside training a few windows at a time, which bounds the memory that keys and scores take.
        """
        if self.prompts is None:
            raise ValueError("a Prompted network was called without prompts")
        at_once = len(x) if self.training else _WINDOWS_AT_ONCE
        parts = zip(torch.split(x, at_once), torch.split(places, at_once), strict=True)
        return torch.cat([self.network(part, self.prompts[place]) for part, place in parts])
