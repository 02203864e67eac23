"""Rows whose network reads all EEG channels of a stretch at 128 Hz together: MLF-CapsNet and EEG Conformer."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.clips.segments import Segments
from physiopipe.methods.base import Arrays, prevalence
from physiopipe.methods.networks import NetworkMethod, kept_weights, weights_in
from physiopipe.methods.reductions import reductions

if TYPE_CHECKING:
    from physiopipe.training.segments import MoreRows, Schedule, SegmentNetwork


class EegNetwork(NetworkMethod):
    """One network with an output a task; a clip's probability is the mean over its segments."""

    inputs = ("eeg",)
    _network: "SegmentNetwork"

    @property
    def provenance(self) -> str:
        changes = reductions(self.settings)
        return f"reimplementation (nothing pretrained{changes and f'; {changes}'})"

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
        arrays = kept_weights(self._network.state_dict())
        return arrays | {"unit": self._unit, "prevalence": self._prevalence}, {"shape": list(self._shape)}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:
        import torch

        self._unit, self._prevalence = arrays["unit"], arrays["prevalence"]
        electrodes, samples = about["shape"]
        self._shape = (electrodes, samples)
        with torch.random.fork_rng(devices=[]):
            self._network = self._new_network(*self._shape, len(self._prevalence))
        self._network.load_state_dict(weights_in(arrays))
        self._network.to(self._device)
        self._curve = []
        return self

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
