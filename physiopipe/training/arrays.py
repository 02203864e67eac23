"""The windows that training reads, as plain arrays in memory, and a batch of them on a device."""

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from physiopipe.files import sha256_json
from physiopipe.models.normalisation import Normalisation, normalised, valid_patch_mask

_DIGEST_WINDOWS = 64  # windows whose samples enter the digest: enough to tell one filter's output from another's


@dataclass(frozen=True)
class WindowArrays:
    """n windows of C channels and P patches of 200 samples.

    Attributes:
        samples: int16 (n, C, P, 200); anything that numpy indexes by rows, a memory map included.
        scale: float32 (n,), one unit of `samples` in the stored unit.
        valid_patches: (n,), leading patches that hold signal.
        channel_mask: bool (n, C), False where a channel is missing or flat.
        rate_hz: (n,).
        window_id: uint64 (n,), what the masks of a window are keyed by: its identity, not its place.
        source: (n,), name of the source folder.
        leads: names of the C channels where they are known.
    """

    samples: npt.NDArray[np.int16]
    scale: npt.NDArray[np.float32]
    valid_patches: npt.NDArray[Any]
    channel_mask: npt.NDArray[np.bool_]
    rate_hz: npt.NDArray[Any]
    window_id: npt.NDArray[np.uint64]
    source: npt.NDArray[np.str_]
    leads: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def part(self, rows: Any) -> "WindowArrays":
        """The windows of these rows (an array or a slice), their samples in memory."""
        by_row = (field.name for field in fields(self) if field.name != "leads")
        return replace(self, **{name: getattr(self, name)[rows] for name in by_row})

    def digest(self) -> str:
        """A name for this data: sha256 over everything but the samples, and over some of those."""
        some = self.samples[:: max(1, len(self) // _DIGEST_WINDOWS)]
        arrays = {"samples": some, "source": np.asarray(self.source, dtype=np.str_).astype("S")}
        for name in ("scale", "valid_patches", "channel_mask", "rate_hz", "window_id"):
            arrays[name] = getattr(self, name)
        return sha256_json({name: [list(a.shape), _sha256(a)] for name, a in arrays.items()})


class Batch(NamedTuple):
    """Windows on a device: x float32 (B, C, P, 200), valid bool (B, C, P), window_id int64 (B,)."""

    x: Tensor
    valid: Tensor
    window_id: Tensor


def load_batch(windows: WindowArrays, rows: npt.NDArray[Any], how: Normalisation, device: torch.device) -> Batch:
    """The windows of these rows, normalised on the device."""
    return normalised_batch(tensors_of(windows, rows), how, device)


def tensors_of(windows: WindowArrays, rows: Any) -> tuple[Tensor, ...]:
    """Samples, scale, valid patches, channel mask and ids of these rows, on the CPU, for `normalised_batch`."""
    part = windows.part(rows)
    arrays = (part.samples, part.scale, part.valid_patches.astype(np.int64), part.channel_mask)
    ids = part.window_id.view(np.int64)
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in (*arrays, ids))


def normalised_batch(tensors: tuple[Tensor, ...], how: Normalisation, device: torch.device) -> Batch:
    """A batch of what `tensors_of` returned; pinned memory is copied while the host goes on."""
    samples, scale, valid_patches, channel_mask, ids = (t.to(device, non_blocking=True) for t in tensors)
    valid = valid_patch_mask(channel_mask, valid_patches, samples.shape[2])
    return Batch(normalised(samples, scale, valid, how), valid, ids)


def _sha256(array: npt.NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
