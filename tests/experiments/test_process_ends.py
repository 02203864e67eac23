"""How a process of a pool came to its end is said as it was. Nothing heavy is imported: each process imports this."""

import multiprocessing
import os
import resource
import signal
from typing import Any

import pytest

from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.processes import run_in_processes


class Unreadable:
    """What a new process cannot unpickle."""

    def __call__(self) -> Any:
        raise AssertionError("never called")

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _read, ("settings",)


def _read(what: str) -> None:
    if multiprocessing.parent_process() is not None:
        raise ImportError(f"no {what} of this name in this library")


def _begin() -> Any:
    return _end


def _end(how: int) -> None:
    if how < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # writing a core takes a busy machine seconds
        os.kill(os.getpid(), -how)
    os._exit(how)


@pytest.mark.parametrize(("begin", "share"), [(Unreadable(), 0), (_begin, Unreadable())], ids=["parameters", "share"])
def test_a_process_that_cannot_read_its_parameters_is_not_said_to_be_killed(begin: Any, share: Any) -> None:
    with pytest.raises(PhysiopipeError, match=r"cannot read what it is to do \(ImportError: no settings of this"):
        list(run_in_processes("ours", begin, [share], 1, gpus=False))


@pytest.mark.parametrize(
    ("how", "words"), [(3, "ended with exit code 3"), (-signal.SIGKILL, "for want of memory"), (-11, "by SIGSEGV")]
)
def test_how_a_process_ended_is_said(how: int, words: str) -> None:
    with pytest.raises(PhysiopipeError, match=words):
        list(run_in_processes("ours", _begin, [how], 1, gpus=False))
