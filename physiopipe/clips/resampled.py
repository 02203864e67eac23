"""Windows at 128 Hz, for networks that were made for that rate, computed once and kept by content.

Stored windows are at 200 Hz; the ratio is 16 / 25, by the polyphase filter of `scipy.signal.resample_poly` (a sinc
under a Kaiser window, β = 5), so a patch of 200 samples becomes 128.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from physiopipe.clips.cache import SubjectCache
from physiopipe.clips.clip_data import F32, ClipData, Modality
from physiopipe.code_digest import code_digest, library_versions

RATE_HZ = 128  # samples of a patch, which lasts a second

_UP, _DOWN = 16, 25


def windows_at_128_hz(clips: ClipData, modality: Modality) -> F32:
    """The windows of a modality at 128 Hz, in the unit they are stored in.

    Only valid patches enter. Beyond their ends the filter sees the straight line through the first and the last sample
    go on, since zeros there would bend a signal that does not end at 0.

    Returns:
        float32 (w, C, P · 128); 0 in patches that are not valid and in channels that are not present.
    """
    from scipy.signal import resample_poly

    windows, present = (clips.eeg, clips.eeg_present) if modality == "eeg" else (clips.ecg, clips.ecg_present)
    count, channels, patches, samples = windows.shape
    found = np.zeros((count, channels, patches * RATE_HZ), dtype=np.float32)
    for valid in np.unique(clips.valid_patches).tolist():
        window, channel = np.nonzero(present & (clips.valid_patches == valid)[:, None])
        if valid and len(window):
            rows = windows[window, channel, :valid].reshape(len(window), valid * samples)
            found[window, channel, : valid * RATE_HZ] = resample_poly(rows, _UP, _DOWN, axis=-1, padtype="line")
    return found


class ResampledWindows:
    """`windows_at_128_hz` of clips, kept below `state_folder`, a file a subject and modality."""

    def __init__(self, state_folder: Path) -> None:
        recipe: dict[str, Any] = {
            "kind": f"windows at {RATE_HZ} Hz",
            "code": code_digest(__name__),
            "libraries": library_versions(["numpy", "scipy"]),
        }
        self._caches: dict[Modality, SubjectCache] = {}
        modalities: tuple[Modality, ...] = ("eeg", "ecg")
        for each in modalities:
            compute = partial(_flat, modality=each)
            self._caches[each] = SubjectCache(
                state_folder / "windows_128_hz", {**recipe, "modality": each}, (each,), compute
            )

    def of(self, clips: ClipData, modality: Modality) -> F32:
        """float32 (w, C, P · 128), in the order of the windows of `clips`."""
        channels, patches = getattr(clips, modality).shape[1:3]
        return self._caches[modality].of(clips).reshape(len(clips.clip_of), channels, patches * RATE_HZ)

    def precompute(self, clips: ClipData, modalities: tuple[Modality, ...]) -> None:
        """Hold these windows in memory, so that any choice among them is looked up."""
        for each in modalities:
            self._caches[each].precompute(clips)


def _flat(clips: ClipData, modality: Modality) -> F32:
    return windows_at_128_hz(clips, modality).reshape(len(clips.clip_of), -1)
