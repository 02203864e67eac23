"""Which records pretraining holds out."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError


def held_out_records(records: Sequence[str], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """For each entry of `records`, whether its record is held out; all entries of a record agree.

    A record's side depends on its name and the seed alone, so more records move no other. At least one record is
    held out and one is not.
    """
    names = sorted(set(records))
    if len(names) < 2:
        raise PhysiopipeError(f"{len(names)} record(s) cannot be split into training and held-out: use more records.")
    position = {name: _position(name, seed) for name in names}
    chosen = {name for name in names if position[name] < share} or {min(names, key=position.__getitem__)}
    if len(chosen) == len(names):
        chosen.discard(max(names, key=position.__getitem__))
    return np.array([record in chosen for record in records], dtype=bool)


def _position(name: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
