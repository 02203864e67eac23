"""A graph network over EEG channels that keeps a share of them: a stand-in for Lin et al. 2023.

Lin et al. (Computer Methods and Programs in Biomedicine 231, 107380) published neither code nor sizes. From their
abstract: 1-D convolutions within a channel, graph convolutions between channels on functional connectivity, and a
selection of channels, at an adjustable ratio, by attention in the graph. Every size here is a choice of this project,
so that its results must be named a stand-in.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models.dropout import Dropout

_LEAST_SAMPLES = 32  # halved by the stride, then twice divided by 4


class ChannelGraph(nn.Module):
    """Logits of EEG windows whose channels were standardised one by one.

    Args:
        connectivity: (channels, channels), symmetric, not negative: phase-locking values averaged over training
            windows. Its diagonal is ignored. Kept as a buffer, so it is saved with the weights.
        ratio: share of channels that are kept, in (0, 1]; at least one is.
        classes: number of logits.
        width: of a node's features.
        dropout: before the last layer.

    Raises:
        PhysiopipeError: connectivity that is not square, symmetric, finite and >= 0, or a ratio outside (0, 1].
    """

    connectivity: Tensor

    def __init__(
        self, connectivity: Tensor, *, ratio: float = 0.5, classes: int = 2, width: int = 64, dropout: float = 0.5
    ) -> None:
        super().__init__()
        if not _is_connectivity(connectivity):
            raise PhysiopipeError(
                f"Channel graph: connectivity of shape {tuple(connectivity.shape)} was given; expected (channels, "
                "channels), symmetric, finite and >= 0: give the mean of `phase_locking_values` over training windows."
            )
        if not 0 < ratio <= 1:
            raise PhysiopipeError(f"Channel graph: found a ratio of {ratio:g}, expected more than 0, at most 1.")
        channels = len(connectivity)
        # A ratio of 0.2 of 15 channels is 3, also where 0.2 * 15 is 3.0000000000000004
        self.kept = math.ceil(ratio * channels - 1e-9)
        self.register_buffer("connectivity", connectivity.detach().float().clone().fill_diagonal_(0))
        self.within = nn.Sequential(
            nn.Conv1d(1, width // 2, 7, stride=2, padding=3),
            nn.BatchNorm1d(width // 2),
            nn.ReLU(),
            nn.MaxPool1d(4),
            nn.Conv1d(width // 2, width, 5, padding=2),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.MaxPool1d(4),
            nn.Conv1d(width, width, 3, padding=1),
            nn.BatchNorm1d(width),
            nn.ReLU(),
        )
        self.learned = nn.Parameter(torch.zeros(channels, channels))  # added to the connectivity
        self.between = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.score = nn.Linear(width, 1)
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), Dropout(dropout), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of windows x (B, channels, samples)."""
        nodes, scores = self.nodes_and_scores(x)
        best, places = scores.topk(self.kept, dim=1)
        chosen = nodes.gather(1, places.unsqueeze(2).expand(-1, -1, nodes.shape[2])) * torch.tanh(best).unsqueeze(2)
        logits: Tensor = self.head(torch.cat((chosen.mean(1), chosen.amax(1)), dim=1))
        return logits

    def nodes_and_scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, channels, width) of the channels of x (B, channels, samples), and their attention (B, channels).

        The channels with the highest attention are those that `forward` keeps.
        """
        channels = len(self.learned)
        if x.ndim != 3 or x.shape[1] != channels or x.shape[2] < _LEAST_SAMPLES:
            raise PhysiopipeError(
                f"Channel graph: found windows of shape {tuple(x.shape)}, expected (windows, {channels} channels, "
                f"{_LEAST_SAMPLES} samples or more): give the channels that the connectivity was measured on."
            )
        nodes = self.within(x.reshape(-1, 1, x.shape[2])).mean(2).view(len(x), channels, -1)
        graph = self.graph()
        for layer in self.between:
            nodes = functional.relu(layer(graph @ nodes))
        return nodes, self.score(graph @ nodes).squeeze(2)

    def graph(self) -> Tensor:
        """The adjacency (channels, channels), symmetric, normalised by the roots of both ends' degrees."""
        weights = functional.relu(self.connectivity + (self.learned + self.learned.T) / 2)
        weights = weights + torch.eye(len(weights), dtype=weights.dtype, device=weights.device)
        root = weights.sum(1).rsqrt()  # degrees are 1 or more
        return root[:, None] * weights * root


def _is_connectivity(matrix: Tensor) -> bool:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0 or not bool(matrix.isfinite().all()):
        return False
    return bool((matrix >= 0).all()) and torch.allclose(matrix, matrix.T, rtol=0, atol=1e-6)
