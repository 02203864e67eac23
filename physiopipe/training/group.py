"""The processes of one training: who this one is, and sums over all of them. One process alone needs nothing."""

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from physiopipe.errors import PhysiopipeError
from physiopipe.params import Run
from physiopipe.training.device import choose_device

_TIMEOUT = timedelta(minutes=30)  # of one process waiting for the others: evaluation and writing take their time
_PR_SET_PDEATHSIG = 1


class Group:
    """This process among `size`: its rank from 0, its device. Rank 0 alone writes and prints."""

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def sum(self, x: Tensor) -> Tensor:
        """x summed over the processes, in each of them."""
        if self.size > 1:
            x = x.clone()
            dist.all_reduce(x)
        return x

    def sum_gradients(self, weights: list[nn.Parameter]) -> None:
        """Give every process the summed gradients; a process without windows has none of its own."""
        if self.size == 1:
            return
        own = [w.grad if w.grad is not None else torch.zeros_like(w) for w in weights]
        summed = torch.cat([gradient.reshape(-1) for gradient in own])
        dist.all_reduce(summed)
        for weight, part in zip(weights, torch.split(summed, [w.numel() for w in weights]), strict=True):
            weight.grad = part.view_as(weight)

    def gathered(self, words: list[str]) -> list[str]:
        """The words of all processes, in the order of their ranks."""
        if self.size == 1:
            return words
        found: list[list[str]] = [[] for _ in range(self.size)]
        dist.all_gather_object(found, words)
        return [word for part in found for word in part]

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()

    def check_same(self, number: int, what: str) -> None:
        """Raise PhysiopipeError in every process unless all have the same number."""
        found = self.gathered([str(number)])
        if len(set(found)) > 1:
            raise PhysiopipeError(
                f"The {self.size} processes of this training disagree about {what}: {', '.join(found)}. "
                "run.state_folder and the windows must be the same files on every node."
            )


@contextmanager
def join_group(run: Run) -> Iterator[Group]:
    """The group that torchrun started this process in, or a group of one; run.device says on what it works."""
    device = choose_device(run)
    if not dist.is_torchelastic_launched():
        yield Group(0, 1, device)
        return
    _end_with_parent()
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield Group(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()


def processes_here() -> int:
    """Processes of this training on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _end_with_parent() -> None:
    """Let the kernel end this process with torchrun: a killed study leaves no orphan that writes."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
