"""Networks that learn from single series in two stages: without labels, then with those of the series' clips.

An epoch sees as many series as asked for, drawn anew each time. A clip's probability is the mean over its series, which
are computed clip by clip: neither other clips nor their number change it.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from physiopipe.clips.clip_data import F64
from physiopipe.clips.series import Series
from physiopipe.errors import PhysiopipeError
from physiopipe.training.curve import CurvePoint
from physiopipe.training.finetune import mean_auc

_BLOCK = 1024  # series of a forward pass without gradients


@dataclass(frozen=True)
class Stage:
    """How a network is trained in one stage: Adam with betas 0.9 and 0.99, as TF-C and SimMTM are.

    Attributes:
        epochs, batch_size, learning_rate, weight_decay: of Adam.
        series: how many are drawn for an epoch; None: all.
        cosine: whether the rate falls to 0 along half a cosine, epoch by epoch, or stays.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    series: int | None = None
    cosine: bool = False


class TwoStageNetwork(nn.Module):
    """An encoder with what its self-supervised stage needs, and a classifier."""

    pretraining_only: tuple[str, ...] = ()  # beginnings of the names of weights that no prediction needs

    @abstractmethod
    def pretraining_loss(self, x: Tensor) -> Tensor:
        """The loss without labels of series (B, T), a scalar; random draws are torch's."""

    @abstractmethod
    def finetuning_terms(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (B, tasks) of series (B, T), and a loss to add to that of the labels, or None."""

    @abstractmethod
    def logits(self, x: Tensor) -> Tensor:
        """Logits (B, tasks) of series (B, T)."""

    def fine_tuned_weights(self) -> dict[str, Tensor]:
        """Copies, on the CPU, of the weights that predictions need."""
        whole = self.state_dict().items()
        return {name: w.detach().cpu().clone() for name, w in whole if not name.startswith(self.pretraining_only)}

    def load_fine_tuned(self, weights: dict[str, Tensor]) -> None:
        """Take weights from `fine_tuned_weights`; the others stay."""
        own = {name: w for name, w in self.state_dict().items() if name.startswith(self.pretraining_only)}
        self.load_state_dict({**own, **weights})


def check_enough(series: Series) -> None:
    """Refuse to train on fewer than two series, which batch normalisation cannot."""
    if len(series) < 2:
        raise PhysiopipeError(
            f"{len(series)} training series: expected two or more. Has any training person's window a present channel "
            "that is valid for half a series?"
        )


def pretrain(network: TwoStageNetwork, values: Tensor, stage: Stage, order: np.random.Generator) -> float:
    """Train without labels, in place; the mean loss of the last epoch.

    Only whole batches are taken, as published, unless there are fewer series than a batch.

    Args:
        values: series (n, T), of training people.
        order: draws the series of each epoch.

    Raises:
        PhysiopipeError: a loss that is not finite.
    """
    device = next(network.parameters()).device
    network.train()
    optimiser, schedule = _optimiser(network, stage)
    mean = float("nan")
    for epoch in range(1, stage.epochs + 1):
        losses = []
        for rows in _batches(order, len(values), stage, whole=True):
            loss = network.pretraining_loss(values[rows].to(device))
            _step(optimiser, loss)
            losses.append(loss.item())
        mean = float(np.mean(losses))
        _check_finite(mean, "self-supervised", epoch)
        schedule.step()
    return mean


def finetune(
    network: TwoStageNetwork,
    train: Series,
    train_labels: npt.NDArray[np.int8],
    validation: Series,
    validation_labels: npt.NDArray[np.int8],
    stage: Stage,
    order: np.random.Generator,
) -> list[CurvePoint]:
    """Train with labels, in place; leaves the weights of the epoch whose validation AUC of clips was best.

    As `physiopipe.training.finetune.train` chooses: the first of equals; by the validation loss where no task has both
    classes, and the last epoch without validation series. Losses are binary cross-entropy summed over tasks.

    Args:
        train_labels, validation_labels: of the clips, (clips, tasks).
    """
    device = next(network.parameters()).device
    values, labels = torch.from_numpy(train.values), torch.from_numpy(train_labels.astype(np.float32))
    optimiser, schedule = _optimiser(network, stage)
    curve: list[CurvePoint] = []
    best: tuple[float, float] | None = None
    kept: dict[str, Tensor] = {}
    for epoch in range(1, stage.epochs + 1):
        network.train()
        logits, seen, total = [], [], 0.0
        for rows in _batches(order, len(values), stage, whole=False):
            found, besides = network.finetuning_terms(values[rows].to(device))
            loss = _label_loss(found, labels[train.clip_of[rows]].to(device))
            total += loss.item() * len(rows)
            _step(optimiser, loss if besides is None else loss + besides)
            logits.append(found.detach().cpu())
            seen.append(train.clip_of[rows])
        schedule.step()
        clip_of = np.concatenate(seen)
        auc = mean_auc(*_known(train_labels, _means(torch.cat(logits), clip_of, len(train_labels))))
        curve.append(CurvePoint(epoch, "train", total / len(clip_of), auc))
        _check_finite(curve[-1].loss, "fine-tuning", epoch)
        score = (float(epoch), 0.0)
        if len(validation):
            curve.append(_validated(network, validation, validation_labels, epoch))
            score = (np.nan_to_num(curve[-1].auc, nan=-1.0), -curve[-1].loss if np.isnan(curve[-1].auc) else 0.0)
        if best is None or score > best:
            best, kept = score, network.fine_tuned_weights()
    network.load_fine_tuned(kept)
    return curve


def clip_probabilities(network: TwoStageNetwork, series: Series, clips: int, tasks: int) -> F64:
    """Mean over each clip's series of the probability of high, (clips, tasks); NaN for a clip without a series."""
    found = np.full((clips, tasks), np.nan)
    for clip, logits in _clip_logits(network, series, clips):
        found[clip] = torch.sigmoid(logits.double()).mean(dim=0).numpy()
    return found


def chosen_series(series: Series, clips: int, count: int | None, order: np.random.Generator) -> Series:
    """About `count` of the series, drawn once, as many of each clip; all with None."""
    if count is None or count >= len(series):
        return series
    of_each = -(-count // max(clips, 1))
    rows = np.concatenate([np.sort(order.permutation(own)[:of_each]) for own in series.by_clip(clips)])
    return Series(series.values[rows], series.clip_of[rows])


def _clip_logits(network: TwoStageNetwork, series: Series, clips: int) -> Iterator[tuple[int, Tensor]]:
    device = next(network.parameters()).device
    network.eval()
    values = torch.from_numpy(series.values)
    with torch.inference_mode():
        for clip, rows in enumerate(series.by_clip(clips)):
            if len(rows):
                blocks = [network.logits(part.to(device)).cpu() for part in torch.split(values[rows], _BLOCK)]
                yield clip, torch.cat(blocks)


def _validated(network: TwoStageNetwork, series: Series, labels: npt.NDArray[np.int8], epoch: int) -> CurvePoint:
    probability, total = np.full(labels.shape, np.nan), 0.0
    truth = torch.from_numpy(labels.astype(np.float32))
    for clip, logits in _clip_logits(network, series, len(labels)):
        probability[clip] = torch.sigmoid(logits.double()).mean(dim=0).numpy()
        total += _label_loss(logits, truth[clip].expand_as(logits)).item() * len(logits)
    return CurvePoint(epoch, "validation", total / len(series), mean_auc(*_known(labels, probability)))


def _batches(order: np.random.Generator, count: int, stage: Stage, whole: bool) -> Iterator[npt.NDArray[np.int64]]:
    """Rows of each step of an epoch; batch normalisation wants two or more in each."""
    rows = order.permutation(count)[: stage.series]
    size = min(stage.batch_size, len(rows))
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        if len(batch) == size or (not whole and len(batch) > 1):
            yield batch


def _optimiser(network: nn.Module, stage: Stage) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    optimiser = torch.optim.Adam(
        network.parameters(), stage.learning_rate, betas=(0.9, 0.99), weight_decay=stage.weight_decay, fused=True
    )

    def share(epoch: int) -> float:
        return (1 + float(np.cos(np.pi * epoch / stage.epochs))) / 2 if stage.cosine else 1.0

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, share)


def _step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


def _label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of each task, summed over tasks, mean over series."""
    return binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(dim=1).mean()


def _means(logits: Tensor, clip_of: npt.NDArray[np.int64], clips: int) -> F64:
    """Mean probability over the series of each clip, NaN for a clip without one."""
    totals, counts = np.zeros((clips, logits.shape[1])), np.bincount(clip_of, minlength=clips)[:, None]
    np.add.at(totals, clip_of, torch.sigmoid(logits.double()).numpy())
    return np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts > 0)


def _known(labels: npt.NDArray[np.int8], probability: F64) -> tuple[npt.NDArray[np.int8], F64]:
    """Labels and probabilities of the clips that have one."""
    known = np.isfinite(probability).all(axis=1)
    return labels[known], probability[known]


def _check_finite(loss: float, stage: str, epoch: int) -> None:
    if not np.isfinite(loss):
        raise PhysiopipeError(f"The {stage} loss is {loss} in epoch {epoch}: lower this stage's learning rate.")
