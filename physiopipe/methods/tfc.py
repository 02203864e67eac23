"""TF-C: a series and its spectrum drawn together without labels, then a classifier (Zhang et al. 2022).

Unlike the authors' code: gradients are those of one batch, not summed over an epoch; all series count, not the first
ten batches; augmentations are drawn anew for each batch; the epoch is chosen by validation people, not by the test; a
sigmoid and binary cross-entropy a task replace two classes; the rate of fine-tuning waits for no plateau.
"""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from physiopipe.methods.series import SeriesMethod, SeriesSettings
from physiopipe.params.section import Positive

if TYPE_CHECKING:
    from torch import Tensor

    from physiopipe.training.series import TwoStageNetwork
    from physiopipe.training.tfc_stages import TFCNetwork


class TFCSettings(SeriesSettings):
    """TF-C on one channel at a time; defaults as its authors trained it on SleepEEG, corrected where they say so."""

    weight_decay: float = Field(3e-4, ge=0, description="of Adam, in both stages")
    attention_over: Literal["sequence", "batch"] = Field(
        "sequence",
        description="sequence: each series attends within itself; batch: the authors' form, over the series of a "
        "batch, so that a series' prediction depends on the others of its clip",
    )
    consistency: Literal["triplet", "pair"] = Field(
        "triplet", description="loss between the projections of time and spectrum: the paper's, or the authors' code's"
    )
    contrast_on: Literal["encoder", "projection"] = Field(
        "encoder", description="what is contrasted within a domain: the encoder's outputs (paper and code), or the rest"
    )
    contrast_form: Literal["poly", "plain"] = Field(
        "poly", description="NT-Xent with the term that the authors' code adds, or without it"
    )
    temperature: Positive = Field(0.2, description="of NT-Xent")
    jitter: Positive = Field(2.0, description="noise added in time, in SDs of the EEG, or ECG, of the training people")
    doubled_spectrum: bool = Field(
        False, description="add the spectrum with removals to the one with additions, as the authors' code does"
    )

    def network(self, samples: int, tasks: int) -> "TFCNetwork":
        """An untrained network for series of so many samples; new weights are drawn from torch's generator."""
        from physiopipe.training.tfc_stages import TFCNetwork

        return TFCNetwork(
            samples,
            tasks,
            attention_over=self.attention_over,
            deviation=self.jitter,
            doubled=self.doubled_spectrum,
            consistency=self.consistency,
            contrast_on=self.contrast_on,
            form=self.contrast_form,
            temperature=self.temperature,
        )


class TFC(SeriesMethod):
    """TF-C: time and frequency encoders and projectors, a classifier on both projections."""

    name = "tfc"
    title = "TF-C"
    note = (
        "Time-frequency consistency, one channel of a segment at 128 Hz at a time, EEG and ECG alike; one network with "
        "an output a task; a clip's probability is the mean over segments and channels."
    )
    Settings: ClassVar[type[TFCSettings]] = TFCSettings
    settings: TFCSettings

    @property
    def provenance(self) -> str:
        whole = super().provenance
        if self.settings.attention_over == "batch":
            whole += "; attends over the series of a clip, which it must see together"
        return whole

    def _new_network(self, tasks: int) -> "TwoStageNetwork":
        return self.settings.network(self.samples, tasks)

    @property
    def _weight_decay(self) -> float:
        return self.settings.weight_decay

    def _look_at(self, network: "TwoStageNetwork", values: "Tensor") -> None:
        import torch

        from physiopipe.models.tfc import magnitude_spectrum
        from physiopipe.training.tfc_stages import TFCNetwork

        assert isinstance(network, TFCNetwork)
        network.highest = max(float(magnitude_spectrum(part).max()) for part in torch.split(values, 4096))
