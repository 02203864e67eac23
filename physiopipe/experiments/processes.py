"""Folds shared out over processes of one thread each, and these over the GPUs, where there are any."""

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from typing import Any, TypeVar

from physiopipe.errors import PhysiopipeError

Share = TypeVar("Share")
Make = Callable[[Any], None]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_PR_SET_PDEATHSIG = 1
_LAST_WORDS_S = 10.0
# in a worker: which of the workers it is, how it begins, and, once it has begun, how it makes a share
_number: int
_gpus: bool
_begin_work: bytes  # pickled
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
    # What a process cannot unpickle would end it without a word; as bytes, that is an error of the share
    pool = ProcessPoolExecutor(workers, context, _begin, (pickle.dumps(begin), gpus, context.Value("i", 0)))
    mine: set[BaseProcess] = set()
    try:
        with _one_thread_each():
            futures = {pool.submit(_make, pickle.dumps(share)): share for share in shares}
        mine = set(multiprocessing.active_children()) - before
        for future in as_completed(futures):
            future.result()
            yield futures[future]
    except BrokenProcessPool:
        raise PhysiopipeError(
            f"{name}: one of {workers} processes {_end_of(mine)}. Finished folds are kept: run again, with "
            "run.threads: 1 for one process alone."
        ) from None
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()  # files appear whole or not at all
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _end_of(processes: Iterable[BaseProcess]) -> str:
    """How the first of the pool's processes ended; the pool then stops the others by SIGTERM."""
    for process in processes:
        process.join(_LAST_WORDS_S)
    codes = {process.exitcode for process in processes}
    if -signal.SIGKILL in codes:
        return "was killed, most likely for want of memory"
    other = sorted(code for code in codes if code and code != -signal.SIGTERM)
    if not other:
        return "was stopped from outside"
    if other[0] < 0:
        return f"ended by {signal.Signals(-other[0]).name}"
    return f"ended with exit code {other[0]}; what it said is above"


def _begin(begin: bytes, gpus: bool, turn: "Synchronized[int]") -> None:
    """In a new worker: its number, and the kernel's word that it ends with its parent, which alone hears Ctrl-C."""
    global _begin_work, _number, _gpus
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _begin_work, _gpus = begin, gpus
    with turn.get_lock():
        _number = turn.value
        turn.value += 1


def _make(share: bytes) -> None:
    """In a worker: make a share, on the GPU whose turn it is."""
    global _make_share
    if _make_share is None:
        _make_share = _given(_begin_work)()
        torch = sys.modules.get("torch")
        if torch is not None and _gpus and torch.cuda.is_available():
            torch.cuda.set_device(_number % torch.cuda.device_count())
    _make_share(_given(share))


def _given(pickled: bytes) -> Any:
    """What the parent process has handed over; our own bytes, from no file."""
    try:
        return pickle.loads(pickled)
    except Exception as error:
        raise PhysiopipeError(
            f"a new process cannot read what it is to do ({type(error).__name__}: {error}): the code or a library of "
            "this installation changed while it ran, or differs there. Run again; run.threads: 1 needs no process."
        ) from error


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
