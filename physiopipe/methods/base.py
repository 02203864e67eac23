"""What every row of Table 1 is: a method that is fitted on some subjects' clips and predicts others'.

A new method is one file with one subclass of `Method`, its name in `params.MethodName` and a line in `METHOD_CLASSES`.
This module and the trivial methods import no torch and no scikit-learn.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.params import MethodName, Params
from physiopipe.training.curve import CurvePoint

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

    def workers(self, runs: int, cores: int) -> int:  # noqa: ARG002
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

    def precompute(self, clips: ClipData) -> None:  # noqa: B027
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
