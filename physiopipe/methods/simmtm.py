"""SimMTM: masked series rebuilt from their neighbours without labels, then a classifier (Dong et al. 2023).

Unlike the authors' code: the epoch is chosen by validation people, not by the test; pretraining is over before
fine-tuning begins; a sigmoid and binary cross-entropy a task replace classes. Fine-tuning's rate stays, as it does in
effect in their code.
"""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from physiopipe.methods.series import SeriesMethod, SeriesSettings
from physiopipe.params.section import Count, LearningRate, Positive

if TYPE_CHECKING:
    from physiopipe.training.series import TwoStageNetwork


class SimMTMSettings(SeriesSettings):
    """SimMTM on one channel at a time; defaults as its authors trained it on SleepEEG."""

    segment_s: Positive = Field(10.0, description="length of a series, s")
    pretrain_epochs: int = Field(10, ge=0, description="epochs without labels; 0: none")
    pretrain_batch_size: int = Field(32, ge=2, description="series of a step without labels, before copies are made")
    pretrain_learning_rate: LearningRate = Field(1e-4, description="of Adam, without labels; cosine to 0 over epochs")
    finetune_epochs: Count = Field(300, description="epochs with labels; the best by validation people is kept")
    finetune_batch_size: int = Field(32, ge=2, description="series of a step with labels")
    finetune_learning_rate: LearningRate = Field(1e-4, description="of Adam, with labels")
    masked_copies: Count = Field(3, description="masked copies of each series")
    masked_ratio: Annotated[float, Field(gt=0, lt=1)] = Field(0.5, description="share of the samples that are masked")
    mean_masked_run: Annotated[float, Field(ge=1)] = Field(3.0, description="mean length of a masked run, samples")
    temperature: Positive = Field(0.2, description="of the softmax over similarities")
    target: Literal["clean", "masked"] = Field(
        "clean", description="what is rebuilt: the series (paper), or the masked copy, zeros and all (authors' code)"
    )


class SimMTM(SeriesMethod):
    """SimMTM: a convolutional encoder that learnt to rebuild masked series, and a classifier on it."""

    name = "simmtm"
    title = "SimMTM"
    note = (
        "Masked series rebuilt from similar ones, one channel at 128 Hz at a time, EEG and ECG alike; one network with "
        "an output a task; a clip's probability is the mean over windows and channels."
    )
    Settings: ClassVar[type[SimMTMSettings]] = SimMTMSettings
    pretrain_cosine = True
    settings: SimMTMSettings

    def _new_network(self, tasks: int) -> "TwoStageNetwork":
        from physiopipe.training.simmtm_stages import SimMTMNetwork

        chosen = self.settings
        return SimMTMNetwork(
            self.samples,
            tasks,
            copies=chosen.masked_copies,
            masked_ratio=chosen.masked_ratio,
            mean_masked_run=chosen.mean_masked_run,
            temperature=chosen.temperature,
            target=chosen.target,
        )
