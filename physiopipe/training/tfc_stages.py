"""TF-C's two stages (Zhang et al. 2022): contrast of time and spectrum, then a classifier on both projections."""

import torch
from torch import Tensor

from physiopipe.models.contrastive import Form
from physiopipe.models.tfc import (
    TFC,
    AttentionOver,
    Embeddings,
    TFCClassifier,
    jitter,
    magnitude_spectrum,
    perturb_spectrum,
)
from physiopipe.models.tfc_losses import Consistency, ContrastOn, pretraining_loss
from physiopipe.training.series import TwoStageNetwork


class TFCNetwork(TwoStageNetwork):
    """TF-C and its classifier, of series of T samples.

    Args:
        samples, attention_over: see `TFC`.
        tasks: outputs of the classifier, with a sigmoid each: its published two outputs are one task's classes.
        deviation: of the noise in time, in SDs of the series.
        doubled: see `perturb_spectrum`.
        consistency, contrast_on, form, temperature: see `pretraining_loss`.
    """

    def __init__(
        self,
        samples: int,
        tasks: int,
        *,
        attention_over: AttentionOver,
        deviation: float,
        doubled: bool,
        consistency: Consistency,
        contrast_on: ContrastOn,
        form: Form,
        temperature: float,
    ) -> None:
        super().__init__()
        self.model = TFC(samples, attention_over=attention_over)
        self.classifier = TFCClassifier(tasks)
        self._deviation, self._doubled = deviation, doubled
        self._consistency, self._contrast_on = consistency, contrast_on
        self._form, self._temperature = form, temperature
        self.highest: float | None = None  # component of the training series' spectra, which sets what is added

    def pretraining_loss(self, x: Tensor) -> Tensor:
        spectrum = magnitude_spectrum(x)
        noise = torch.randn(x.shape).to(x.device)
        draws = torch.rand(3, *x.shape).to(x.device)
        perturbed = perturb_spectrum(spectrum, draws, highest=self.highest, doubled=self._doubled)
        clean, augmented = self.model(x, spectrum), self.model(jitter(x, noise, self._deviation), perturbed)
        return pretraining_loss(
            clean,
            augmented,
            temperature=self._temperature,
            form=self._form,
            contrast_on=self._contrast_on,
            consistency=self._consistency,
        ).total

    def finetuning_terms(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """As the authors fine-tune: the same series twice, which differ by dropout, and the consistency of a pair."""
        spectrum = magnitude_spectrum(x)
        first: Embeddings = self.model(x, spectrum)
        second: Embeddings = self.model(x, spectrum)
        besides = pretraining_loss(
            first, second, temperature=self._temperature, form=self._form, consistency="pair", contrast_weight=0.1
        ).total
        return self.classifier(first), besides

    def logits(self, x: Tensor) -> Tensor:
        found: Tensor = self.classifier(self.model(x, magnitude_spectrum(x)))
        return found
