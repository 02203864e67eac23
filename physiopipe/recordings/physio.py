"""BIDS' files of physiological signals beside an EEG: `…_physio.tsv.gz`, described by `…_physio.json`.

Source: BIDS 1.10, "Physiological recordings": a compressed table without a header; `SamplingFrequency` (Hz),
`StartTime` (s after the first sample of the recording that it belongs to) and `Columns` stand in the JSON, the unit of
a column under its name.
"""

import gzip
import json
import math
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from physiopipe.errors import PhysiopipeError
from physiopipe.recordings.edf import MAX_RATE_HZ, EdfSamples
from physiopipe.recordings.recording import RejectedRecord

ENDING = "_physio.tsv.gz"
_MOST_ROWS = 200_000_000  # two days at 1000 Hz: a small file may unfold without end
_MAX_JSON_BYTES = 1 << 20


class Physio(NamedTuple):
    """What a file's JSON says of it.

    Attributes:
        columns: of the table, in order.
        units: of each column, as stored; empty where none is given.
        rate_hz: samples a second.
        start_s: of the first sample, after that of the EEG.
    """

    columns: tuple[str, ...]
    units: tuple[str, ...]
    rate_hz: float
    start_s: float


def sidecar(path: Path) -> Path:
    """`…_physio.json` of `…_physio.tsv.gz`."""
    return path.with_name(path.name.removesuffix(".tsv.gz") + ".json")


def read_physio_header(path: Path) -> Physio:
    """Read the JSON beside a file.

    Raises:
        RejectedRecord: missing, no JSON, or without rate, start or columns.
        PhysiopipeError: it is there but the system would not let it be read.
    """
    beside = sidecar(path)
    try:
        with beside.open("rb") as handle:
            told: Any = json.loads(handle.read(_MAX_JSON_BYTES))
    except FileNotFoundError:
        raise RejectedRecord(f"{beside.name} is missing: it gives the rate and the columns of {path.name}") from None
    except (ValueError, RecursionError):
        raise RejectedRecord(f"{beside.name} is no JSON") from None
    except OSError as error:
        raise PhysiopipeError(f"{beside} cannot be read ({error.strerror}): mend that, then run again.") from None
    columns = told.get("Columns") if isinstance(told, dict) else None
    if not isinstance(columns, list) or not columns or not all(isinstance(each, str) for each in columns):
        raise RejectedRecord(f"{beside.name} gives no Columns: expected a list of names")
    rate_hz, start_s = (_number(told.get(key)) for key in ("SamplingFrequency", "StartTime"))
    if not 0 < rate_hz <= MAX_RATE_HZ or not math.isfinite(start_s):
        raise RejectedRecord(f"{beside.name}: expected SamplingFrequency (Hz) and StartTime (s after the EEG's start)")
    of_columns = [told.get(each) for each in columns]
    units = tuple(str(of.get("Units", "")) if isinstance(of, dict) else "" for of in of_columns)
    return Physio(tuple(columns), units, rate_hz, start_s)


def read_physio_samples(path: Path, labels: tuple[str, ...]) -> EdfSamples:
    """Read the columns of these names, in this order, each in its own unit.

    Raises:
        RejectedRecord: as `read_physio_header`; a column that is not there or there twice, no readable table, a value
            that is no number (n/a).
        PhysiopipeError: as `read_physio_header`.
    """
    import pandas as pd

    about = read_physio_header(path)
    if missing := [label for label in labels if about.columns.count(label) != 1]:
        raise RejectedRecord(f"{path.name} has not one column {missing[0]}; it has: {', '.join(about.columns)}")
    at = [about.columns.index(label) for label in labels]
    try:
        with gzip.open(path, "rb") as handle:
            table = pd.read_csv(
                handle, sep="\t", header=None, usecols=sorted(at), dtype=np.float32, na_values=["n/a"], nrows=_MOST_ROWS
            )
    except FileNotFoundError:
        raise RejectedRecord(f"{path.name} is missing") from None
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:  # pandas' errors of parsing are ValueErrors
        raise RejectedRecord(f"{path.name} is no table of {len(about.columns)} columns: {error}") from None
    except OSError as error:
        raise PhysiopipeError(f"{path} cannot be read ({error.strerror}): mend that, then run again.") from None
    signal = np.ascontiguousarray(table[at].to_numpy(np.float32).T)
    if not np.isfinite(signal).all() or len(table) == _MOST_ROWS:
        raise RejectedRecord(f"{path.name} holds values that are no numbers (n/a), or more than {_MOST_ROWS:,} rows")
    return EdfSamples(labels, signal, about.rate_hz, tuple(about.units[each] for each in at))


def _number(value: object) -> float:
    """A JSON number, or NaN for anything else, such as an integer that is too large for a float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
