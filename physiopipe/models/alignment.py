"""Two recordings of the same seconds drawn together on two levels: patches, and whole windows.

The idea is that of Brant-X (Zhang et al. 2024, arXiv 2409.00122), which aligns EEG with other signals "from different
semantic scales"; no code of theirs is public, so that projections, temperature and negatives are choices made here.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.models.dropout import Dropout
from physiopipe.models.fusion import Scaled

_LEAST = torch.finfo(torch.float32).min


def symmetric_info_nce(a: Tensor, b: Tensor, temperature: float, left_out: Tensor | None = None) -> Tensor:
    """Mean over rows, and over both directions, of -log softmax of cosine / temperature at the row's partner; a scalar.

    InfoNCE (van den Oord et al. 2018, arXiv 1807.03748), each way as in CLIP.

    Args:
        a, b: (N, C); row i of one belongs to row i of the other.
        left_out: bool (N, N), symmetric: pairs that are neither positive nor negative. The diagonal always counts.
    """
    similarity = functional.normalize(a, dim=-1) @ functional.normalize(b, dim=-1).t() / temperature
    if left_out is not None:
        own = torch.eye(len(a), dtype=torch.bool, device=a.device)
        similarity = similarity.masked_fill(left_out & ~own, _LEAST)
    target = torch.arange(len(a), device=a.device)
    return (functional.cross_entropy(similarity, target) + functional.cross_entropy(similarity.t(), target)) / 2


class TwoLevelAlignment(nn.Module):
    """Projections of two signals' patch embeddings, and the loss of their disagreement.

    Args:
        widths: of the two signals' embeddings.
        projected: width that they are compared in.
        temperature: of the softmax over similarities.
    """

    def __init__(self, widths: tuple[int, int], projected: int = 128, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature
        self.of_patches = nn.ModuleList(nn.Linear(width, projected) for width in widths)
        self.of_windows = nn.ModuleList(nn.Linear(width, projected) for width in widths)

    def forward(self, a: Tensor, b: Tensor, valid: Tensor) -> Tensor:
        """The sum of both levels' losses, a scalar; 0 where no patch is valid.

        A patch's negatives are the patches of other windows: those of its own are nearly the same.

        Args:
            a, b: patch embeddings (B, P, width) of the two signals.
            valid: bool (B, P), patches with signal in both.
        """
        window, _ = valid.nonzero(as_tuple=True)
        if len(window) == 0:
            return a.sum() * 0 + b.sum() * 0
        same_window = window[:, None] == window
        one, other = (layer(x[valid]) for layer, x in zip(self.of_patches, (a, b), strict=True))
        patches = symmetric_info_nce(one, other, self.temperature, same_window)
        there = valid.any(dim=1)
        weight = valid[there].to(a.dtype).unsqueeze(-1)
        means = [(x[there] * weight).sum(dim=1) / weight.sum(dim=1) for x in (a, b)]
        one, other = (layer(x) for layer, x in zip(self.of_windows, means, strict=True))
        return patches + symmetric_info_nce(one, other, self.temperature)


class JointHead(Scaled):
    """One feed-forward head for all labels on both modalities' embeddings: linear, ReLU, dropout, linear.

    Args:
        widths: of the modalities' embeddings, which stand side by side.
    """

    def __init__(self, widths: tuple[int, int], hidden: int, dropout: float, labels: int) -> None:
        super().__init__(widths)
        self.layers = nn.Sequential(
            nn.Linear(sum(widths), hidden), nn.ReLU(), Dropout(dropout), nn.Linear(hidden, labels)
        )

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits (B, labels) of embeddings (B, sum of widths)."""
        logits: Tensor = self.layers(torch.cat([part for part, _ in self.parts(embeddings)], dim=-1))
        return logits
