"""Windows at 128 Hz as segments of all their channels, for networks that read these together."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from physiopipe.clips.clip_data import F32, F64, MODALITIES, ClipData, Modality
from physiopipe.clips.resampled import RATE_HZ, ResampledWindows
from physiopipe.clips.series import each_scaled, valid_samples
from physiopipe.errors import PhysiopipeError


@dataclass(frozen=True)
class Segments:
    """n stretches of windows.

    Attributes:
        values: float32 (n, C, T) at 128 Hz; 0 where a channel is not present or a patch is not valid.
        clip_of: int64 (n,), the clip that each is of; ascending.
    """

    values: F32
    clip_of: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.values)

    def at(self, rows: npt.NDArray[np.int64]) -> "Segments":
        """Those in these rows, which ascend."""
        return self if len(rows) == len(self) else Segments(self.values[rows], self.clip_of[rows])

    def by_clip(self, clips: int) -> list[npt.NDArray[np.int64]]:
        """Rows of each clip, in order; empty for a clip without a segment."""
        return np.split(np.arange(len(self)), np.cumsum(np.bincount(self.clip_of, minlength=clips))[:-1])


def segments_of(windows: F32, clips: ClipData, modalities: tuple[Modality, ...], samples: int) -> Segments:
    """All segments of `samples` of which at least half is valid in a channel that is present; a rest is left out.

    Args:
        windows: (w, C, P · 128), the channels of the modalities one after the other.

    Raises:
        PhysiopipeError: a window is shorter than a segment.
    """
    count, channels, whole = windows.shape
    segments = whole // samples
    if segments == 0:
        raise PhysiopipeError(
            f"A window has {whole / RATE_HZ:g} s and a segment {samples / RATE_HZ:g} s: set segment_s of the method to "
            "at most a window's length."
        )
    inside = np.concatenate([valid_samples(clips, each) for each in modalities], axis=1).max(axis=1)
    used = segments * samples
    valid = inside[:, :used].reshape(count, segments, samples).sum(axis=-1)
    window, segment = np.nonzero(valid * 2 >= samples)
    cut = windows[..., :used].reshape(count, channels, segments, samples)
    return Segments(cut[window, :, segment], clips.clip_of[window])


class ScaledWindows:
    """Windows at 128 Hz, EEG and ECG channels one after the other, each channel brought to one scale."""

    def __init__(self, windows: ResampledWindows) -> None:
        self._windows = windows

    def unit(self, train: ClipData) -> F64:
        """Mean and SD (columns) of the valid samples of each channel (rows), (C, 2); 0 and 1 without any."""
        rows = []
        for each in MODALITIES:
            windows, inside = self._windows.of(train, each), valid_samples(train, each)
            for channel in range(windows.shape[1]):
                valid = windows[:, channel][inside[:, channel]]
                deviation = float(valid.std(dtype=np.float64)) if len(valid) else 0.0
                rows.append((float(valid.mean(dtype=np.float64)), deviation) if deviation > 0 else (0.0, 1.0))
        return np.array(rows)

    def by_unit(self, clips: ClipData, unit: F64) -> F32:
        """float32 (w, C, P · 128), each channel less its mean and divided by its SD; 0 where nothing is valid."""
        mean, deviation = unit.astype(np.float32).T[..., None]
        values, inside = self._both(clips)
        return np.where(inside, (values - mean) / deviation, np.float32(0))

    def by_window(self, clips: ClipData) -> F32:
        """float32 (w, C, P · 128), each channel of each window to mean 0 and SD 1 of its valid samples."""
        values, inside = self._both(clips)
        found = np.zeros_like(values)
        known = inside.any(axis=-1)
        found[known] = each_scaled(values[known], inside[known])
        return found

    def _both(self, clips: ClipData) -> tuple[F32, npt.NDArray[np.bool_]]:
        values = np.concatenate([self._windows.of(clips, each) for each in MODALITIES], axis=1)
        return values, np.concatenate([valid_samples(clips, each) for each in MODALITIES], axis=1)
