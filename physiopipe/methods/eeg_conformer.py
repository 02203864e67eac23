"""EEG Conformer: convolutions, then a transformer over time (Song et al. 2023, IEEE TNSRE 31, 710-719).

Unlike the authors' code: whole windows at 128 Hz with the filters they are stored with; the epoch is chosen by
validation people, not by the test; a sigmoid and binary cross-entropy a task replace classes, and trials are recombined
among those with the same labels in all tasks.
"""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from physiopipe.clips.clip_data import F64, ClipData
from physiopipe.clips.segments import Segments, segments_of
from physiopipe.clips.series import valid_samples
from physiopipe.methods.clip_windows import ClipWindowsSettings
from physiopipe.methods.eeg_networks import EegNetwork
from physiopipe.params.section import Count, LearningRate, Share

if TYPE_CHECKING:
    from physiopipe.training.segments import MoreRows, Schedule, SegmentNetwork


class EegConformerSettings(ClipWindowsSettings):
    """EEG Conformer on whole windows of EEG; defaults as its authors trained it on BCI competition IV 2a."""

    blocks: Count = Field(6, description="of the transformer")
    dropout: Share = Field(0.5, lt=1, description="everywhere but before the last layer, where it is 0.3")
    recombined: int = Field(72, ge=0, description="recombined windows added to each step; 0: none")
    recombination_segments: Count = Field(8, description="segments that a recombined window is put together from")
    epochs: Count = Field(2000, description="the best by validation people is kept")
    batch_size: int = Field(72, ge=2, description="windows of a step, before recombined ones are added")
    learning_rate: LearningRate = Field(2e-4, description="of Adam")
    first_beta: Share = Field(0.5, lt=1, description="of Adam; the second is 0.999")


class EegConformerMethod(EegNetwork):
    """EEG to mean 0 and SD 1 of the training people → convolutional stem → transformer → head."""

    name = "eeg_conformer"
    title = "EEG Conformer"
    note = (
        "Convolutions and a transformer on windows of EEG at 128 Hz; the stem's two convolutions are computed as the "
        "one that they make up; one network with an output a task; a clip's probability is the mean over windows."
    )
    Settings: ClassVar[type[EegConformerSettings]] = EegConformerSettings
    settings: EegConformerSettings

    def _unit_of(self, train: ClipData) -> F64:
        """Mean and SD of all valid samples, (2,); 0 and 1 without any."""
        valid = self._windows.of(train, "eeg")[valid_samples(train, "eeg")]
        deviation = float(valid.std(dtype=np.float64)) if len(valid) else 0.0
        return np.array((valid.mean(dtype=np.float64), deviation) if deviation > 0 else (0.0, 1.0))

    def _cut(self, clips: ClipData) -> Segments:
        windows = self._windows.of(clips, "eeg")
        mean, deviation = self._unit.astype(np.float32)
        scaled = np.where(valid_samples(clips, "eeg"), (windows - mean) / deviation, np.float32(0))
        return segments_of(scaled, clips, ("eeg",), windows.shape[-1])

    def _new_network(self, electrodes: int, samples: int, tasks: int) -> "SegmentNetwork":
        from physiopipe.training.eeg_conformer import TaskConformer

        return TaskConformer(electrodes, samples, tasks, blocks=self.settings.blocks, dropout=self.settings.dropout)

    def _schedule(self) -> "Schedule":
        from physiopipe.training.segments import Schedule

        it = self.settings
        return Schedule(it.epochs, it.batch_size, it.learning_rate, (it.first_beta, 0.999), draws=it.draws)

    def _more(self, train: Segments, labels: npt.NDArray[np.int8], seed: int) -> "MoreRows | None":
        from physiopipe.training.eeg_conformer import Recombination

        it = self.settings
        if not it.recombined:
            return None
        share = it.recombined / it.batch_size
        return Recombination(train, labels, share, it.recombination_segments, seed)
