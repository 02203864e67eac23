"""SimMTM's two stages (Dong et al. 2023): series rebuilt from masked copies, then a classifier on the encoder."""

import torch
from torch import Tensor

from physiopipe.models.simmtm import SimMTM, SimMTMClassifier, Target, geometric_masks
from physiopipe.training.series import TwoStageNetwork


class SimMTMNetwork(TwoStageNetwork):
    """SimMTM and its classifier, of series of T samples.

    Args:
        samples: see `SimMTM`.
        tasks: outputs of the classifier, with a sigmoid each: its published outputs are one task's classes.
        copies: masked copies of each series.
        masked_ratio, mean_masked_run: see `geometric_masks`.
        temperature: see `SimMTM`.
        target: what a masked copy's reconstruction is held to.
    """

    # projector, reconstruction head and loss weights
    pretraining_only = ("model.dense.", "model.head.", "model.awl.")

    def __init__(
        self,
        samples: int,
        tasks: int,
        *,
        copies: int,
        masked_ratio: float,
        mean_masked_run: float,
        temperature: float,
        target: Target,
    ) -> None:
        super().__init__()
        self.model = SimMTM(samples, temperature=temperature)
        self.classifier = SimMTMClassifier(self.model.features, tasks)
        self._copies, self._ratio, self._run, self._target = copies, masked_ratio, mean_masked_run, target

    def pretraining_loss(self, x: Tensor) -> Tensor:
        shape = (self._copies * len(x), 1, x.shape[-1])
        draws = torch.rand(shape[0] * shape[2] + 1, dtype=torch.float64)
        masks = geometric_masks(shape, draws, masked_ratio=self._ratio, mean_masked_run=self._run)
        total: Tensor = self.model(x.unsqueeze(1), masks.to(x.device), self._target).total
        return total

    def finetuning_terms(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.logits(x), None

    def logits(self, x: Tensor) -> Tensor:
        found: Tensor = self.classifier(self.model.encode(x.unsqueeze(1)))
        return found
