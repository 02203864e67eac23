"""Training of the fusion: BCE summed over labels, best epoch by validation; two recipes.

`table2` is the paper's (Adam, StepLR); `two_rate` is AdamW with a rate of its own for the encoders, a cosine to 0 over
all steps and gradients scaled to norm 1, as CBraMod is fine-tuned. Other networks bring an optimiser of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from physiopipe.errors import PhysiopipeError
from physiopipe.models.fusion import Fusion, in_blocks
from physiopipe.training.clip_draws import ALL_WINDOWS, ClipDraws
from physiopipe.training.curve import CurvePoint
from physiopipe.training.recipe import TrainingSettings

EVALUATION_BLOCK = 64  # windows of a forward pass without gradients
CLIP_NORM = 1.0  # of the recipe two_rate


@dataclass(frozen=True)
class LabelledWindows:
    """Inputs of a model with the labels of their clips; every tensor has the windows first.

    Attributes:
        inputs: what the model is called with, (w, ...) each, on the CPU.
        labels: float32 (w, n tasks), 0 or 1.
        clip_of: int64 (w,), which clip each window is of.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor
    clip_of: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, rows: npt.NDArray[np.int64]) -> "LabelledWindows":
        """Those in these rows, in this order."""
        if np.array_equal(rows, np.arange(len(self))):
            return self
        return LabelledWindows(tuple(part[rows] for part in self.inputs), self.labels[rows], self.clip_of[rows])


class EpochsAndBatches(Protocol):
    """How often, and how many at once."""

    @property
    def epochs(self) -> int: ...

    @property
    def batch_size(self) -> int: ...


class Stepper(Protocol):
    """An optimiser with its schedule."""

    def step(self, loss: Tensor) -> None:
        """One step down the gradient of `loss`."""

    def end_epoch(self) -> None:
        """Say that an epoch is over."""


def train(
    model: nn.Module,
    windows: LabelledWindows,
    validation: LabelledWindows,
    params: TrainingSettings,
    seed: int,
    device: torch.device,
) -> list[CurvePoint]:
    """`train_with` the optimiser of `params.recipe`."""
    steps = -(-len(windows) // params.batch_size)
    return train_with(lambda: Recipe(model, params, steps), model, windows, validation, params, seed, device)


def train_with(
    optimiser: Callable[[], Stepper],
    model: nn.Module,
    windows: LabelledWindows,
    validation: LabelledWindows,
    params: EpochsAndBatches,
    seed: int,
    device: torch.device,
    draws: ClipDraws = ALL_WINDOWS,
) -> list[CurvePoint]:
    """Train `model` in place and leave it with the weights of the epoch whose validation AUC was best.

    The AUC is the mean over the labels that have both classes among the validation clips; the first of equals wins,
    and where no label has both the lowest validation loss decides (the last epoch, without validation windows).

    Args:
        optimiser: makes the optimiser of `model`, once it is on `device`.
        model: windows' inputs → logits (B, n tasks).
        draws: how many windows of a clip are taken.
        seed: of the order of windows and of dropout; torch's global state is left as it was.

    Raises:
        PhysiopipeError: no training windows, or a loss that is not finite.
    """
    if len(windows) == 0:
        raise PhysiopipeError("No training windows: no training subject has a clip with both EEG and ECG.")
    order = np.random.default_rng([seed, 1])
    validation = validation.at(draws.validation_rows(order, validation.clip_of))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        model.to(device)
        recipe = optimiser()
        curve: list[CurvePoint] = []
        best: tuple[float, float] | None = None
        kept: dict[str, Tensor] = {}
        for epoch in range(1, params.epochs + 1):
            rows = draws.epoch_rows(order, windows.clip_of)
            curve.append(_train_epoch(model, recipe, windows, rows, params.batch_size, epoch, device))
            if not np.isfinite(curve[-1].loss):
                raise PhysiopipeError(
                    f"The fine-tuning loss is {curve[-1].loss} in epoch {epoch}: lower the method's learning rate."
                )
            score = (float(epoch), 0.0)
            if len(validation):
                curve.append(_evaluate(model, validation, epoch, device))
                score = (np.nan_to_num(curve[-1].auc, nan=-1.0), -curve[-1].loss if np.isnan(curve[-1].auc) else 0.0)
            if best is None or score > best:
                best = score
                kept = learnt(model)
            recipe.end_epoch()
        model.load_state_dict(kept, strict=False)
    return curve


def learnt(model: nn.Module) -> dict[str, Tensor]:
    """What training changes of a model: copies of its state on the CPU, by name, without frozen parameters."""
    frozen = {name for name, weight in model.named_parameters(remove_duplicate=False) if not weight.requires_grad}
    whole = model.state_dict()
    return {name: value.detach().cpu().clone() for name, value in whole.items() if name not in frozen}


class Recipe:
    """Optimiser and schedule of `params.recipe`."""

    def __init__(self, model: nn.Module, params: TrainingSettings, steps_per_epoch: int) -> None:
        self._trained = [weight for weight in model.parameters() if weight.requires_grad]
        self._clip = params.recipe == "two_rate"
        self._step_epochs = params.recipe == "table2"
        if params.recipe == "table2":
            self.optimiser: torch.optim.Optimizer = torch.optim.Adam(
                self._trained,
                lr=params.learning_rate,
                fused=True,  # a third of a frozen step's time
            )
            self._schedule: torch.optim.lr_scheduler.LRScheduler = torch.optim.lr_scheduler.StepLR(
                self.optimiser, params.step_epochs, params.step_gamma
            )
            return
        backbone = [w for w in model.encoders.parameters() if w.requires_grad] if isinstance(model, Fusion) else []
        of_backbone = {id(weight) for weight in backbone}
        head = [weight for weight in self._trained if id(weight) not in of_backbone]
        groups = [
            {"params": head, "lr": params.head_learning_rate},
            *([{"params": backbone, "lr": params.backbone_learning_rate}] if backbone else []),
        ]
        self.optimiser = torch.optim.AdamW(groups, weight_decay=params.weight_decay, fused=True)
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, params.epochs * steps_per_epoch)

    def step(self, loss: Tensor) -> None:
        """One step down the gradient of `loss`."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._clip:
            torch.nn.utils.clip_grad_norm_(self._trained, CLIP_NORM)
        self.optimiser.step()
        if not self._step_epochs:
            self._schedule.step()

    def end_epoch(self) -> None:
        """Say that an epoch is over."""
        if self._step_epochs:
            self._schedule.step()


def probabilities(
    model: nn.Module, inputs: tuple[Tensor, ...], tasks: int, device: torch.device
) -> npt.NDArray[np.float64]:
    """Probability of high, (w, tasks), for each window; dropout is off."""
    model.to(device).eval()
    if len(inputs[0]) == 0:
        return np.empty((0, tasks))
    compute: Callable[..., Tensor] = model
    logits = in_blocks(compute, inputs, EVALUATION_BLOCK, device)
    found: npt.NDArray[np.float64] = torch.sigmoid(logits.double()).numpy()
    return found


def mean_auc(truth: npt.NDArray[np.integer], probability: npt.NDArray[np.float64]) -> float:
    """Mean over labels (columns) of the ROC AUC, ties counted half; labels with one class are left out, else NaN."""
    found = []
    for label in range(truth.shape[1]):
        high = probability[truth[:, label] == 1, label]
        low = probability[truth[:, label] == 0, label]
        if len(high) and len(low):
            pairs = np.sign(high[:, None] - low[None, :])
            found.append(0.5 + 0.5 * pairs.mean())
    return float(np.mean(found)) if found else float("nan")


def _train_epoch(
    model: nn.Module,
    recipe: Stepper,
    windows: LabelledWindows,
    order: npt.NDArray[np.int64],
    batch_size: int,
    epoch: int,
    device: torch.device,
) -> CurvePoint:
    model.train()
    logits, total = np.zeros(windows.labels.shape), 0.0
    for start in range(0, len(order), batch_size):
        rows = torch.from_numpy(order[start : start + batch_size])
        found = model(*(part[rows].to(device) for part in windows.inputs))
        loss = _loss(found, windows.labels[rows].to(device))
        recipe.step(loss)
        total += loss.item() * len(rows)
        logits[rows.numpy()] = found.detach().cpu().numpy()
    auc = clip_auc(windows, np.sort(order), 1 / (1 + np.exp(-logits)))
    return CurvePoint(epoch, "train", total / len(order), auc)


def _evaluate(model: nn.Module, windows: LabelledWindows, epoch: int, device: torch.device) -> CurvePoint:
    model.eval()
    logits = in_blocks(model, windows.inputs, EVALUATION_BLOCK, device)
    loss = _loss(logits, windows.labels).item()
    auc = clip_auc(windows, np.arange(len(windows)), torch.sigmoid(logits.double()).numpy())
    return CurvePoint(epoch, "validation", loss, auc)


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of each label, summed over labels, mean over windows."""
    return nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(dim=1).mean()


def clip_auc(windows: LabelledWindows, rows: npt.NDArray[np.int64], probability: npt.NDArray[np.float64]) -> float:
    """Mean AUC of the clips of some windows (rows), whose probability is the mean over these windows.

    Args:
        probability: (w, n tasks), of all windows; what stands in other rows does not matter.
    """
    clips, first, row = np.unique(windows.clip_of[rows], return_index=True, return_inverse=True)
    totals = np.zeros((len(clips), probability.shape[1]))
    np.add.at(totals, row, probability[rows])
    truth = windows.labels.numpy()[rows][first].astype(np.int64)
    return mean_auc(truth, totals / np.bincount(row)[:, None])
