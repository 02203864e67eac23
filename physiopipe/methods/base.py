"""What every row of Table 1 is: a method that is fitted on some subjects' clips and predicts others'.

A new method is one file with one subclass of `Method`, its name in `params.MethodName` and a line in `METHOD_CLASSES`.
This module and the trivial methods import no torch and no scikit-learn.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError
from physiopipe.params import MethodName, Params
from physiopipe.training.curve import CurvePoint

Modality = Literal["eeg", "ecg"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
LABELS = ("valence", "arousal", "dominance")
HIDDEN_LABEL = -1  # in place of the labels of clips that a method is to predict

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

METHOD_CLASSES: dict[MethodName, str] = {
    "always_high": "physiopipe.methods.always_high:AlwaysHigh",
    "clip_prior": "physiopipe.methods.clip_prior:ClipPrior",
    "chance": "physiopipe.methods.chance:Chance",
    "handcrafted": "physiopipe.methods.handcrafted:Handcrafted",
    "nearest_neighbours": "physiopipe.methods.nearest_neighbours:NearestNeighbours",
    "ecg_only": "physiopipe.methods.ecg_only:EcgOnly",
    "eeg_only": "physiopipe.methods.eeg_only:EegOnly",
    "ours": "physiopipe.methods.ours:Ours",
    "transductive": "physiopipe.methods.transductive:Transductive",
    "gated": "physiopipe.methods.gated:Gated",
    "cross_attention": "physiopipe.methods.cross_attention:CrossAttention",
    "mixture": "physiopipe.methods.mixture:Mixture",
}


@dataclass(frozen=True)
class ClipData:
    """Clips (one rating of a subject each) and the windows cut from them; n clips, w windows, P patches of 200.

    Attributes:
        subjects, clips: (n,) whose clip it is, and its 1-based number in the experiment.
        labels: int8 (n, 3), 1 high, 0 low in the order of LABELS; HIDDEN_LABEL where the method must not know.
        eeg: float32 (w, 14, P, 200), microvolt.
        ecg: float32 (w, 2, P, 200), in the stored unit (DREAMER documents none: z-score it).
        eeg_present, ecg_present: bool (w, channel), False where a channel is missing or flat.
        valid_patches: int64 (w,), leading patches of the window that hold signal in both modalities.
        clip_of: int64 (w,), the clip (row of `subjects`) of each window; ascending, in order of time inside a clip.
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
        found = ClipData(
            subjects=self.subjects[kept],
            clips=self.clips[kept],
            labels=self.labels[kept],
            eeg=self.eeg[chosen],
            ecg=self.ecg[chosen],
            eeg_present=self.eeg_present[chosen],
            ecg_present=self.ecg_present[chosen],
            valid_patches=self.valid_patches[chosen],
            clip_of=(np.cumsum(kept) - 1)[self.clip_of[chosen]],
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


@dataclass(frozen=True)
class Setup:
    """What a method may need besides clips: parameters, the pretrained ECG encoder, a folder for reusable state."""

    params: Params
    ecg_encoder: Path | None
    state_folder: Path


class Method(ABC):
    """A row of Table 1.

    Class attributes: `name`; `inputs`, the modalities it reads; `licence` of the code behind it; `sources`, package
    files (patterns under physiopipe/) whose change makes earlier results stale; `libraries`, distributions likewise.
    """

    name: ClassVar[MethodName]
    inputs: ClassVar[tuple[str, ...]] = ()
    licence: ClassVar[str] = "BSD-3-Clause"
    sources: ClassVar[tuple[str, ...]] = ()
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    @property
    def provenance(self) -> str:
        """What the row is: `baseline`, `reimplementation`, `library`, `stand-in: …`, and what a reader must know."""
        return "baseline"

    def fingerprint(self) -> dict[str, Any]:
        """Parameters and digests of inputs, as JSON values, that determine the predictions besides the clips."""
        return {}

    def workers(self, cells: int, cores: int) -> int:  # noqa: ARG002
        """Processes, of one thread each, that so many fits are worth sharing out over; above 1 only where one thread
        and many give the same bytes.
        """
        return 1

    @abstractmethod
    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        """Learn from `train`; `validation` (other subjects) may choose among what was learnt. Starts afresh."""

    @abstractmethod
    def predict(self, test: ClipData) -> F64:
        """Probability of `high`, (n clips, 3), in the order of LABELS."""

    def remember(self, clips: ClipData) -> None:  # noqa: B027
        """Make what is computed of windows without their labels ready for any choice among these windows."""

    def curve(self) -> Sequence[CurvePoint]:
        """Loss and AUC by epoch of the latest `fit`; empty where nothing is trained in epochs."""
        return ()


def method_class(name: MethodName) -> type[Method]:
    """The class behind a name; only now are the libraries it needs imported."""
    module, _, attribute = METHOD_CLASSES[name].partition(":")
    found: type[Method] = getattr(import_module(module), attribute)
    return found


def prevalence(train: ClipData) -> F64:
    """Share of high labels among the training clips, (3,)."""
    if len(train) == 0:
        raise PhysiopipeError("No training clips: the split leaves no subject to learn from. Use more subjects.")
    share: F64 = train.labels.mean(axis=0, dtype=np.float64)
    return share
