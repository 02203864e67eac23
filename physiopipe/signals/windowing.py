"""Windows of patches: cutting, and storing as int16."""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError
from physiopipe.params import PATCH_SAMPLES

F32 = npt.NDArray[np.float32]

MILLIVOLT_STEP = 0.001  # ECG in millivolt is stored in units of 1 µV, the resolution of the published files
LARGEST_INT16 = 32767  # -32768 is left out: it means "not a number" in WFDB, and the range stays symmetric
MAY_LACK = PATCH_SAMPLES // 100  # samples a patch may lack at its end and still be valid


class Windows(NamedTuple):
    """Windows of a recording, or of several of one length, at one rate, in order of time.

    Attributes:
        samples: (…, window, channel, patch, 200), of the signal's type; what the recording does not fill is 0.
        start: int64 (window,), index of the window's first sample in the recording at this rate.
        valid_patches: int16 (window,), the patches that are wholly recorded; they come first.
    """

    samples: npt.NDArray[Any]
    start: npt.NDArray[np.int64]
    valid_patches: npt.NDArray[np.int16]


class WindowPlan(NamedTuple):
    """Where windows are cut, in order of time.

    Attributes:
        start: int64 (window,), index of the window's first sample.
        filled: int64 (window,), samples of it that the recording fills; they come first.
    """

    start: npt.NDArray[np.int64]
    filled: npt.NDArray[np.int64]

    @property
    def valid_patches(self) -> npt.NDArray[np.int16]:
        """int16 (window,), as in Windows."""
        return np.array([_valid_patches(length) for length in self.filled.tolist()], dtype=np.int16)


def plan_windows(
    samples: int, *, patches: int, min_fill: float, max_windows: int | None, align: Literal["start", "end"]
) -> WindowPlan:
    """Where `cut_windows` cuts a recording of so many samples."""
    size = patches * PATCH_SAMPLES
    whole, rest = divmod(samples, size)
    first = 0 if align == "start" else rest
    start = first + size * np.arange(whole, dtype=np.int64)
    rest_is_kept = rest > 0 and rest + MAY_LACK >= min_fill * size and _valid_patches(rest) > 0
    if rest_is_kept:
        start = np.append(start, whole * size) if align == "start" else np.insert(start, 0, 0)
    filled = np.full(start.size, size, dtype=np.int64)
    if rest_is_kept:
        filled[-1 if align == "start" else 0] = rest
    if max_windows is not None and start.size > max_windows:
        # The middles of max_windows equal stretches.
        chosen = ((2 * np.arange(max_windows) + 1) * start.size) // (2 * max_windows)
        start, filled = start[chosen], filled[chosen]
    return WindowPlan(start, filled)


def cut_windows(
    signal: npt.NDArray[Any],
    *,
    patches: int,
    min_fill: float,
    max_windows: int | None,
    align: Literal["start", "end"],
) -> Windows:
    """Cut a recording into windows that do not overlap.

    Whole windows are laid from the recording's start, or back from its end (`align`). What is left over, at the end or
    at the beginning respectively, is one more window if it fills at least `min_fill` of it (two samples may lack) and
    has a valid patch. Such a window holds its samples first and zeros after them, whichever end it is cut from, so
    valid patches always lead; with `align="end"` it starts at sample 0.

    Args:
        signal: float32 or int16 (…, channel, time).
        patches: patches of 200 samples in a window.
        min_fill: share of a window.
        max_windows: at most so many, spread evenly over the recording; None: all.
        align: `start` or `end`.
    """
    *recordings, channels, samples = signal.shape
    plan = plan_windows(samples, patches=patches, min_fill=min_fill, max_windows=max_windows, align=align)
    cut = np.zeros((*recordings, plan.start.size, channels, patches * PATCH_SAMPLES), dtype=signal.dtype)
    for window, (begin, length) in enumerate(zip(plan.start.tolist(), plan.filled.tolist(), strict=True)):
        cut[..., window, :, :length] = signal[..., begin : begin + length]
    cut = cut.reshape(*recordings, plan.start.size, channels, patches, PATCH_SAMPLES)
    return Windows(cut, plan.start, plan.valid_patches)


def _valid_patches(samples: int) -> int:
    return (samples + MAY_LACK) // PATCH_SAMPLES


class Quantised(NamedTuple):
    """Samples as multiples of a unit.

    Attributes:
        counts: int16 (window, …).
        scale: float32 (window,), size of the unit.
        saturated: int64 (window,), samples that were out of range and are held at its end.
    """

    counts: npt.NDArray[np.int16]
    scale: npt.NDArray[np.float32]
    saturated: npt.NDArray[np.int64]


def quantise(samples: F32, step: float | None) -> Quantised:
    """Samples as multiples of a unit, rounded half to even; a value out of range becomes the largest one.

    Args:
        samples: float32 (window, …).
        step: size of the unit (0.001 for millivolt: 1 µV); None: each window's largest magnitude over 32767.

    Raises:
        PhysiopipeError: samples that are not finite, a step that is not positive.
    """
    axes = tuple(range(1, samples.ndim))
    if step is None:
        peak = np.maximum(samples.max(axis=axes, initial=0), -samples.min(axis=axes, initial=0))
        scale = np.asarray(peak / np.float32(LARGEST_INT16), dtype=np.float32)
        scale[scale < np.finfo(np.float32).tiny] = 1.0
        units = samples / scale.reshape(-1, *(1 for _ in axes))
    elif step > 0:
        scale = np.full(samples.shape[0], step, dtype=np.float32)
        units = samples / np.float32(step)
    else:
        raise PhysiopipeError(f"Found a quantisation step of {step:g}: expected one above 0.")
    np.rint(units, out=units)
    largest = np.maximum(units.max(axis=axes, initial=0), -units.min(axis=axes, initial=0))
    if not np.isfinite(largest).all():
        raise PhysiopipeError("Windows hold NaN or infinite samples: reject the recording or fill its gaps first.")
    saturated = np.zeros(samples.shape[0], dtype=np.int64)
    for window in np.flatnonzero(largest > LARGEST_INT16):
        saturated[window] = np.count_nonzero(np.abs(units[window]) > LARGEST_INT16)
        np.clip(units[window], -LARGEST_INT16, LARGEST_INT16, out=units[window])
    return Quantised(units.astype(np.int16), scale, saturated)
