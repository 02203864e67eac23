"""EDF+ files as bytes: what simulated cohorts that are published in this format are written with.

Nothing in the bytes depends on when or where they were made. Source: see `physiopipe.recordings.edf`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from physiopipe.recordings.edf import ANNOTATIONS, HEAD_BYTES, SIGNAL_FIELDS

_LOWEST, _HIGHEST = -32768, 32767
_STAMP_BYTES = 114  # of a data record's time stamp, zeros after it


class EdfChannel(NamedTuple):
    """A channel to be written: at most 16 and 8 characters of ASCII, and the filters that it went through (80)."""

    label: str
    unit: str
    prefilter: str = ""


def edf_bytes(
    signal: npt.NDArray[np.floating],
    rate_hz: int,
    channels: Sequence[EdfChannel],
    patient: str,
    recording: str,
    plus: bool = True,
) -> bytes:
    """An EDF file with data records of one second; as EDF+C with a channel of time stamps besides.

    Each channel fills the whole range of int16, so it is rounded to 1/65535 of its own range.

    Args:
        signal: (channel, time) in the channels' units, finite; whole seconds.
        rate_hz: samples a second.
        channels: one for each row.
        patient, recording: the header's two lines, EDF+ wants `code sex birthdate name` and
            `Startdate date code technician equipment`, an X for what is not known.
        plus: EDF+C, else the plain format of 1992.

    Raises:
        ValueError: not whole seconds, values that are not finite, text that does not fit into its field.
    """
    count, samples = signal.shape
    records, rest = divmod(samples, rate_hz)
    if rest or not records or count != len(channels) or not np.isfinite(signal).all():
        raise ValueError(f"expected finite (channel, time) of whole seconds, got {signal.shape} at {rate_hz} Hz")
    low, high = signal.min(axis=1).astype(np.float64), signal.max(axis=1).astype(np.float64)
    high = np.where(high > low, high, low + 1)
    ends = [(_decimal(a), _decimal(b)) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    first = np.array([float(a) for a, _ in ends])[:, None]
    step = (np.array([float(b) for _, b in ends])[:, None] - first) / (_HIGHEST - _LOWEST)
    digital = np.clip(np.rint((signal - first) / step) + _LOWEST, _LOWEST, _HIGHEST).astype("<i2")
    body: npt.NDArray[np.int16] = digital.reshape(count, records, rate_hz).transpose(1, 0, 2).reshape(records, -1)
    rows: list[tuple[str | int, ...]] = [
        (each.label, "", each.unit, *end, _LOWEST, _HIGHEST, each.prefilter, rate_hz, "")
        for each, end in zip(channels, ends, strict=True)
    ]
    if plus:
        stamps = b"".join(f"+{second}\x14\x14".encode().ljust(_STAMP_BYTES, b"\0") for second in range(records))
        body = np.hstack([body, np.frombuffer(stamps, "<i2").reshape(records, -1)])
        rows.append((ANNOTATIONS, "", "", -1, 1, _LOWEST, _HIGHEST, "", _STAMP_BYTES // 2, ""))
    head = [("0", 8), (patient, 80), (recording, 80), ("01.01.85", 8), ("00.00.00", 8)]
    head += [
        (str(HEAD_BYTES * (1 + len(rows))), 8),
        ("EDF+C" if plus else "", 44),
        (str(records), 8),
        ("1", 8),
        (str(len(rows)), 4),
    ]
    head += [(str(row[at]), width) for at, (_, width) in enumerate(SIGNAL_FIELDS) for row in rows]
    return b"".join(_field(*each) for each in head) + body.tobytes()


def _field(text: str, width: int) -> bytes:
    content = text.encode("ascii", errors="strict") if text.isascii() else b""
    if len(content) != len(text) or len(content) > width:
        raise ValueError(f"expected at most {width} characters of ASCII, got {text!r}")
    return content.ljust(width)


def _decimal(value: float) -> str:
    """A number in at most eight characters, as near as they allow."""
    for decimals in range(6, -1, -1):
        text = f"{value:.{decimals}f}"
        if len(text) <= 8:
            return text
    raise ValueError(f"{value:g} does not fit into eight characters")
