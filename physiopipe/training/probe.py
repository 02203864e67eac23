"""Logistic regression on frozen embeddings, the strength of its penalty chosen by the validation subjects.

A linear probe: what can be read from an embedding without learning another one. Each task has its own penalty.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from physiopipe.errors import PhysiopipeError
from physiopipe.models.probes import LogisticHeads
from physiopipe.training.finetune import LabelledWindows, mean_auc

_NEWTON_STEPS = 100
_TOLERANCE = 1e-9  # of the gradient, the loss being a mean over windows
_NO_DIRECTION = 1e-10  # of the largest singular value


def fit_logistic(
    heads: LogisticHeads,
    windows: LabelledWindows,
    validation: LabelledWindows,
    inverse_regularisations: Sequence[float],
) -> tuple[float, ...]:
    """Fit `heads` in place, on the scale it has been given; return each task's C.

    The loss of a task is the sum of the windows' cross-entropies times C, plus half the squared weights (no intercept).
    Of the Cs, from the smallest, the first of the best AUC of the validation clips is taken; where these have one
    class alone, that of the lowest cross-entropy; where there are none, the smallest.

    Raises:
        PhysiopipeError: no training windows.
    """
    if len(windows) == 0:
        raise PhysiopipeError("No training windows: no training subject has a clip with both EEG and ECG.")
    strengths = sorted(inverse_regularisations)
    with torch.no_grad():
        x, held_out = (heads.features(each.inputs[0]).double() for each in (windows, validation))
        # in the space of the training windows: exact, and small however wide the embeddings are
        left, singular, right = torch.linalg.svd(x, full_matrices=False)
        kept = singular > _NO_DIRECTION * singular.max().clamp(min=1e-300)
        inside, directions = left[:, kept] * singular[kept], right[kept]
        chosen = []
        for task in range(windows.labels.shape[1]):
            truth, best, taken = windows.labels[:, task].double(), (-np.inf, -np.inf), strengths[0]
            start = torch.zeros(inside.shape[1] + 1, dtype=torch.float64)
            for strength in strengths:
                start = _newton(inside, truth, strength, start)
                weight, intercept = directions.T @ start[:-1], start[-1]
                found = _score(held_out @ weight + intercept, validation, task) if len(validation) else (0.0, 0.0)
                if found > best:
                    best, taken = found, strength
                    heads.linear.weight[task], heads.linear.bias[task] = weight.float(), intercept.float()
            chosen.append(taken)
    return tuple(chosen)


def _newton(x: Tensor, truth: Tensor, strength: float, start: Tensor) -> Tensor:
    """Weights and, last, the intercept of the penalised regression on x (n, r), from `start`; steps are halved."""
    ones = torch.ones(len(x), 1, dtype=x.dtype)
    design = torch.cat((x, ones), dim=1)
    penalty = torch.full((design.shape[1],), 1 / (strength * len(x)), dtype=x.dtype)
    penalty[-1] = 1e-12  # of the intercept: none, but a task of one class has to end somewhere
    found, loss = start, _loss(design, truth, penalty, start)
    for _ in range(_NEWTON_STEPS):
        probability = torch.sigmoid(design @ found)
        gradient = design.T @ (probability - truth) / len(x) + penalty * found
        if gradient.abs().max() < _TOLERANCE:
            break
        curvature = design.T @ (design * (probability * (1 - probability) / len(x)).unsqueeze(1)) + penalty.diag()
        step = torch.linalg.solve(curvature, gradient)
        for halving in range(30):
            tried = found - step * 0.5**halving
            tried_loss = _loss(design, truth, penalty, tried)
            if tried_loss < loss:
                break
        else:
            break  # nothing lower is to be had in double precision
        found, loss = tried, tried_loss
    return found


def _loss(design: Tensor, truth: Tensor, penalty: Tensor, weights: Tensor) -> float:
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(design @ weights, truth)
    return float(entropy + 0.5 * (penalty * weights.square()).sum())


def _score(logits: Tensor, validation: LabelledWindows, task: int) -> tuple[float, float]:
    """AUC of the clips, and what decides among equals where it is not defined."""
    probability: npt.NDArray[np.float64] = torch.sigmoid(logits).numpy()
    clips, first, row = np.unique(validation.clip_of, return_index=True, return_inverse=True)
    mean = np.bincount(row, probability, len(clips)) / np.bincount(row)
    truth = validation.labels[:, task].numpy()[first].astype(np.int64)
    auc = mean_auc(truth[:, None], mean[:, None])
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, validation.labels[:, task].double())
    return (auc, 0.0) if np.isfinite(auc) else (-1.0, -float(entropy))
