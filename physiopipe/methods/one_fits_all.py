"""OneFitsAll (GPT4TS): patches of all channels, EEG and ECG, as tokens of a GPT-2 with trained norms and positions.

Source: Zhou et al., NeurIPS 2023, arXiv 2302.11939, its classifier. Ours in place of theirs: the epoch is chosen by
validation people (theirs by the test set), after every epoch (theirs after every second); a sigmoid for each task
(theirs one softmax), so that one network serves all tasks.
"""

import copy
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.methods.base import Arrays
from physiopipe.methods.language_models import LanguageModelMethod, LanguageModelSettings, Steps
from physiopipe.params.section import Count, LearningRate, Positive

if TYPE_CHECKING:
    from torch import Tensor, nn


class OneFitsAllSettings(LanguageModelSettings):
    """OneFitsAll; the defaults are the authors' for EEG (SelfRegulationSCP2)."""

    epochs: Count = Field(50, description="passes over the training windows; validation people choose one")
    batch_size: Count = Field(64, description="windows of a step")
    learning_rate: LearningRate = Field(5e-4, description="of RAdam, constant (published: 1e-4 to 2e-3, by data set)")
    gradient_norm: Positive = Field(4.0, description="gradients are scaled down to this norm")


class OneFitsAllMethod(LanguageModelMethod):
    """Scaled channels → patches of all channels → GPT-2 → layer norm → one linear layer with an output a task."""

    name = "one_fits_all"
    title = "OneFitsAll"
    note = "GPT-2 with frozen attention and feed-forward on patches of all channels; one network, an output a task."
    Settings: ClassVar[type[OneFitsAllSettings]] = OneFitsAllSettings

    @property
    def _section(self) -> OneFitsAllSettings:
        return self.setup.section(self.name, self.Settings)

    def _network(self) -> "nn.Module":
        from physiopipe.models.one_fits_all import OneFitsAll

        settings = self._section
        return OneFitsAll(
            copy.deepcopy(self._gpt2.loaded.body),  # its norms and positions will be this fit's own
            channels=self._sizes["channels"],
            samples=self._sizes["samples"],
            classes=self._sizes["tasks"],
            patch_samples=settings.patch_samples,
            stride_samples=settings.stride_samples,
            dropout=settings.dropout,
        )

    def _optimiser(self, net: "nn.Module") -> Steps:
        import torch

        settings = self._section
        weights = [weight for weight in net.parameters() if weight.requires_grad]
        return Steps(torch.optim.RAdam(weights, lr=settings.learning_rate), weights, settings.gradient_norm)

    def _prepare(self, train: ClipData, validation: ClipData) -> None:  # noqa: ARG002
        signals, known = self._signals(train), self._known(train)
        pairs = [_mean_and_deviation(signals[:, i][known[:, i]]) for i in range(signals.shape[1])]
        self._mean, self._deviation = np.array(pairs, dtype=np.float32).reshape(-1, 2).T.copy()

    def _scaler(self) -> Arrays:
        return {"mean": self._mean, "deviation": self._deviation}

    def _restore_scaler(self, arrays: Arrays, about: dict[str, Any]) -> None:  # noqa: ARG002
        self._mean, self._deviation = arrays["mean"], arrays["deviation"]

    def _inputs(self, clips: ClipData) -> "tuple[Tensor, ...]":
        """Each channel by its mean and deviation over all training windows; 0 where there is no signal."""
        import torch

        scaled = (self._signals(clips) - self._mean[:, None]) / self._deviation[:, None]
        scaled[~self._known(clips)] = 0
        return (torch.from_numpy(scaled),)


def _mean_and_deviation(samples: "np.ndarray[Any, np.dtype[np.float32]]") -> tuple[float, float]:
    """Of a channel's samples; 0 and 1 where no training window has the channel, or it is flat in all."""
    values: F64 = samples.astype(np.float64)
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return (float(values.mean()) if len(values) else 0.0), deviation if deviation > 0 else 1.0
