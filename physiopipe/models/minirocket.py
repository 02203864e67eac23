"""MiniRocket (Dempster, Schmidt, Webb 2021, arXiv 2012.08791): shares of time above a bias, of many fixed convolutions.

A thin wrapper around aeon's transform, which is an optional dependency. What it fits is kept here as plain arrays, so
that it can be written to disk, read again and give exactly the same features.

Channels are added to one another as they are: bring them to one scale first, or the largest decides alone.
"""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from physiopipe.errors import PhysiopipeError

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]

KERNELS = 84  # two for three of nine places, minus one for the others: every choice of three
_TAPS = 9


@dataclass(frozen=True, eq=False)
class MiniRocket:
    """A fitted transform. A combination is one of the 84 kernels with one dilation, in order of dilation, then kernel.

    Make one with `fit` or `from_arrays`, which check what they are given.
    """

    shape: I32  # (2,): channels and samples of a window
    channels_per_combination: I32  # (combinations,): how many channels each adds up
    channel_indices: I32  # (their sum,): which
    dilations: I32  # (dilations,), in samples
    features_per_dilation: I32  # (dilations,): of each kernel
    biases: F32  # (features,)

    @classmethod
    def fit(cls, windows: npt.NDArray[np.floating], *, features: int = 10_000, seed: int) -> "MiniRocket":
        """Draw channels, and biases from single windows: of training subjects alone.

        Args:
            windows: (N, channels, samples), 9 samples or more.
            features: how many; rounded down to a multiple of 84, at least 84 (so 10,000 gives 9,996).
            seed: of every draw.

        Raises:
            PhysiopipeError: aeon is missing; windows of another shape, or with values that are not finite.
        """
        rocket = _aeon()(n_kernels=features, random_state=int(seed))
        checked = _checked(windows, None)
        if not len(checked):
            raise PhysiopipeError("MiniRocket: found no window to fit on, expected one or more.")
        with _undisturbed():
            rocket.fit(checked)
        shape = np.array(checked.shape[1:], np.int32)
        return cls(shape, *(np.array(array) for array in rocket.parameters))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "MiniRocket":
        """The transform that gave these `arrays()`, of any numeric type.

        Raises PhysiopipeError where they do not fit together: compiled code reads memory as they say.
        """
        names = {field.name for field in fields(cls)}
        if set(arrays) != names or any(np.asarray(array).dtype.kind not in "iuf" for array in arrays.values()):
            found = ", ".join(f"{name} ({np.asarray(array).dtype})" for name, array in sorted(arrays.items()))
            raise PhysiopipeError(f"MiniRocket: found arrays {found}; expected numbers, named {sorted(names)}.")
        with np.errstate(invalid="ignore"):  # what cannot be cast is found unequal below
            integers = {name: np.array(arrays[name], np.int32) for name in names - {"biases"}}
            fitted = cls(**integers, biases=np.array(arrays["biases"], np.float32))
        cast = fitted.arrays()
        same = all(cast[name].ndim == 1 and np.array_equal(cast[name], arrays[name]) for name in names)
        if not same or not fitted._consistent():
            sizes = ", ".join(f"{name} {np.shape(array)}" for name, array in sorted(arrays.items()))
            raise PhysiopipeError(
                f"MiniRocket: these arrays are not those of a fitted transform ({sizes}): sizes, ranges or types do "
                "not fit together. The file is damaged or another's: fit and save the transform again."
            )
        return fitted

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that was fitted, by name; all integers are small enough for float32 to hold exactly."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def transform(self, windows: npt.NDArray[np.floating], *, threads: int = 1) -> F32:
        """Features (N, features), shares in 0..1, of windows (N, channels, samples) shaped as those of the fit.

        Raises PhysiopipeError where aeon is missing, or windows have another shape or values that are not finite.
        """
        rocket = _aeon()(n_kernels=KERNELS, n_jobs=threads, random_state=0)
        channels, samples = self.shape.tolist()
        checked = _checked(windows, (channels, samples))
        if not len(checked):
            return np.zeros((0, len(self.biases)), np.float32)
        with _undisturbed():
            # A fit on nothing tells aeon the windows' shape; what it drew gives way to what was fitted
            rocket.fit(np.zeros((1, channels, samples), np.float32))
            rocket.parameters = tuple(self.arrays().values())[1:]
            features: F32 = rocket.transform(checked)
        return features

    def _consistent(self) -> bool:
        """Whether compiled code that trusts these arrays stays within them and within the windows."""
        if len(self.shape) != 2 or self.shape.min() < 1 or self.shape[1] < _TAPS or not len(self.dilations):
            return False
        per_combination, chosen = self.channels_per_combination, self.channel_indices
        return bool(
            len(self.features_per_dilation) == len(self.dilations)
            and self.dilations.min() >= 1
            and (_TAPS - 1) * int(self.dilations.max()) < self.shape[1]
            and self.features_per_dilation.min() >= 1
            and len(self.biases) == KERNELS * int(self.features_per_dilation.sum(dtype=np.int64))
            and len(per_combination) == KERNELS * len(self.dilations)
            and per_combination.min() >= 1
            and len(chosen) == int(per_combination.sum(dtype=np.int64))
            and 0 <= chosen.min() <= chosen.max() < self.shape[0]
            and np.isfinite(self.biases).all()
        )


def _checked(windows: npt.NDArray[np.floating], shape: tuple[int, int] | None) -> F32:
    expected = f"(N, {shape[0]} channels, {shape[1]} samples)" if shape else f"(N, channels, {_TAPS} samples or more)"
    if windows.ndim != 3 or windows.shape[1] < 1 or windows.shape[2] < _TAPS or (shape and windows.shape[1:] != shape):
        raise PhysiopipeError(f"MiniRocket: found windows of shape {windows.shape}, expected {expected}.")
    with np.errstate(over="ignore"):  # refused below
        cast = np.ascontiguousarray(windows, np.float32)
    if not np.isfinite(cast).all():
        raise PhysiopipeError("MiniRocket: windows hold values that are not finite in float32: reject or mend them.")
    return cast


def _aeon() -> Any:
    try:
        return importlib.import_module("aeon.transformations.collection.convolution_based").MiniRocket
    except ImportError as error:
        raise PhysiopipeError(
            f"MiniRocket needs the package aeon, which cannot be imported here ({error}): "
            "pip install 'physiopipe[methods]'"
        ) from None


@contextmanager
def _undisturbed() -> Iterator[None]:
    """aeon's fit seeds numpy's global generator, and numba's first thread changes torch's count: put both back."""
    state, threads = np.random.get_state(), torch.get_num_threads()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
        torch.set_num_threads(threads)
