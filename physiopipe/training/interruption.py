"""Signals that ask training to stop: it saves itself at the next step and says how to go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

WARNINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)  # SIGUSR1: what a scheduler sends before it kills


class Interruption:
    """Which signal has asked for a stop, if any."""

    def __init__(self) -> None:
        self.signal: int | None = None


@contextmanager
def watch_signals() -> Iterator[Interruption]:
    """Turn the first warning signal into a note; a second one ends the process at once, as it would without this.

    Outside the main thread, where Python allows no handlers, nothing is watched.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in WARNINGS}

    def note(number: int, _frame: FrameType | None) -> None:
        interruption.signal = number
        for watched, handler in before.items():
            signal.signal(watched, handler)

    for number in WARNINGS:
        signal.signal(number, note)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
