"""MATLAB files made to fill the memory of whoever reads them: what they say of their sizes is checked first."""

import resource
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings import matfile
from physiopipe.recordings.matfile import open_mat

HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
GIB = 1 << 30


def tag(kind: int, size: int) -> bytes:
    return np.array([kind, size], "<u4").tobytes()


def element(kind: int, body: bytes) -> bytes:
    return tag(kind, len(body)) + body + bytes(-len(body) % 8)


def head_of(matlab_class: int, shape: list[int], name: bytes = b"DREAMER") -> bytes:
    """What stands at the beginning of an array."""
    flags = element(6, np.array([matlab_class, 0], "<u4").tobytes())
    return flags + element(5, np.array(shape, "<i4").tobytes()) + element(1, name)


def matrix(content: bytes) -> bytes:
    return tag(14, len(content)) + content


def packed(*parts: bytes, zeros: int = 0) -> bytes:
    """A compressed variable: `parts`, then so many zeros (and then no right checksum)."""
    pack = zlib.compressobj(9)
    out = [pack.compress(part) for part in parts]
    if zeros:
        out.append(pack.flush(zlib.Z_FULL_FLUSH))
        block = pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)  # needs nothing of what is before it
        out.append(block * (zeros >> 20))
    body = b"".join([*out, pack.flush()])
    return tag(15, len(body)) + body


def read_all(path: Path) -> None:
    with open_mat(path) as (_, stream):
        while (head := stream.variable()) is not None:
            if head.kind == "struct":
                stream.fields()
            elif head.kind == "text":
                stream.text(head)
            elif head.kind == "cell array":
                stream.numbers(stream.matrix())
            else:
                stream.numbers(head)


def complaint(path: Path, content: bytes) -> str:
    """What is said of a file; reading it takes little memory."""
    path.write_bytes(HEAD + content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PhysiopipeError, match=f"{path.name} cannot be read") as error:
        read_all(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10  # KiB
    assert len(str(error.value)) < 500
    return str(error.value)


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """3 MB that unpack to 3.2 GB: one matrix of zeros."""
    body = head_of(6, [3 * GIB // 8, 1]) + tag(9, 3 * GIB)
    return packed(tag(14, len(body) + 3 * GIB), body, zeros=3 * GIB)


def test_a_bomb_is_refused_by_what_it_says(bomb: bytes, tmp_path: Path) -> None:
    assert len(bomb) < 4 << 20
    assert "more than 100 times as many" in complaint(tmp_path / "DREAMER.mat", bomb)
    body = bomb[8:]
    assert "more than 100 times" in complaint(tmp_path / "DREAMER.mat", tag(15, (1 << 32) - 1) + body)


def test_a_variable_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path) -> None:
    small = matrix(head_of(6, [1, 1]) + element(9, bytes(8)))
    said = complaint(tmp_path / "x.mat", packed(small, zeros=256 << 20))
    assert "unpacks to more than it says" in said


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (head_of(6, [GIB // 8, 1]) + tag(9, GIB), "an element of 1,073,741,824 bytes"),
        (head_of(1, [1, 1]) + tag(14, GIB), "an array of 1,073,741,824 bytes where"),
        (head_of(6, [2, 2]) + element(9, bytes(8)), "an array of 2×2 that holds 1 numbers"),
        (head_of(6, [-2, 2]) + element(9, bytes(8)), "an array of -2×2"),
        (head_of(6, [1] * 40) + element(9, bytes(8)), "an element of 160 bytes where at most 128"),
        (head_of(6, [1, 1], b"D" * 100_000) + element(9, bytes(8)), "an element of 100,000 bytes where at most 64"),
        (head_of(4, [1, 1]) + tag(4, 1 << 20) + bytes(1 << 20), "an element of 1,048,576 bytes where at most 65,536"),
        (head_of(2, [1, 1]) + element(5, bytes([1, 0, 0, 0])) + tag(1, 1 << 20) + bytes(1 << 20), "at most 1,024"),
        (head_of(2, [1, 1]) + element(5, bytes(4)) + element(1, bytes(8)), "names of fields of 0 bytes"),
        (head_of(2, [1, 1]) + element(5, b"\xff" * 4) + element(1, bytes(8)), "names of fields of -1 bytes"),
        (head_of(6, [1, 1]) + np.array([9 << 16 | 9], "<u4").tobytes() + bytes(4), "a small element of 9 bytes"),
    ],
    ids=["array", "cell", "count", "negative", "dimensions", "name", "text", "fields", "no width", "width", "small"],
)
@pytest.mark.parametrize("compress", [False, True])
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, content: bytes, found: str, compress: bool) -> None:
    whole = matrix(content)
    assert found in complaint(tmp_path / "x.mat", packed(whole) if compress else whole)


def test_zeros_and_small_variables_are_read_as_ever(tmp_path: Path) -> None:
    """A flat recording shrinks a thousandfold too: below some size nothing is asked."""
    path = tmp_path / "x.mat"
    scipy.io.savemat(path, {"flat": np.zeros((500_000, 14)), "empty": np.zeros((0, 3))}, do_compression=True)
    assert path.stat().st_size * 500 < 500_000 * 14 * 8
    with open_mat(path) as (_, stream):
        flat = stream.variable()
        assert flat is not None
        assert stream.numbers(flat).shape == (500_000, 14)
        empty = stream.variable()
        assert empty is not None
        assert stream.numbers(empty).shape == (0, 3)
        assert stream.variable() is None
    assert flat.end < matfile.UNQUESTIONED_BYTES
