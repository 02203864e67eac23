"""EEG Conformer (Song et al. 2023, IEEE TNSRE 31, 710-719): a convolutional stem, then a transformer over time.

A convolution over time and one over all electrodes, averaged to tokens of 40 numbers; pre-norm transformer blocks
without position embedding; a head of three layers over all tokens. As published, attention is divided by the root of
the embedding's width, 40, not of a head's, 4.

Training adds trials that are put together from segments of others (`recombined_trials`).
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models import cpu_kernels
from physiopipe.models.dropout import Dropout

Stem = Literal["composed", "published"]
Scale = Literal["width", "head"]


class EegConformer(nn.Module):
    """Logits of EEG windows; the defaults are the published sizes for BCI competition IV 2a (22 x 1000, 4 classes).

    Args:
        electrodes, samples: of a window.
        classes: number of logits.
        width: of a token, and number of filters of the stem.
        temporal_kernel: samples of the stem's convolution over time.
        pool, pool_stride: samples that a token averages, and from one token to the next.
        blocks, heads, expansion: of the transformer; feed-forward layers are `expansion * width` wide.
        head_widths: of the two hidden layers of the head.
        dropout, last_dropout: everywhere, and before the last layer.
        stem: published: the two convolutions one after the other. composed: the same function, the same parameters,
            as one convolution (see `ConvolutionStem`).
        attention_scale: scores are divided by the root of the `width` (as published) or of the width of a `head`.

    Raises:
        PhysiopipeError: a window too short for one token, a width that heads do not divide.
    """

    def __init__(
        self,
        electrodes: int = 22,
        samples: int = 1000,
        classes: int = 4,
        *,
        width: int = 40,
        temporal_kernel: int = 25,
        pool: int = 75,
        pool_stride: int = 15,
        blocks: int = 6,
        heads: int = 10,
        expansion: int = 4,
        head_widths: tuple[int, int] = (256, 32),
        dropout: float = 0.5,
        last_dropout: float = 0.3,
        stem: Stem = "composed",
        attention_scale: Scale = "width",
    ) -> None:
        super().__init__()
        if width % heads:
            raise PhysiopipeError(f"EEG Conformer: a width of {width} is no multiple of {heads} heads; change either.")
        tokens = (samples - temporal_kernel + 1 - pool) // pool_stride + 1
        if tokens < 1:
            raise PhysiopipeError(
                f"EEG Conformer: windows of {samples} samples hold no token: expected {temporal_kernel - 1 + pool} or "
                "more. Give longer windows, or a smaller temporal_kernel or pool."
            )
        self.shape = (electrodes, samples)
        self.stem = ConvolutionStem(electrodes, width, temporal_kernel, pool, pool_stride, dropout, stem)
        scale = (width if attention_scale == "width" else width // heads) ** -0.5
        self.blocks = nn.Sequential(*(Block(width, heads, expansion, dropout, scale) for _ in range(blocks)))
        first, second = head_widths
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(tokens * width, first),
            nn.ELU(),
            Dropout(dropout),
            nn.Linear(first, second),
            nn.ELU(),
            Dropout(last_dropout),
            nn.Linear(second, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of windows x (B, electrodes, samples)."""
        if x.ndim != 3 or tuple(x.shape[1:]) != self.shape:
            raise PhysiopipeError(
                f"EEG Conformer: found windows of shape {tuple(x.shape)}, expected (windows, {self.shape[0]} "
                f"electrodes, {self.shape[1]} samples): cut the recordings so, or build the network for these sizes."
            )
        logits: Tensor = self.head(self.blocks(self.stem(x)))
        return logits


class ConvolutionStem(nn.Module):
    """Windows (B, electrodes, samples) to tokens (B, tokens, width).

    Nothing stands between the convolution over time (1 -> width) and that over electrodes (width -> width), so both
    are one convolution electrodes -> width of the same length in time. Its kernel costs next to nothing, and the
    products a window fall from (electrodes * width) * (kernel + width) to (electrodes * width) * kernel a sample,
    while the (B, width, electrodes, samples) between both is never made: at 14 electrodes a CPU is 17 times as fast.
    """

    def __init__(
        self, electrodes: int, width: int, kernel: int, pool: int, stride: int, dropout: float, order: Stem
    ) -> None:
        super().__init__()
        self.order, self.pool, self.stride = order, pool, stride
        self.temporal = nn.Conv2d(1, width, (1, kernel))
        self.spatial = nn.Conv2d(width, width, (electrodes, 1))
        self.norm = nn.BatchNorm1d(width)
        self.dropout = Dropout(dropout)
        self.projection = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        activity = functional.elu(self.norm(self.convolved(x)))
        tokens = self.dropout(functional.avg_pool1d(activity, self.pool, self.stride))
        projected: Tensor = self.projection(tokens.transpose(1, 2))
        return projected

    def convolved(self, x: Tensor) -> Tensor:
        """Both convolutions: (B, width, samples - kernel + 1)."""
        if self.order == "published":
            both: Tensor = self.spatial(self.temporal(x.unsqueeze(1))).squeeze(2)
            return both
        over_time, over_electrodes = self.temporal.weight[:, 0, 0], self.spatial.weight[..., 0]
        kernel = torch.einsum("fk,gfc->gck", over_time, over_electrodes)
        bias = self.spatial.bias + over_electrodes.sum(2) @ self.temporal.bias  # type: ignore[operator]
        return functional.conv1d(x, kernel, bias)


class Block(nn.Module):
    """Pre-norm transformer block over tokens (B, n, width)."""

    def __init__(self, width: int, heads: int, expansion: int, dropout: float, scale: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout, scale)
        self.linear1 = nn.Linear(width, expansion * width)
        self.linear2 = nn.Linear(expansion * width, width)
        self.inner_dropout, self.dropout = Dropout(dropout), Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        wide = self.inner_dropout(functional.gelu(self.linear1(self.norm2(x))))
        mixed: Tensor = x + self.dropout(self.linear2(wide))
        return mixed


class Attention(nn.Module):
    """Multi-head self-attention with dropout on the weights; `scale` multiplies the scores."""

    def __init__(self, width: int, heads: int, dropout: float, scale: float) -> None:
        super().__init__()
        self.heads, self.scale, self.probability = heads, scale, dropout
        self.queries, self.keys = nn.Linear(width, width), nn.Linear(width, width)
        self.values, self.projection = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, n, width) of tokens (B, n, width)."""
        size = x.shape[-1] // self.heads
        dropout = self.probability if self.training else 0.0
        queries, keys, values = (
            layer(x).unflatten(-1, (self.heads, size)).transpose(1, 2)
            for layer in (self.queries, self.keys, self.values)
        )
        if dropout and cpu_kernels.fits(x):  # cheap random numbers; it divides by the root of a head's width
            attended = cpu_kernels.attention(
                torch.stack((queries * (self.scale * size**0.5), keys, values)), None, dropout
            )
        else:
            attended = functional.scaled_dot_product_attention(
                queries, keys, values, dropout_p=dropout, scale=self.scale
            )
        projected: Tensor = self.projection(attended.transpose(1, 2).flatten(2))
        return projected


def recombined_trials(
    trials: Tensor, classes: Tensor, per_class: int, *, generator: torch.Generator, segments: int = 8
) -> tuple[Tensor, Tensor]:
    """New trials for augmentation by segmentation and recombination (Lotte 2015; as EEG Conformer trains).

    For every class that occurs, `per_class` new trials; each of their segments is copied, at its own place and with all
    electrodes, from a trial of that class drawn uniformly, with replacement, independently of the other segments.

    Args:
        trials: (N, electrodes, samples), of training subjects only: a trial that is tested must not enter.
        classes: (N,) int64.
        per_class: new trials of each class; may exceed the trials that there are.
        generator: of every draw, on the CPU.
        segments: of equal length, or one sample apart where the samples do not divide.

    Returns:
        new trials (K * per_class, electrodes, samples) in random order, and their classes.
    """
    if len(trials) == 0 or len(classes) != len(trials) or not 1 <= segments <= trials.shape[-1]:
        raise PhysiopipeError(
            f"Recombination: found {len(trials)} trials of {trials.shape[-1]} samples, {len(classes)} classes and "
            f"{segments} segments; expected one class a trial, at least one trial, and a sample a segment or more."
        )
    sources, labels = [], []
    for label in sorted(set(classes.tolist())):
        own = torch.nonzero(classes == label).squeeze(1)
        sources.append(own[torch.randint(len(own), (per_class, segments), generator=generator)])
        labels.append(torch.full((per_class,), label, dtype=classes.dtype))
    order = torch.randperm(per_class * len(labels), generator=generator)
    source, new_classes = torch.cat(sources)[order], torch.cat(labels)[order]
    new = torch.empty((len(source), *trials.shape[1:]), dtype=trials.dtype)
    bounds = [trials.shape[-1] * edge // segments for edge in range(segments + 1)]
    for segment, (start, end) in enumerate(pairwise(bounds)):
        new[..., start:end] = trials[source[:, segment], :, start:end]
    return new, new_classes
