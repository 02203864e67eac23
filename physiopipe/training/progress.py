"""How far training is: a bar on a terminal, a plain line now and then in a log."""

import sys
import time

from tqdm import tqdm

_LINE_EVERY_S = 30.0


class ProgressReport:
    """Counts steps and windows; shows loss, windows a second and the time left on standard error."""

    def __init__(self, name: str, total_steps: int, done_steps: int) -> None:
        self._name, self._total, self._first = name, total_steps, done_steps
        self._bar = tqdm(total=total_steps, initial=done_steps, desc=name, unit="step", disable=None, smoothing=0.05)
        self._start = self._last = time.monotonic()
        self._windows = 0

    def step(self, done_steps: int, windows: int, loss: float) -> None:
        """One step more: `done_steps` in all, with this many windows and this loss."""
        self._windows += windows
        now = time.monotonic()
        speed = self._windows / max(now - self._start, 1e-9)
        if not self._bar.disable:
            self._bar.set_postfix_str(f"loss {loss:.4f}, {speed:.1f} samples/s", refresh=False)
            self._bar.update(1)
        elif now - self._last >= _LINE_EVERY_S or done_steps == self._total:
            self._last = now
            left = (now - self._start) / (done_steps - self._first) * (self._total - done_steps)
            clock = time.strftime("%H:%M:%S", time.gmtime(left)) if left < 86400 else f"{left / 86400:.1f} days"
            line = (
                f"{self._name}: step {done_steps}/{self._total}, loss {loss:.4f}, {speed:.1f} samples/s, {clock} left"
            )
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()
