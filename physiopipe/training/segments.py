"""Networks that read segments of all channels and learn from the labels of the segments' clips.

An epoch sees as many segments as asked for, drawn anew each time. A clip's probability is the mean over its segments,
which are computed clip by clip: neither other clips nor their number change it.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from physiopipe.clips.clip_data import F64
from physiopipe.clips.segments import Segments
from physiopipe.errors import PhysiopipeError
from physiopipe.training.clip_draws import ALL_WINDOWS, ClipDraws
from physiopipe.training.curve import CurvePoint
from physiopipe.training.finetune import mean_auc

_BLOCK = 64  # segments of a forward pass without gradients

Labels = npt.NDArray[np.int8]
MoreRows = Callable[[int], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Schedule:
    """How a network is trained, by Adam.

    Attributes:
        epochs, batch_size, learning_rate, betas, epsilon: of Adam.
        segments: how many are drawn for an epoch, of those that `draws` takes; None: all.
        draws: how many of a clip.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    segments: int | None = None
    draws: ClipDraws = ALL_WINDOWS


class SegmentNetwork(nn.Module):
    """Segments (B, C, T) to outputs, of which come a loss and probabilities."""

    @abstractmethod
    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean over segments of the losses summed over tasks; labels float32 (B, tasks), 0 or 1."""

    @abstractmethod
    def probability(self, outputs: Tensor) -> Tensor:
        """Of high, float64 (B, tasks)."""


def train(
    network: SegmentNetwork,
    segments: Segments,
    labels: Labels,
    validation: Segments,
    validation_labels: Labels,
    schedule: Schedule,
    order: np.random.Generator,
    more: MoreRows | None = None,
) -> list[CurvePoint]:
    """Train in place; leaves the weights of the epoch whose validation AUC of clips was best.

    As `physiopipe.training.finetune.train` chooses: the first of equals; by the validation loss where no task has both
    classes, and the last epoch without validation segments.

    Args:
        labels, validation_labels: of the clips, (clips, tasks).
        more: given the size of a step, segments and labels to add to it; they enter no curve.

    Raises:
        PhysiopipeError: fewer than two segments, or a loss that is not finite.
    """
    if len(segments) < 2:
        raise PhysiopipeError(
            f"{len(segments)} training segments: expected two or more. Has any training person's window a present "
            "channel that is valid for half a segment?"
        )
    device = next(network.parameters()).device
    validation = validation.at(schedule.draws.validation_rows(order, validation.clip_of))
    values = torch.from_numpy(segments.values)
    truth = torch.from_numpy(labels[segments.clip_of].astype(np.float32))
    optimiser = torch.optim.Adam(
        network.parameters(), schedule.learning_rate, betas=schedule.betas, eps=schedule.epsilon, fused=True
    )
    curve: list[CurvePoint] = []
    best: tuple[float, float] | None = None
    kept: dict[str, Tensor] = {}
    for epoch in range(1, schedule.epochs + 1):
        network.train()
        probability, seen, total = [], [], 0.0
        for rows in _batches(order, segments.clip_of, schedule):
            x, y = values[rows], truth[rows]
            if more is not None:
                added, its_labels = more(len(rows))
                x, y = torch.cat((x, added)), torch.cat((y, its_labels))
            outputs = network(x.to(device))
            loss = network.loss(outputs, y.to(device))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.item() * len(rows)
            probability.append(network.probability(outputs.detach()[: len(rows)]).cpu().numpy())
            seen.append(segments.clip_of[rows])
        curve.append(_point(epoch, "train", total, np.concatenate(seen), np.concatenate(probability), labels))
        if not np.isfinite(curve[-1].loss):
            raise PhysiopipeError(
                f"The training loss is {curve[-1].loss} in epoch {epoch}: lower the method's learning_rate."
            )
        score = (float(epoch), 0.0)
        if len(validation):
            curve.append(_validated(network, validation, validation_labels, epoch))
            score = (np.nan_to_num(curve[-1].auc, nan=-1.0), -curve[-1].loss if np.isnan(curve[-1].auc) else 0.0)
        if best is None or score > best:
            best, kept = score, weights_of(network)
    network.load_state_dict(kept)
    return curve


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Copies of all weights on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def clip_probabilities(network: SegmentNetwork, segments: Segments, clips: int, tasks: int) -> F64:
    """Mean over each clip's segments of the probability of high, (clips, tasks); NaN for a clip without a segment."""
    found = np.full((clips, tasks), np.nan)
    for clip, outputs in _clip_outputs(network, segments, clips):
        found[clip] = network.probability(outputs).mean(dim=0).cpu().numpy()
    return found


def _clip_outputs(network: SegmentNetwork, segments: Segments, clips: int) -> Iterator[tuple[int, Tensor]]:
    device = next(network.parameters()).device
    network.eval()
    values = torch.from_numpy(segments.values)
    with torch.inference_mode():
        for clip, rows in enumerate(segments.by_clip(clips)):
            if len(rows):
                yield clip, torch.cat([network(part.to(device)) for part in torch.split(values[rows], _BLOCK)])


def _validated(network: SegmentNetwork, segments: Segments, labels: Labels, epoch: int) -> CurvePoint:
    probability, total = [], 0.0
    truth = torch.from_numpy(labels.astype(np.float32))
    for clip, outputs in _clip_outputs(network, segments, len(labels)):
        probability.append(network.probability(outputs).cpu().numpy())
        own = truth[clip].expand(len(outputs), -1).to(outputs.device)
        total += network.loss(outputs, own).item() * len(outputs)
    return _point(epoch, "validation", total, segments.clip_of, np.concatenate(probability), labels)


def _point(
    epoch: int, split: str, total: float, clip_of: npt.NDArray[np.int64], probability: F64, labels: Labels
) -> CurvePoint:
    """Loss a segment and AUC of the clips that were seen."""
    clips, row = np.unique(clip_of, return_inverse=True)
    sums = np.zeros((len(clips), labels.shape[1]))
    np.add.at(sums, row, probability)
    auc = mean_auc(labels[clips], sums / np.bincount(row)[:, None])
    return CurvePoint(epoch, "train" if split == "train" else "validation", total / len(clip_of), auc)


def _batches(
    order: np.random.Generator, clip_of: npt.NDArray[np.int64], schedule: Schedule
) -> Iterator[npt.NDArray[np.int64]]:
    """Rows of each step of an epoch; batch normalisation wants two or more in each."""
    rows = schedule.draws.epoch_rows(order, clip_of)[: schedule.segments]
    for start in range(0, len(rows), schedule.batch_size):
        batch = rows[start : start + schedule.batch_size]
        if len(batch) > 1:
            yield batch
