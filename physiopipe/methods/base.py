"""What every row of Table 1 is: a method that is fitted on some subjects' clips and predicts others'.

A new method is one file with one subclass of `Method` and a line in `physiopipe.methods.registry`. Parameters are
checked with each method's `Settings`, so files of methods import torch and scikit-learn inside functions alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from physiopipe.clips.clip_data import F64, MODALITIES, ClipData
from physiopipe.errors import PhysiopipeError
from physiopipe.params.section import Section
from physiopipe.training.curve import CurvePoint

if TYPE_CHECKING:
    from physiopipe.params import Params

Arrays = dict[str, npt.NDArray[Any]]
S = TypeVar("S", bound=Section)


@dataclass(frozen=True)
class Setup:
    """What a method may need besides clips: parameters, the pretrained ECG encoder, a folder for reusable state, the
    modalities of the cohort.
    """

    params: "Params"
    ecg_encoder: Path | None
    state_folder: Path
    modalities: tuple[str, ...] = MODALITIES

    def section(self, name: str, kind: type[S]) -> S:
        """The section of the parameters that is the method's own; the defaults, where the study does not list it."""
        found = self.params.method[name] if name in self.params.method else kind()
        assert isinstance(found, kind)
        return found


class NoSettings(Section):
    """A method without parameters."""


class Method(ABC):
    """A row of Table 1.

    Class attributes: `name` as registered; `title` and `note` (one sentence) as tables show it; `Settings`, its section
    of the parameters; `family`, whose methods are compared in a table of their own (`fusion`), or empty; `inputs`, the
    modalities it reads; `can_do_without`, those among them that a cohort may lack as a whole; `uses_baseline`, whether
    it works on features or embeddings that can be set against those of a baseline; `licence` of the code behind it;
    `libraries`, distributions whose other versions make earlier results stale; `extras`, those among them that are not
    installed with the package itself; `exempt`, what tests hold every row to and this one does not promise, each with
    the reason: `alone`, that a clip's prediction does not depend on the clips predicted with it; `chance`, that it is
    at one half where signals say nothing.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    note: ClassVar[str]
    Settings: ClassVar[type[Section]] = NoSettings
    family: ClassVar[str] = ""
    inputs: ClassVar[tuple[str, ...]] = ()
    uses_baseline: ClassVar[bool] = False
    can_do_without: ClassVar[tuple[str, ...]] = ()
    licence: ClassVar[str] = "BSD-3-Clause"
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)
    extras: ClassVar[tuple[str, ...]] = ()
    exempt: ClassVar[Mapping[str, str]] = {}

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    @property
    def provenance(self) -> str:
        """What the row is: `baseline`, `reimplementation`, `library`, `stand-in: …`, and what a reader must know."""
        return "baseline"

    @property
    def reads(self) -> str:
        """What it takes of each modality, as a sentence for tables; empty: the modalities as they are named."""
        return ""

    @property
    def details(self) -> str:
        """What its settings make of it, as a sentence for tables; empty: the note says all."""
        return ""

    @property
    def encoders(self) -> dict[str, str]:
        """What the encoder of each modality was trained on, in words; empty where there are none."""
        return {}

    @property
    def trained_parameters(self) -> int | None:
        """Numbers that the latest `fit` has fitted to labels, or to windows without them: weights, coefficients, means
        of labels. Scales, thresholds and windows that are only remembered do not count. None: the method does not tell.
        """
        return None

    def fingerprint(self) -> dict[str, Any]:
        """Parameters and digests of inputs, as JSON values, that determine the predictions besides clips and code."""
        return {"settings": self.setup.section(self.name, self.Settings).model_dump(mode="json")}

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
        """Probability of `high`, (n clips, n tasks), in the order of the clips' tasks."""

    @abstractmethod
    def state(self) -> tuple[Arrays, dict[str, Any]]:
        """What `fit` has learnt, as arrays by name and JSON values: enough for `restore` to predict equal bytes."""

    @abstractmethod
    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:
        """Be as after the `fit` that these arrays and values are the `state` of; `curve` is not restored."""

    def remarks(self, clips: ClipData) -> Sequence[str]:  # noqa: ARG002
        """Lines for who starts the fits, on what is odd or worth knowing of these clips' signals."""
        return ()

    def precompute(self, clips: ClipData) -> None:  # noqa: B027
        """Make what is computed of windows without their labels ready for any choice among these windows."""

    def curve(self) -> Sequence[CurvePoint]:
        """Loss and AUC by epoch of the latest `fit`; empty where nothing is trained in epochs."""
        return ()


def prevalence(train: ClipData) -> F64:
    """Share of high labels among the training clips, (n tasks,)."""
    if len(train) == 0:
        raise PhysiopipeError("No training clips: the split leaves no subject to learn from. Use more subjects.")
    share: F64 = train.labels.mean(axis=0, dtype=np.float64)
    return share
