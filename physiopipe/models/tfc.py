"""TF-C: contrast of a series with its spectrum (Zhang et al., NeurIPS 2022, arXiv 2206.08496).

A univariate series and its magnitude spectrum each have an encoder and a projector; parameter names and shapes are
those of the authors' code. Where that code and the paper, or good sense, differ, a keyword chooses:

- `attention_over`: the authors' encoder reads a batch as one sequence, so that a prediction depends on the samples it
  happens to be batched with. "sequence", the default here, lets each series attend within itself; it is one token, so
  attention is then a linear map of it. "batch" is the authors' form.
- `doubled` of the spectrum's augmentation, and the losses' keywords in `tfc_losses`: see there.
"""

import copy
import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models.contrastive import SigmoidClassifier
from physiopipe.models.dropout import Dropout

AttentionOver = Literal["sequence", "batch"]


class Embeddings(NamedTuple):
    """What TF-C makes of B series: encoder outputs h (B, samples) and projections z (B, projection), by domain."""

    h_time: Tensor
    z_time: Tensor
    h_frequency: Tensor
    z_frequency: Tensor


class _SelfAttention(nn.Module):
    """Multi-head self-attention of rows (B, width), with the parameters of `torch.nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int, dropout: float, over: AttentionOver) -> None:
        super().__init__()
        self.width, self.heads, self.over = width, heads, over
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.dropout = Dropout(dropout)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        attended = self._within_rows(x) if self.over == "sequence" else self._over_rows(x)
        mixed: Tensor = self.out_proj(attended)
        return mixed

    def _within_rows(self, x: Tensor) -> Tensor:
        # softmax over one key is 1, so query and key do not matter; dropping that weight drops the head
        values = slice(2 * self.width, None)
        value = functional.linear(x, self.in_proj_weight[values], self.in_proj_bias[values])
        weight = self.dropout(x.new_ones(len(x), self.heads, 1))
        dropped: Tensor = value.view(len(x), self.heads, -1) * weight
        return dropped.flatten(1)

    def _over_rows(self, x: Tensor) -> Tensor:
        projected = functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = projected.view(len(x), 3, self.heads, -1).permute(1, 2, 0, 3)  # each (heads, B, width)
        weights = self.dropout((query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1))
        attended: Tensor = weights @ value
        return attended.transpose(0, 1).flatten(1)


class _EncoderLayer(nn.Module):
    """A post-norm transformer layer of rows (B, width), with the parameter names of PyTorch's."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float, over: AttentionOver) -> None:
        super().__init__()
        self.self_attn = _SelfAttention(width, heads, dropout, over)
        self.linear1 = nn.Linear(width, feedforward)
        self.linear2 = nn.Linear(feedforward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(x + self.dropout1(self.self_attn(x)))
        fed = self.linear2(self.dropout(functional.relu(self.linear1(x))))
        transformed: Tensor = self.norm2(x + self.dropout2(fed))
        return transformed


class _Encoder(nn.Module):
    """Layers that start alike, as copies of one; a module of its own because the authors' names say `layers.<i>`."""

    def __init__(self, layer: _EncoderLayer, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class TFC(nn.Module):
    """Series and their spectra to embeddings. Weights are drawn from torch's generator: seed it first.

    Args:
        samples: T, the length of a series and the width of both encoders: parameters and cost grow as T squared. Even.
        projection, hidden: widths of the projectors' output and of the layer before it.
        attention_over: see the top of this file.

    While it trains, batch normalisation in the projectors needs two series or more.
    """

    def __init__(
        self,
        samples: int = 178,
        *,
        layers: int = 2,
        heads: int = 2,
        hidden: int = 256,
        projection: int = 128,
        dropout: float = 0.1,
        attention_over: AttentionOver = "sequence",
    ) -> None:
        super().__init__()
        if samples % 2 or samples % heads:
            raise PhysiopipeError(
                f"TF-C of {samples} samples with {heads} attention heads: the number of samples is the width of the "
                "encoder, so it must be even and a multiple of the heads. Cut or resample the series."
            )
        self.samples = samples

        def encoder() -> _Encoder:
            return _Encoder(_EncoderLayer(samples, heads, 2 * samples, dropout, attention_over), layers)

        def projector() -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(samples, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, projection)
            )

        self.transformer_encoder_t, self.projector_t = encoder(), projector()
        self.transformer_encoder_f, self.projector_f = encoder(), projector()

    def forward(self, x: Tensor, spectrum: Tensor) -> Embeddings:
        """Embed series x (B, T) and their spectra (B, T), from `magnitude_spectrum`."""
        for given in (x, spectrum):
            if given.ndim != 2 or given.shape[-1] != self.samples:
                raise ValueError(f"expected series (batch, {self.samples}), found {tuple(given.shape)}")
        h_time, h_frequency = self.transformer_encoder_t(x), self.transformer_encoder_f(spectrum)
        return Embeddings(h_time, self.projector_t(h_time), h_frequency, self.projector_f(h_frequency))


class TFCClassifier(SigmoidClassifier):
    """Both projections of B series to logits (B, classes), for fine-tuning."""

    def __init__(self, classes: int = 2, *, projection: int = 128, hidden: int = 64) -> None:
        super().__init__(2 * projection, classes, hidden)

    def forward(self, embeddings: Embeddings) -> Tensor:  # type: ignore[override] # what TFC returns, not its parts
        """Logits of what `TFC` returns."""
        return super().forward(torch.cat((embeddings.z_time, embeddings.z_frequency), dim=-1))


def magnitude_spectrum(x: Tensor) -> Tensor:
    """|FFT| of series x (..., T): all T frequencies, mirrored, not divided by T, as the authors feed it."""
    spectrum: Tensor = torch.fft.fft(x)
    return spectrum.abs()


def jitter(x: Tensor, noise: Tensor, deviation: float = 2.0) -> Tensor:
    """The time augmentation: series x plus standard normal noise of its shape, times `deviation`, in units of x.

    The authors take 2 for SleepEEG, 0.8 for activity and ECG, 0.1 for vibration.
    """
    return x + deviation * noise


def perturb_spectrum(
    spectrum: Tensor,
    draws: Tensor,
    *,
    ratio: float = 0.1,
    amplitude: float = 0.1,
    highest: float | None = None,
    doubled: bool = True,
) -> Tensor:
    """The frequency augmentation: components removed and others added, at random.

    Args:
        spectrum: (..., T), from `magnitude_spectrum`.
        draws: (3, ..., T), uniform in [0, 1): where one is removed, where one is added, and how much.
        ratio: share of components removed, and share added to.
        amplitude: the most that is added, as a share of the highest component.
        highest: that component; by default of the spectra given. The authors take the whole data set's.
        doubled: as the authors' code, which adds the spectrum with components removed to the one with components
            added, and so doubles those left alone; false applies both changes to one spectrum.
    """
    remove, add, amount = draws
    top = spectrum.max() if highest is None else highest
    removed = torch.where(remove > ratio, spectrum, 0.0)
    added = torch.where(add > 1 - ratio, amount * amplitude * top, 0.0)
    return removed + added + spectrum if doubled else removed + added
