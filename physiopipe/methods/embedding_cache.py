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


def cached_by_subject(clips: ClipData, folder: Path, recipe: Any, compute: Callable[[ClipData], F32]) -> F32:
    """`compute` of each subject's clips, float32 (windows, k), in the order of the windows of `clips`.

    Args:
        folder: where `<digest>.npy` files are kept; the digest is over `recipe` and the subject's windows.
        recipe: JSON value naming everything that `compute` depends on besides the windows.
        compute: clips of one subject → float32 (windows, k). Labels are hidden from it.
    """
    values: F32 | None = None
    for name in np.unique(clips.subjects):
        rows = np.flatnonzero((clips.subjects == name)[clips.clip_of])
        found = _load_or_compute(clips.of_subjects([str(name)]).without_labels(), folder, recipe, compute)
        if values is None:
            values = np.empty((len(clips.clip_of), found.shape[1]), dtype=np.float32)
        values[rows] = found
    return values if values is not None else np.empty((0, 0), dtype=np.float32)


def _load_or_compute(clips: ClipData, folder: Path, recipe: Any, compute: Callable[[ClipData], F32]) -> F32:
    path = folder / f"{_digest(clips, recipe)}.npy"
    try:
        found: F32 = np.load(path, allow_pickle=False)
        if found.ndim == 2 and len(found) == len(clips.clip_of):
            return found
    except (FileNotFoundError, ValueError, EOFError):
        pass  # not there, or cut short by a full disk: made again below
    values = np.ascontiguousarray(compute(clips), dtype=np.float32)
    with atomic_file(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, values, allow_pickle=False)
    return values


def _digest(clips: ClipData, recipe: Any) -> str:
    digest = hashlib.sha256(sha256_json(recipe).encode())
    for array in (clips.eeg, clips.ecg, clips.eeg_present, clips.ecg_present, clips.valid_patches, clips.clip_of):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
