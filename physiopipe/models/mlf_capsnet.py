"""MLF-CapsNet (Liu et al. 2020, Comput. Biol. Med. 123, 103927): a capsule network over windows of EEG.

Two 6 x 6 convolutions over time and electrodes, their outputs side by side ("multi-level features"), a 1 x 1
bottleneck, and capsules of 8 numbers that agree on a capsule of 16 for each class by dynamic routing (Sabour et al.
2017, arXiv 1710.09829). The length of a class's capsule is its score. There is no decoder.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.errors import PhysiopipeError

_EPSILON = 1e-7  # under every root, as published
_PRESENT, _ABSENT, _DOWN_WEIGHT = 0.9, 0.1, 0.5  # margins, and the weight of absent classes


class MlfCapsNet(nn.Module):
    """Lengths of the class capsules of EEG windows; the defaults are the published sizes for DREAMER.

    Args:
        electrodes, samples: of a window; published: 1 s of 128 Hz.
        classes: number of output capsules.
        filters: of each convolution; a multiple of `capsule_size`. Cost grows with their square.
        kernel: height and width of both convolutions, in samples and electrodes.
        capsule_size, class_capsule_size: numbers in a primary capsule and in the capsule of a class.
        routings: rounds of dynamic routing, gradients flow through all.

    Raises:
        PhysiopipeError: a window smaller than the kernel, filters that capsules do not divide, no routing.
    """

    def __init__(
        self,
        electrodes: int = 14,
        samples: int = 128,
        classes: int = 2,
        *,
        filters: int = 256,
        kernel: int = 6,
        capsule_size: int = 8,
        class_capsule_size: int = 16,
        routings: int = 3,
    ) -> None:
        super().__init__()
        if min(electrodes, samples) < kernel:
            raise PhysiopipeError(
                f"MLF-CapsNet: windows of {electrodes} electrodes and {samples} samples do not hold its kernel of "
                f"{kernel} x {kernel}: give larger windows or a smaller kernel."
            )
        if filters % capsule_size:
            raise PhysiopipeError(
                f"MLF-CapsNet: {filters} filters do not make whole capsules of {capsule_size}: choose a multiple."
            )
        self.shape, self.capsule_size = (electrodes, samples), capsule_size
        before = (kernel - 1) // 2  # "same" padding of an even kernel: one more behind than before
        self.padding = (before, kernel - 1 - before) * 2
        self.conv1 = nn.Conv2d(1, filters, kernel)
        self.primarycap_conv2d = nn.Conv2d(filters, filters, kernel)
        self.bottleneck_layer = nn.Conv2d(2 * filters, filters, 1)
        places = (samples - kernel + 1) * (electrodes - kernel + 1)
        self.digitcaps = CapsuleLayer(
            places * filters // capsule_size, capsule_size, classes, class_capsule_size, routings
        )
        for layer in (self.conv1, self.primarycap_conv2d, self.bottleneck_layer):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Lengths (B, classes), each in 0..1, of windows x (B, electrodes, samples)."""
        return lengths(self.digitcaps(self.capsules(x)))

    def capsules(self, x: Tensor) -> Tensor:
        """Squashed primary capsules (B, places * filters / capsule_size, capsule_size) of x (B, electrodes, samples).

        In order of time, then electrode, then filter.
        """
        if x.ndim != 3 or tuple(x.shape[1:]) != self.shape:
            raise PhysiopipeError(
                f"MLF-CapsNet: found windows of shape {tuple(x.shape)}, expected (windows, {self.shape[0]} electrodes, "
                f"{self.shape[1]} samples): cut the recordings so, or build the network for these sizes."
            )
        first = functional.relu(self.conv1(x.transpose(1, 2).unsqueeze(1)))
        second = self.primarycap_conv2d(functional.pad(first, self.padding))
        features = self.bottleneck_layer(torch.cat((first, second), dim=1))
        return squash(features.permute(0, 2, 3, 1).reshape(len(x), -1, self.capsule_size))


class CapsuleLayer(nn.Module):
    """Dynamic routing from `inputs` capsules to `outputs` capsules, as published: softmax over the outputs.

    Weights W (outputs, inputs, output_size, input_size) start uniform as Glorot's for a convolution of outputs x inputs
    places: so small that the first lengths are about 4e-4, hardly above the root of 1e-7.
    """

    def __init__(self, inputs: int, input_size: int, outputs: int, output_size: int, routings: int = 3) -> None:
        super().__init__()
        if routings < 1:
            raise PhysiopipeError(f"MLF-CapsNet: found {routings} rounds of routing, expected 1 or more.")
        self.routings = routings
        self.W = nn.Parameter(torch.empty(outputs, inputs, output_size, input_size))
        bound = (6 / ((output_size + input_size) * outputs * inputs)) ** 0.5
        nn.init.uniform_(self.W, -bound, bound)

    def forward(self, capsules: Tensor) -> Tensor:
        """Capsules (B, outputs, output_size) of capsules (B, inputs, input_size)."""
        outputs, inputs, size, _ = self.W.shape
        batch = len(capsules)
        # (inputs, B, input_size) x (inputs, input_size, outputs * size): one matrix product an input capsule
        weights = self.W.permute(1, 3, 0, 2).reshape(inputs, -1, outputs * size)
        votes = torch.bmm(capsules.transpose(0, 1), weights).view(inputs, batch, outputs, size)
        votes = votes.permute(1, 2, 0, 3).reshape(batch * outputs, inputs, size)
        # The first round gives every output the same share
        routed = squash(votes.sum(1) / outputs)
        logits = torch.zeros((), dtype=votes.dtype, device=votes.device)
        for _ in range(self.routings - 1):
            logits = logits + torch.bmm(votes, routed.unsqueeze(2)).view(batch, outputs, inputs)
            shares = torch.softmax(logits, dim=1).view(batch * outputs, 1, inputs)
            routed = squash(torch.bmm(shares, votes).squeeze(1))
        return routed.view(batch, outputs, size)


def squash(vectors: Tensor) -> Tensor:
    """Vectors (..., size) of the same direction and of length n^2 / (1 + n^2), n their own length."""
    square = vectors.square().sum(-1, keepdim=True)
    return vectors * (square / (1 + square) / torch.sqrt(square + _EPSILON))


def lengths(capsules: Tensor) -> Tensor:
    """Lengths (...,) of capsules (..., size); at least 3.2e-4, so that the gradient at 0 is finite."""
    return torch.sqrt(capsules.square().sum(-1) + _EPSILON)


def margin_loss(lengths: Tensor, classes: Tensor) -> Tensor:
    """Mean over windows of (0.9 - length)+^2 of the true class plus half of (length - 0.1)+^2 of each other.

    Args:
        lengths: (B, classes), from `MlfCapsNet`.
        classes: (B,), int64.
    """
    true = functional.one_hot(classes, lengths.shape[1]).to(lengths.dtype)
    present = functional.relu(_PRESENT - lengths).square()
    absent = functional.relu(lengths - _ABSENT).square()
    return (true * present + _DOWN_WEIGHT * (1 - true) * absent).sum(1).mean()


def standardised_across_electrodes(x: Tensor) -> Tensor:
    """Every time step of x (..., electrodes, samples) to mean 0 and SD 1 across its electrodes, as published.

    Values that are exactly 0 (electrodes without signal) enter neither mean nor population SD and stay 0; a time step
    whose other values are all alike comes out 0.
    """
    there = x != 0
    count = there.sum(-2, keepdim=True).clamp(min=1)
    mean = x.sum(-2, keepdim=True) / count
    centred = torch.where(there, x - mean, 0.0)
    deviation = (centred.square().sum(-2, keepdim=True) / count).sqrt()
    return torch.where(deviation > 0, centred / deviation, 0.0)
