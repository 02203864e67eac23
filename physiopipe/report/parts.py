"""What the page is made of: sections of parts, each a piece of HTML that is open or folded."""

import base64
import html
import re
from dataclasses import dataclass
from pathlib import Path

from physiopipe.errors import PhysiopipeError
from physiopipe.report.style import DPI

_CSS_DPI = 96  # what a browser calls an inch


@dataclass(frozen=True)
class Part:
    """One heading with its piece of HTML; `folded`: only the heading is seen until it is opened."""

    title: str
    body: str
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """Parts under one heading of the contents."""

    title: str
    parts: tuple[Part, ...]


def slug(*titles: str) -> str:
    """An address within the page."""
    return "-".join(re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") for title in titles)


def paragraph(text: str) -> str:
    """Plain text as a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def figure(path: Path, title: str, caption: str) -> str:
    """A PNG inside the page, no larger than it was drawn; a narrow screen scrolls it before it gets too small.

    Raises:
        PhysiopipeError: it was not drawn.
    """
    if not path.exists():
        raise PhysiopipeError(f"{path} is missing: draw the figures first (`physiopipe report` does both).")
    content = path.read_bytes()
    width_px = int.from_bytes(content[16:20], "big")  # of the header chunk, which is the first
    data = base64.b64encode(content).decode("ascii")
    image = f'<img alt="{html.escape(title)}" style="--drawn: {width_px * _CSS_DPI / DPI:.0f}px" '
    image += f'src="data:image/png;base64,{data}">'
    return f'<figure><div class="wide">{image}</div><figcaption>{html.escape(caption)}</figcaption></figure>'
