"""A frame as an HTML table: numbers to the right, text to the left, and a box that scrolls where it is too wide."""

import html
import re
from collections.abc import Sequence

import pandas as pd

_SHORT = 24  # characters
_NUMBER = re.compile(r"[-+−–<]?\s*[\d.,]*(e[-+]?\d+)?\s*(%|\[.*\]|\(.*%\)|to [-+−\d.]+)?\s*")


def as_table(frame: pd.DataFrame, classes: Sequence[str] = ()) -> str:
    """The table, cells escaped; floats with two decimals, what is missing as a dash.

    Args:
        classes: a CSS class a row, or none.
    """
    cells = {str(name): [_cell(value) for value in frame[name]] for name in frame.columns}
    kinds = {name: _kind(column) for name, column in cells.items()}
    head = "".join(f"<th{kinds[name]}>{html.escape(name)}</th>" for name in cells)
    rows = []
    for place in range(len(frame)):
        kind = f' class="{classes[place]}"' if classes and classes[place] else ""
        body = "".join(f"<td{kinds[name]}>{html.escape(column[place])}</td>" for name, column in cells.items())
        rows.append(f"<tr{kind}>{body}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _kind(column: Sequence[str]) -> str:
    """Class of a column's cells: numbers, or text so short that it is not broken."""
    if all(map(_is_number, column)):
        return ' class="n"'
    return ' class="t"' if max(map(len, column)) <= _SHORT else ""


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None
