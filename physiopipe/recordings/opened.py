"""A recording's file, opened: what its channels are called, and their samples in millivolt or microvolt, in stretches.

One class a format stands behind `physiopipe.recordings.opening.open_recording`. A header's words are never trusted: a
file is read only from the folder in which its header lies, and a unit is never guessed.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from physiopipe.files import shorten
from physiopipe.recordings.recording import LongSignal, RejectedRecord, Unit

Kind = Literal["ecg", "eeg", "other", ""]

VOLTS = {
    "V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "μV": 1e-6, "nV": 1e-9, "microV": 1e-6, "milliV": 1e-3,
}  # fmt: skip
_BY_SMALL = {name.lower(): volts for name, volts in VOLTS.items()}  # WFDB's headers write mv and uv too


@dataclass(frozen=True)
class Channel:
    """One channel of a file.

    Attributes:
        name: as its header calls it, one line of at most 80 characters.
        unit: as its header, or the table of channels beside it, writes it; may be empty.
        rate_hz: samples a second.
        kind: ecg, eeg or other where the file or the table of channels says so; else empty.
    """

    name: str
    unit: str
    rate_hz: float
    kind: Kind = ""


class OpenedFile(ABC):
    """A file of one recording.

    Attributes:
        channels: of the file, in its order.
        until_s: where set, samples end there, or at the file's own end; otherwise before the padding at its end.
    """

    channels: tuple[Channel, ...]
    until_s: float | None = None

    def recorded_s(self) -> float:
        """Seconds before the padding at its end; infinite for a format in which padding is not looked for."""
        return math.inf

    @abstractmethod
    def samples(self, rows: Sequence[int]) -> LongSignal:
        """Samples of these channels, each in its own unit.

        Raises:
            RejectedRecord: they cannot be read.
        """

    def voltage(self, rows: Sequence[int], unit: Unit) -> LongSignal:
        """Samples of these channels, which have one rate, in mV or uV.

        Raises:
            RejectedRecord: channels of different rates, a channel that is in no unit of voltage, or unreadable ones.
        """
        chosen = [self.channels[row] for row in rows]
        if len({channel.rate_hz for channel in chosen}) != 1:
            rates = ", ".join(f"{channel.name} {channel.rate_hz:g} Hz" for channel in chosen)
            raise RejectedRecord(f"channels of different rates: {rates}")
        factors = [volts_of(channel.unit) for channel in chosen]
        if foreign := [each for each, factor in zip(chosen, factors, strict=True) if factor is None]:
            words = ", ".join(f"{each.name} in {shorten(each.unit, 20) or 'no unit'}" for each in foreign)
            raise RejectedRecord(f"{words}; expected voltages: V, mV or uV in the header (or in channels.tsv of BIDS)")
        scale = np.array([factor / VOLTS[unit] for factor in factors if factor is not None])
        found = self.samples(rows)
        return found if (scale == 1).all() else _Scaled(found, scale)


def volts_of(unit: str) -> float | None:
    """Volts of one unit, or None where it is no unit of voltage that is known."""
    known = VOLTS.get(unit)
    return known if known is not None else _BY_SMALL.get(unit.lower())


class _Scaled(LongSignal):
    """A signal times a factor a channel."""

    def __init__(self, signal: LongSignal, scale: npt.NDArray[np.float64]) -> None:
        self._signal, self._scale, self.shape = signal, scale[:, None], signal.shape

    def read(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """See LongSignal."""
        return np.asarray(self._signal.read(first, end) * self._scale, dtype=np.float32)


class Shortened(LongSignal):
    """The first samples of a signal."""

    def __init__(self, signal: LongSignal, samples: int) -> None:
        self._signal, self.shape = signal, (signal.shape[0], samples)

    def read(self, first: int, end: int) -> npt.NDArray[np.float32]:
        """See LongSignal."""
        return self._signal.read(first, end)
