"""Other ways to fuse two modalities, with no more trainable parameters than the paper's concatenation has.

All take what `LabelHeads` takes, EEG and ECG side by side, and give its logits; their hidden width is what the budget
of parameters leaves. A modality that is absent is exactly 0 in the embedding (see `models.fusion.Scaled`).
"""

import torch
from torch import Tensor, nn

from physiopipe.errors import PhysiopipeError
from physiopipe.models.fusion import Scaled

_QUERY_HEADS = 4  # of half the encoder's width, as its own attention has over patches


def budget(widths: tuple[int, ...], hidden: int, labels: int) -> int:
    """Trainable parameters of `LabelHeads` on both modalities."""
    return labels * ((sum(widths) + 1) * hidden + hidden + 1)


class GatedHeads(Scaled):
    """Gated multimodal unit (Arevalo et al. 2017, arXiv 1702.01992), then a head a label.

    Each modality goes through a linear layer and tanh; a gate, made from both, says of each dimension how much of it
    is the EEG's. An absent modality leaves the gate to the other.
    """

    def __init__(self, widths: tuple[int, int], hidden: int, dropout: float, labels: int = 3) -> None:
        super().__init__(widths)
        middle = min(*widths, hidden)
        self.values = nn.ModuleList(nn.Linear(width, middle) for width in widths)
        self.gate = nn.Linear(sum(widths), middle)
        fixed = _count(self.values) + _count(self.gate)
        width = _hidden(budget(widths, hidden, labels) - fixed, labels * (middle + 2), labels)
        self.heads = _heads(middle, width, dropout, labels)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits (B, labels) of embeddings (B, sum of widths)."""
        (eeg, has_eeg), (ecg, has_ecg) = self.parts(embeddings)
        share = torch.sigmoid(self.gate(torch.cat((eeg, ecg), dim=-1)))
        share = torch.where(has_eeg, torch.where(has_ecg, share, 1.0), 0.0)
        fused = share * torch.tanh(self.values[0](eeg)) + (1 - share) * torch.tanh(self.values[1](ecg))
        return torch.cat([head(fused) for head in self.heads], dim=1)


class CrossAttentionHeads(Scaled):
    """The patches of each modality attend to those of the other; means over patches, concatenated, to a head a label.

    Both are projected to half the narrower width. What attends keeps itself (a residual), so that a modality whose
    partner is absent still comes through; patches without signal are neither attended to nor averaged.
    """

    def __init__(self, widths: tuple[int, int], hidden: int, dropout: float, labels: int = 3) -> None:
        super().__init__(widths)
        middle = min(widths) // 2
        if middle % _QUERY_HEADS:
            raise PhysiopipeError(
                f"cross_attention: half the encoders' width, {middle}, is no multiple of {_QUERY_HEADS} heads; choose "
                "another width of pretrain.encoder and encoders.eeg (CBraMod has 200)."
            )
        self.project = nn.ModuleList(nn.Linear(width, middle) for width in widths)
        self.norm = nn.ModuleList(nn.LayerNorm(middle) for _ in widths)
        self.attend = nn.ModuleList(
            nn.MultiheadAttention(middle, _QUERY_HEADS, dropout, batch_first=True) for _ in widths
        )
        fixed = _count(self.project) + _count(self.norm) + _count(self.attend)
        width = _hidden(budget(widths, hidden, labels) - fixed, labels * (2 * middle + 2), labels)
        self.heads = _heads(2 * middle, width, dropout, labels)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits (B, labels) of patch embeddings (B, P, sum of widths)."""
        parts = self.parts(embeddings)
        sequences = [project(part) for project, (part, _) in zip(self.project, parts, strict=True)]
        normed = [norm(sequence) for norm, sequence in zip(self.norm, sequences, strict=True)]
        there = [has.squeeze(-1) for _, has in parts]
        means = []
        for own, other in ((0, 1), (1, 0)):
            known = there[other].any(-1)  # a row of attention without any key would be NaN
            ignored = ~there[other] & known[:, None]
            found, _ = self.attend[own](normed[own], normed[other], normed[other], ignored, need_weights=False)
            mixed = sequences[own] + torch.where(known[:, None, None], found, 0.0)
            weight = there[own].unsqueeze(-1).to(mixed.dtype)
            means.append((mixed * weight).sum(1) / weight.sum(1).clamp(min=1))
        fused = torch.cat(means, dim=-1)
        return torch.cat([head(fused) for head in self.heads], dim=1)


class MixtureHeads(Scaled):
    """Three experts, on EEG, on ECG and on both, mixed by a gate; a learned token stands for an absent modality.

    While training, a share `modality_dropout` of the windows loses one modality, either alike and never both, so that
    the tokens are learned and the gate learns whom to trust without it.
    """

    def __init__(
        self, widths: tuple[int, int], hidden: int, dropout: float, labels: int = 3, modality_dropout: float = 0.3
    ) -> None:
        super().__init__(widths)
        self.modality_dropout = modality_dropout
        self.absent = nn.ParameterList(nn.Parameter(torch.zeros(width)) for width in widths)
        inputs = (*widths, sum(widths))
        self.gate = nn.Linear(sum(widths), len(inputs))
        fixed = _count(self.absent) + _count(self.gate)
        each = sum(width + 1 + labels for width in inputs)  # what one unit of hidden width costs, all experts together
        width = _hidden(budget(widths, hidden, labels) - fixed, each, len(inputs) * labels)
        self.experts = nn.ModuleList(_feedforward(size, width, dropout, labels) for size in inputs)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits (B, labels) of embeddings (B, sum of widths)."""
        (eeg, has_eeg), (ecg, has_ecg) = self.parts(embeddings)
        if self.training and self.modality_dropout > 0:
            draw = torch.rand(len(eeg), 1, device=eeg.device)
            both = has_eeg & has_ecg
            has_eeg = has_eeg & ~(both & (draw < self.modality_dropout / 2))
            has_ecg = has_ecg & ~(both & (draw > 1 - self.modality_dropout / 2))
        eeg = torch.where(has_eeg, eeg, self.absent[0])
        ecg = torch.where(has_ecg, ecg, self.absent[1])
        together = torch.cat((eeg, ecg), dim=-1)
        trust = torch.softmax(self.gate(together), dim=-1)
        said = torch.stack([expert(part) for expert, part in zip(self.experts, (eeg, ecg, together), strict=True)], -1)
        return (said * trust.unsqueeze(1)).sum(-1)


def _feedforward(width: int, hidden: int, dropout: float, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, outputs))


def _heads(width: int, hidden: int, dropout: float, labels: int) -> nn.ModuleList:
    return nn.ModuleList(_feedforward(width, hidden, dropout, 1) for _ in range(labels))


def _count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _hidden(left: int, each: int, biases: int) -> int:
    """Hidden width that `left` parameters pay for."""
    return max(1, (left - biases) // each)
