"""Rows whose network reads one channel of one stretch at a time and learns in two stages: TF-C and SimMTM."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.clips.resampled import RATE_HZ
from physiopipe.clips.series import ClipSeries, Scaling
from physiopipe.methods.base import Arrays, prevalence
from physiopipe.methods.networks import NetworkMethod, kept_weights, weights_in
from physiopipe.methods.reductions import reductions
from physiopipe.params.section import Count, LearningRate, Positive, Section

if TYPE_CHECKING:
    from torch import Tensor

    from physiopipe.training.series import Stage, TwoStageNetwork


class SeriesSettings(Section):
    """Series of one channel, and the two stages that learn from them."""

    segment_s: Positive = Field(2.0, description="length of a series, s")
    scaling: Scaling = Field(
        "training",
        description="training: EEG and ECG each to mean 0 and SD 1 of the training people; series: each series by "
        "itself, without its amplitude",
    )
    pretrain_series: Count | None = Field(
        None, description="series of training people drawn anew for each epoch without labels; null: all"
    )
    pretrain_epochs: int = Field(40, ge=0, description="epochs without labels; 0: none")
    pretrain_batch_size: int = Field(128, ge=2, description="series of a step without labels")
    pretrain_learning_rate: LearningRate = Field(3e-4, description="of Adam, without labels")
    finetune_series: Count | None = Field(
        None, description="series of training people drawn anew for each epoch with labels; null: all"
    )
    finetune_epochs: Count = Field(40, description="epochs with labels; the best by validation people is kept")
    finetune_batch_size: int = Field(60, ge=2, description="series of a step with labels")
    finetune_learning_rate: LearningRate = Field(3e-4, description="of Adam, with labels")
    validation_series: Count | None = Field(
        None, description="series of validation people, drawn once, that an epoch is judged by; null: all"
    )


class SeriesMethod(NetworkMethod):
    """Two stages on single series; a clip's probability is the mean over stretches, windows and channels."""

    inputs = ("eeg", "ecg")
    Settings: ClassVar[type[SeriesSettings]] = SeriesSettings
    settings: SeriesSettings
    _network: "TwoStageNetwork"
    pretrain_cosine: ClassVar[bool] = False  # whether the rate without labels falls to 0

    @property
    def samples(self) -> int:
        """T, of a series."""
        return round(self.settings.segment_s * RATE_HZ)

    @property
    def provenance(self) -> str:
        learnt = "self-supervised on the fold's training people alone" if self.settings.pretrain_epochs else "untrained"
        notes = [learnt, reductions(self.settings)]
        return f"reimplementation ({'; '.join(note for note in notes if note)})"

    def fit(self, train: ClipData, validation: ClipData, seed: int) -> Self:
        import torch

        from physiopipe.training.series import check_enough, chosen_series, finetune, pretrain
        from physiopipe.training.threads import one_thread

        self._prevalence = prevalence(train)
        cut = ClipSeries(self._windows, self.samples, self.settings.scaling)
        self._unit = cut.unit(train)
        series, held_out = cut.of(train, self._unit), cut.of(validation, self._unit)
        check_enough(series)
        count = self.settings.validation_series
        held_out = chosen_series(held_out, len(validation), count, np.random.default_rng([seed, 1]))
        of_device = [self._device] if self._device.type == "cuda" else []
        with one_thread(), torch.random.fork_rng(devices=of_device):
            torch.manual_seed(seed)
            network = self._new_network(len(train.tasks)).to(self._device)
            without, with_labels = self._stages()
            values = torch.from_numpy(series.values)
            if without.epochs:
                self._look_at(network, values)
                pretrain(network, values, without, np.random.default_rng([seed, 2]))
            self._curve = finetune(
                network,
                series,
                train.labels,
                held_out,
                validation.labels,
                with_labels,
                np.random.default_rng([seed, 3]),
            )
        self._network = network
        return self

    def predict(self, test: ClipData) -> F64:
        from physiopipe.training.series import clip_probabilities
        from physiopipe.training.threads import one_thread

        series = ClipSeries(self._windows, self.samples, self.settings.scaling).of(test, self._unit)
        with one_thread():
            found = clip_probabilities(self._network, series, len(test), len(self._prevalence))
        # nothing is known of a clip without a series
        return np.where(np.isnan(found), self._prevalence, found)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        arrays = kept_weights(self._network.fine_tuned_weights())
        return arrays | {"unit": self._unit, "prevalence": self._prevalence}, {}

    def restore(self, arrays: Arrays, about: dict[str, Any]) -> Self:  # noqa: ARG002
        import torch

        self._unit, self._prevalence = arrays["unit"], arrays["prevalence"]
        with torch.random.fork_rng(devices=[]):
            self._network = self._new_network(len(self._prevalence))
        self._network.load_fine_tuned(weights_in(arrays))
        self._network.to(self._device)
        self._curve = []
        return self

    @abstractmethod
    def _new_network(self, tasks: int) -> "TwoStageNetwork":
        """The network untrained, its weights drawn from torch's generator."""

    @property
    def _weight_decay(self) -> float:
        """Of Adam, in both stages."""
        return 0.0

    def _stages(self) -> "tuple[Stage, Stage]":
        """How it is trained without labels, and with them."""
        from physiopipe.training.series import Stage

        it = self.settings
        without = (it.pretrain_epochs, it.pretrain_batch_size, it.pretrain_learning_rate)
        with_labels = (it.finetune_epochs, it.finetune_batch_size, it.finetune_learning_rate)
        return (
            Stage(*without, self._weight_decay, it.pretrain_series, self.pretrain_cosine),
            Stage(*with_labels, self._weight_decay, it.finetune_series),
        )

    def _look_at(self, network: "TwoStageNetwork", values: "Tensor") -> None:
        """Learn what the stage without labels needs to know of all training series (n, T)."""
