"""A folder of recordings to a table of an encoder's features, one row a window, and one of each recording's mean."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from physiopipe.files import atomic_file
from physiopipe.own_recordings.channels import ecg_recording
from physiopipe.own_recordings.encoder import EcgEncoder
from physiopipe.own_recordings.reading import Recordings, beside
from physiopipe.recordings.opening import Found, open_recording
from physiopipe.recordings.recording import LongRecording, Recording
from physiopipe.windows.in_memory import PreparedWindows

_METADATA = b"physiopipe"
_ROWS = 4096  # of a parquet row group
_SIMULATED = "SIMULATED: the encoder was pretrained on simulated recordings. Try the path with it, conclude nothing."


@dataclass
class _Mean:
    """Sum of the features of a recording's windows that hold signal."""

    width: int
    windows: int = 0
    with_signal: int = 0
    total: npt.NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.total = np.zeros(self.width)

    def add(self, features: npt.NDArray[np.float32], windows: PreparedWindows) -> None:
        some = windows.present.any(axis=1) & (windows.valid_patches > 0)
        self.windows += len(windows)
        self.with_signal += int(some.sum())
        self.total += features[some].sum(axis=0, dtype=np.float64)

    def value(self) -> npt.NDArray[np.float32]:
        """NaN where no window holds signal."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.total / (self.with_signal or np.nan), dtype=np.float32)


def window_schema(width: int) -> pa.Schema:
    """Columns of the table of windows; `flags` and `leads` hold names, joined by blanks."""
    columns = [
        ("record", pa.string()), ("start_s", pa.float64()), ("rate_hz", pa.int32()), ("valid_patches", pa.int16()),
        ("leads", pa.string()), ("flags", pa.string()),
    ]  # fmt: skip
    return pa.schema([*columns, *_features(width)])


def record_schema(width: int) -> pa.Schema:
    """Columns of the table of recordings: features are means over the windows that hold signal."""
    columns = [
        ("record", pa.string()), ("file", pa.string()), ("seconds", pa.float64()), ("recorded_hz", pa.float64()),
        ("windows", pa.int32()), ("windows_with_signal", pa.int32()), ("leads", pa.string()),
        ("derived_leads", pa.string()), ("flags", pa.string()),
    ]  # fmt: skip
    return pa.schema([*columns, *_features(width)])


def _features(width: int) -> list[tuple[str, pa.DataType]]:
    return [(f"f{number:03d}", pa.float32()) for number in range(width)]


def embed_recordings(
    place: Path,
    encoder: EcgEncoder,
    out: Path,
    *,
    rate_hz: int | None = None,
    mains_hz: float | None = None,
    named: Mapping[str, str] | None = None,
) -> Recordings:
    """Write `out` (windows), `<out>.records.parquet` and `<out>.refused.csv`, each of them whole or not at all.

    Recordings are taken one after the other, and long ones in stretches: memory grows with neither.

    Raises:
        PhysiopipeError: no recording in `place`, or none that can be embedded (the csv of reasons is written).
    """
    rate_hz = encoder.rate(rate_hz)
    recordings, width = Recordings(place, "embed"), encoder.input.sizes.width
    refused, records = beside(out, "refused.csv"), beside(out, "records.parquet")
    about = _about(encoder, rate_hz)
    with ExitStack() as stack:
        temporary = [stack.enter_context(atomic_file(path)) for path in (records, out)]
        of_records = stack.enter_context(_writer(temporary[0], record_schema(width), about))
        of_windows = stack.enter_context(_writer(temporary[1], window_schema(width), about))
        for found, done in recordings.each():
            with recordings.noting(found):
                recording = ecg_recording(open_recording(found.path), found.name, named)
                head = recording.head if isinstance(recording, LongRecording) else recording
                seconds, mean = recording.signal.shape[1] / head.rate_hz, _Mean(width)
                flags: set[str] = set()
                rows: list[pa.Table] = []
                for windows in encoder.blocks(recording, rate_hz, mains_hz):
                    features = encoder.features(windows)
                    mean.add(features, windows)
                    rows.append(_window_table(found.name, windows, features))
                    flags |= {name for name, values in windows.flags.items() if values.any()}
                    done((windows.start_s[-1] + windows.window_s) / seconds)
                # written once all of it is there: a recording that breaks off half-way leaves no windows
                of_windows.write_table(pa.concat_tables(rows), _ROWS)
                of_records.write_table(_record_table(found, head, seconds, mean, flags))
        if not recordings.used:
            recordings.refused.write(refused)
            raise recordings.refuse_all(refused, "embedded")
    recordings.refused.write(refused)
    return recordings


def told(encoder: EcgEncoder) -> list[str]:
    """What a reader of the output must know of the encoder."""
    return [_SIMULATED] if encoder.simulated else []


def _about(encoder: EcgEncoder, rate_hz: int) -> dict[str, Any]:
    return {
        "encoder": encoder.path.name,
        "encoder_sha256": encoder.sha256,
        "pretrained_on": encoder.metadata.get("cohort", "not known"),
        "simulated": encoder.simulated,
        "rate_hz": rate_hz,
        "window_samples": encoder.input.shard.patches * 200,
        "normalisation": encoder.input.normalisation,
    }


def _writer(path: Path, schema: pa.Schema, about: dict[str, Any]) -> pq.ParquetWriter:
    text = json.dumps(about, sort_keys=True, ensure_ascii=False)
    return pq.ParquetWriter(path, schema.with_metadata({_METADATA: text.encode()}), compression="zstd")


def _window_table(name: str, windows: PreparedWindows, features: npt.NDArray[np.float32]) -> pa.Table:
    channels, flags = np.array(windows.channels), list(windows.flags)
    raised = np.stack([windows.flags[each] for each in flags], axis=1)
    columns: dict[str, Any] = {
        "record": [name] * len(windows),
        "start_s": windows.start_s,
        "rate_hz": np.full(len(windows), windows.rate_hz, np.int32),
        "valid_patches": windows.valid_patches.astype(np.int16),
        "leads": [" ".join(channels[row]) for row in windows.present],
        "flags": [" ".join(each for each, is_raised in zip(flags, row, strict=True) if is_raised) for row in raised],
    }
    columns |= {f"f{number:03d}": features[:, number] for number in range(features.shape[1])}
    return pa.table(columns, schema=window_schema(features.shape[1]))


def _record_table(found: Found, head: Recording, seconds: float, mean: _Mean, flags: set[str]) -> pa.Table:
    columns: dict[str, Any] = {
        "record": [found.name],
        "file": [found.path.name],
        "seconds": [seconds],
        "recorded_hz": [head.rate_hz],
        "windows": [mean.windows],
        "windows_with_signal": [mean.with_signal],
        "leads": [" ".join(each for each in head.channels if each not in head.missing)],
        "derived_leads": [" ".join(head.derived)],
        "flags": [" ".join(sorted(flags))],
    }
    columns |= {f"f{number:03d}": [value] for number, value in enumerate(mean.value())}
    return pa.table(columns, schema=record_schema(mean.width))
