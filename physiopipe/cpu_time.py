"""Seconds of computing, told apart: a fit's own, and what is computed once, without labels, and kept for every fold.

What is kept has its seconds beside it (`<name>.seconds`), so that a row that finds it tells what it stands on as the
row that made it does. Seconds are never the same twice: no digest and no prediction knows them.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from physiopipe.files import atomic_file


class Seconds(NamedTuple):
    """CPU time of this process, all its threads together, and time on the wall, s."""

    cpu: float
    wall: float

    def plus(self, other: "Seconds", sign: int = 1) -> "Seconds":
        return Seconds(self.cpu + sign * other.cpu, self.wall + sign * other.wall)


UNKNOWN = Seconds(math.nan, math.nan)  # of what was kept without its seconds
_NONE = Seconds(0.0, 0.0)


@dataclass
class Account:
    """What was computed and found meanwhile.

    Attributes:
        whole: of all that was done.
        aside: the part of it that was spent on what is kept for others.
        stage: of stages that belong to whoever asks, and were found instead of computed.
        kept: of each thing that is kept for others and was used, by name, made now or found.
    """

    whole: Seconds = _NONE
    aside: Seconds = _NONE
    stage: Seconds = _NONE
    kept: dict[str, Seconds] = field(default_factory=dict)

    @property
    def own(self) -> Seconds:
        """Without what is kept for others, and with stages that were found: as if nothing had been kept."""
        return self.whole.plus(self.aside, -1).plus(self.stage)


_open: list[Account] = []  # of this process, the outermost first


@contextmanager
def accounted() -> Iterator[Account]:
    """Note what is computed and found meanwhile."""
    account, begun = Account(), _now()
    _open.append(account)
    try:
        yield account
    finally:
        _open.pop()
        account.whole = _now().plus(begun, -1)


@contextmanager
def computing(path: Path) -> Iterator[None]:
    """Note what is spent meanwhile, on what will be kept for others at `path`, beside it; what is computed for another
    such place meanwhile is noted there alone.
    """
    with accounted() as account:
        yield
    spent = account.own
    _write(path, spent)
    for each in _open:
        each.aside = each.aside.plus(spent)
        each.kept[path.name] = spent


def found(path: Path) -> None:
    """Note that what is kept for others at `path` was used."""
    if _open:
        spent = _read(path)
        for each in _open:
            each.kept[path.name] = spent


@contextmanager
def computing_stage(path: Path) -> Iterator[None]:
    """As `computing`, for what belongs to whoever asks for it: it stays a part of that."""
    begun = _now()
    yield
    _write(path, _now().plus(begun, -1))


def found_stage(path: Path) -> None:
    """Note that a stage that is kept at `path` was not computed again."""
    if _open:
        spent = _read(path)
        for each in _open:
            each.stage = each.stage.plus(spent)


def total(kept: dict[str, Seconds]) -> Seconds:
    """Of all that was used; unknown where one is."""
    whole = _NONE
    for each in kept.values():
        whole = whole.plus(each)
    return whole


def _now() -> Seconds:
    return Seconds(time.process_time(), time.perf_counter())


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.seconds")


def _write(path: Path, spent: Seconds) -> None:
    with atomic_file(_beside(path)) as temporary:
        temporary.write_text(f"{spent.cpu:.4f} {spent.wall:.4f}\n", encoding="ascii")


def _read(path: Path) -> Seconds:
    try:
        cpu, wall = (float(word) for word in _beside(path).read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return UNKNOWN  # kept by an earlier version, or damaged: it determines no result
    return Seconds(cpu, wall)
