"""MLF-CapsNet: capsules over seconds of EEG (Liu et al. 2020, Comput. Biol. Med. 123, 103927).

Unlike the authors' code: people are on one side of a split, not shuffled windows on both; no window is doubled; no
baseline is taken off (nor is it by their script as published); the epoch is chosen by validation people; each task has
a capsule layer of its own over shared convolutions.
"""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.clips.resampled import RATE_HZ
from physiopipe.clips.segments import Segments, segments_of
from physiopipe.methods.eeg_networks import EegNetwork
from physiopipe.params.section import Count, LearningRate, Positive, Section
from physiopipe.training.clip_draws import ClipDraws

if TYPE_CHECKING:
    from physiopipe.training.segments import Schedule, SegmentNetwork

_KERAS_EPSILON = 1e-7  # of Adam


class MlfCapsNetSettings(Section):
    """MLF-CapsNet on seconds of EEG; defaults as its authors trained it on DREAMER."""

    segment_s: Positive = Field(1.0, description="length of a segment, s")
    filters: Count = Field(256, multiple_of=8, description="of each convolution; cost grows with their square")
    kernel: Count = Field(
        6, description="height and width of the convolutions, samples and electrodes; at most the electrodes there are"
    )
    routings: Count = Field(3, description="rounds of dynamic routing")
    epochs: Count = Field(40, description="the best by validation people is kept")
    epoch_segments: Count | None = Field(
        None, description="segments of training people drawn anew for each epoch; null: all"
    )
    validation_segments_per_clip: Count | None = Field(
        None, description="segments of each validation clip, drawn once, that an epoch is judged by; null: all"
    )
    batch_size: int = Field(100, ge=2, description="segments of a step")
    learning_rate: LearningRate = Field(1e-5, description="of Adam")


class MlfCapsNetMethod(EegNetwork):
    """Every time step standardised across electrodes → convolutions → capsules, whose length is a class's score."""

    name = "mlf_capsnet"
    title = "MLF-CapsNet"
    note = (
        "Capsule network on seconds of EEG at 128 Hz; one network with a capsule layer a task; a clip's probability is "
        "the mean over seconds of half of 1 plus the high capsule's length less the low one's."
    )
    Settings: ClassVar[type[MlfCapsNetSettings]] = MlfCapsNetSettings
    settings: MlfCapsNetSettings

    def _unit_of(self, train: ClipData) -> F64:  # noqa: ARG002
        return np.zeros(0)  # a time step is scaled by itself

    def _cut(self, clips: ClipData) -> Segments:
        import torch

        from physiopipe.models.mlf_capsnet import standardised_across_electrodes

        windows = self._windows.of(clips, "eeg")
        found = segments_of(windows, clips, ("eeg",), round(self.settings.segment_s * RATE_HZ))
        return Segments(standardised_across_electrodes(torch.from_numpy(found.values)).numpy(), found.clip_of)

    def _new_network(self, electrodes: int, samples: int, tasks: int) -> "SegmentNetwork":
        from physiopipe.training.mlf_capsnet import TaskCapsules

        it = self.settings
        kernel = min(it.kernel, electrodes)
        return TaskCapsules(electrodes, samples, tasks, filters=it.filters, kernel=kernel, routings=it.routings)

    def _schedule(self) -> "Schedule":
        from physiopipe.training.segments import Schedule

        it = self.settings
        return Schedule(
            it.epochs,
            it.batch_size,
            it.learning_rate,
            epsilon=_KERAS_EPSILON,
            segments=it.epoch_segments,
            draws=ClipDraws(validation=it.validation_segments_per_clip),
        )
