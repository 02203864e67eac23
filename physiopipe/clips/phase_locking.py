"""Phase locking of EEG channels in each window, computed once and kept by content; its mean over training windows."""

from pathlib import Path
from typing import Any

import numpy as np

from physiopipe.clips.cache import SubjectCache
from physiopipe.clips.clip_data import F32, ClipData
from physiopipe.clips.resampled import RATE_HZ, ResampledWindows
from physiopipe.code_digest import code_digest, library_versions


class PhaseLocking:
    """Phase-locking values of windows at 128 Hz, 4 to 45 Hz, kept below `state_folder`, a file a subject.

    Args:
        windows: where the windows at 128 Hz are kept.
    """

    def __init__(self, state_folder: Path, windows: ResampledWindows) -> None:
        self._windows = windows
        recipe: dict[str, Any] = {
            "kind": f"phase-locking values at {RATE_HZ} Hz",
            "code": code_digest(__name__),
            "libraries": library_versions(["numpy", "scipy"]),
        }
        self._cache = SubjectCache(state_folder / "phase_locking", recipe, ("eeg",), self._compute)

    def of(self, clips: ClipData) -> F32:
        """float32 (w, C, C) in 0..1, symmetric. 1 on the diagonal of a channel with signal; 0 in the row and column
        of one that is absent or constant, and everywhere in a window without a valid patch.
        """
        channels = clips.eeg.shape[1]
        return self._cache.of(clips).reshape(len(clips.clip_of), channels, channels)

    def precompute(self, clips: ClipData) -> None:
        """Hold these windows' values in memory, so that any choice among them is looked up."""
        self._cache.precompute(clips)

    def _compute(self, clips: ClipData) -> F32:
        from physiopipe.signals.connectivity import phase_locking_values

        windows = self._windows.of(clips, "eeg")
        found = np.zeros((len(windows), windows.shape[1], windows.shape[1]), dtype=np.float32)
        for valid in np.unique(clips.valid_patches[clips.valid_patches > 0]).tolist():
            rows = clips.valid_patches == valid
            found[rows] = phase_locking_values(windows[rows, :, : valid * RATE_HZ], RATE_HZ)
        return found.reshape(len(found), -1)


def mean_phase_locking(values: F32) -> F32:
    """Mean of (w, C, C) over the windows in which both channels have signal, (C, C); 0 where there is none, and on the
    diagonal. Windows are those of training people, as it becomes part of what is fitted.
    """
    alive = np.diagonal(values, axis1=1, axis2=2) > 0
    both = (alive[:, :, None] & alive[:, None, :]).sum(axis=0)
    total = values.sum(axis=0, dtype=np.float64)
    mean = np.divide(total, both, out=np.zeros_like(total), where=both > 0)
    np.fill_diagonal(mean, 0.0)
    found: F32 = ((mean + mean.T) / 2).astype(np.float32)
    return found
