"""Recordings of the Challenge 2021: a WFDB header (`.hea`) beside int16 samples in a MATLAB v4 file (`.mat`).

The samples are read straight from the file, about a hundred times faster than a general WFDB reader; the header's
own 16-bit checksums are compared, so a `.mat` that is another record's cannot pass. Quirks of the published headers
that are read: units `mV` and `mv`, gains like `1000.0(0)/mV`, formats `16+24` and `16x1+24`, comments with and
without a space, a record line that names the `.mat` file. Source: the WFDB header specification, header(5).
"""

import math
import re
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError
from physiopipe.files import shorten
from physiopipe.recordings.recording import Recording, RejectedRecord

MAX_RATE_HZ = 100_000.0
# What a median lead spans from lowest to highest sample within 2 s, which holds a beat or more: 0.13 to 4.2 mV in real
# records whose gain is right; beyond these limits the header's gain is the likelier explanation.
LEAST_SPAN_MV = 0.05
LARGEST_SPAN_MV = 5.0

_MILLIVOLT = {"mv": 1.0, "uv": 1e-3, "\N{MICRO SIGN}v": 1e-3, "\N{GREEK SMALL LETTER MU}v": 1e-3}
_INVALID_SAMPLE = -32768  # WFDB's "not a number" in format 16
_MATLAB_INT16 = 30  # type word of a little-endian, full, int16 MATLAB v4 matrix
_MAX_HEADER_BYTES = 1 << 20
_MAX_SIGNALS = 1000
_MAX_FIELD = 200  # characters; what header(5) allows is shorter
_MAX_NAME = 80  # of a signal; WFDB itself takes 60 characters
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")
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
    text = _read(path, 0, _MAX_HEADER_BYTES).decode("utf-8", errors="replace")
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    content = [line for line in lines if line and not line.startswith("#")]
    if not content:
        raise RejectedRecord(f"header {path.name} is empty")
    record = _fields(content[0])
    if len(record) < 4:
        raise RejectedRecord(
            f"header {path.name} has no record line with signals, rate and length: {_quote(content[0])}"
        )
    if "/" in record[0]:
        raise RejectedRecord(f"header {path.name} is of a multi-segment record: {_quote(record[0])}")
    channels = _count(record[1], "number of signals", _MAX_SIGNALS)
    rate = _RATE.fullmatch(record[2])
    rate_hz = float(rate[1]) if rate else math.nan
    if not 0 < rate_hz <= MAX_RATE_HZ:
        raise RejectedRecord(f"header gives no usable sampling rate: {_quote(record[2])}")
    samples = _count(record[3], "number of samples")
    if len(content) - 1 != channels:
        raise RejectedRecord(f"header announces {channels} signals and describes {len(content) - 1}")
    comments: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.lstrip("# \t").partition(":")
        if line.startswith("#") and colon:
            comments.setdefault(key.strip().lower(), value.strip())
    return Header(record[0], rate_hz, samples, tuple(_signal_line(line) for line in content[1:]), comments)


def read_challenge_record(hea_path: Path, source: str) -> Recording:
    """Read one record of the Challenge 2021: signal float32 (channel, time) in mV, channels as in the header.

    `flags` holds `amplitude` where the header's gain puts the record out of physiological range; nothing is corrected.

    Raises:
        RejectedRecord: unreadable, wrong length, NaN, no usable unit, an unsafe file name, a wrong checksum.
        PhysiopipeError: a file is there but the system would not let it be read.
    """
    header = read_header(hea_path)
    samples = _read_samples(hea_path.parent, header)
    if samples.min() == _INVALID_SAMPLE:
        raise RejectedRecord(f"NaN: {int((samples == _INVALID_SAMPLE).sum())} samples are marked invalid")
    _check_sums(samples, header)
    scale = np.array([_millivolt_per_unit(line) for line in header.signals], np.float64)
    baseline = np.array([line.baseline for line in header.signals], np.float32)
    signal = samples.astype(np.float32)
    if baseline.any():
        signal -= baseline[:, None]
    signal *= scale.astype(np.float32)[:, None]
    return Recording(
        signal=signal,
        rate_hz=header.rate_hz,
        channels=tuple(line.description or f"signal {number}" for number, line in enumerate(header.signals, 1)),
        unit="mV",
        source=source,
        record=hea_path.stem,
        subject=hea_path.stem,
        flags=_flags(samples, header.rate_hz, scale),
    )


def _flags(samples: npt.NDArray[np.int16], rate_hz: float, millivolt: npt.NDArray[np.float64]) -> tuple[str, ...]:
    channels, length = samples.shape
    block = min(length, math.ceil(2 * rate_hz))
    blocks = samples[:, : length - length % block].reshape(channels, -1, block)
    spans = np.median(blocks.max(axis=2).astype(np.float64) - blocks.min(axis=2), axis=1) * millivolt
    moving = sorted(span for span in spans.tolist() if span > 0)
    if moving and not LEAST_SPAN_MV <= moving[len(moving) // 2] <= LARGEST_SPAN_MV:
        return ("amplitude",)
    return ()


def _read_samples(folder: Path, header: Header) -> npt.NDArray[np.int16]:
    first = header.signals[0]
    for line in header.signals:
        if not _FILE_NAME.fullmatch(line.file_name):
            raise RejectedRecord(f"header names an unsafe file: {_quote(line.file_name)}")
        if (line.file_name, line.byte_offset) != (first.file_name, first.byte_offset):
            raise RejectedRecord(f"signals lie in more than one file: {first.file_name}, {line.file_name}")
        if (line.format, line.samples_per_frame, line.skew) != (16, 1, 0):
            raise RejectedRecord(
                f"samples are in WFDB format {line.format} with {line.samples_per_frame} a frame and skew {line.skew}; "
                "only plain format 16 is read"
            )
    channels, start = len(header.signals), first.byte_offset
    expected = start + 2 * channels * header.samples
    content = _read(folder / first.file_name, expected, expected)
    if start == 24:
        kind, rows, columns = (int(word) for word in np.frombuffer(content, "<u4", 3))
        if (kind, rows, columns) != (_MATLAB_INT16, channels, header.samples):
            raise RejectedRecord(
                f"{first.file_name} says it holds {rows} x {columns} values of type {kind}, "
                f"its header {channels} x {header.samples} of type {_MATLAB_INT16}"
            )
    return np.ascontiguousarray(np.frombuffer(content, "<i2", offset=start).reshape(-1, channels).T)


def _read(path: Path, least: int, most: int) -> bytes:
    """The bytes of a file whose size must lie between `least` and `most`."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise RejectedRecord(f"{path.name} is not a file")
        content = path.read_bytes() if least <= found.st_size <= most else b""
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise RejectedRecord(f"{path.name} is missing") from None
    except OSError as error:
        raise PhysiopipeError(
            f"{path} cannot be read ({error.strerror}): the disk or its permissions need a look, then run again."
        ) from None
    if not least <= found.st_size == len(content) <= most:
        wanted = f"{most}" if least == most else f"at most {most}"
        raise RejectedRecord(f"{path.name} holds {found.st_size} bytes, expected {wanted}")
    return content


def _check_sums(samples: npt.NDArray[np.int16], header: Header) -> None:
    sums = samples.sum(axis=1, dtype=np.int16)  # wraps at 16 bits, as the header's do
    for line, found in zip(header.signals, sums.tolist(), strict=True):
        if line.checksum is not None and (found - line.checksum) % 65536:
            raise RejectedRecord(
                f"checksum of {line.description or 'a signal'} is {found}, header says {line.checksum}"
            )


def _millivolt_per_unit(line: SignalLine) -> float:
    factor = _MILLIVOLT.get((line.unit or "").lower())
    if factor is None:
        raise RejectedRecord(f"no usable unit for {line.description or 'a signal'}: {_quote(line.unit or '')}")
    if line.gain is None or not 1e-6 <= line.gain <= 1e12:
        raise RejectedRecord(f"no usable gain for {line.description or 'a signal'}: {line.gain}")
    return factor / line.gain


def _signal_line(line: str) -> SignalLine:
    fields = _fields(line, 8)
    if len(fields) < 2:
        raise RejectedRecord(f"header has an unreadable signal line: {_quote(line)}")
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
            raise RejectedRecord(f"header has a field of {len(field)} characters: {_quote(field)}")
    return fields


def _signal_name(text: str) -> str:
    name = text.strip()
    if len(name) > _MAX_NAME or not name.isprintable():
        raise RejectedRecord(
            f"header gives a signal a name of {len(name)} characters, expected at most {_MAX_NAME} that can be "
            f"printed: {_quote(name)}"
        )
    return name


@lru_cache(maxsize=64)  # a corpus spells them in a handful of ways, twelve times a record
def _sample_format(text: str) -> tuple[int, int, int, int]:
    found = _FORMAT.fullmatch(text)
    if found is None:
        raise RejectedRecord(f"header has an unreadable sample format: {_quote(text)}")
    return int(found[1]), int(found[2] or 1), int(found[3] or 0), int(found[4] or 0)


@lru_cache(maxsize=64)
def _gain(text: str) -> tuple[float, int | None, str | None]:
    found = _GAIN.fullmatch(text)
    if found is None:
        raise RejectedRecord(f"header has an unreadable gain: {_quote(text)}")
    return float(found[1]), int(found[2]) if found[2] else None, found[3]


def _integer(text: str) -> int:
    number = int(text) if re.fullmatch(r"[+-]?[0-9]{1,10}", text) else 1 << 31
    if abs(number) >= 1 << 31:
        raise RejectedRecord(f"header has {_quote(text)} where a whole number of 32 bits belongs")
    return number


def _count(text: str, what: str, most: int = 999_999_999) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 0 < int(text) <= most:
        raise RejectedRecord(f"header gives no usable {what}: {_quote(text)}")
    return int(text)


def _quote(text: str) -> str:
    return repr(shorten(text, 80))
