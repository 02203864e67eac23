"""The channel graph: its sizes, what it keeps, that the order of channels does not matter, a plain loop."""

import math

import numpy as np
import pytest
import torch
from formula import uniform
from torch import Tensor
from torch.nn import functional

from physiopipe.errors import PhysiopipeError
from physiopipe.models.channel_graph import ChannelGraph


def connectivity(channels: int) -> Tensor:
    values = torch.rand(channels, channels, generator=torch.Generator().manual_seed(channels))
    return ((values + values.T) / 2).fill_diagonal_(1)


def graph(channels: int = 14, **changes: float) -> ChannelGraph:
    """With weights so large that windows and channels differ by more than a little, as they do not at the start."""
    torch.manual_seed(11)
    model = ChannelGraph(connectivity(channels), **changes)  # type: ignore[arg-type]
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=2 / parameter[0].numel() ** 0.5)
    torch.nn.init.normal_(model.learned, std=0.5)  # some edges below 0, and not symmetric
    return model.double()


@pytest.mark.parametrize("ratio", [0.2, 0.5, 1.0])
def test_order_of_channels_does_not_matter(ratio: float) -> None:
    model = graph(ratio=ratio, dropout=0.0)
    x = torch.randn(5, 14, 256, dtype=torch.float64)
    order = torch.randperm(14, generator=torch.Generator().manual_seed(1))
    other = ChannelGraph(model.connectivity[order][:, order], ratio=ratio, dropout=0.0).double()
    state = model.state_dict()
    for name in ("learned", "connectivity"):
        state[name] = state[name][order][:, order]
    other.load_state_dict(state)
    torch.testing.assert_close(other(x[:, order]), model(x), rtol=0, atol=1e-9)
    assert (model(x[:, order]) - model(x)).abs().max() > 0.02  # the graph itself is not blind to channels


@pytest.mark.parametrize(("ratio", "channels", "kept"), [(0.5, 14, 7), (0.2, 14, 3), (1.0, 14, 14), (0.2, 15, 3)])
def test_channels_kept(ratio: float, channels: int, kept: int) -> None:
    model = graph(channels, ratio=ratio).eval()
    assert model.kept == kept
    x = torch.randn(1, channels, 256, dtype=torch.float64)
    nodes, scores = (tensor.detach().requires_grad_() for tensor in model.nodes_and_scores(x))
    model.nodes_and_scores = lambda _: (nodes, scores)  # type: ignore[method-assign,assignment]
    model(x).sum().backward()
    assert nodes.grad is not None
    seen = nodes.grad[0].abs().sum(1) > 0
    assert seen.sum() == kept
    assert scores[0][seen].min() >= scores[0].sort(descending=True).values[kept - 1]


def test_parameters() -> None:
    sizes = {
        "within": 32 * 8 + 64 + 64 * (32 * 5 + 1) + 128 + 64 * (64 * 3 + 1) + 128,
        "graph": 14 * 14 + 2 * (64 * 64 + 64) + 65,
        "head": 128 * 64 + 64 + 64 * 2 + 2,
    }
    assert sum(p.numel() for p in graph().parameters()) == sum(sizes.values()) == 40_199


def test_graph_and_selection_against_a_loop() -> None:
    model = graph(6, ratio=0.5).eval()
    x = torch.randn(3, 6, 64, dtype=torch.float64)
    W, B = model.connectivity.numpy(), model.learned.detach().numpy()
    A = np.zeros((6, 6))
    for i in range(6):
        for j in range(6):
            A[i, j] = 1.0 if i == j else 0.0
            A[i, j] += max(0.0, (W[i, j] if i != j else 0.0) + (B[i, j] + B[j, i]) / 2)
    degree = A.sum(1)
    A = A / np.sqrt(np.outer(degree, degree))
    with torch.no_grad():
        found = model(x).numpy()
        for window in range(3):
            X = np.stack([model.within(x[window, c][None, None]).mean(2)[0].numpy() for c in range(6)])
            for layer in model.between:
                X = np.maximum(A @ X @ layer.weight.numpy().T + layer.bias.numpy(), 0)
            s = A @ X @ model.score.weight.numpy()[0] + float(model.score.bias)
            kept = sorted(range(6), key=lambda c: -s[c])[: math.ceil(0.5 * 6)]
            rows = X[kept] * np.tanh(s[kept])[:, None]
            pooled = torch.from_numpy(np.concatenate((rows.mean(0), rows.max(0))))
            np.testing.assert_allclose(found[window], model.head(pooled).numpy(), rtol=0, atol=1e-9)


def test_it_learns_what_one_channel_tells() -> None:
    generator = torch.Generator().manual_seed(4)
    classes = torch.arange(48) % 2

    def draw() -> Tensor:
        x = torch.randn(48, 5, 128, generator=generator)
        x[classes == 1, 3] += 2 * torch.sin(torch.arange(128) * 0.8)
        return (x - x.mean(2, keepdim=True)) / x.std(2, keepdim=True)

    torch.manual_seed(11)
    model = ChannelGraph(connectivity(5), ratio=0.2)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(draw()), classes).backward()
        optimiser.step()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    with torch.no_grad():
        assert (model.eval()(draw()).argmax(1) == classes).float().mean() > 0.9


@pytest.mark.parametrize(
    "matrix",
    [
        torch.zeros(3, 4),
        torch.zeros(0, 0),
        torch.tensor([[0.0, 1.0], [0.5, 0.0]]),
        -torch.ones(2, 2),
        torch.full((2, 2), torch.nan),
    ],
    ids=["oblong", "empty", "one-way", "negative", "nan"],
)
def test_what_is_no_connectivity_is_refused(matrix: Tensor) -> None:
    with pytest.raises(PhysiopipeError, match="connectivity of shape"):
        ChannelGraph(matrix)


@pytest.mark.parametrize("ratio", [0.0, -1.0, 1.1, math.nan])
def test_ratios_outside_0_to_1_are_refused(ratio: float) -> None:
    with pytest.raises(PhysiopipeError, match="found a ratio"):
        ChannelGraph(connectivity(3), ratio=ratio)


@pytest.mark.parametrize("shape", [(2, 13, 256), (2, 14, 31), (14, 256)])
def test_windows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PhysiopipeError, match="found windows of shape"):
        ChannelGraph(connectivity(14))(torch.zeros(shape))
    assert ChannelGraph(connectivity(14))(torch.zeros(2, 14, 32)).shape == (2, 2)


def test_graph_convolutions_are_those_of_dgcnn() -> None:
    """Numbers made by running DGCNN's `normalize_A` and `GraphConvolution` (torcheeg 1.1.3) on given weights."""

    def given(name: str, *shape: int) -> Tensor:
        return torch.from_numpy(2 * uniform(name, math.prod(shape)).reshape(shape) - 1)

    channels, width = 4, 2
    prior = given("connectivity", channels, channels).abs()
    model = ChannelGraph((prior + prior.T) / 2, width=width).double()
    nodes = given("nodes", 2, channels, width)
    state = model.state_dict() | {"learned": given("learned", channels, channels)}
    for number in range(2):
        state[f"between.{number}.weight"] = 2 * given(f"weight {number}", width, width)
        state[f"between.{number}.bias"] = given(f"bias {number}", width).abs()
    model.load_state_dict(state)
    model.within = torch.nn.Sequential(NodesThemselves())
    with torch.no_grad():
        found, _ = model.nodes_and_scores(functional.pad(nodes, (0, 30)))
    torch.testing.assert_close(model.graph().detach(), DGCNN_GRAPH, rtol=0, atol=1e-7)
    torch.testing.assert_close(found, DGCNN_NODES, rtol=0, atol=1e-7)


class NodesThemselves(torch.nn.Module):
    """In place of the convolutions within a channel: the first samples are the node's features."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0, :2, None]


DGCNN_GRAPH = torch.tensor(
    [
        [0.7095249953, 0.0233134718, 0.0, 0.2352423701],
        [0.0233134718, 0.4909471452, 0.2573650733, 0.1442147290],
        [0.0, 0.2573650733, 0.5146477692, 0.2124913104],
        [0.2352423701, 0.1442147290, 0.2124913104, 0.5113104174],
    ],
    dtype=torch.float64,
)
DGCNN_NODES = torch.tensor(
    [
        [[0.28884702, 1.08600719], [0.502262, 1.60219867], [0.47057505, 1.50856489], [0.44337188, 1.44193203]],
        [[0.63224187, 1.89023927], [0.1803696, 0.75026161], [0.17276172, 0.72887346], [0.35670765, 1.18469904]],
    ],
    dtype=torch.float64,
)
