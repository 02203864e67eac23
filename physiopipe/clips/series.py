"""Windows at 128 Hz as univariate series: one channel of one stretch of a window, for networks that read no more."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from physiopipe.clips.clip_data import F32, F64, MODALITIES, ClipData, Modality
from physiopipe.clips.resampled import RATE_HZ, ResampledWindows
from physiopipe.errors import PhysiopipeError

Scaling = Literal["training", "series"]

_FLAT = 1e-3  # of a constant: resampling leaves a ripple of 2e-4 of it


@dataclass(frozen=True)
class Series:
    """n univariate series.

    Attributes:
        values: float32 (n, T) at 128 Hz, scaled; 0 where a patch is not valid.
        clip_of: int64 (n,), the clip that each is of.
    """

    values: F32
    clip_of: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.values)

    def by_clip(self, clips: int) -> list[npt.NDArray[np.int64]]:
        """Rows of each clip, in order; empty for a clip without a series."""
        order = np.argsort(self.clip_of, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.clip_of, minlength=clips))[:-1])


class ClipSeries:
    """Clips to their series of `samples`."""

    def __init__(self, windows: ResampledWindows, samples: int, scaling: Scaling) -> None:
        """Set up.

        Args:
            samples: T, of a series; what a window has beyond a multiple of them is left out.
            scaling: training: the EEG as a whole, and the ECG as a whole, to mean 0 and SD 1 of the training people's
                windows, so that amplitudes still differ; series: each series by itself.
        """
        self._windows, self._samples, self._scaling = windows, samples, scaling

    def unit(self, train: ClipData) -> F64:
        """Mean and SD (columns) of all valid samples of the EEG and of the ECG (rows), (2, 2); 0 and 1 without any."""
        found = np.tile([0.0, 1.0], (len(MODALITIES), 1))
        for row, modality in enumerate(MODALITIES):
            windows = self._windows.of(train, modality)
            valid = windows[valid_samples(train, modality)]
            if len(valid) and float(valid.std(dtype=np.float64)) > 0:
                found[row] = valid.mean(dtype=np.float64), valid.std(dtype=np.float64)
        return found

    def of(self, clips: ClipData, unit: F64) -> Series:
        """All series of which at least half is valid: those of the EEG, then those of the ECG.

        Args:
            unit: from `unit`, of the training people.

        Raises:
            PhysiopipeError: a window is shorter than a series.
        """
        parts = [self._of_modality(clips, modality, *unit[row]) for row, modality in enumerate(MODALITIES)]
        return Series(np.concatenate([each.values for each in parts]), np.concatenate([each.clip_of for each in parts]))

    def _of_modality(self, clips: ClipData, modality: Modality, mean: float, deviation: float) -> Series:
        windows, inside = self._windows.of(clips, modality), valid_samples(clips, modality)
        segments = windows.shape[-1] // self._samples
        if segments == 0:
            raise PhysiopipeError(
                f"A window has {windows.shape[-1] / RATE_HZ:g} s and a series {self._samples / RATE_HZ:g} s: set "
                "segment_s of the method to at most a window's length."
            )
        shape = (*windows.shape[:2], segments, self._samples)
        used = segments * self._samples
        inside = inside[..., :used].reshape(shape)
        chosen = inside.sum(axis=-1) * 2 >= self._samples
        values, inside = windows[..., :used].reshape(shape)[chosen], inside[chosen]
        if self._scaling == "training":
            values = (values - np.float32(mean)) / np.float32(deviation)
        else:
            values = each_scaled(values, inside)
        return Series(np.where(inside, values, np.float32(0)), clips.clip_of[np.nonzero(chosen)[0]])


def each_scaled(values: F32, inside: npt.NDArray[np.bool_]) -> F32:
    """Each row (n, T) to mean 0 and SD 1 of its valid samples, a flat one to 0."""
    mean = values.mean(axis=-1, keepdims=True, where=inside)
    centred = np.where(inside, values - mean, np.float32(0))
    deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True, where=inside))
    flat = deviation <= _FLAT * np.abs(mean)
    scaled: F32 = np.divide(centred, deviation, out=np.zeros_like(centred), where=~flat & (deviation > 0))
    return scaled


def valid_samples(clips: ClipData, modality: Modality) -> npt.NDArray[np.bool_]:
    """(w, C, P · 128): whether a sample is of a present channel's valid patch."""
    present = clips.eeg_present if modality == "eeg" else clips.ecg_present
    inside = np.arange(clips.eeg.shape[2] * RATE_HZ) < clips.valid_patches[:, None] * RATE_HZ
    return present[:, :, None] & inside[:, None, :]
