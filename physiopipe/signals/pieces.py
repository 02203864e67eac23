"""Long recordings in overlapping pieces: memory does not grow with their length, and short transforms are faster.

A piece is computed with what lies around it, as far as the filters' ringing reaches, and cropped to its own samples.
"""

from itertools import pairwise
from math import ceil
from typing import NamedTuple

LONG_SAMPLES = 1 << 17  # of a row: a longer recording goes in pieces. 4 min at 500 Hz, 8 min at 257 Hz
_PIECE_SAMPLES = 1 << 16
_CONTEXTS = 4  # a piece is at least so many times what it is computed with on a side


class Piece(NamedTuple):
    """Samples `first` to `end` of a recording, computed from `start` to `stop`."""

    first: int
    end: int
    start: int
    stop: int


def pieces_of(samples: int, grid: int, context: int) -> list[Piece]:
    """Cut a recording into pieces of like size that touch.

    Args:
        samples: length of the recording.
        grid: every piece begins at a multiple of it, and so does what it is computed from.
        context: samples that it is computed with on each side, where the recording has them; a multiple of `grid`.
    """
    size = max(ceil(max(_PIECE_SAMPLES, _CONTEXTS * context) / grid) * grid, grid)
    count = max(samples // size, 1)
    edges = [*range(0, count * size, size), samples]
    return [Piece(first, end, max(first - context, 0), min(end + context, samples)) for first, end in pairwise(edges)]


def on_grid(samples: float, grid: int) -> int:
    """The smallest multiple of `grid` from `samples` on."""
    return ceil(samples / grid) * grid
