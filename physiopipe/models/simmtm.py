"""SimMTM: masked series rebuilt from their neighbours (Dong et al., NeurIPS 2023, arXiv 2302.00861).

This is the version for classification. A batch of B series becomes N = views · B rows: the series themselves, then
masked copies; row v · B + s is view v of series s. Rows are pulled to the other views of their series, and each is
rebuilt from a mean of the others weighted by similarity. Parameter names and shapes are those of the authors' code. Its
reconstruction target is the masked copy, the paper's the clean series: `target` chooses, the paper's by default.
"""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models.contrastive import SigmoidClassifier, cosine_similarities, log_softmax_of_others
from physiopipe.models.dropout import Dropout

Target = Literal["clean", "masked"]


class SimMTMLosses(NamedTuple):
    """Scalars: contrast of series, reconstruction, and the loss to minimise."""

    contrastive: Tensor
    reconstruction: Tensor
    total: Tensor


class LearnedLossWeights(nn.Module):
    """Losses L_i to the sum of L_i / (2 w_i²) + log(1 + w_i²), w learned (Kendall et al. 2018, arXiv 1705.07115)."""

    def __init__(self, losses: int = 2) -> None:
        super().__init__()
        self.params = nn.Parameter(torch.ones(losses))

    def forward(self, *losses: Tensor) -> Tensor:
        """The weighted sum of scalar losses."""
        square = self.params.square()
        return (0.5 / square * torch.stack(losses) + square.log1p()).sum()


class SimMTM(nn.Module):
    """The convolutional encoder with its projector and its reconstruction head.

    Args:
        samples, channels: of a series; the published ones are univariate.
        widths: filters of the three blocks of convolution, batch normalisation, ReLU and pooling.
        kernel, stride: of the first convolution. The second and third have kernel 8 and stride 1.
        hidden, projection: widths of the projector's two layers.
        temperature: of the softmax over similarities.

    Weights are drawn from torch's generator: seed it first. The head and the projector hold most of the parameters:
    both grow with `features`, the head with `samples` too.
    """

    def __init__(
        self,
        samples: int = 178,
        *,
        channels: int = 1,
        widths: tuple[int, int, int] = (32, 64, 128),
        kernel: int = 25,
        stride: int = 3,
        hidden: int = 256,
        projection: int = 128,
        dropout: float = 0.2,
        temperature: float = 0.2,
    ) -> None:
        super().__init__()
        if samples < 1 or kernel % 2 == 0:
            raise PhysiopipeError(
                f"SimMTM of {samples} samples, first kernel {kernel}: expected a sample or more and an odd kernel, as "
                "178 and 25."
            )
        self.samples, self.channels, self.temperature = samples, channels, temperature
        self.conv_block1 = _block(channels, widths[0], kernel, stride, kernel // 2)
        self.conv_block1.append(Dropout(dropout))
        self.conv_block2 = _block(widths[0], widths[1], 8, 1, 4)
        self.conv_block3 = _block(widths[1], widths[2], 8, 1, 4)
        length = (samples - 1) // stride + 1
        for longer in (0, 1, 1):  # a convolution of kernel 8 and padding 4 adds a position
            length = (length + longer) // 2 + 1
        self.features = widths[2] * length
        self.dense = nn.Sequential(
            nn.Linear(self.features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, projection)
        )
        self.awl = LearnedLossWeights()
        self.head = nn.Linear(self.features, channels * samples)

    def encode(self, x: Tensor) -> Tensor:
        """Features (n, features) of series x (n, channels, samples): what a classifier is given."""
        if x.shape[1:] != (self.channels, self.samples):
            raise ValueError(f"expected series (batch, {self.channels}, {self.samples}), found {tuple(x.shape)}")
        encoded: Tensor = self.conv_block3(self.conv_block2(self.conv_block1(x)))
        return encoded.flatten(1)

    def forward(self, x: Tensor, masks: Tensor, target: Target = "clean") -> SimMTMLosses:
        """The pretraining losses of a batch.

        Args:
            x: (B, channels, samples). While it trains, batch normalisation wants B two or more.
            masks: bool (copies · B, channels, samples), from `geometric_masks`: true is kept, the rest is set to 0.
            target: what a masked copy's reconstruction is held to: the clean series, or the copy itself, zeros and
                all, as in the authors' code.
        """
        rows = masked_views(x, masks)
        features = self.encode(rows)
        log_weights = log_softmax_of_others(cosine_similarities(self.dense(features), 1e-12), self.temperature)
        contrastive = series_contrast(log_weights, len(x))
        rebuilt = self.head(aggregate(features, log_weights))
        wanted = rows if target == "masked" else x.repeat(len(rows) // len(x), 1, 1)
        reconstruction = functional.mse_loss(rebuilt, wanted.flatten(1))
        return SimMTMLosses(contrastive, reconstruction, self.awl(contrastive, reconstruction))


class SimMTMClassifier(SigmoidClassifier):
    """What `SimMTM.encode` returns to logits (B, classes), for fine-tuning: SimMTMClassifier(model.features)."""


def masked_views(x: Tensor, masks: Tensor) -> Tensor:
    """Series x (B, C, T) and after them their masked copies, (N, C, T); masks (N - B, C, T) bool, true is kept."""
    copies, remainder = divmod(len(masks), len(x))
    if remainder or not copies or masks.shape[1:] != x.shape[1:]:
        raise ValueError(f"expected masks (copies · {len(x)}, {x.shape[1]}, {x.shape[2]}), found {tuple(masks.shape)}")
    return torch.cat((x, torch.where(masks, x.repeat(copies, 1, 1), 0.0)))


def geometric_masks(
    shape: tuple[int, ...], draws: Tensor, *, masked_ratio: float = 0.5, mean_masked_run: float = 3.0
) -> Tensor:
    """Masks whose runs have geometric lengths (Zerveas et al. 2021, arXiv 2010.02803): bool of `shape`, true is kept.

    A Markov chain of two states runs over all positions in row-major order, from one series to the next. It leaves
    "masked" with probability p = 1 / mean_masked_run and "kept" with p · ratio / (1 - ratio).

    Args:
        draws: as many random numbers in [0, 1) as there are positions, and one more, the first: it chooses where the
            chain starts. Draw them in float64.
    """
    size = math.prod(shape)
    if draws.shape != (size + 1,):
        raise ValueError(f"expected {size + 1} draws for masks {shape}, found {tuple(draws.shape)}")
    if not (0 < masked_ratio < 1 and mean_masked_run >= max(1.0, masked_ratio / (1 - masked_ratio))):
        raise PhysiopipeError(
            f"masked ratio {masked_ratio} with a mean masked run of {mean_masked_run} samples: expected a ratio "
            "between 0 and 1, and a run of at least 1 and at least ratio / (1 - ratio) samples; SimMTM has 0.5 and 3."
        )
    leave_masked = 1 / mean_masked_run
    leave_kept = leave_masked * masked_ratio / (1 - masked_ratio)
    # Every draw but the first and the last moves the chain: one below both probabilities switches the state, one
    # between them leads to the state that is left more seldom, whatever came before. So a position's state is the last
    # one that was led to, switched as often as since then: no loop over positions.
    moves = draws[1:-1]
    switches = moves < min(leave_masked, leave_kept)
    leads = (moves < max(leave_masked, leave_kept)) & ~switches
    at = torch.arange(1, size, device=draws.device)
    last_lead = torch.where(leads, at, 0).cummax(0).values
    zero = torch.zeros(1, dtype=torch.int64, device=draws.device)
    switched = torch.cat((zero, switches.cumsum(0)))
    last_lead = torch.cat((zero, last_lead))
    base = torch.where(last_lead > 0, leave_kept < leave_masked, draws[0] > masked_ratio)
    odd = (switched - switched[last_lead]) % 2 == 1
    return (base ^ odd).view(shape)


def series_contrast(log_weights: Tensor, series: int) -> Tensor:
    """The mean over rows of the sum over a row's positives of -log P, a scalar.

    A row's positives are the other views of its series. The sum makes it, with 3 of them, three times a mean: the
    authors' Kullback-Leibler divergence to a target of ones.

    Args:
        log_weights: (N, N), from `log_softmax_of_others`; rows as at the top of this file.
        series: B, how many series; N is a multiple of it.
    """
    rows = len(log_weights)
    row = torch.arange(rows, device=log_weights.device).unsqueeze(-1)
    later = torch.arange(series, rows, series, device=log_weights.device)
    return -log_weights.gather(1, (row + later) % rows).sum() / rows


def aggregate(features: Tensor, log_weights: Tensor) -> Tensor:
    """Each row's mean of the features (N, F) of all other rows, weighted by the exponential of log_weights (N, N)."""
    return log_weights.exp() @ features


def _block(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, stride, padding, bias=False),
        nn.BatchNorm1d(outputs),
        nn.ReLU(),
        nn.MaxPool1d(2, 2, 1),
    )
