"""A part: the windows of one batch and modality, with its index, rejects and checksums, in one folder.

```
<modality>-<rate>hz.zarr/{windows, scale}   index.parquet   rejected.csv   part.json (last)
```
"""

import csv
import importlib.metadata
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from physiopipe.files import sealed, shorten, write_json
from physiopipe.params import PATCH_SAMPLES
from physiopipe.recordings.recording import RecordingBatch
from physiopipe.windows.checksums import TABLES, described, folder_checksum
from physiopipe.windows.zarr_shards import ShardedWriter, write_group, write_vector

QUALITY_FLAGS = ("missing", "flat", "clipping", "amplitude", "wander", "mains", "no_beats")
TOOLS = ("physiopipe", "numpy", "scipy", "pyarrow")  # what made the bytes
_NAME = pa.dictionary(pa.int32(), pa.string())


_INDEX: list[tuple[str, pa.DataType]] = [
    ("cohort", _NAME),
    ("modality", _NAME),
    ("rate_hz", pa.int32()),
    ("source", _NAME),
    ("record", _NAME),
    ("subject", _NAME),
    ("clip", pa.int32()),
    ("start_s", pa.float64()),
    ("valid_patches", pa.int16()),
    ("channel_mask", pa.int32()),  # bit i: channel i is there and not flat; of 32 channels the last is the sign
    ("derived_mask", pa.int32()),  # bit i: channel i was computed from others
    ("saturated", pa.int32()),  # samples held at the ends of int16
    ("record_windows", pa.int32()),  # windows that this record has at this rate
    ("record_flags", _NAME),  # findings about the whole record, joined by spaces
    *((flag, pa.bool_()) for flag in QUALITY_FLAGS),
    ("part", _NAME),
    ("row", pa.int32()),
]


def index_schema(tasks: Sequence[str]) -> pa.Schema:
    """Columns of an index; a cohort's tasks have a column of values each."""
    return pa.schema([*_INDEX[:-2], *((task, pa.float32()) for task in tasks), *_INDEX[-2:]])


@dataclass(frozen=True)
class PartName:
    """What a part holds.

    Attributes:
        digest: names the parameters and inputs behind it (`physiopipe.windows.identity.part_digest`).
        tasks: the values in its index.
        inputs: digest of the batch's files.
    """

    cohort: str
    modality: str
    batch: str
    digest: str
    simulated: bool
    tasks: tuple[str, ...] = ()
    inputs: str = ""


@dataclass(frozen=True)
class StoredWindows:
    """Windows of a stack of n recordings, as they are stored; w of each at all rates together, C channels, P patches.

    Attributes:
        counts: rate in Hz → int16 (n, its windows, C, P, 200); the other arrays follow this order, rate after rate.
        scale: float32 (n, w), one unit of `counts` in the recording's unit.
        start_s: (w,) start of each window from the recording's start;  valid_patches: (w,).
        saturated: (n, w) samples held at the ends of int16.
        present: bool (n, w, C), channels that are there and not flat.
        flags: bool (n, w) for each of QUALITY_FLAGS.
    """

    counts: dict[int, npt.NDArray[np.int16]]
    scale: npt.NDArray[np.float32]
    start_s: npt.NDArray[np.float64]
    valid_patches: npt.NDArray[np.int16]
    saturated: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    flags: dict[str, npt.NDArray[np.bool_]]

    def __post_init__(self) -> None:
        recordings, _, channels, patches, _ = next(iter(self.counts.values())).shape
        count = sum(counts.shape[1] for counts in self.counts.values())
        of_each, of_all = (recordings, count), (count,)
        expected = {"scale": of_each, "start_s": of_all, "valid_patches": of_all, "saturated": of_each}
        found = {name: getattr(self, name).shape for name in expected} | {
            name: values.shape for name, values in self.flags.items()
        }
        expected |= dict.fromkeys(QUALITY_FLAGS, of_each) | {"present": (*of_each, channels)}
        found["present"] = self.present.shape
        if found != expected:
            raise ValueError(f"{count} windows of {recordings} recordings: expected {expected}, found {found}")
        if count and not 0 < self.scale.min() <= self.scale.max() < np.inf:
            raise ValueError("a scale is not a positive number")
        if count and not 0 <= self.valid_patches.min() <= self.valid_patches.max() <= patches:
            raise ValueError(f"valid_patches {sorted(set(self.valid_patches.tolist()))} of {patches} patches")


class PartWriter:
    """Writes a part into `folder` (a temporary one: whoever calls renames it); `finish` writes part.json last."""

    def __init__(self, folder: Path, name: PartName, rates_hz: Sequence[int], patches: int) -> None:
        self._folder = folder
        self._name = name
        self._rates_hz = tuple(rates_hz)
        self._patches = patches
        self._arrays: dict[int, ShardedWriter] = {}
        self._scales: dict[int, list[npt.NDArray[np.float32]]] = {rate: [] for rate in rates_hz}
        self._windows_of: list[int] = []  # of each recording
        self._of_recordings: list[dict[str, Sequence[Any]]] = []  # a stack each: columns of its recordings
        self._of_windows: list[dict[str, npt.NDArray[Any]]] = []  # and of their windows
        self._rejected: list[tuple[str, str]] = []
        self._records: set[str] = set()
        self._absent = 0
        self._kind: tuple[tuple[str, ...], str] | None = None

    def add(self, stack: RecordingBatch, stored: StoredWindows) -> None:
        """Append the windows of a stack of recordings."""
        channels = stack.channels
        if self._kind is None:
            self._kind = (channels, stack.unit)
            for rate in self._rates_hz:
                shape = (len(channels), self._patches, PATCH_SAMPLES)
                self._arrays[rate] = ShardedWriter(self._array(rate) / "windows", shape)
        if (channels, stack.unit) != self._kind:
            raise ValueError(f"{stack.record[0]}: {channels} in {stack.unit}, others {self._kind}")
        self._records.update(stack.record)
        recordings = len(stack)
        windows_at = [counts.shape[1] for counts in stored.counts.values()]
        rows, first = [], 0
        for (rate_hz, counts), count in zip(stored.counts.items(), windows_at, strict=True):
            row = self._arrays[rate_hz].windows
            rows.append(np.arange(row, row + recordings * count).reshape(recordings, count))
            self._arrays[rate_hz].append(counts.reshape(-1, *counts.shape[2:]))
            self._scales[rate_hz].append(stored.scale[:, first : first + count].ravel())
            first += count
        bit_of = {name: 1 << number for number, name in enumerate(channels)}
        self._windows_of += [first] * recordings
        self._of_recordings.append(
            {
                "source": [stack.source] * recordings,
                "record": stack.record,
                "subject": stack.subject,
                "clip": stack.clip,
                "derived_mask": [sum(bit_of[name] for name in derived) for derived in stack.derived],
                "record_flags": [" ".join(flags) for flags in stack.flags],
                **{task: [ratings.get(task, math.nan) for ratings in stack.ratings] for task in self._name.tasks},
            }
        )
        of_one = {
            "rate_hz": np.repeat(list(stored.counts), windows_at),
            "start_s": stored.start_s,
            "valid_patches": stored.valid_patches,
            "record_windows": np.repeat(windows_at, windows_at),
        }
        self._of_windows.append(
            {name: np.tile(values, recordings) for name, values in of_one.items()}
            | {
                "channel_mask": (stored.present @ np.array(list(bit_of.values()))).ravel(),
                "saturated": stored.saturated.ravel(),
                "row": np.concatenate(rows, axis=1).ravel(),
                **{flag: stored.flags[flag].ravel() for flag in QUALITY_FLAGS},
            }
        )

    def reject(self, record: str, reason: str, absent: bool = False) -> None:
        """Note a record that gave no window, and why; `absent`: it is not here."""
        self._rejected.append((shorten(record), shorten(reason)))
        self._absent += absent

    def finish(self) -> None:
        """Write metadata, index, rejects and, last, part.json with the checksum of each array."""
        arrays = {}
        channels, unit = self._kind or ((), "unspecified")
        for rate, array in self._arrays.items():
            array.close()
            folder = self._array(rate)
            write_vector(folder / "scale", np.concatenate([np.zeros(0, np.float32), *self._scales[rate]]))
            attributes = {
                "channels": list(channels),
                "cohort": self._name.cohort,
                "modality": self._name.modality,
                "rate_hz": rate,
                "simulated": self._name.simulated,
                "unit": unit,
            }
            write_group(folder, attributes)
            arrays[folder.name] = {"rate_hz": rate, "windows": array.windows, **folder_checksum(folder)}
        schema = index_schema(self._name.tasks)
        table = pa.table([self._column(field) for field in schema], schema=schema)
        derived_masks = table["derived_mask"].to_numpy()
        write_index(self._folder / "index.parquet", table)
        write_rejected(self._folder / "rejected.csv", self._rejected)
        content = {
            "absent": self._absent,
            "arrays": arrays,
            "batch": self._name.batch,
            "channels": list(channels),
            "cohort": self._name.cohort,
            "digest": self._name.digest,
            "derived": {
                channel: int(count)
                for bit, channel in enumerate(channels)
                if (count := (derived_masks >> bit & 1).sum())
            },
            "files": {name: described(self._folder / name) for name in TABLES},
            "flags": {flag: int(table[flag].to_numpy().sum()) for flag in QUALITY_FLAGS},
            "inputs": self._name.inputs,
            "modality": self._name.modality,
            **({"record_flags": flags} if (flags := self._record_flags()) else {}),
            "records": len(self._records),
            "rejected": len(self._rejected),
            "reject_reasons": dict(Counter(reason for _, reason in self._rejected)),
            "saturated_windows": int((table["saturated"].to_numpy() > 0).sum()),
            "simulated": self._name.simulated,
            "tools": {name: importlib.metadata.version(name) for name in TOOLS},
            "unit": unit,
        }
        write_json(self._folder / "part.json", sealed(content))

    def _record_flags(self) -> dict[str, int]:
        """How many records have each finding about the whole record."""
        of_records = (flags.split() for of_stack in self._of_recordings for flags in of_stack["record_flags"])
        return dict(sorted(Counter(chain.from_iterable(of_records)).items()))

    def _column(self, field: pa.Field) -> pa.Array:
        """A column of the index, of all windows added."""
        if self._of_windows and field.name in self._of_windows[0]:
            values = np.concatenate([of_stack[field.name] for of_stack in self._of_windows])
            return pa.array(values.astype(field.type.to_pandas_dtype()), type=field.type)
        of_all = {"cohort": self._name.cohort, "modality": self._name.modality, "part": self._name.batch}
        if field.name in of_all:
            shared = [of_all[field.name]] * len(self._windows_of)
        else:
            shared = [value for of_stack in self._of_recordings for value in of_stack[field.name]]
        places = {value: place for place, value in enumerate(dict.fromkeys(shared))}
        codes = np.repeat(np.array([places[value] for value in shared], dtype=np.int32), self._windows_of)
        if pa.types.is_dictionary(field.type):
            return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(places), type=pa.string()))
        return pa.array(list(places), type=field.type).take(pa.array(codes))

    def _array(self, rate_hz: int) -> Path:
        return self._folder / f"{self._name.modality}-{rate_hz}hz.zarr"


def write_index(path: Path, table: pa.Table) -> None:
    """Write an index as parquet: equal tables are equal bytes."""
    pq.write_table(table, path, compression="zstd", store_schema=False)


def write_rejected(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Write rejected.csv: record, reason."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["record", "reason"])
        writer.writerows(rows)
