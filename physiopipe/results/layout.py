"""What a laid-out table is made of: blocks of rows of cells, and numbered notes."""

from dataclasses import dataclass

import pandas as pd

from physiopipe.results.table1 import NOTE_SEPARATOR


@dataclass(frozen=True)
class TableCell:
    """A number as text and its rank among the rows of its block: best, second or neither."""

    text: str
    rank: str = ""


@dataclass(frozen=True)
class Row:
    title: str
    notes: tuple[int, ...]
    cells: tuple[TableCell, ...]


@dataclass(frozen=True)
class Block:
    """Rows under one heading; `groups` are spanning heads with the heads of their columns."""

    title: str
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Typeset:
    """The table: `reported` is the block of a paper's rows, if there is one; `cost` that of what rows cost, where it
    was noted; `caveats` stand beside every number.
    """

    caption: str
    caveats: tuple[str, ...]
    reported: Block | None
    measured: tuple[Block, ...]
    notes: tuple[str, ...]
    cost: Block | None = None

    @property
    def blocks(self) -> tuple[Block, ...]:
        return (*((self.reported,) if self.reported else ()), *self.measured, *((self.cost,) if self.cost else ()))


def marks(rows: pd.DataFrame, title: str, notes: list[str]) -> tuple[int, ...]:
    """Numbers of the notes that a row calls; what is new among them is added to `notes`."""
    text = rows.loc[rows["title"] == title, "notes"].iloc[0]
    found = str(text).split(NOTE_SEPARATOR) if isinstance(text, str) and text else []
    notes.extend(note for note in found if note not in notes)
    return tuple(1 + notes.index(note) for note in found)
