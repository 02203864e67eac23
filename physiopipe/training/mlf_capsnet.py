"""MLF-CapsNet with a capsule layer for each task."""

from torch import Tensor, nn, stack

from physiopipe.models.mlf_capsnet import CapsuleLayer, MlfCapsNet, lengths, margin_loss
from physiopipe.training.segments import SegmentNetwork


class TaskCapsules(SegmentNetwork):
    """Convolutions shared by the tasks, and for each a layer of two capsules, low and high, with its own routing.

    Args:
        electrodes, samples: of a segment.
        filters, kernel, routings: of `MlfCapsNet`.
    """

    def __init__(self, electrodes: int, samples: int, tasks: int, *, filters: int, kernel: int, routings: int) -> None:
        super().__init__()
        self.body = MlfCapsNet(electrodes, samples, 2, filters=filters, kernel=kernel, routings=routings)
        first = self.body.digitcaps
        del self.body.digitcaps  # it is the first task's
        outputs, inputs, size, input_size = first.W.shape
        others = (CapsuleLayer(inputs, input_size, outputs, size, routings) for _ in range(tasks - 1))
        self.heads = nn.ModuleList((first, *others))

    def forward(self, x: Tensor) -> Tensor:
        """Lengths (B, tasks, 2) of segments x (B, electrodes, samples)."""
        capsules = self.body.capsules(x)
        return stack([lengths(head(capsules)) for head in self.heads], dim=1)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        each = [margin_loss(outputs[:, task], labels[:, task].long()) for task in range(outputs.shape[1])]
        return stack(each).sum()

    def probability(self, outputs: Tensor) -> Tensor:
        both = outputs.double()
        return (1 + both[..., 1] - both[..., 0]) / 2
