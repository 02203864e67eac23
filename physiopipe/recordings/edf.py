"""European Data Format (EDF, EDF+C): chosen channels of a file, in the units that its header names.

The header is text of fixed width and the samples are int16, so they are read straight from the file. The two general
readers are no help here: edflib (pyedflib) refuses real files over a µ in a unit or an accent in a name, and MNE-Python
turns all into volt, resamples channels of different rates without a word, and passes over a file that ends early and
over gaps between records. MNE is the oracle of the tests.
Source: Kemp et al. 1992, doi:10.1016/0013-4694(92)90009-7 (EDF); Kemp & Olivan 2003, doi:10.1016/S1388-2457(03)00123-8
(EDF+).
"""

import math
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.recording import RejectedRecord, Unit

F32 = npt.NDArray[np.float32]

ANNOTATIONS = "EDF Annotations"  # label of the signal that holds EDF+'s time stamps, not samples
HEAD_BYTES = 256  # of the file, and again for each signal
MAX_RATE_HZ = 100_000.0
# Fields of a signal's header and their widths; each field is stored for all signals, then the next one.
SIGNAL_FIELDS = (
    ("label", 16),
    ("transducer", 80),
    ("unit", 8),
    ("physical_min", 8),
    ("physical_max", 8),
    ("digital_min", 8),
    ("digital_max", 8),
    ("prefilter", 80),
    ("samples", 8),
    ("reserved", 32),
)
_MAX_SIGNALS = 4096
_LARGEST = 1e30  # of any number in a header: what is larger would overflow float32
_VOLTS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6, "μV": 1e-6, "nV": 1e-9}  # both of Unicode's mu


@dataclass(frozen=True)
class EdfSignal:
    """What a header says of one signal: `physical_min` (in `unit`) is stored as `digital_min`, and so on.

    Attributes:
        label: as stored, without the blanks at its end: `EEG Fp1`.
        unit: physical dimension as stored: uV, mV, ..., or empty.
        prefilter: filters applied before, in the recorder's words.
        samples: in each data record.
    """

    label: str
    unit: str
    physical_min: float
    physical_max: float
    digital_min: int
    digital_max: int
    prefilter: str
    samples: int


@dataclass(frozen=True)
class EdfHeader:
    """The header of a file: `records` data records of `record_s` seconds, with a part of every signal in each.

    Attributes:
        patient, recording: two lines of text about whom and what was recorded.
        start: day and time at which it began, as stored: `dd.mm.yy hh.mm.ss`.
        plus: the file is EDF+, without gaps.
    """

    patient: str
    recording: str
    start: str
    plus: bool
    records: int
    record_s: float
    signals: tuple[EdfSignal, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the signals that hold samples."""
        return tuple(signal.label for signal in self.signals if signal.label != ANNOTATIONS)


class EdfSamples(NamedTuple):
    """Channels of one rate.

    Attributes:
        labels: of the channels.
        signal: float32 (channel, time), each in its own unit.
        rate_hz: samples a second.
        units: of each channel, as stored.
    """

    labels: tuple[str, ...]
    signal: F32
    rate_hz: float
    units: tuple[str, ...]


def read_edf_header(path: Path) -> EdfHeader:
    """Read what a file says of itself.

    Raises:
        RejectedRecord: missing, no EDF, with gaps (EDF+D), or of another size than its header tells.
        PhysiopipeError: the file is there but the system would not let it be read.
    """
    return _header(path.name, *_read(path, whole=False))


def read_edf_samples(path: Path, labels: tuple[str, ...]) -> EdfSamples:
    """Read the channels of these labels, in this order: physical value = gain · stored int16 + offset.

    Raises:
        RejectedRecord: as `read_edf_header`; a label that is not there or there twice, channels of different rates.
        PhysiopipeError: the file is there but the system would not let it be read.
    """
    content, size = _read(path, whole=True)
    header = _header(path.name, content, size)
    stored = [signal.label for signal in header.signals]
    if missing := [label for label in labels if label not in header.labels]:
        raise RejectedRecord(
            f"{path.name} has no channel {', '.join(missing)}; it has: {', '.join(header.labels) or 'none'}"
        )
    if twice := [label for label in labels if stored.count(label) > 1]:
        raise RejectedRecord(f"{path.name} has more than one channel {twice[0]}")
    chosen = [header.signals[stored.index(label)] for label in labels]
    if len({signal.samples for signal in chosen}) != 1:
        rates = ", ".join(f"{each.label} {each.samples / header.record_s:g} Hz" for each in chosen)
        raise RejectedRecord(f"{path.name} holds channels of different rates: {rates}")
    edges = np.cumsum([0, *(signal.samples for signal in header.signals)])
    start = HEAD_BYTES * (1 + len(header.signals))
    records = np.frombuffer(content, "<i2", offset=start).reshape(header.records, -1)
    values = np.empty((len(labels), header.records, chosen[0].samples), np.float32)
    for row, signal in enumerate(chosen):
        first = edges[stored.index(signal.label)]
        gain = (signal.physical_max - signal.physical_min) / (signal.digital_max - signal.digital_min)
        digital = records[:, first : first + signal.samples]
        values[row] = (digital - np.float64(signal.digital_min)) * gain + signal.physical_min
    rate_hz = chosen[0].samples / header.record_s
    units = tuple(signal.unit for signal in chosen)
    return EdfSamples(labels, values.reshape(len(labels), -1), rate_hz, units)


def check_same_start(first: Path, second: Path) -> None:
    """Two files of one session must begin at the same second, as their headers say.

    Raises:
        RejectedRecord: as `read_edf_header`, or they begin at different moments.
    """
    began, other = read_edf_header(first).start, read_edf_header(second).start
    if began != other:
        raise RejectedRecord(
            f"{first.name} begins at {began}, {second.name} at {other}: expected files that begin together. Cut the "
            "earlier one, with the start in its header"
        )


def in_unit(samples: EdfSamples, unit: Unit) -> F32:
    """Samples in mV or uV, whatever unit of voltage each channel has.

    Raises:
        RejectedRecord: a channel that is not a voltage.
    """
    named = zip(samples.labels, samples.units, strict=True)
    if foreign := [f"{label} in {of or 'no unit'}" for label, of in named if of not in _VOLTS]:
        raise RejectedRecord(f"{', '.join(foreign)}; expected voltages")
    scale = np.array([_VOLTS[each] / _VOLTS[unit] for each in samples.units])
    if (scale == 1).all():
        return samples.signal
    return np.asarray(samples.signal * scale[:, None], dtype=np.float32)


def _read(path: Path, whole: bool) -> tuple[bytes, int]:
    """The bytes of a file, or of its header alone, and the size of all."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise RejectedRecord(f"{path.name} is not a file")
        with path.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
            count = head[-4:].strip()
            signals = min(int(count), _MAX_SIGNALS) if count.isdigit() else 0
            content = head + handle.read(-1 if whole else HEAD_BYTES * signals)
            return content, len(content) if whole else about.st_size
    except (FileNotFoundError, NotADirectoryError):
        raise RejectedRecord(f"{path.name} is missing") from None
    except OSError as error:
        raise PhysiopipeError(
            f"{path} cannot be read ({error.strerror}): the disk or its permissions need a look, then run again."
        ) from None


def _header(name: str, content: bytes, size: int) -> EdfHeader:
    """What the bytes at a file's beginning say of it; `size` is that of the file."""
    if len(content) < HEAD_BYTES or content[:8].strip(b" ") != b"0":
        raise RejectedRecord(f"{name} is no EDF file: expected it to begin with `0` and blanks, found {content[:8]!r}")
    text = content[:HEAD_BYTES].decode("latin-1")  # one character a byte
    kind = text[192:236].strip()
    if kind.startswith("EDF+D"):
        raise RejectedRecord(f"{name} is EDF+D, with gaps between its data records; only files without are read")
    count = _whole(name, "number of signals", text[252:256], 1, _MAX_SIGNALS)
    size_of_header = HEAD_BYTES * (1 + count)
    if _whole(name, "size of the header", text[184:192], 0, 1 << 31) != size_of_header or len(content) < size_of_header:
        raise RejectedRecord(
            f"{name}: header of {count} signals takes {size_of_header} bytes; it says {text[184:192].strip()}"
        )
    records = _whole(name, "number of data records", text[236:244], 1, 1 << 31)
    record_s = _number(name, "length of a data record", text[244:252])
    if record_s <= 0:
        raise RejectedRecord(f"{name}: data records last {record_s:g} s; expected more than 0")
    signals = _signals(name, content[HEAD_BYTES:size_of_header], count)
    expected = size_of_header + 2 * records * sum(signal.samples for signal in signals)
    if size != expected:
        raise RejectedRecord(f"{name} holds {size} bytes, its header tells of {expected}")
    fastest = max(signal.samples for signal in signals) / record_s
    if fastest > MAX_RATE_HZ:
        raise RejectedRecord(f"{name}: a signal of {fastest:g} Hz; expected at most {MAX_RATE_HZ:g} Hz")
    start = f"{text[168:176].strip()} {text[176:184].strip()}"
    plus = kind.startswith("EDF+")
    return EdfHeader(text[8:88].strip(), text[88:168].strip(), start, plus, records, record_s, signals)


def _signals(name: str, head: bytes, count: int) -> tuple[EdfSignal, ...]:
    fields: dict[str, list[str]] = {}
    for field, width in SIGNAL_FIELDS:
        part, head = head[: count * width], head[count * width :]
        fields[field] = [_text(part[at : at + width]) for at in range(0, count * width, width)]
    signals = []
    for number in range(count):
        of = {field: values[number] for field, values in fields.items()}
        label = of["label"] or f"signal {number + 1}"
        low, high = (_number(name, f"{end} of {label}", of[end]) for end in ("physical_min", "physical_max"))
        lowest, highest = (
            _whole(name, f"{end} of {label}", of[end], -32768, 32767) for end in ("digital_min", "digital_max")
        )
        if label != ANNOTATIONS and (low == high or lowest >= highest):
            raise RejectedRecord(f"{name}: {label} has no range: {low:g} to {high:g}, stored as {lowest} to {highest}")
        samples = _whole(name, f"samples of {label}", of["samples"], 1, 1 << 26)
        signals.append(EdfSignal(label, of["unit"], low, high, lowest, highest, of["prefilter"], samples))
    return tuple(signals)


def _text(field: bytes) -> str:
    """A field's text; the format wants ASCII, and recorders put a µ or an accent into it either way."""
    try:
        return field.decode("utf-8").strip(" \0")
    except UnicodeDecodeError:
        return field.decode("latin-1").strip(" \0")


def _number(name: str, what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:
        raise RejectedRecord(f"{name} gives no usable {what}: {text.strip()[:80]!r}")
    return value


def _whole(name: str, what: str, text: str, least: int, most: int) -> int:
    value = _number(name, what, text)
    if value != round(value) or not least <= value <= most:
        raise RejectedRecord(f"{name} gives no usable {what}: {text.strip()[:80]!r}")
    return round(value)
