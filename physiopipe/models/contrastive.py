"""What TF-C and SimMTM share: rows of a batch compared with one another, and the classifier for fine-tuning."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Form = Literal["poly", "plain"]
Similarity = Literal["cosine", "dot"]


def cosine_similarities(rows: Tensor, least_norm: float = 1e-8) -> Tensor:
    """Cosine of every pair of rows (N, C): (N, N). A norm below `least_norm` counts as that.

    One product of the normalised rows: comparing pair by pair needs an (N, N, C) array, which takes nearly all of a
    training step.
    """
    unit = functional.normalize(rows, dim=-1, eps=least_norm)
    return unit @ unit.t()


def log_softmax_of_others(similarity: Tensor, temperature: float) -> Tensor:
    """Log softmax of similarity / temperature (N, N) over the other rows of each row; the diagonal is -inf."""
    own = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    return (similarity / temperature).masked_fill(own, -torch.inf).log_softmax(-1)


def nt_xent(
    p: Tensor, q: Tensor, temperature: float = 0.2, form: Form = "poly", similarity: Similarity = "cosine"
) -> Tensor:
    """The NT-Xent loss of two views of N samples (Chen et al. 2020, arXiv 2002.05709), a scalar.

    Each of the 2N rows has one positive, the same sample in the other view, against all other rows.

    Args:
        p, q: (N, C), row i of both is of sample i.
        form: plain: the mean of -log P, P the softmax probability of the positive. poly: that and 1 - sum P / (2
            (2N - 1)), as TF-C's code trains: of the idea of PolyLoss (arXiv 2204.12511), but the mean of P is taken
            over the 2N x (2N - 1) table of all pairs and weighted by N.
        similarity: of two rows; dot leaves them as they are.
    """
    if p.shape != q.shape or p.ndim != 2:
        raise ValueError(f"expected two sets of rows of one shape (N, C), found {tuple(p.shape)} and {tuple(q.shape)}")
    rows = torch.cat((p, q))
    compared = cosine_similarities(rows) if similarity == "cosine" else rows @ rows.t()
    log_probabilities = log_softmax_of_others(compared, temperature)
    count = len(p)
    positive = torch.cat((log_probabilities.diagonal(count), log_probabilities.diagonal(-count)))
    loss = -positive.mean()
    if form == "poly":
        loss = loss + 1 - positive.exp().sum() / (2 * (2 * count - 1))
    return loss


class SigmoidClassifier(nn.Module):
    """Features (B, inputs) to logits (B, classes), through one hidden layer with a sigmoid.

    Parameter names are those of the authors of TF-C and SimMTM.
    """

    def __init__(self, inputs: int, classes: int = 2, hidden: int = 64) -> None:
        super().__init__()
        self.logits = nn.Linear(inputs, hidden)
        self.logits_simple = nn.Linear(hidden, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, classes) of features (B, inputs)."""
        logits: Tensor = self.logits_simple(torch.sigmoid(self.logits(features)))
        return logits
