"""Cells shared out over processes of one thread each, and these over the GPUs, where there are any."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.sharedctypes import Synchronized
from typing import TYPE_CHECKING

from physiopipe.errors import PhysiopipeError

if TYPE_CHECKING:
    from physiopipe.experiments.cross_validation import CrossValidation, Study
    from physiopipe.experiments.fold_run import FoldRun

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_PR_SET_PDEATHSIG = 1
_study: "Study"  # in a worker: whose runs it makes, which of the workers it is, and, once needed, where it makes them
_number: int
_bench: "CrossValidation | None" = None


def run_in_processes(study: "Study", shares: list[list["FoldRun"]], workers: int) -> Iterator[list["FoldRun"]]:
    """Make every share of runs in one of `workers` new processes; yields each once its files are written.

    Raises:
        PhysiopipeError: what a run was refused with, or a process that was killed; the others are stopped, and what
            they had finished is kept. Any other error of a run is raised as it is.
    """
    single = study.params.run.model_copy(update={"threads": 1})
    study = replace(study, params=study.params.model_copy(update={"run": single}))
    context = multiprocessing.get_context("spawn")  # threads of torch do not survive a fork
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, _begin, (study, context.Value("i", 0)))
    try:
        with _one_thread_each():
            futures = {pool.submit(_make, share): share for share in shares}
        for future in as_completed(futures):
            future.result()
            yield futures[future]
    except BrokenProcessPool:
        raise PhysiopipeError(
            f"{study.name}: one of {workers} processes was killed, most likely for want of memory. Finished folds are "
            "kept: run again, with run.threads: 1 for one process alone."
        ) from None
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()  # files appear whole or not at all
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(study: "Study", turn: "Synchronized[int]") -> None:
    """In a new worker: its number, and the kernel's word that it ends with its parent, which alone hears Ctrl-C."""
    global _study, _number
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _study = study
    with turn.get_lock():
        _number = turn.value
        turn.value += 1


def _make(share: list["FoldRun"]) -> None:
    """In a worker: make these runs, on the GPU whose turn it is where the method has loaded torch."""
    global _bench
    if _bench is None:
        from physiopipe.experiments.cross_validation import CrossValidation

        _bench = CrossValidation(_study)
        torch = sys.modules.get("torch")
        if torch is not None and _study.params.run.device != "cpu" and torch.cuda.is_available():
            torch.cuda.set_device(_number % torch.cuda.device_count())
    _bench.make(share)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let the libraries of processes that start meanwhile use one thread each."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
