"""Window quantities that no label enters, computed once and kept on disk by content.

Kept a subject at a time, so that a fold finds what another fold or seed has computed, and a method still sees only
the clips it is given.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from physiopipe.files import atomic_file, sha256_json
from physiopipe.methods.base import F32, ClipData

ALL_SIGNALS = ("eeg", "ecg", "eeg_present", "ecg_present", "valid_patches")


class SubjectCache:
    """`compute` of each subject's clips, kept as `<digest>.npy` in `folder`."""

    def __init__(self, folder: Path, recipe: Any, signals: tuple[str, ...], compute: Callable[[ClipData], F32]) -> None:
        """Set up; nothing is read or computed yet.

        Args:
            folder: where the files are; a digest is over `recipe` and the subject's windows.
            recipe: JSON value naming everything that `compute` depends on besides the windows.
            signals: the window arrays of ClipData that it depends on.
            compute: clips of one subject → float32 (windows, k), each row from its own window alone. Labels are
                hidden from it.
        """
        self._folder, self._signals, self._compute = folder, signals, compute
        self._recipe = sha256_json(recipe)
        self._remembered: dict[bytes, F32] = {}

    def of(self, clips: ClipData) -> F32:
        """float32 (windows, k), in the order of the windows of `clips`."""
        if self._remembered:
            rows = [self._remembered.get(self._window_digest(clips, i)) for i in range(len(clips.clip_of))]
            known = [row for row in rows if row is not None]
            if known and len(known) == len(rows):
                return np.stack(known)
        values: F32 | None = None
        for name in np.unique(clips.subjects):
            rows_of = np.flatnonzero((clips.subjects == name)[clips.clip_of])
            found = self._load_or_compute(clips.of_subjects([str(name)]).without_labels())
            if values is None:
                values = np.empty((len(clips.clip_of), found.shape[1]), dtype=np.float32)
            values[rows_of] = found
        return values if values is not None else np.empty((0, 0), dtype=np.float32)

    def remember(self, clips: ClipData) -> None:
        """Hold these windows' values in memory, to be found by the content of each window."""
        for i, row in enumerate(self.of(clips)):
            self._remembered[self._window_digest(clips, i)] = row

    def _load_or_compute(self, clips: ClipData) -> F32:
        path = self._folder / f"{self._digest(clips)}.npy"
        try:
            found: F32 = np.load(path, allow_pickle=False)
            if found.ndim == 2 and len(found) == len(clips.clip_of):
                return found
        except (FileNotFoundError, ValueError, EOFError):
            pass  # not there, or cut short by a full disk: made again below
        values = np.ascontiguousarray(self._compute(clips), dtype=np.float32)
        with atomic_file(path) as temporary, temporary.open("wb") as handle:
            np.save(handle, values, allow_pickle=False)
        return values

    def _digest(self, clips: ClipData) -> str:
        digest = hashlib.sha256(self._recipe.encode())
        for name in self._signals:
            array = getattr(clips, name)
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _window_digest(self, clips: ClipData, row: int) -> bytes:
        digest = hashlib.blake2b(digest_size=16)
        for name in self._signals:
            digest.update(np.ascontiguousarray(getattr(clips, name)[row]).tobytes())
        return digest.digest()
