"""Training of a whole network on labelled windows with an optimiser of the caller's, until validation stops rising."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from physiopipe.errors import PhysiopipeError
from physiopipe.models.fusion import in_blocks
from physiopipe.training.clip_draws import ALL_WINDOWS, ClipDraws
from physiopipe.training.curve import CurvePoint
from physiopipe.training.finetune import EVALUATION_BLOCK, LabelledWindows, clip_auc


@dataclass(frozen=True)
class Plan:
    """How long a network is trained.

    Attributes:
        epochs: passes over the windows, at most.
        batch_size: windows of a step.
        patience: epochs without a better one after which training ends; None: never.
        draws: how many windows of a clip an epoch takes.
    """

    epochs: int
    batch_size: int
    patience: int | None = None
    draws: ClipDraws = ALL_WINDOWS


def train_with_patience(
    model: nn.Module,
    windows: LabelledWindows,
    validation: LabelledWindows,
    optimiser: torch.optim.Optimizer,
    plan: Plan,
    order: np.random.Generator,
) -> list[CurvePoint]:
    """Train `model` where it is and leave it with the weights of its best epoch.

    As `physiopipe.training.finetune.train` chooses: by the validation AUC of clips, the first of equals; by the
    validation loss where no task has both classes; the last epoch without validation windows. Losses are binary
    cross-entropy summed over tasks.

    Args:
        model: windows' inputs → logits (B, n tasks).
        order: draws the order of the windows of each epoch; dropout draws from torch's generator.

    Raises:
        PhysiopipeError: no training windows, or a loss that is not finite.
    """
    if len(windows) == 0:
        raise PhysiopipeError("No training windows: no training subject has a window with signal for this method.")
    validation = validation.at(plan.draws.validation_rows(order, validation.clip_of))
    curve: list[CurvePoint] = []
    best: tuple[float, float] | None = None
    best_epoch, kept = 0, model.state_dict()
    for epoch in range(1, plan.epochs + 1):
        curve.append(_trained(model, windows, optimiser, plan, order, epoch))
        if not np.isfinite(curve[-1].loss):
            raise PhysiopipeError(f"The loss is {curve[-1].loss} in epoch {epoch}: lower the method's learning rate.")
        score = (float(epoch), 0.0)
        if len(validation):
            curve.append(_judged(model, validation, epoch))
            score = (np.nan_to_num(curve[-1].auc, nan=-1.0), -curve[-1].loss if np.isnan(curve[-1].auc) else 0.0)
        if best is None or score > best:
            best, best_epoch = score, epoch
            kept = {name: value.detach().clone() for name, value in model.state_dict().items()}
        elif plan.patience is not None and epoch - best_epoch >= plan.patience:
            break
    model.load_state_dict(kept)
    return curve


def _trained(
    model: nn.Module,
    windows: LabelledWindows,
    optimiser: torch.optim.Optimizer,
    plan: Plan,
    order: np.random.Generator,
    epoch: int,
) -> CurvePoint:
    model.train()
    device = next(model.parameters()).device
    rows = plan.draws.epoch_rows(order, windows.clip_of)
    found, total = np.zeros(windows.labels.shape), 0.0
    for start in range(0, len(rows), plan.batch_size):
        batch = torch.from_numpy(rows[start : start + plan.batch_size])
        logits = model(*(part[batch].to(device) for part in windows.inputs))
        loss = _loss(logits, windows.labels[batch].to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        total += loss.item() * len(batch)
        found[batch.numpy()] = torch.sigmoid(logits.detach().double()).cpu().numpy()
    return CurvePoint(epoch, "train", total / len(rows), clip_auc(windows, np.sort(rows), found))


def _judged(model: nn.Module, windows: LabelledWindows, epoch: int) -> CurvePoint:
    model.eval()
    logits = in_blocks(model, windows.inputs, EVALUATION_BLOCK, next(model.parameters()).device)
    loss = _loss(logits, windows.labels).item()
    auc = clip_auc(windows, np.arange(len(windows)), torch.sigmoid(logits.double()).numpy())
    return CurvePoint(epoch, "validation", loss, auc)


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(dim=1).mean()
