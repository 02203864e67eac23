"""Saved predictions: the only thing that metrics, tables and figures are made from."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file

SCHEMA = pa.schema(
    [
        ("method", pa.string()),
        ("protocol", pa.string()),
        ("seed", pa.int64()),
        ("fold", pa.int64()),
        ("subject", pa.string()),
        ("clip", pa.int64()),
        ("label", pa.string()),
        ("truth", pa.int8()),
        ("probability", pa.float64()),
        ("threshold", pa.float64()),  # of best balanced accuracy on the fold's validation subjects
    ]
)
CONDITION = (("condition", pa.string()), ("level", pa.float64()))  # of corrupted test clips, see `corruptions`
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)
_KEY = ["method", "protocol", "seed", "fold", "label", "subject", "clip"]
_METADATA = b"physiopipe"


def write_predictions(path: Path, predictions: pd.DataFrame, about: dict[str, Any]) -> None:
    """Write one row a clip and task, sorted, atomically; equal contents are equal bytes.

    Args:
        predictions: the columns of SCHEMA, `label` the task; `truth` 0 or 1, `probability` in [0, 1]. Where the test
            clips were corrupted, those of CONDITION too.
        about: JSON values kept in the file's metadata: cohort, simulated, provenance, licence, ...

    Raises:
        PhysiopipeError: columns missing, a probability that is none, or a clip predicted twice.
    """
    content = predictions_bytes(path, predictions, about)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def predictions_bytes(path: Path, predictions: pd.DataFrame, about: dict[str, Any]) -> bytes:
    """What `write_predictions` writes; `path` is for the words of an error."""
    missing = [name for name in COLUMNS if name not in predictions.columns]
    if missing:
        raise PhysiopipeError(f"{path}: predictions lack the columns {', '.join(missing)}.")
    schema, key = SCHEMA, _KEY
    for place, (name, kind) in enumerate(CONDITION):
        if name in predictions.columns:
            schema, key = schema.insert(place, pa.field(name, kind)), [name, *key]
    ordered = predictions.loc[:, schema.names].sort_values(key, kind="stable", ignore_index=True)
    wrong = ordered[~ordered["probability"].between(0, 1) | ~ordered["truth"].isin([0, 1])]
    if len(wrong):
        raise PhysiopipeError(
            f"{path}: {len(wrong)} predictions are no probability or have no truth, first {wrong.iloc[0].to_dict()}."
        )
    if ordered.duplicated(key).any():
        twice = ordered[ordered.duplicated(key)].iloc[0][key].to_dict()
        raise PhysiopipeError(f"{path}: a clip is predicted twice: {twice}.")
    table = pa.Table.from_pandas(ordered, schema=schema, preserve_index=False)
    text = json.dumps(about, sort_keys=True, ensure_ascii=False)
    content = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_METADATA: text.encode()}), content, compression="zstd")
    return content.getvalue()


def read_predictions(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Predictions and what is known about them (cohort, simulated, provenance, ...)."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise PhysiopipeError(f"{path} is missing: run the method that writes it (`dvc repro` does).") from None
    return parse_predictions(path, content)


def parse_predictions(path: Path, content: bytes) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What `read_predictions` makes of the bytes of a file; `path` is for the words of an error."""
    try:
        table = pq.read_table(io.BytesIO(content))
    except pa.ArrowInvalid as error:
        raise PhysiopipeError(f"{path} is no predictions file ({error}): delete it and run again.") from None
    text = (table.schema.metadata or {}).get(_METADATA)
    if text is None or not set(COLUMNS) <= set(table.column_names):
        raise PhysiopipeError(
            f"{path} is no predictions file: expected columns {', '.join(COLUMNS)}, "
            f"found {', '.join(table.column_names)}. Delete it and run the method again."
        )
    about: dict[str, Any] = json.loads(text)
    return table.to_pandas(), about
