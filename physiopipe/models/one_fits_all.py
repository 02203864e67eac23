"""OneFitsAll (GPT4TS): a GPT-2 whose attention and feed-forward stay frozen, on patches of all channels at once.

Source: Zhou et al., NeurIPS 2023, arXiv 2302.11939, its classifier. Parameter names are the authors'.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.models.dropout import Dropout
from physiopipe.models.gpt2_body import Body, hidden_states
from physiopipe.models.patching import PatchEmbedding, check_patching, cut_patches, patch_count

_TRAINED = ("ln", "wpe")  # in the names of GPT-2's trained parameters: norms and position embeddings


class OneFitsAll(nn.Module):
    """Windows (B, channels, samples) to logits (B, classes).

    Args:
        body: of `load_gpt2` or `random_gpt2`; the authors keep 6 of its 12 blocks. It becomes part of
            this model: all but its norms and position embeddings is frozen (see `frozen_parameters`).
        channels, samples: of a window.
        classes: outputs of the one softmax.
        patch_samples, stride_samples: in samples; 16 and 16 are the authors' for EEG (SelfRegulationSCP1 and 2).
        dropout: of the embedded patches. GPT-2's own dropouts are on in training mode, too.

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
        stride_samples: int = 16,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_patching(samples, patch_samples, stride_samples)
        self.channels, self.samples = channels, samples
        self.patch_samples, self.stride_samples = patch_samples, stride_samples
        width = int(body.config.hidden_size)
        tokens = patch_count(samples, patch_samples, stride_samples)
        self.enc_embedding = PatchEmbedding(channels * patch_samples, width)
        self.register_buffer("sinusoids", _sinusoids(tokens, width), persistent=False)
        self.dropout = Dropout(dropout)
        self.gpt2: Body = body
        for name, parameter in body.named_parameters():
            parameter.requires_grad_(any(part in name for part in _TRAINED))
        self.ln_proj = nn.LayerNorm(tokens * width)
        self.out_layer = nn.Linear(tokens * width, classes)

    def patches(self, x: Tensor) -> Tensor:
        """Windows x (B, channels, samples) as tokens (B, n, patch_samples channels), the channel varying fastest."""
        if x.ndim != 3 or x.shape[1:] != (self.channels, self.samples):
            raise ValueError(f"expected windows (batch, {self.channels}, {self.samples}), found {tuple(x.shape)}")
        return cut_patches(x, self.patch_samples, self.stride_samples).permute(0, 2, 3, 1).flatten(2)

    def embed(self, x: Tensor) -> Tensor:
        """Embedded patches (B, n, width) of windows x (B, channels, samples), with their sinusoids."""
        embedded: Tensor = self.dropout(self.enc_embedding(self.patches(x)) + self.sinusoids)
        return embedded

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of windows x (B, channels, samples), float32."""
        hidden = functional.gelu(hidden_states(self.gpt2, self.embed(x)))
        logits: Tensor = self.out_layer(self.ln_proj(hidden.flatten(1)))
        return logits


def _sinusoids(tokens: int, width: int) -> Tensor:
    """The fixed position code (tokens, width) of the first transformer."""
    frequency = torch.exp(torch.arange(0, width, 2).float() * (-math.log(10000.0) / width))
    angle = torch.arange(tokens).float()[:, None] * frequency
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(1)
