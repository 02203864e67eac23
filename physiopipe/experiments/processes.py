"""Folds shared out over processes of one thread each, and these over the GPUs, where there are any."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from typing import Any, TypeVar

from physiopipe.errors import PhysiopipeError

Share = TypeVar("Share")
Make = Callable[[Any], None]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_PR_SET_PDEATHSIG = 1
# in a worker: which of the workers it is, how it begins, and, once it has begun, how it makes a share
_number: int
_gpus: bool
_begin_work: Callable[[], Make]
_make_share: Make | None = None


def run_in_processes(
    name: str, begin: Callable[[], Make], shares: list[Share], workers: int, gpus: bool
) -> Iterator[Share]:
    """Make every share in one of `workers` new processes; yields each once its files are written.

    Args:
        name: of whose shares these are, for the words of an error.
        begin: what a process calls once, when it has something to do; it returns how a share is made. It is pickled.
        gpus: whether processes take turns at this machine's GPUs, where `begin` has loaded torch.

    Raises:
        PhysiopipeError: what a share was refused with, or a process that was killed; the others are stopped, and what
            they had finished is kept. Any other error of a share is raised as it is.
    """
    context = multiprocessing.get_context("spawn")  # threads of torch do not survive a fork
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, _begin, (begin, gpus, context.Value("i", 0)))
    try:
        with _one_thread_each():
            futures = {pool.submit(_make, share): share for share in shares}
        for future in as_completed(futures):
            future.result()
            yield futures[future]
    except BrokenProcessPool:
        raise PhysiopipeError(
            f"{name}: one of {workers} processes was killed, most likely for want of memory. Finished folds are "
            "kept: run again, with run.threads: 1 for one process alone."
        ) from None
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()  # files appear whole or not at all
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(begin: Callable[[], Make], gpus: bool, turn: "Synchronized[int]") -> None:
    """In a new worker: its number, and the kernel's word that it ends with its parent, which alone hears Ctrl-C."""
    global _begin_work, _number, _gpus
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _begin_work, _gpus = begin, gpus
    with turn.get_lock():
        _number = turn.value
        turn.value += 1


def _make(share: Any) -> None:
    """In a worker: make a share, on the GPU whose turn it is."""
    global _make_share
    if _make_share is None:
        _make_share = _begin_work()
        torch = sys.modules.get("torch")
        if torch is not None and _gpus and torch.cuda.is_available():
            torch.cuda.set_device(_number % torch.cuda.device_count())
    _make_share(share)


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
