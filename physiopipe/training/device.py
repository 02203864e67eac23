"""Where a network is trained."""

import torch

from physiopipe.errors import PhysiopipeError
from physiopipe.params import Run


def choose_device(run: Run) -> torch.device:
    """The device that `run.device` names; auto: an NVIDIA GPU where there is one."""
    if run.device == "cuda" and not torch.cuda.is_available():
        raise PhysiopipeError("run.device is cuda, and no NVIDIA GPU is usable here: set it to auto or cpu.")
    return torch.device("cuda" if run.device != "cpu" and torch.cuda.is_available() else "cpu")
