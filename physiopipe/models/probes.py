"""Heads that ask what embeddings are worth: logistic regression, and a learned weight of patches and channels."""

import torch
from torch import Tensor, nn

from physiopipe.models.fusion import LabelHeads, Scaled


class LogisticHeads(Scaled):
    """A linear layer, one logit a label; `training.probe` fits it."""

    def __init__(self, widths: tuple[int, ...], labels: int = 3) -> None:
        super().__init__(widths)
        self.linear = nn.Linear(sum(widths), labels)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits (B, labels) of embeddings (B, width)."""
        logits: Tensor = self.linear(self.features(embeddings))
        return logits

    def features(self, embeddings: Tensor) -> Tensor:
        """The embeddings (B, width) on the training scale."""
        return torch.cat([part for part, _ in self.parts(embeddings)], dim=-1)


class AttentionHeads(Scaled):
    """A learned weight for each patch and channel of a modality, their weighted mean, then a head a label.

    A row's score is linear in its embedding, plus a number of its place (this patch, that channel); the weights are a
    softmax over the rows with signal, so they start as a plain mean and cost width + rows parameters a modality.
    """

    def __init__(self, widths: tuple[int, ...], rows: int, hidden: int, dropout: float, labels: int = 3) -> None:
        """rows: of the longer modality's sequence."""
        super().__init__(widths)
        self.queries = nn.ParameterList(nn.Parameter(torch.zeros(width)) for width in widths)
        self.places = nn.ParameterList(nn.Parameter(torch.zeros(rows)) for _ in widths)
        self.classify = LabelHeads(widths, hidden, dropout, labels).heads

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits (B, labels) of embeddings (B, rows, sum of widths)."""
        means = []
        for (part, has), query, place in zip(self.parts(embeddings), self.queries, self.places, strict=True):
            there = has.squeeze(-1)
            score = (part @ query) / part.shape[-1] ** 0.5 + place
            known = there.any(-1, keepdim=True)  # a softmax over no row at all would be NaN
            weight = torch.softmax(score.masked_fill(~there & known, -torch.inf), dim=-1)
            means.append((weight.unsqueeze(-1) * part).sum(1))
        fused = torch.cat(means, dim=-1)
        return torch.cat([head(fused) for head in self.classify], dim=1)
