"""How far a download is, over all of its jobs: one bar on the terminal with files, bytes and time left.

Each job notes its own numbers in a small file; whichever holds the kernel's lock on the folder draws the sum.
"""

import fcntl
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from physiopipe.errors import PhysiopipeError

_NOTED_EVERY_S = 0.5
_LINE_EVERY_S = 30.0


@dataclass(frozen=True)
class Amount:
    """Files and bytes, wanted or here."""

    files: int
    bytes: int


class DownloadProgress:
    """Context manager of one job: `add` what has come; the sum over all jobs is shown by one of them.

    Args:
        folder: shared by the jobs of one download; holds a file for each batch, kept when it is finished.
        batch: this job's batch.
        wanted: of every batch of the download, this one included; bytes may be estimates.
        here: files and bytes of this batch that were here before.
        line_every_s: least time between two lines where there is no terminal, s.
        simulated: nothing is downloaded: files of this machine are checked and linked, and their bytes say nothing.
    """

    def __init__(
        self,
        folder: Path,
        batch: str,
        wanted: Mapping[str, Amount],
        here: Amount,
        line_every_s: float = _LINE_EVERY_S,
        simulated: bool = False,
    ) -> None:
        self._simulated = simulated
        self._folder, self._batch, self._wanted = folder, batch, wanted
        self._files, self._bytes = here.files, here.bytes
        self._line_every_s = line_every_s
        self._noted = self._printed = -float("inf")
        self._bar: tqdm[Any] | None = None
        self._start: tuple[float, int] | None = None  # when this job began to show the sum, and the bytes here then
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._stack.enter_context((self._folder / "shown-by.lock").open("a"))
        self._note()
        return self

    def add(self, size: int) -> None:
        """One more file of so many bytes is here."""
        self._files += 1
        self._bytes += size
        if time.monotonic() - self._noted >= _NOTED_EVERY_S:
            self._note()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._note(last=True)
        if self._bar is not None:
            self._bar.close()
        self._stack.close()

    def _note(self, last: bool = False) -> None:
        self._noted = time.monotonic()
        temporary = self._folder / f".{self._batch}.partial"
        temporary.write_text(f"{self._files} {self._bytes}\n")
        temporary.replace(self._folder / f"{self._batch}.txt")
        if self._start is not None or self._takes_over():
            self._show(last)

    def _takes_over(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        here, _ = sum_of(self._folder, self._wanted)
        self._start = time.monotonic(), here.bytes
        try:
            # A job's own output goes into a log; the bar is for the person at the terminal, if there is one
            terminal = self._stack.enter_context(Path("/dev/tty").open("w"))  # noqa: SIM115 - the stack closes it
        except OSError:
            return True
        if self._simulated:
            self._bar = tqdm(total=0, initial=here.files, desc="simulated", unit=" files", file=terminal, leave=False)
        else:
            self._bar = tqdm(
                total=0, initial=here.bytes, desc="download", unit="B", unit_scale=True, file=terminal, leave=False
            )
        return True

    def _show(self, last: bool) -> None:
        here, wanted = sum_of(self._folder, self._wanted)
        files = f"{here.files:,} of {wanted.files:,} files"
        if self._bar is not None:
            self._bar.total = wanted.files if self._simulated else wanted.bytes
            self._bar.n = here.files if self._simulated else here.bytes
            if not self._simulated:
                self._bar.set_postfix_str(files, refresh=False)
            self._bar.refresh()
        now = time.monotonic()
        if last or now - self._printed >= self._line_every_s:
            self._printed = now
            if self._simulated:
                print(f"simulated recordings: {files} checked", flush=True)
                return
            size = f"{here.bytes / 1e6:,.1f} of about {wanted.bytes / 1e6:,.1f} MB"
            print(f"download: {files}, {size}{self._left(here, wanted)}", flush=True)

    def _left(self, here: Amount, wanted: Amount) -> str:
        assert self._start is not None
        since, before = self._start
        came = here.bytes - before
        if came <= 0 or wanted.bytes <= here.bytes:
            return ""
        seconds = (time.monotonic() - since) * (wanted.bytes - here.bytes) / came
        return f", about {tqdm.format_interval(seconds)} left"


def sum_of(folder: Path, wanted: Mapping[str, Amount]) -> tuple[Amount, Amount]:
    """What is here of all batches, and what is wanted: a finished batch's bytes are known, others' are estimates."""
    here_files = here_bytes = wanted_bytes = 0
    for batch, amount in wanted.items():
        files = size = 0
        path = folder / f"{batch}.txt"
        if path.exists():
            try:
                files, size = (int(number) for number in path.read_text().split())
            except ValueError:
                raise PhysiopipeError(f"{path} should hold two numbers: delete it and run again.") from None
        here_files += min(files, amount.files)
        here_bytes += size
        wanted_bytes += size if files >= amount.files else max(amount.bytes, size)
    return Amount(here_files, here_bytes), Amount(sum(amount.files for amount in wanted.values()), wanted_bytes)
