"""How far training is: a bar on a terminal, a plain line now and then in a log."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

_LINE_EVERY_S = 30.0


class ProgressReport:
    """Counts steps and windows; shows loss, windows a second and the time left on standard error.

    Args:
        shown: False in processes that are not to print.
    """

    def __init__(self, name: str, total_steps: int, done_steps: int, shown: bool = True) -> None:
        self._name, self._total, self._first, self._shown = name, total_steps, done_steps, shown
        quiet = None if shown else True  # None: a bar on a terminal only
        self._bar = tqdm(total=total_steps, initial=done_steps, desc=name, unit="step", disable=quiet, smoothing=0.05)
        self._start = self._last = time.monotonic()
        self._windows = 0
        self.loss = self.samples_per_s = self.left_s = 0.0

    def steps(self, done_steps: int, windows: int, loss: float) -> None:
        """Some steps more: `done_steps` in all, with this many windows together; the loss of the last."""
        self._windows += windows
        self.loss = loss
        now = time.monotonic()
        took = max(now - self._start, 1e-9)
        self.samples_per_s = self._windows / took
        self.left_s = took / (done_steps - self._first) * (self._total - done_steps)
        if not self._bar.disable:
            self._bar.set_postfix_str(f"loss {loss:.4f}, {self.samples_per_s:.1f} samples/s", refresh=False)
            self._bar.update(done_steps - self._bar.n)
        elif self._shown and (now - self._last >= _LINE_EVERY_S or done_steps == self._total):
            self._last = now
            left = self.left_s
            clock = time.strftime("%H:%M:%S", time.gmtime(left)) if left < 86400 else f"{left / 86400:.1f} days"
            line = (
                f"{self._name}: step {done_steps}/{self._total}, loss {loss:.4f}, "
                f"{self.samples_per_s:.1f} samples/s, {clock} left"
            )
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> "ProgressReport":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()  # leaves the bar as it stands
