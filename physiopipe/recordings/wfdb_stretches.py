"""WFDB records whose samples are read in stretches, in any format that the `wfdb` library reads.

Records in plain format 16 are read by `physiopipe.recordings.wfdb`, which also compares the header's checksums.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError
from physiopipe.files import shorten
from physiopipe.recordings.opened import Channel, OpenedFile, volts_of
from physiopipe.recordings.recording import HeldSignal, LongSignal, Recording, RejectedRecord
from physiopipe.recordings.wfdb import FILE_NAME, read_wfdb_record
from physiopipe.recordings.wfdb_header import Header, quoted, read_header


class WfdbFile(OpenedFile):
    """A single-segment WFDB record: a `.hea` and the files beside it that it names."""

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            RejectedRecord: no header of one plain record, or it names a file outside its folder.
        """
        self._path, self._header = path, read_header(path)
        for line in self._header.signals:
            if not FILE_NAME.fullmatch(line.file_name):
                raise RejectedRecord(f"header names an unsafe file: {quoted(line.file_name)}")
            if not (path.parent / line.file_name).is_file():
                raise RejectedRecord(f"{line.file_name} is missing: the header names it as the file of its samples")
        plain = {(line.format, line.samples_per_frame, line.skew, line.file_name) for line in self._header.signals}
        voltages = all(volts_of(line.unit or "") in (1e-3, 1e-6) for line in self._header.signals)
        self._plain = len(plain) == 1 and next(iter(plain))[:3] == (16, 1, 0) and voltages
        self.channels = tuple(
            Channel(
                shorten(line.description, 80) or f"signal {number}",
                "mV" if self._plain else line.unit or "",
                self._header.rate_hz,
            )
            for number, line in enumerate(self._header.signals, 1)
        )

    def samples(self, rows: Sequence[int]) -> LongSignal:
        """See OpenedFile; in plain format 16 all channels are in mV."""
        if self._plain:
            found = read_wfdb_record(self._path, "")  # compares the checksums
            return _Rows(HeldSignal(found.signal) if isinstance(found, Recording) else found.signal, rows)
        if odd := [line for row in rows if (line := self._header.signals[row]).samples_per_frame != 1 or line.skew]:
            raise RejectedRecord(
                f"{odd[0].description or 'a signal'} has {odd[0].samples_per_frame} samples a frame and skew "
                f"{odd[0].skew}; only one sample a frame without skew is read"
            )
        return _WfdbSignal(self._path, self._header, rows)


class _Rows(LongSignal):
    """Some rows of a signal."""

    def __init__(self, signal: LongSignal, rows: Sequence[int]) -> None:
        self._signal, self._rows, self.shape = signal, list(rows), (len(rows), signal.shape[1])

    def read(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """See LongSignal."""
        return self._signal.read(first, end)[self._rows]


class _WfdbSignal(LongSignal):
    """Channels as the `wfdb` library reads them, each in its header's unit; NaN where a sample is marked invalid."""

    def __init__(self, path: Path, header: Header, rows: Sequence[int]) -> None:
        self._path, self._rows, self.shape = path, list(rows), (len(rows), header.samples)
        if not header.samples:
            raise RejectedRecord("the header gives no number of samples")
        if any(header.signals[row].gain is None for row in rows):
            raise RejectedRecord("the header gives no gain, so its unit is not known")
        for first in (0, header.samples - 1):
            self.read(first, first + 1)  # what cannot be read is told now, not half-way

    def read(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """See LongSignal."""
        import wfdb

        try:
            found = wfdb.rdrecord(
                str(self._path.absolute().with_suffix("")), sampfrom=first, sampto=end, channels=self._rows
            )
        except (MemoryError, PhysiopipeError):
            raise
        except Exception as error:  # what the library raises depends on where a file differs
            raise RejectedRecord(f"wfdb cannot read it: {shorten(str(error), 120)}") from None
        signal = found.p_signal
        if signal is None or signal.shape != (end - first, len(self._rows)):
            raise RejectedRecord(f"wfdb reads another number of samples than the {end - first} that were asked for")
        return np.ascontiguousarray(signal.T, dtype=np.float32)
