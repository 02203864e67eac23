"""Clips and their windows, as methods are given them."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from physiopipe.params.clips import BaselineUse

Modality = Literal["eeg", "ecg"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
NUMBERS_OF_RECORDING = 1000  # where windows are clips: window 12 of recording 2 is clip 2012
HIDDEN_LABEL = -1  # in place of the labels of clips that a method is to predict

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """The rest before each clip.

    Attributes:
        windows: the same clips, in the same order and without labels, each with at least one window of rest.
        use: what features and embeddings make of it.
    """

    windows: "ClipData"
    use: BaselineUse


@dataclass(frozen=True)
class ClipData:
    """Clips (one rating of a subject each) and the windows cut from them; n clips, w windows, P patches of 200.

    Attributes:
        subjects, clips: (n,) whose clip it is, and its 1-based number in the experiment; where each window is a clip
            by itself, the recording's number times NUMBERS_OF_RECORDING plus the window's own.
        labels: int8 (n, n tasks), 1 high, 0 low in the order of `tasks`; HIDDEN_LABEL where the method must not know.
        eeg: float32 (w, EEG channels, P, 200), microvolt.
        ecg: float32 (w, ECG channels, P, 200), in the stored unit (which a cohort may leave open: z-score it). Of a
            modality that the cohort does not have there are no channels.
        eeg_present, ecg_present: bool (w, channel), False where a channel is missing or flat.
        valid_patches: int64 (w,), leading patches of the window that hold signal in both modalities.
        clip_of: int64 (w,), the clip (row of `subjects`) of each window; ascending, in order of time inside a clip.
        tasks: names of the columns of `labels`.
        eeg_channels, ecg_channels: names of the channels, in order.
        ecg_unit: the ECG's stored unit: mV, or unspecified.
        baseline: the rest before each clip; None where methods are not to be given it.
    """

    subjects: npt.NDArray[np.str_]
    clips: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int8]
    eeg: F32
    ecg: F32
    eeg_present: npt.NDArray[np.bool_]
    ecg_present: npt.NDArray[np.bool_]
    valid_patches: npt.NDArray[np.int64]
    clip_of: npt.NDArray[np.int64]
    tasks: tuple[str, ...]
    eeg_channels: tuple[str, ...]
    ecg_channels: tuple[str, ...]
    ecg_unit: str = "unspecified"
    baseline: Baseline | None = None
    _digests: dict[Modality, npt.NDArray[np.bytes_]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __len__(self) -> int:
        return len(self.subjects)

    def of_subjects(self, names: Iterable[str]) -> "ClipData":
        """The clips and windows of these subjects, in the order they have here."""
        return self.of_windows(np.isin(self.subjects, np.array(sorted(names), dtype=np.str_))[self.clip_of])

    def of_windows(self, chosen: npt.NDArray[np.bool_]) -> "ClipData":
        """The chosen windows (w,), with the clips that have one among them, in the order they have here."""
        kept = np.zeros(len(self), dtype=bool)
        kept[self.clip_of[chosen]] = True
        baseline = self.baseline
        if baseline is not None:
            baseline = replace(baseline, windows=baseline.windows.of_windows(kept[baseline.windows.clip_of]))
        found = replace(
            self,
            subjects=self.subjects[kept],
            clips=self.clips[kept],
            labels=self.labels[kept],
            eeg=self.eeg[chosen],
            ecg=self.ecg[chosen],
            eeg_present=self.eeg_present[chosen],
            ecg_present=self.ecg_present[chosen],
            valid_patches=self.valid_patches[chosen],
            clip_of=(np.cumsum(kept) - 1)[self.clip_of[chosen]],
            baseline=baseline,
        )
        found._digests.update({modality: known[chosen] for modality, known in self._digests.items()})
        return found

    def without_labels(self) -> "ClipData":
        """The same clips with HIDDEN_LABEL everywhere: what a method is given to predict."""
        found = replace(self, labels=np.full_like(self.labels, HIDDEN_LABEL))
        object.__setattr__(found, "_digests", self._digests)  # the same windows: what one learns of them, both know
        return found

    def digests(self, modality: Modality) -> npt.NDArray[np.bytes_]:
        """Digest of each window's samples, channels and valid patches in a modality, (w,).

        Computed when first asked for and handed on to choices among these windows: their arrays must not change then.
        """
        if modality not in self._digests:
            windows, present = getattr(self, modality), getattr(self, f"{modality}_present")
            rows = (_digest(*row) for row in zip(windows, present, self.valid_patches, strict=True))
            self._digests[modality] = np.array(list(rows), dtype="S32")
        return self._digests[modality]

    def clip_means(self, values: npt.NDArray[Any]) -> F64:
        """Mean of a window quantity (w, k) over each clip's windows, (n, k); NaN are left out, all NaN stay NaN."""
        known = np.isfinite(values)
        totals = np.zeros((len(self), values.shape[1]))
        counts = np.zeros_like(totals)
        np.add.at(totals, self.clip_of, np.where(known, values, 0.0))
        np.add.at(counts, self.clip_of, known)
        return np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts > 0)


def _digest(*arrays: npt.NDArray[Any]) -> bytes:
    """Hexadecimal digest of arrays' shapes and contents."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(str(np.shape(array)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest().encode()
