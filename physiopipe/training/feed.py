"""Training batches on the device: from windows that lie there, or read ahead while the device works."""

import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from physiopipe.models.normalisation import Normalisation
from physiopipe.training.arrays import Batch, WindowArrays, load_batch, normalised_batch, tensors_of

_AHEAD = 3  # batches prepared before they are asked for
_RESIDENT_SHARE = 0.5  # of a GPU's free memory that windows may take; activations need the rest
_COPIED_AT_ONCE = 4096  # windows

Rows = Callable[[int], npt.NDArray[Any]]


class Feed:
    """The batch of each step, asked for in order.

    On a GPU the windows are copied there once, as int16, where they fit into half of its free memory; else a thread
    reads the coming batches into pinned memory, from which they are copied while the GPU works. On a CPU they are read
    when they are asked for.

    Args:
        rows: step → rows of `windows`.
        steps: number of steps; none after it is read ahead.
        resident, ahead: force one of the ways; None: as above.
    """

    def __init__(
        self,
        windows: WindowArrays,
        rows: Rows,
        steps: int,
        how: Normalisation,
        device: torch.device,
        resident: bool | None = None,
        ahead: bool | None = None,
    ) -> None:
        self._windows, self._rows, self._steps, self._how, self._device = windows, rows, steps, how, device
        cuda = device.type == "cuda"
        resident = cuda and _fits(windows, device) if resident is None else resident
        self._resident = _on_device(windows, device) if resident else None
        ahead = cuda if ahead is None else ahead
        self._thread = ThreadPoolExecutor(1, "read-ahead") if ahead and not resident else None
        self._coming: dict[int, Future[tuple[Tensor, ...]]] = {}

    def batch(self, step: int) -> Batch:
        """The windows of this step, normalised."""
        if self._resident is not None:
            rows = torch.from_numpy(np.ascontiguousarray(self._rows(step), dtype=np.int64))
            at = rows.pin_memory().to(self._device, non_blocking=True) if self._device.type == "cuda" else rows
            return normalised_batch(tuple(t[at] for t in self._resident), self._how, self._device)
        if self._thread is None:
            return load_batch(self._windows, self._rows(step), self._how, self._device)
        for coming in range(step, min(step + 1 + _AHEAD, self._steps)):
            if coming not in self._coming:
                self._coming[coming] = self._thread.submit(self._read, coming)
        return normalised_batch(self._coming.pop(step).result(), self._how, self._device)

    def _read(self, step: int) -> tuple[Tensor, ...]:
        tensors = tensors_of(self._windows, self._rows(step))
        return tuple(t.pin_memory() for t in tensors) if self._device.type == "cuda" else tensors

    def __enter__(self) -> "Feed":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)


def _fits(windows: WindowArrays, device: torch.device) -> bool:
    free, _ = torch.cuda.mem_get_info(device)
    return 2 * math.prod(windows.samples.shape) <= _RESIDENT_SHARE * free


def _on_device(windows: WindowArrays, device: torch.device) -> tuple[Tensor, ...]:
    """What `tensors_of` returns for all windows, on the device; copied part by part: memory here is dear."""
    first = tensors_of(windows, slice(0, 0))
    kept = tuple(torch.empty(len(windows), *t.shape[1:], dtype=t.dtype, device=device) for t in first)
    for start in range(0, len(windows), _COPIED_AT_ONCE):
        part = slice(start, start + _COPIED_AT_ONCE)
        for whole, piece in zip(kept, tensors_of(windows, part), strict=True):
            whole[part] = piece.to(device)
    return kept
