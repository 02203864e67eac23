"""What is kept of a seed and fold: the fitted method, its training curve, its cost and its predictions, each with a
checksum.
"""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.numpy

from physiopipe.checksums import kept_file, read_kept
from physiopipe.experiments.predictions import parse_predictions, predictions_bytes
from physiopipe.methods.base import Arrays, Method
from physiopipe.training.curve import CurvePoint

CURVE_COLUMNS = ("method", "protocol", "seed", "fold", "epoch", "split", "loss", "auc")


class KeptFolds:
    """Kept files in a folder, by digest; what is damaged is named, removed, and then not there.

    `<digest>.safetensors` is the fitted method (arrays, and JSON values in its metadata; nothing in it is executed),
    `<digest>.csv` its training curve, `<digest>.json` what fitting it cost, `<digest>.parquet` predictions.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save_fitted(self, digest: str, method: Method) -> None:
        """Keep what a method has learnt."""
        arrays, about = method.state()
        content = safetensors.numpy.save(
            {name: np.ascontiguousarray(value) for name, value in arrays.items()},
            {"about": json.dumps(about, sort_keys=True)},
        )
        with kept_file(self._path(digest, "safetensors")) as temporary:
            temporary.write_bytes(content)

    def fitted(self, digest: str) -> tuple[Arrays, dict[str, Any]] | None:
        """What a method had learnt: arrays and JSON values for its `restore`."""
        content = read_kept(self._path(digest, "safetensors"))
        if content is None:
            return None
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        arrays: Arrays = safetensors.numpy.load(content)
        return {name: value.copy() for name, value in arrays.items()}, json.loads(header["__metadata__"]["about"])

    def fitted_bytes(self, digests: Iterable[str]) -> int:
        """What the fitted methods that are kept take on the disk."""
        paths = [self._path(digest, "safetensors") for digest in digests]
        return sum(path.stat().st_size for path in paths if path.exists())

    def save_curve(self, digest: str, points: Sequence[CurvePoint], about: dict[str, Any]) -> None:
        rows = [about | point._asdict() for point in points]
        with kept_file(self._path(digest, "csv")) as temporary:
            write_curve(temporary, pd.DataFrame(rows, columns=list(CURVE_COLUMNS)))

    def curve(self, digest: str) -> pd.DataFrame | None:
        """CURVE_COLUMNS, one row an epoch and split."""
        content = read_kept(self._path(digest, "csv"))
        return None if content is None else pd.read_csv(io.BytesIO(content), float_precision="round_trip")

    def save_cost(self, digest: str, cost: dict[str, Any]) -> None:
        """Keep what a fit cost, JSON values: apart from all else, since seconds are never the same twice."""
        with kept_file(self._path(digest, "json")) as temporary:
            temporary.write_text(json.dumps(cost, sort_keys=True) + "\n", encoding="utf-8")

    def cost(self, digest: str) -> dict[str, Any] | None:
        """What a fit cost; None where it is not known."""
        content = read_kept(self._path(digest, "json"))
        return None if content is None else dict(json.loads(content))

    def save_predictions(self, digest: str, frame: pd.DataFrame, about: dict[str, Any]) -> None:
        path = self._path(digest, "parquet")
        content = predictions_bytes(path, frame, about)
        with kept_file(path) as temporary:
            temporary.write_bytes(content)

    def predictions(self, digest: str) -> pd.DataFrame | None:
        path = self._path(digest, "parquet")
        content = read_kept(path)
        return None if content is None else parse_predictions(path, content)[0]

    def has_curve(self, digest: str) -> bool:
        """Whether a curve is kept, as it was written."""
        return read_kept(self._path(digest, "csv")) is not None

    def has_predictions(self, digest: str) -> bool:
        """Whether predictions are kept, as they were written."""
        return read_kept(self._path(digest, "parquet")) is not None

    def _path(self, digest: str, suffix: str) -> Path:
        return self.folder / f"{digest}.{suffix}"


def write_curve(path: Path, frame: pd.DataFrame) -> None:
    """Write a training curve as CSV; equal curves are equal bytes."""
    frame.to_csv(path, index=False, lineterminator="\n")
