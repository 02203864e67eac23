"""Starting one training process for each device, by torchrun, from a verb that stays one line."""

import json
import logging
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from physiopipe.errors import PhysiopipeError
from physiopipe.params import Run
from physiopipe.training.device import choose_device
from physiopipe.training.interruption import WARNINGS

_SAVING_S = 300  # how long the processes may take to save themselves after a signal
_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # where torchrun looks for a process's own words


def processes_wanted(run: Run) -> int:
    """How many processes run.devices asks for on this machine."""
    device = choose_device(run)
    there = torch.cuda.device_count() if device.type == "cuda" else 1
    if run.devices == "auto":
        return there
    if device.type == "cuda" and run.devices > there:
        raise PhysiopipeError(f"run.devices is {run.devices}, and {there} GPUs are usable here: lower it, or use auto.")
    return run.devices


def launch(processes: int, arguments: list[str]) -> None:
    """Run `python <arguments>` in this many processes and wait for them; a signal to this one reaches each once.

    Raises:
        PhysiopipeError: one of them failed (the others are stopped), in its own words where it left any.
        SystemExit: 128 + signal, after they have saved themselves.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # what it says is said below
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=f"physiopipe-{os.getpid()}",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        signals_to_handle=",".join(number.name for number in WARNINGS),
        shutdown_timeout=_SAVING_S,
    )
    try:
        elastic_launch(config, sys.executable)(*arguments)
    except SignalException as stopped:
        raise SystemExit(128 + int(stopped.sigval)) from None
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode in {128 + int(number) for number in WARNINGS}:  # the signal went past this process
            raise SystemExit(failure.exitcode) from None
        left = failure.error_file_data["message"]  # a dict where `report_to_launcher` wrote it
        words = f"Process {rank} of {processes} ended with exit code {failure.exitcode}; its own words are above."
        if isinstance(left, dict):
            words = str(left["message"])
        raise PhysiopipeError(f"{words}\nAll {processes} processes were stopped.") from None


def rank_if_launched() -> int | None:
    """This process's rank where torchrun has started it, else None."""
    return int(os.environ["RANK"]) if dist.is_torchelastic_launched() else None


def report_to_launcher(error: PhysiopipeError) -> bool:
    """Leave an error's words where `launch` finds them, to be said once; False where nobody launched this process."""
    path = os.environ.get(_ERROR_FILE)
    if not dist.is_torchelastic_launched() or not path:
        return False
    content = {"message": {"message": str(error), "extraInfo": {"timestamp": str(int(time.time()))}}}
    Path(path).write_text(json.dumps(content), encoding="utf-8")
    return True
