"""Pretraining, without labels, on windows in memory: on those of a fold's training subjects, and nobody else's."""

import numpy as np
import torch
from torch import Tensor

from physiopipe.errors import PhysiopipeError
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.params import Pretrain, Run
from physiopipe.training.arrays import Batch
from physiopipe.training.group import Group
from physiopipe.training.schedule import BatchOrder, learning_rate
from physiopipe.training.step import Stepper, check_finite


def pretrain_in_memory(windows: Tensor, valid: Tensor, params: Pretrain, device: torch.device) -> CrissCrossEncoder:
    """An encoder trained by masked reconstruction as `training.pretrain` does it, in one process and float32.

    Nothing is held out: it is the last epoch's. The same windows and parameters give the same bytes on one device;
    torch's global state is left as it was.

    Args:
        windows: float32 (w, C, P, 200), on the scale that the encoder is to have; 0 where nothing is valid.
        valid: bool (w, C, P).
        params: recipe, epochs, seed, and as `encoder` the sizes.

    Raises:
        PhysiopipeError: no window with signal, or a loss that is not finite.
    """
    rows = valid.flatten(1).any(1).nonzero().flatten().numpy()
    if not len(rows):
        raise PhysiopipeError("No training window has EEG: there is nothing to pretrain the EEG encoder on.")
    group = Group(0, 1, device)
    params = params.model_copy(update={"precision": "float32"})
    order = BatchOrder(lambda epoch: rows[np.random.default_rng([params.seed, epoch]).permutation(len(rows))],
                       params.batch_size)  # fmt: skip
    total = params.epochs * order.steps_per_epoch
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        stepper = Stepper(params, Run(compile="off"), group)
        for step in range(total):
            chosen = torch.from_numpy(order.rows(step))
            batch = Batch(windows[chosen].to(device), valid[chosen].to(device), chosen.to(device))
            done = stepper(step, learning_rate(step, total, params), batch, stop=False)
            check_finite(done, done.totals.cpu(), group)
    return stepper.encoder.cpu().eval()
