"""A part: the windows of one batch and modality, with its index, rejects and checksums, in one folder.

```
<modality>-<rate>hz.zarr/{windows, scale}   index.parquet   rejected.csv   part.json (last)
```
"""

import csv
import hashlib
import importlib.metadata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from physiopipe.files import write_json
from physiopipe.params import PATCH_SAMPLES
from physiopipe.recordings.recording import Recording
from physiopipe.windows.shards import ShardedWriter, write_group, write_vector

QUALITY_FLAGS = ("missing", "flat", "clipping", "amplitude", "wander", "mains")
TOOLS = ("physiopipe", "numpy", "scipy", "pyarrow")  # what made the bytes
RATINGS = ("valence", "arousal", "dominance")
_NAME = pa.dictionary(pa.int32(), pa.string())
INDEX_SCHEMA = pa.schema(
    [
        ("cohort", _NAME),
        ("modality", _NAME),
        ("rate_hz", pa.int32()),
        ("source", _NAME),
        ("record", _NAME),
        ("subject", _NAME),
        ("clip", pa.int32()),
        ("start_s", pa.float64()),
        ("valid_patches", pa.int16()),
        ("channel_mask", pa.int32()),  # bit i: channel i is there and not flat
        ("derived_mask", pa.int32()),  # bit i: channel i was computed from others
        ("saturated", pa.int32()),  # samples held at the ends of int16
        ("record_windows", pa.int32()),  # windows that this record has at this rate
        ("record_flags", _NAME),  # findings about the whole record, joined by spaces
        *((flag, pa.bool_()) for flag in QUALITY_FLAGS),
        *((rating, pa.float32()) for rating in RATINGS),
        ("part", _NAME),
        ("row", pa.int32()),
    ]
)


@dataclass(frozen=True)
class PartName:
    """What a part holds; `digest` names the parameters and inputs behind it."""

    cohort: str
    modality: str
    batch: str
    digest: str
    simulated: bool


@dataclass(frozen=True)
class StoredWindows:
    """Windows of one recording, as they are stored; n windows at all rates together, C channels, P patches.

    Attributes:
        counts: rate in Hz → int16 (its windows, C, P, 200); the other arrays follow this order, rate after rate.
        scale: float32 (n,), one unit of `counts` in the recording's unit.
        start_s: (n,) start of each window from the recording's start;  valid_patches: (n,).
        saturated: (n,) samples held at the ends of int16.
        present: bool (n, C), channels that are there and not flat.
        flags: bool (n,) for each of QUALITY_FLAGS.
    """

    counts: dict[int, npt.NDArray[np.int16]]
    scale: npt.NDArray[np.float32]
    start_s: npt.NDArray[np.float64]
    valid_patches: npt.NDArray[np.int16]
    saturated: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    flags: dict[str, npt.NDArray[np.bool_]]

    def __post_init__(self) -> None:
        count = sum(map(len, self.counts.values()))
        channels, patches = next(iter(self.counts.values())).shape[1:3]
        lengths = {name: len(getattr(self, name)) for name in ("scale", "start_s", "valid_patches", "saturated")}
        lengths |= {name: len(values) for name, values in self.flags.items()}
        if set(lengths.values()) != {count} or self.present.shape != (count, channels):
            raise ValueError(f"{count} windows of {channels} channels, but {lengths}, present {self.present.shape}")
        if set(self.flags) != set(QUALITY_FLAGS):
            raise ValueError(f"flags {sorted(self.flags)}, expected {sorted(QUALITY_FLAGS)}")
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
        self._rows: list[tuple[int, dict[str, Any], dict[str, npt.NDArray[Any]]]] = []  # windows, what they share, each
        self._rejected: list[tuple[str, str]] = []
        self._records: set[str] = set()
        self._kind: tuple[tuple[str, ...], str] | None = None

    def add(self, recording: Recording, stored: StoredWindows) -> None:
        """Append the windows of one recording."""
        if self._kind is None:
            self._kind = (recording.channels, recording.unit)
            for rate in self._rates_hz:
                shape = (len(recording.channels), self._patches, PATCH_SAMPLES)
                self._arrays[rate] = ShardedWriter(self._array(rate) / "windows", shape)
        if (recording.channels, recording.unit) != self._kind:
            raise ValueError(f"{recording.record}: {recording.channels} in {recording.unit}, others {self._kind}")
        self._records.add(recording.record)
        windows_at = [len(counts) for counts in stored.counts.values()]
        rows, first = [], 0
        for (rate_hz, counts), count in zip(stored.counts.items(), windows_at, strict=True):
            row = self._arrays[rate_hz].windows
            rows.append(np.arange(row, row + count))
            self._arrays[rate_hz].append(counts)
            self._scales[rate_hz].append(stored.scale[first : first + count])
            first += count
        bits = 1 << np.arange(len(recording.channels))
        derived = sum(int(bits[recording.channels.index(name)]) for name in recording.derived)
        same = {
            "cohort": self._name.cohort,
            "modality": self._name.modality,
            "source": recording.source,
            "record": recording.record,
            "subject": recording.subject,
            "clip": recording.clip,
            "derived_mask": derived,
            "record_flags": " ".join(recording.flags),
            "part": self._name.batch,
            **{rating: recording.ratings.get(rating, float("nan")) for rating in RATINGS},
        }
        each = {
            "rate_hz": np.repeat(list(stored.counts), windows_at),
            "start_s": stored.start_s,
            "valid_patches": stored.valid_patches,
            "channel_mask": stored.present @ bits,
            "saturated": stored.saturated,
            "record_windows": np.repeat(windows_at, windows_at),
            "row": np.concatenate(rows),
            **{flag: stored.flags[flag] for flag in QUALITY_FLAGS},
        }
        self._rows.append((first, same, each))

    def reject(self, record: str, reason: str) -> None:
        """Note a record that gave no window, and why."""
        self._rejected.append((record, reason))

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
        table = pa.table([self._column(field) for field in INDEX_SCHEMA], schema=INDEX_SCHEMA)
        derived_masks = table["derived_mask"].to_numpy()
        write_index(self._folder / "index.parquet", table)
        write_rejected(self._folder / "rejected.csv", self._rejected)
        content = {
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
            "flags": {flag: int(table[flag].to_numpy().sum()) for flag in QUALITY_FLAGS},
            "modality": self._name.modality,
            "records": len(self._records),
            "rejected": len(self._rejected),
            "reject_reasons": dict(Counter(reason for _, reason in self._rejected)),
            "saturated_windows": int((table["saturated"].to_numpy() > 0).sum()),
            "simulated": self._name.simulated,
            "tools": {name: importlib.metadata.version(name) for name in TOOLS},
            "unit": unit,
        }
        write_json(self._folder / "part.json", content)

    def _column(self, field: pa.Field) -> pa.Array:
        """A column of the index, of all windows added."""
        if self._rows and field.name in self._rows[0][2]:
            values = np.concatenate([each[field.name] for _, _, each in self._rows])
            return pa.array(values.astype(field.type.to_pandas_dtype()), type=field.type)
        shared = [same[field.name] for _, same, _ in self._rows]
        places = {value: place for place, value in enumerate(dict.fromkeys(shared))}
        counts = [count for count, _, _ in self._rows]
        codes = np.repeat(np.array([places[value] for value in shared], dtype=np.int32), counts)
        if pa.types.is_dictionary(field.type):
            return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(places), type=pa.string()))
        return pa.array(list(places), type=field.type).take(pa.array(codes))

    def _array(self, rate_hz: int) -> Path:
        return self._folder / f"{self._name.modality}-{rate_hz}hz.zarr"


def folder_checksum(folder: Path) -> dict[str, Any]:
    """Bytes of a folder and a sha256 over the sorted relative paths and contents of its files."""
    digest, size = hashlib.sha256(), 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
                size += len(block)
    return {"bytes": size, "sha256": digest.hexdigest()}


def write_index(path: Path, table: pa.Table) -> None:
    """Write an index as parquet: equal tables are equal bytes."""
    pq.write_table(table, path, compression="zstd", store_schema=False)


def write_rejected(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Write rejected.csv: record, reason."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["record", "reason"])
        writer.writerows(rows)
