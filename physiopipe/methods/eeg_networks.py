"""Rows whose network reads all EEG channels of a stretch at 128 Hz together: MLF-CapsNet and EEG Conformer."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.clips.resampled import ResampledWindows
from physiopipe.clips.segments import Segments
from physiopipe.methods.base import Arrays, Method, Setup, prevalence
from physiopipe.methods.reductions import reductions
from physiopipe.params.section import Section
from physiopipe.training.curve import CurvePoint

if TYPE_CHECKING:
    import torch

    from physiopipe.training.segments import MoreRows, Schedule, SegmentNetwork

_WEIGHTS = "network."  # before the names of weights


class EegNetwork(Method):
    """One network with an output a task; a clip's probability is the mean over its segments."""

    inputs = ("eeg",)
    libraries = ("numpy", "scipy", "torch")

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        from physiopipe.training.device import choose_device

        self._windows = ResampledWindows(setup.state_folder)
        self._device: torch.device = choose_device(setup.params.run)
        self._curve: list[CurvePoint] = []

    @property
    @abstractmethod
    def settings(self) -> Section:
        """The row's own section of the parameters."""

    @property
    def provenance(self) -> str:
        changes = reductions(self.settings)
        return f"reimplementation (nothing pretrained{changes and f'; {changes}'})"

    def fingerprint(self) -> dict[str, Any]:
        return {"settings": self.settings.model_dump(mode="json"), "device": self._device.type}

    def precompute(self, clips: ClipData) -> None:
        self._windows.precompute(clips, ("eeg",))

    def workers(self, runs: int, cores: int) -> int:
        import torch

        return min(torch.cuda.device_count() if self._device.type == "cuda" else cores, runs)

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        import torch

        from physiopipe.training import segments
        from physiopipe.training.threads import one_thread

        self._prevalence = prevalence(train)
        self._unit = self._unit_of(train)
        shown, held_out = self._cut(train), self._cut(validation)
        _, electrodes, samples = shown.values.shape
        self._shape = (electrodes, samples)
        of_device = [self._device] if self._device.type == "cuda" else []
        with one_thread(), torch.random.fork_rng(devices=of_device):
            torch.manual_seed(seed)
            network = self._new_network(*self._shape, len(train.tasks)).to(self._device)
            self._curve = segments.train(
                network,
                shown,
                train.labels,
                held_out,
                validation.labels,
                self._schedule(),
                np.random.default_rng([seed, 3]),
                self._more(shown, train.labels, seed),
            )
        self._network = network
        return self

    def predict(self, test: ClipData) -> F64:
        from physiopipe.training.segments import clip_probabilities
        from physiopipe.training.threads import one_thread

        with one_thread():
            found = clip_probabilities(self._network, self._cut(test), len(test), len(self._prevalence))
        # nothing is known of a clip without a segment
        return np.where(np.isnan(found), self._prevalence, found)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        from physiopipe.training.segments import weights_of

        arrays: Arrays = {f"{_WEIGHTS}{name}": weight.numpy() for name, weight in weights_of(self._network).items()}
        return arrays | {"unit": self._unit, "prevalence": self._prevalence}, {"shape": list(self._shape)}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:
        import torch

        self._unit, self._prevalence = arrays["unit"], arrays["prevalence"]
        electrodes, samples = about["shape"]
        self._shape = (electrodes, samples)
        with torch.random.fork_rng(devices=[]):
            self._network = self._new_network(*self._shape, len(self._prevalence))
        named = {name.removeprefix(_WEIGHTS): value for name, value in arrays.items() if name.startswith(_WEIGHTS)}
        self._network.load_state_dict({name: torch.from_numpy(value) for name, value in named.items()})
        self._network.to(self._device)
        self._curve = []
        return self

    def curve(self) -> list[CurvePoint]:
        return self._curve

    @abstractmethod
    def _unit_of(self, train: ClipData) -> F64:
        """What of the training people scales everybody's segments."""

    @abstractmethod
    def _cut(self, clips: ClipData) -> Segments:
        """Scaled segments of clips."""

    @abstractmethod
    def _new_network(self, electrodes: int, samples: int, tasks: int) -> "SegmentNetwork":
        """The network untrained, its weights drawn from torch's generator."""

    @abstractmethod
    def _schedule(self) -> "Schedule":
        """How it is trained."""

    def _more(self, train: Segments, labels: npt.NDArray[np.int8], seed: int) -> "MoreRows | None":  # noqa: ARG002
        """Where segments that are added to each step come from: augmentation; None: there is none."""
        return None
