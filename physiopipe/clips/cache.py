"""Window quantities that no label enters, computed once and kept on disk by content.

Kept a subject at a time, so that a fold finds what another fold or seed has computed, and a method still sees only
the clips it is given.
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from physiopipe import cpu_time
from physiopipe.checksums import kept_file, read_kept
from physiopipe.clips.clip_data import F32, ClipData, Modality
from physiopipe.files import sha256_json


class SubjectCache:
    """`compute` of each subject's clips, kept as `<digest>.npy` in `folder`, with a checksum each."""

    def __init__(
        self, folder: Path, recipe: Any, modalities: tuple[Modality, ...], compute: Callable[[ClipData], F32]
    ) -> None:
        """Set up; nothing is read or computed yet.

        Args:
            folder: where the files are; a digest is over `recipe` and the subject's windows.
            recipe: JSON value naming everything that `compute` depends on besides the windows.
            modalities: those whose windows it depends on.
            compute: clips of one subject → float32 (windows, k), each row from its own window alone. Labels are
                hidden from it.
        """
        self._folder, self._modalities, self._compute = folder, modalities, compute
        self._recipe = sha256_json(recipe)
        self._remembered: dict[bytes, F32] = {}

    def of(self, clips: ClipData) -> F32:
        """float32 (windows, k), in the order of the windows of `clips`."""
        digests = self._digests(clips)
        known = [self._remembered[digest] for digest in digests if digest in self._remembered]
        if known and len(known) == len(digests):
            return np.stack(known)
        values: F32 | None = None
        for name in np.unique(clips.subjects):
            mine = (clips.subjects == name)[clips.clip_of]
            found = self._load_or_compute(clips, mine)
            if values is None:
                values = np.empty((len(digests), found.shape[1]), dtype=np.float32)
            values[mine] = found
        return values if values is not None else np.empty((0, 0), dtype=np.float32)

    def precompute(self, clips: ClipData) -> None:
        """Hold these windows' values, and their baselines', in memory, to be found by the content of each window."""
        if clips.baseline is not None:
            self.precompute(clips.baseline.windows)
        self._remembered.update(zip(self._digests(clips), self.of(clips), strict=True))

    def _load_or_compute(self, clips: ClipData, mine: npt.NDArray[np.bool_]) -> F32:
        digest = hashlib.sha256(self._recipe.encode())
        for modality in self._modalities:
            digest.update(clips.digests(modality)[mine].tobytes())
        path = self._folder / f"{digest.hexdigest()}.npy"
        content = read_kept(path)
        if content is not None:
            found: F32 = np.load(io.BytesIO(content), allow_pickle=False)
            cpu_time.found(path)
            return found
        with cpu_time.computing(path):
            values = np.ascontiguousarray(self._compute(clips.of_windows(mine).without_labels()), dtype=np.float32)
        with kept_file(path) as temporary, temporary.open("wb") as handle:
            np.save(handle, values, allow_pickle=False)
        return values

    def _digests(self, clips: ClipData) -> list[bytes]:
        """Of each window, over the modalities that count."""
        return [b"".join(row) for row in zip(*(clips.digests(each).tolist() for each in self._modalities), strict=True)]
