"""One optimiser step of pretraining, alone or as one of several processes, without waiting for the device."""

from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from physiopipe.errors import PhysiopipeError
from physiopipe.models.encoder import CrissCrossEncoder
from physiopipe.models.losses import PARTS, combine, part_sums, part_targets
from physiopipe.models.masking import draw_masks
from physiopipe.params import Pretrain, Run
from physiopipe.training.arrays import Batch
from physiopipe.training.group import Group


class Done(NamedTuple):
    """What a step leaves on the device, to be looked at later; step is from 0.

    Attributes:
        totals: float64 (10,), over all processes: sums and counts of the loss's PARTS, how many of the processes were
            asked to stop, and the norm of the gradient.
        window_id, sound: int64 and bool (B,), this process's windows and whether their reconstruction is finite.
    """

    step: int
    totals: Tensor
    window_id: Tensor
    sound: Tensor


class Stepper:
    """Encoder and optimiser, and how a batch changes them.

    Each process has its own windows of the batch; every part of the loss is a sum over all of them divided by a count
    over all of them, so the gradients, summed over the processes, are those of one process with the whole batch.
    """

    def __init__(self, params: Pretrain, run: Run, group: Group) -> None:
        self.params, self.group = params, group
        torch.manual_seed(params.seed)
        self.encoder = CrissCrossEncoder(params.encoder).to(group.device).train()
        self.trained = [p for p in self.encoder.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=params.learning_rate, weight_decay=params.weight_decay, fused=True
        )
        self.compiled = run.compile == "on" or (run.compile == "auto" and group.device.type == "cuda")
        if self.compiled:
            self.encoder.compile_layers()

    def __call__(self, step: int, learning_rate: float, batch: Batch, stop: bool) -> Done:
        """Do a step with this process's windows of the batch; `stop` says that this process was asked to stop."""
        params, group = self.params, self.group
        sums, counts = self._parts(step, batch)
        asked = torch.full((1,), float(stop), dtype=torch.float64, device=sums.device)
        own = torch.cat((sums.detach().double().sum(-1), counts.double().sum(-1), asked))
        totals = group.sum(own)
        for settings in self.optimizer.param_groups:
            settings["lr"] = learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        if len(batch.x):
            count = totals[len(PARTS) : 2 * len(PARTS)].float()
            combine(sums.sum(-1), count, params.objective)[0].backward()  # type: ignore[no-untyped-call]
        group.sum_gradients(self.trained)
        norm = torch.nn.utils.clip_grad_norm_(self.trained, params.clip_norm)
        self.optimizer.step()
        return Done(step, torch.cat((totals, norm.detach().double().view(1))), batch.window_id, sums.isfinite().all(0))

    def _parts(self, step: int, batch: Batch) -> tuple[Tensor, Tensor]:
        """Sums and counts of the loss's parts for each window of this process, (4, B)."""
        if not len(batch.x):  # fewer windows than processes at the end of an epoch
            empty = torch.zeros(len(PARTS), 0, device=self.group.device)
            return empty, empty
        params = self.params
        masks = draw_masks(params.masking, params.seed, step, batch.window_id, batch.valid)
        # dropout: a function of the step, not of what came before; each process its own
        torch.manual_seed(_mixed_seed(params.seed, step, *([self.group.rank] if self.group.rank else [])))
        bf16 = params.precision == "bf16"
        with torch.autocast(batch.x.device.type, torch.bfloat16) if bf16 else nullcontext():
            prediction = self.encoder(batch.x, masks.replaced)
        return part_sums(prediction, batch.x, part_targets(masks, params.objective))


def check_finite(done: Done, totals: Tensor, group: Group) -> None:
    """Raise PhysiopipeError, in every process alike, if the loss of a step or its gradient is not finite.

    totals: `done.totals`, on the CPU.
    """
    if bool(totals.isfinite().all()):
        return
    ids = group.gathered(_names(done.window_id[~done.sound]))
    what = "Windows whose reconstruction is not finite" if ids else "Windows of the batch"
    ids = ids or group.gathered(_names(done.window_id))
    raise PhysiopipeError(
        f"Pretraining stopped at step {done.step + 1}: its loss or its gradient (norm {float(totals[-1]):g}) is not "
        f"finite. {what} (window_id): {' '.join(ids)}. Lower pretrain.learning_rate, add warmup_steps, or look at "
        "these windows; the state saved before is kept."
    )


def _names(window_id: Tensor) -> list[str]:
    return [f"{i & (2**64 - 1):016x}" for i in window_id.tolist()]


def _mixed_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)[0] >> np.uint64(1))
