import pytest
import torch

from physiopipe.training.mlf_capsnet import TaskCapsules


def test_each_task_has_capsules_and_a_routing_of_its_own() -> None:
    torch.manual_seed(0)
    network = TaskCapsules(7, 32, 3, filters=8, kernel=6, routings=3)
    x, labels = torch.randn(4, 7, 32), torch.tensor([[0.0, 1, 0], [1, 1, 0], [0, 0, 0], [1, 0, 1]])
    before = network(x)
    with torch.no_grad():
        network.heads[1].W *= 40
    after = network(x)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert (after[:, 1] > before[:, 1]).all()
    probability = network.probability(after)
    assert torch.equal(probability > 0.5, after[..., 1] > after[..., 0])
    # of lengths near 0 a class that is there costs 0.81
    assert network.loss(torch.zeros(4, 3, 2), labels).item() == pytest.approx(3 * 0.81)
    perfect = torch.stack((1 - labels, labels), dim=2) * 0.8 + 0.1
    assert network.loss(perfect, labels).item() == pytest.approx(0, abs=1e-12)
