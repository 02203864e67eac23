"""The state of a training run on disk: all that going on needs, written whole or not at all.

It lies outside the stage's outputs, which DVC empties before a run, under a name made from parameters and data: a
changed parameter starts afresh, a reverted one goes on where it was.
"""

import hashlib
import io
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file

_FORMAT = 1
_DIGEST_BYTES = 32  # of a sha256, before the state itself


@dataclass
class Progress:
    """Where a run is, besides weights and optimiser.

    Attributes:
        step: optimiser steps done.
        evaluated: evaluations on held-out windows done, one before training and one an epoch.
        losses: rows of the loss log so far.
        pending: sums and counts of the loss's parts since the last row, 4 + 4 numbers.

    Order, masks and dropout are functions of (seed, step): no random state is kept.
    """

    step: int = 0
    evaluated: int = 0
    losses: list[list[Any]] = field(default_factory=list)
    pending: list[float] = field(default_factory=lambda: [0.0] * 8)


class Checkpoint:
    """The state file of one run: `<folder>/<fingerprint>/state.pt`."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.path = folder / fingerprint[:16] / "state.pt"

    def save(self, progress: Progress, model: nn.Module, optimizer: Optimizer) -> None:
        """Replace the state on disk; a process killed in here leaves the earlier one."""
        state = {
            "format": _FORMAT,
            "fingerprint": self.fingerprint,
            "progress": vars(progress),
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        content = io.BytesIO()
        torch.save(state, content)
        with atomic_file(self.path) as temporary, temporary.open("wb") as file:  # a file's errors say what is wrong
            file.write(hashlib.sha256(content.getbuffer()).digest())
            file.write(content.getbuffer())

    def load(self, model: nn.Module, optimizer: Optimizer) -> Progress | None:
        """Put model and optimiser where the saved run was; None where nothing is saved."""
        if not self.path.exists():
            return None
        try:
            stored = self.path.read_bytes()
            if hashlib.sha256(stored[_DIGEST_BYTES:]).digest() != stored[:_DIGEST_BYTES]:
                raise ValueError("its bytes are not those that were written")
            state = torch.load(io.BytesIO(stored[_DIGEST_BYTES:]), map_location="cpu", weights_only=True)
            if state["format"] != _FORMAT or state["fingerprint"] != self.fingerprint:
                raise KeyError("another run's state")
            model.load_state_dict(state["model"], strict=True)
            optimizer.load_state_dict(state["optimizer"])
            return Progress(**state["progress"])
        except Exception as error:  # what a damaged file raises depends on where the damage is
            raise PhysiopipeError(
                f"{self.path} is not a state that training can go on from ({type(error).__name__}: {error}): "
                "delete it to start afresh."
            ) from None

    def remove(self) -> None:
        """Forget the state, and what killed runs left beside it."""
        shutil.rmtree(self.path.parent, ignore_errors=True)
