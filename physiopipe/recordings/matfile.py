"""MATLAB level 5 files read as a stream, so that a file larger than memory can be walked through in one pass.

`scipy.io.loadmat` builds a whole variable at once; here a caller steps into cells and structs, takes what it wants and
skips the rest. What a file says of its own sizes is checked before anything of that size is read: an array lies within
the array around it, a compressed variable holds no more than it says, and says no more than real data could.
Format: MathWorks, "MAT-File Format", level 5 (scipy.io.loadmat is the oracle of the tests).
"""

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError

HEADER_BYTES = 128
LARGEST_ARRAY_BYTES = 64 << 20  # of one array that is read whole: an hour of 14 channels at 128 Hz takes 52 MB
LARGEST_TEXT_BYTES = 1 << 16
# Recordings shrink to a half or a tenth, and deflate can shrink zeros a thousandfold: a variable that says it is beyond
# both limits is made to fill the memory of whoever reads it.
LARGEST_RATIO = 100
UNQUESTIONED_BYTES = 64 << 20
_MOST_DIMENSIONS, _LONGEST_NAME, _MOST_FIELDS = 32, 64, 1024
_COMPRESSED, _MATRIX = 15, 14
_CELL, _STRUCT, _OBJECT, _CHAR = 1, 2, 3, 4
_CLASS_NAMES = {1: "cell array", 2: "struct", 3: "object", 4: "text", 5: "sparse matrix", 16: "function", 17: "opaque"}
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8", 16: "u1"}
_DTYPES |= {17: "u2", 18: "u4"}
_ENCODINGS = {"u1": "utf-8", "i1": "latin-1", "u2": "utf-16-le", "u4": "utf-32-le"}
_READ_BYTES = 1 << 18
_ENDLESS = 1 << 40  # a size has 32 bits


class MatFormatError(Exception):
    """The bytes are not what the format says; the message says what was met."""


@dataclass(frozen=True)
class Matrix:
    """The head of one array; its content comes next in the stream.

    Attributes:
        kind: "struct", "cell array", "text", "numbers", or another MATLAB class by its name.
        shape: MATLAB's size.
        name: of the variable; empty inside a cell or a struct.
        end: position in the stream behind the array.
    """

    kind: str
    shape: tuple[int, ...]
    name: str
    end: int

    def __str__(self) -> str:
        return f"{'×'.join(map(str, self.shape))} {self.kind}"


class MatStream:
    """Reads arrays one after the other: call `matrix`, then `numbers`, `text`, `fields` or `skip` on what it gave."""

    def __init__(self, raw: IO[bytes], byte_order: str, position: int) -> None:
        self._raw = raw
        self._order = byte_order
        self._inflate: zlib._Decompress | None = None
        self._buffer = b""
        self._at = 0  # next byte of the buffer
        self._ends: list[int] = []  # of the arrays around the position
        self._left = _ENDLESS  # bytes behind the last tag in the array that it stands in
        self._inflated = self._most = 0  # bytes of the compressed variable so far, and all that it may have
        self._dtype = ""  # of the last plain element
        self.position = position

    def variable(self) -> Matrix | None:
        """The next top-level variable, or None at the end of the file; the one before must be read or skipped."""
        self.finish()
        self._inflate, self._buffer, self._at, self._ends, self._left = None, b"", 0, [], _ENDLESS
        head = self._raw.read(8)
        if len(head) < 8:
            return None
        kind, size = np.frombuffer(head, self._order + "u4").tolist()
        self.position = 0
        if kind != _COMPRESSED:
            if kind != _MATRIX:
                raise MatFormatError(f"a top-level element of type {kind}, expected a matrix")
            return self._head(size)
        packed = min(size, self._bytes_left())
        self._inflate, self._inflated, self._most = zlib.decompressobj(), 0, _READ_BYTES
        kind, size, small = self._tag()
        if kind != _MATRIX or small:
            raise MatFormatError(f"an element of type {kind}, expected a matrix")
        if size > max(UNQUESTIONED_BYTES, LARGEST_RATIO * packed):
            raise MatFormatError(
                f"a variable of {packed:,} bytes that says it unpacks to {size:,}, more than {LARGEST_RATIO} times as "
                "many: no recording does"
            )
        self._most = self.position + size + 8  # what pads it
        return self._head(size)

    def finish(self) -> None:
        """Go to the end of a compressed variable, where its checksum stands: damage inside it is found here."""
        while self._inflate is not None and not self._inflate.eof:
            if not self._more(_READ_BYTES) and not self._inflate.eof:
                raise MatFormatError("the end of the file within an array")

    def _bytes_left(self) -> int:
        here = self._raw.tell()
        left = self._raw.seek(0, 2) - here
        self._raw.seek(here)
        return left

    def matrix(self) -> Matrix:
        """Head of the array that comes next in the stream."""
        kind, size, small = self._tag()
        if kind != _MATRIX or small:
            raise MatFormatError(f"an element of type {kind}, expected a matrix")
        return self._head(size)

    def fields(self) -> list[str]:
        """Names of a struct's fields, asked for behind its head; their arrays follow in this order."""
        width = int(np.frombuffer(self._data(4), self._order + "i4")[0])
        if not 0 < width <= _LONGEST_NAME:
            raise MatFormatError(f"names of fields of {width} bytes")
        names = self._data(width * _MOST_FIELDS)
        return [names[i : i + width].split(b"\0")[0].decode("latin-1") for i in range(0, len(names), width)]

    def numbers(self, head: Matrix) -> npt.NDArray[np.generic]:
        """Content of a numeric array in the type it is stored in, shape as in MATLAB."""
        if self.position == head.end:  # an empty array, written without content
            return np.zeros(head.shape)
        values = np.frombuffer(self._data(), self._dtype)
        if values.size != math.prod(head.shape):
            raise MatFormatError(f"an array of {'×'.join(map(str, head.shape))} that holds {values.size} numbers")
        values = values.reshape(head.shape, order="F")
        self.skip(head)  # an imaginary part
        return values

    def text(self, head: Matrix) -> str:
        """Content of a char array with one row."""
        content = self._data(LARGEST_TEXT_BYTES)
        if self._dtype[1:] not in _ENCODINGS:
            raise MatFormatError(f"text stored as {self._dtype[1:]}")
        encoding = _ENCODINGS[self._dtype[1:]]
        if self._order == ">":
            encoding = encoding.replace("-le", "-be")
        self.skip(head)
        return content.decode(encoding)

    def skip(self, head: Matrix) -> None:
        """Go on behind an array, whatever of it was read."""
        left = head.end - self.position
        while left > 0:
            left -= len(self._take(min(left, _READ_BYTES)))

    def _head(self, size: int) -> Matrix:
        end = self.position + size
        if size > self._left:
            raise MatFormatError(f"an array of {size:,} bytes where {self._left:,} are left of what holds it")
        self._ends.append(end)
        if size == 0:  # MATLAB writes an empty array so
            return Matrix("numbers", (0, 0), "", end)
        flags = np.frombuffer(self._data(8), self._order + "u4")
        shape = tuple(np.frombuffer(self._data(4 * _MOST_DIMENSIONS), self._order + "i4").tolist())
        if min(shape) < 0:
            raise MatFormatError(f"an array of {'×'.join(map(str, shape))}")
        name = self._data(_LONGEST_NAME).decode("latin-1")
        matlab_class = int(flags[0]) & 0xFF
        numeric = 6 <= matlab_class <= 15
        return Matrix("numbers" if numeric else _CLASS_NAMES.get(matlab_class, "unknown"), shape, name, end)

    def _room(self) -> int:
        """Bytes left of the array around the position."""
        while self._ends and self._ends[-1] <= self.position:
            self._ends.pop()
        return self._ends[-1] - self.position if self._ends else _ENDLESS

    def _tag(self) -> tuple[int, int, bytes]:
        """Type and size of the next element, and its content where it is packed into the tag."""
        self._left = self._room() - 8
        if self._left < 0:
            raise MatFormatError("an array that ends within its content")
        head = self._take(8)
        first, second = np.frombuffer(head, self._order + "u4").tolist()
        if first >> 16:  # a small element: size in the upper half, up to four bytes of content
            if first >> 16 > 4:
                raise MatFormatError(f"a small element of {first >> 16} bytes")
            return first & 0xFFFF, first >> 16, head[4 : 4 + (first >> 16)]
        return first, second, b""

    def _data(self, most: int = LARGEST_ARRAY_BYTES) -> bytes:
        """Content of the next plain element."""
        kind, size, small = self._tag()
        if kind not in _DTYPES:
            raise MatFormatError(f"an element of type {kind}, expected numbers or text")
        self._dtype = self._order + _DTYPES[kind]
        if small or size == 0:
            return small
        if size > min(most, self._left):
            raise MatFormatError(f"an element of {size:,} bytes where at most {min(most, self._left):,} can be")
        content = self._take(size)
        self._take(min(-size % 8, self._left - size))  # padding
        return content

    def _take(self, size: int) -> bytes:
        """The next bytes of the stream, inflated where it is compressed."""
        self.position += size
        if self._at + size <= len(self._buffer):
            self._at += size
            return self._buffer[self._at - size : self._at]
        parts, wanted = [self._buffer[self._at :]], size - (len(self._buffer) - self._at)
        self._buffer, self._at = b"", 0
        while wanted > 0:
            chunk = self._more(wanted)
            if not chunk:
                raise MatFormatError("the end of the file within an array")
            parts.append(chunk[:wanted])
            self._buffer, self._at = chunk, min(wanted, len(chunk))
            wanted -= len(chunk)
        return b"".join(parts)

    def _more(self, wanted: int) -> bytes:
        if self._inflate is None:
            return self._raw.read(wanted)
        while not self._inflate.eof:
            raw = self._inflate.unconsumed_tail or self._raw.read(_READ_BYTES)
            chunk = self._inflate.decompress(raw, _READ_BYTES)
            self._inflated += len(chunk)
            if self._inflated > self._most:
                raise MatFormatError("a compressed variable that unpacks to more than it says")
            if self._inflate.eof:
                self._raw.seek(-len(self._inflate.unused_data), 1)
            if chunk or not raw:
                return chunk
        return b""


@contextmanager
def open_mat(path: Path) -> Iterator[tuple[str, MatStream]]:
    """Open a level 5 file: its descriptive text and a stream that stands before its first variable.

    Raises:
        PhysiopipeError: the file is no level 5 MATLAB file (what it looks like is said), or breaks off, or is damaged;
            also while the stream is read.
    """
    try:
        with path.open("rb") as raw:
            head = raw.read(HEADER_BYTES)
            order = {b"IM": "<", b"MI": ">"}.get(head[126:128], "")
            if head.startswith(b"MATLAB 7.3") or head.startswith(b"\x89HDF"):
                raise MatFormatError("a MATLAB 7.3 (HDF5) file; save it with MATLAB's -v7")
            if not order or not head.startswith(b"MATLAB"):
                raise MatFormatError(f"{_describe(head)}, expected a MATLAB level 5 file (.mat, -v6 or -v7)")
            yield head[:116].decode("latin-1").rstrip(" \0"), MatStream(raw, order, HEADER_BYTES)
    except (MatFormatError, zlib.error, ValueError, IndexError, UnicodeDecodeError) as error:
        raise PhysiopipeError(f"{path} cannot be read: {error}.") from None


def _describe(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "a web page (perhaps a log-in page saved in the file's place)"
    if head.startswith(b"PK"):
        return "a zip archive (unpack it)"
    return f"a file that begins with {head[:8]!r}"
