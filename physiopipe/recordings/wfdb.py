"""Recordings of the Challenge 2021: a WFDB header (`.hea`) beside int16 samples in a MATLAB v4 file (`.mat`).

The samples are read straight from the file, several times faster than a general WFDB reader (docs/benchmarks.md); the
header's own 16-bit checksums are compared, so a `.mat` that is another record's cannot pass.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.recording import LongRecording, LongSignal, Recording, RejectedRecord
from physiopipe.recordings.wfdb_header import Header, SignalLine, quoted, read_header, read_whole
from physiopipe.signals.pieces import LONG_SAMPLES

# What a median lead spans from lowest to highest sample within 2 s, which holds a beat or more: 0.13 to 4.2 mV in real
# records whose gain is right; beyond these limits the header's gain is the likelier explanation.
LEAST_SPAN_MV = 0.05
LARGEST_SPAN_MV = 5.0

_MILLIVOLT = {"mv": 1.0, "uv": 1e-3, "\N{MICRO SIGN}v": 1e-3, "\N{GREEK SMALL LETTER MU}v": 1e-3}
_INVALID_SAMPLE = -32768  # WFDB's "not a number" in format 16
_MATLAB_INT16 = 30  # type word of a little-endian, full, int16 MATLAB v4 matrix
FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")


def read_wfdb_record(hea_path: Path, source: str) -> Recording | LongRecording:
    """Read one record of the Challenge 2021: signal float32 (channel, time) in mV, channels as in the header.

    A long one (`LONG_SAMPLES`) is checked here and read later, in stretches.

    `flags` holds `amplitude` where the header's gain puts the record out of physiological range; nothing is corrected.

    Raises:
        RejectedRecord: unreadable, wrong length, NaN, no usable unit, an unsafe file name, a wrong checksum.
        PhysiopipeError: a file is there but the system would not let it be read.
    """
    header = read_header(hea_path)
    stored = _Stored(hea_path.parent, header)
    sums, invalid = np.zeros(len(header.signals), np.int16), 0
    spans: list[npt.NDArray[np.float64]] = []
    for samples in stored.stretches(math.ceil(2 * header.rate_hz)):
        if samples.min() == _INVALID_SAMPLE:
            invalid += int((samples == _INVALID_SAMPLE).sum())
        sums += samples.sum(axis=1, dtype=np.int16)  # wraps at 16 bits, as the header's do
        if not spans or samples.shape[1] >= math.ceil(2 * header.rate_hz):  # a rest is not judged
            spans.append(_spans(samples, header.rate_hz))
    if invalid:
        raise RejectedRecord(f"NaN: {invalid} samples are marked invalid")
    _check_sums(sums, header)
    signal = _InMillivolt(stored)
    head = Recording(
        signal=np.empty((len(header.signals), 0), np.float32),
        rate_hz=header.rate_hz,
        channels=tuple(line.description or f"signal {number}" for number, line in enumerate(header.signals, 1)),
        unit="mV",
        source=source,
        record=hea_path.stem,
        subject=hea_path.stem,
        flags=_flags(np.concatenate(spans, axis=1), signal.scale),
    )
    if header.samples > LONG_SAMPLES:
        return LongRecording(head, signal)
    return replace(head, signal=signal.read(0, header.samples))


class _InMillivolt(LongSignal):
    """Samples of a record in mV."""

    def __init__(self, stored: "_Stored") -> None:
        signals = stored.header.signals
        self._stored = stored
        self.shape = (len(signals), stored.header.samples)
        self.scale = np.array([_millivolt_per_unit(line) for line in signals], np.float64)
        self._baseline = np.array([line.baseline for line in signals], np.float32)

    def read(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """See LongSignal."""
        signal = self._stored.samples(first, end).astype(np.float32)
        if self._baseline.any():
            signal -= self._baseline[:, None]
        signal *= self.scale.astype(np.float32)[:, None]
        return signal


def _spans(samples: npt.NDArray[np.int16], rate_hz: float) -> npt.NDArray[np.float64]:
    """What each signal spans within each 2 s, (channel, block), in units of the file."""
    channels, length = samples.shape
    block = min(length, math.ceil(2 * rate_hz))
    blocks = samples[:, : length - length % block].reshape(channels, -1, block)
    return np.asarray(blocks.max(axis=2).astype(np.float64) - blocks.min(axis=2))


def _flags(spans: npt.NDArray[np.float64], millivolt: npt.NDArray[np.float64]) -> tuple[str, ...]:
    spans = np.median(spans, axis=1) * millivolt
    moving = sorted(span for span in spans.tolist() if span > 0)
    if moving and not LEAST_SPAN_MV <= moving[len(moving) // 2] <= LARGEST_SPAN_MV:
        return ("amplitude",)
    return ()


class _Stored:
    """The int16 samples of a record's file: held where it is short, read anew where it is long."""

    def __init__(self, folder: Path, header: Header) -> None:
        first = header.signals[0]
        for line in header.signals:
            if not FILE_NAME.fullmatch(line.file_name):
                raise RejectedRecord(f"header names an unsafe file: {quoted(line.file_name)}")
            if (line.file_name, line.byte_offset) != (first.file_name, first.byte_offset):
                raise RejectedRecord(f"signals lie in more than one file: {first.file_name}, {line.file_name}")
            if (line.format, line.samples_per_frame, line.skew) != (16, 1, 0):
                raise RejectedRecord(
                    f"samples are in WFDB format {line.format} with {line.samples_per_frame} a frame and skew "
                    f"{line.skew}; only plain format 16 is read"
                )
        self.header = header
        self._path, self._start = folder / first.file_name, first.byte_offset
        self._channels = len(header.signals)
        expected = self._start + 2 * self._channels * header.samples
        is_long = header.samples > LONG_SAMPLES
        content = read_whole(self._path, expected, expected, self._start if is_long else expected)
        if self._start == 24:
            kind, rows, columns = (int(word) for word in np.frombuffer(content, "<u4", 3))
            if (kind, rows, columns) != (_MATLAB_INT16, self._channels, header.samples):
                raise RejectedRecord(
                    f"{first.file_name} says it holds {rows} x {columns} values of type {kind}, "
                    f"its header {self._channels} x {header.samples} of type {_MATLAB_INT16}"
                )
        self._held = None if is_long else self._rows(np.frombuffer(content, "<i2", offset=self._start))

    def samples(self, first: int, end: int) -> npt.NDArray[np.int16]:
        """Samples `first` to `end` of every signal: int16 (channel, end - first)."""
        if self._held is not None:
            return self._held[:, first:end]
        count = self._channels * (end - first)
        try:
            found = np.fromfile(self._path, "<i2", count, offset=self._start + 2 * self._channels * first)
        except OSError as error:
            raise PhysiopipeError(f"{self._path} cannot be read ({error.strerror}): look at the disk.") from None
        if len(found) != count:
            raise PhysiopipeError(f"{self._path} was cut short while it was read: leave it alone, and run again.")
        return self._rows(found)

    def stretches(self, multiple_of: int) -> Iterator[npt.NDArray[np.int16]]:
        """All samples, in order; every stretch but the last is as long as a multiple of `multiple_of`."""
        if self._held is not None:
            yield self._held
            return
        size = max(LONG_SAMPLES // multiple_of, 1) * multiple_of
        for first in range(0, self.header.samples, size):
            yield self.samples(first, min(first + size, self.header.samples))

    def _rows(self, values: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        return np.ascontiguousarray(values.reshape(-1, self._channels).T)


def _check_sums(sums: npt.NDArray[np.int16], header: Header) -> None:
    for line, found in zip(header.signals, sums.tolist(), strict=True):
        if line.checksum is not None and (found - line.checksum) % 65536:
            raise RejectedRecord(
                f"checksum of {line.description or 'a signal'} is {found}, header says {line.checksum}"
            )


def _millivolt_per_unit(line: SignalLine) -> float:
    factor = _MILLIVOLT.get((line.unit or "").lower())
    if factor is None:
        raise RejectedRecord(f"no usable unit for {line.description or 'a signal'}: {quoted(line.unit or '')}")
    if line.gain is None or not 1e-6 <= line.gain <= 1e12:
        raise RejectedRecord(f"no usable gain for {line.description or 'a signal'}: {line.gain}")
    return factor / line.gain
