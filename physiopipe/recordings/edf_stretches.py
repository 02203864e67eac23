"""EDF files whose samples are read in stretches, so that memory does not grow with their length."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError
from physiopipe.files import shorten
from physiopipe.recordings.edf import ANNOTATIONS, HEAD_BYTES, EdfHeader, read_edf_header
from physiopipe.recordings.opened import Channel, OpenedFile, Shortened
from physiopipe.recordings.recording import LongSignal, RejectedRecord
from physiopipe.signals.padding import recorded_samples
from physiopipe.signals.pieces import LONG_SAMPLES


class EdfFile(OpenedFile):
    """An EDF or EDF+C file, without the padding at its end (see `physiopipe.signals.padding`)."""

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            RejectedRecord: no EDF, with gaps (EDF+D), or of another size than its header tells.
        """
        self._path, self._header = path, read_edf_header(path)
        self._rows = [row for row, each in enumerate(self._header.signals) if each.label != ANNOTATIONS]
        signals = [self._header.signals[row] for row in self._rows]
        self.channels = tuple(
            Channel(shorten(each.label, 80), each.unit, each.samples / self._header.record_s) for each in signals
        )

    def samples(self, rows: Sequence[int]) -> LongSignal:
        """See OpenedFile."""
        end_s = self.recorded_s() if self.until_s is None else self.until_s
        if not end_s:
            raise RejectedRecord("no channel ever changes")
        whole = self._signal(rows)
        # an infinite end, as beside a file without padding, is the file's own
        return Shortened(whole, math.floor(min(end_s * self.channels[rows[0]].rate_hz + 0.5, whole.shape[1])))

    def recorded_s(self) -> float:
        """See OpenedFile: channels of every rate count, since one alone may well be still."""
        rows_of: dict[float, list[int]] = {}
        for row, each in enumerate(self.channels):
            rows_of.setdefault(each.rate_hz, []).append(row)
        looked_at_s = LONG_SAMPLES / max(rows_of, default=1.0)
        return max((self._recorded_s(rows, rate_hz, looked_at_s) for rate_hz, rows in rows_of.items()), default=0.0)

    def _recorded_s(self, rows: Sequence[int], rate_hz: float, looked_at_s: float) -> float:
        whole = self._signal(rows)
        first = max(whole.shape[1] - math.floor(looked_at_s * rate_hz + 0.5), 0)
        return (first + recorded_samples(whole.read(first, whole.shape[1]), rate_hz)) / rate_hz

    def _signal(self, rows: Sequence[int]) -> "_EdfSignal":
        return _EdfSignal(self._path, self._header, [self._rows[row] for row in rows])


class _EdfSignal(LongSignal):
    """Channels of one rate, each in its own unit."""

    def __init__(self, path: Path, header: EdfHeader, rows: Sequence[int]) -> None:
        self._path, self._header, self._rows = path, header, rows
        edges = np.cumsum([0, *(signal.samples for signal in header.signals)])
        self._first, self._of_record = edges[:-1], int(edges[-1])
        self._samples = header.signals[rows[0]].samples
        self.shape = (len(rows), header.records * self._samples)

    def read(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """See LongSignal."""
        begin, stop = first // self._samples, -(-end // self._samples)
        records = self._records(begin, stop)
        values = np.empty((len(self._rows), stop - begin, self._samples), np.float32)
        for row, number in enumerate(self._rows):
            signal, at = self._header.signals[number], int(self._first[number])
            gain = (signal.physical_max - signal.physical_min) / (signal.digital_max - signal.digital_min)
            digital = records[:, at : at + self._samples]
            values[row] = (digital - np.float64(signal.digital_min)) * gain + signal.physical_min
        left = first - begin * self._samples
        return values.reshape(len(values), -1)[:, left : left + end - first]

    def _records(self, begin: int, stop: int) -> npt.NDArray[np.int16]:
        """Data records, (record, sample of all channels)."""
        count = (stop - begin) * self._of_record
        offset = HEAD_BYTES * (1 + len(self._header.signals)) + 2 * begin * self._of_record
        try:
            found = np.fromfile(self._path, "<i2", count, offset=offset)
        except OSError as error:
            raise PhysiopipeError(f"{self._path} cannot be read ({error.strerror}): look at the disk.") from None
        if len(found) != count:
            raise PhysiopipeError(f"{self._path} was cut short while it was read: leave it alone, and run again.")
        return found.reshape(stop - begin, self._of_record)
