"""Patches of raw samples and their embedding, as OneFitsAll and Time-LLM share them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from physiopipe.errors import PhysiopipeError


def check_patching(samples: int, patch_samples: int, stride_samples: int) -> None:
    """Raise PhysiopipeError unless a row of samples holds a patch, and the stride is at least 1."""
    if not 1 <= patch_samples <= samples or stride_samples < 1:
        raise PhysiopipeError(
            f"patches of {patch_samples} samples every {stride_samples}, in windows of {samples}: expected a patch "
            "no longer than the window and a stride of 1 or more. Change them."
        )


def patch_count(samples: int, patch_samples: int, stride_samples: int) -> int:
    """Patches of a row of samples that is first prolonged by one stride."""
    return (samples - patch_samples) // stride_samples + 2


def cut_patches(x: Tensor, patch_samples: int, stride_samples: int) -> Tensor:
    """Patches (..., n, patch) of x (..., samples), whose last sample is first repeated for one stride."""
    prolonged = torch.cat((x, x[..., -1:].expand(*x.shape[:-1], stride_samples)), -1)
    return prolonged.unfold(-1, patch_samples, stride_samples)


class _TokenEmbedding(nn.Module):
    """A convolution over tokens, kernel 3, the last token and the first being neighbours; no bias."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.tokenConv = nn.Conv1d(features, width, 3, padding=1, padding_mode="circular", bias=False)
        nn.init.kaiming_normal_(self.tokenConv.weight, mode="fan_in", nonlinearity="leaky_relu")

    def forward(self, x: Tensor) -> Tensor:
        """(rows, n, features) to (rows, n, width)."""
        neighbours = torch.cat((x.roll(1, 1), x, x.roll(-1, 1)), -1)  # one product: faster than a convolution
        return functional.linear(neighbours, self.tokenConv.weight.permute(0, 2, 1).flatten(1))


class PatchEmbedding(nn.Module):
    """Patches (rows, n, features) to tokens (rows, n, width); parameters are named as the authors name them."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.value_embedding = _TokenEmbedding(features, width)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, n, features) to (rows, n, width)."""
        embedded: Tensor = self.value_embedding(x)
        return embedded
