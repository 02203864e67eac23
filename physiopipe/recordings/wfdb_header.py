"""Headers of WFDB records (`.hea`). Source: the WFDB header specification, header(5).

Quirks of the Challenge's published headers that are read: units `mV` and `mv`, gains like `1000.0(0)/mV`, formats
`16+24` and `16x1+24`, comments with and without a space, a record line that names the `.mat` file.
"""

import math
import re
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from physiopipe.errors import PhysiopipeError
from physiopipe.files import shorten
from physiopipe.recordings.recording import RejectedRecord

MAX_RATE_HZ = 100_000.0
_MAX_HEADER_BYTES = 1 << 20
_MAX_SIGNALS = 1000
_MAX_FIELD = 200  # characters; what header(5) allows is shorter
_MAX_NAME = 80  # of a signal; WFDB itself takes 60 characters
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_RATE = re.compile(rf"({_NUMBER})(?:/.*)?")
_FORMAT = re.compile(r"([0-9]{1,4})(?:x([0-9]{1,6}))?(?::([0-9]{1,6}))?(?:\+([0-9]{1,9}))?")
_GAIN = re.compile(rf"({_NUMBER})(?:\(([+-]?[0-9]{{1,9}})\))?(?:/(\S+))?")


class SignalLine(NamedTuple):
    """One signal of a header: where its samples lie and what they mean (`(sample - baseline) / gain` in `unit`)."""

    file_name: str
    format: int
    samples_per_frame: int
    skew: int
    byte_offset: int
    gain: float | None
    baseline: int
    unit: str | None
    checksum: int | None
    description: str


@dataclass(frozen=True)
class Header:
    """A WFDB header: `samples` is the length of each signal, `comments` maps age, sex, dx, ... to their text."""

    name: str
    rate_hz: float
    samples: int
    signals: tuple[SignalLine, ...]
    comments: dict[str, str]


def read_header(path: Path) -> Header:
    """Read a `.hea` file.

    Raises:
        RejectedRecord: missing, empty, or not a header of one plain record.
        PhysiopipeError: the file is there but the system would not let it be read.
    """
    text = read_whole(path, 0, _MAX_HEADER_BYTES).decode("utf-8", errors="replace")
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    content = [line for line in lines if line and not line.startswith("#")]
    if not content:
        raise RejectedRecord(f"header {path.name} is empty")
    record = _fields(content[0])
    if len(record) < 4:
        raise RejectedRecord(
            f"header {path.name} has no record line with signals, rate and length: {quoted(content[0])}"
        )
    if "/" in record[0]:
        raise RejectedRecord(f"header {path.name} is of a multi-segment record: {quoted(record[0])}")
    channels = _count(record[1], "number of signals", _MAX_SIGNALS)
    rate = _RATE.fullmatch(record[2])
    rate_hz = float(rate[1]) if rate else math.nan
    if not 0 < rate_hz <= MAX_RATE_HZ:
        raise RejectedRecord(f"header gives no usable sampling rate: {quoted(record[2])}")
    samples = _count(record[3], "number of samples")
    if len(content) - 1 != channels:
        raise RejectedRecord(f"header announces {channels} signals and describes {len(content) - 1}")
    comments: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.lstrip("# \t").partition(":")
        if line.startswith("#") and colon:
            comments.setdefault(key.strip().lower(), value.strip())
    return Header(record[0], rate_hz, samples, tuple(_signal_line(line) for line in content[1:]), comments)


def read_whole(path: Path, least: int, most: int, wanted: int | None = None) -> bytes:
    """The bytes of a file (or its first `wanted` ones) whose size must lie between `least` and `most`; raises as
    `read_header` does."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise RejectedRecord(f"{path.name} is not a file")
        content = b""
        if least <= found.st_size <= most:
            with path.open("rb") as handle:
                content = handle.read(found.st_size if wanted is None else wanted)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise RejectedRecord(f"{path.name} is missing") from None
    except OSError as error:
        raise PhysiopipeError(
            f"{path} cannot be read ({error.strerror}): the disk or its permissions need a look, then run again."
        ) from None
    if not least <= found.st_size <= most or len(content) != (found.st_size if wanted is None else wanted):
        expected = f"{most}" if least == most else f"at most {most}"
        raise RejectedRecord(f"{path.name} holds {found.st_size} bytes, expected {expected}")
    return content


def _signal_line(line: str) -> SignalLine:
    fields = _fields(line, 8)
    if len(fields) < 2:
        raise RejectedRecord(f"header has an unreadable signal line: {quoted(line)}")
    form, samples_per_frame, skew, byte_offset = _sample_format(fields[1])
    gain, baseline, unit = _gain(fields[2]) if len(fields) > 2 else (None, None, None)
    numbers = [_integer(text) for text in fields[3:8]]  # ADC resolution, ADC zero, first value, checksum, block size
    zero = numbers[1] if len(numbers) > 1 else 0
    return SignalLine(
        file_name=fields[0],
        format=form,
        samples_per_frame=samples_per_frame,
        skew=skew,
        byte_offset=byte_offset,
        gain=gain,
        baseline=zero if baseline is None else baseline,
        unit=unit,
        checksum=numbers[3] if len(numbers) > 3 else None,
        description=_signal_name(fields[8]) if len(fields) > 8 else "",
    )


def _fields(line: str, most: int = -1) -> list[str]:
    """The fields of a line that are split at blanks; behind the first `most` of them stands one of free text."""
    fields = line.split(maxsplit=most)
    for field in fields if most < 0 else fields[:most]:
        if len(field) > _MAX_FIELD:
            raise RejectedRecord(f"header has a field of {len(field)} characters: {quoted(field)}")
    return fields


def _signal_name(text: str) -> str:
    name = text.strip()
    if len(name) > _MAX_NAME or not name.isprintable():
        raise RejectedRecord(
            f"header gives a signal a name of {len(name)} characters, expected at most {_MAX_NAME} that can be "
            f"printed: {quoted(name)}"
        )
    return name


@lru_cache(maxsize=64)  # a corpus spells them in a handful of ways, twelve times a record
def _sample_format(text: str) -> tuple[int, int, int, int]:
    found = _FORMAT.fullmatch(text)
    if found is None:
        raise RejectedRecord(f"header has an unreadable sample format: {quoted(text)}")
    return int(found[1]), int(found[2] or 1), int(found[3] or 0), int(found[4] or 0)


@lru_cache(maxsize=64)
def _gain(text: str) -> tuple[float, int | None, str | None]:
    found = _GAIN.fullmatch(text)
    if found is None:
        raise RejectedRecord(f"header has an unreadable gain: {quoted(text)}")
    return float(found[1]), int(found[2]) if found[2] else None, found[3]


def _integer(text: str) -> int:
    number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,10}", text) else 1 << 31
    if abs(number) >= 1 << 31:
        raise RejectedRecord(f"header has {quoted(text)} where a whole number of 32 bits belongs")
    return number


def _count(text: str, what: str, most: int = 999_999_999) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 0 < int(text) <= most:
        raise RejectedRecord(f"header gives no usable {what}: {quoted(text)}")
    return int(text)


def quoted(text: str) -> str:
    """A text of a header, shortened, for a reason."""
    return repr(shorten(text, 80))
