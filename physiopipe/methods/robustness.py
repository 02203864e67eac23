"""One method over protocol × seeds × folds, tested on damaged clips: training sees none of the damage."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from physiopipe.methods.base import LABELS, ClipData
from physiopipe.methods.cells import Fitted, predictions_frame
from physiopipe.methods.damage import conditions, damaged
from physiopipe.methods.harness import Bench, Study
from physiopipe.methods.sources import digest_of_sources
from physiopipe.params import MethodName, Params
from physiopipe.results.predictions import write_predictions

_SOURCES = ("methods/damage.py", "methods/robustness.py")


def run_robustness(
    name: MethodName,
    params: Params,
    windows_folder: Path,
    encoder_path: Path | None,
    out_parquet: Path,
    runs_folder: Path,
) -> None:
    """Fit every seed and fold as `run_method` does and predict its test clips under every condition.

    Args:
        windows_folder, encoder_path, runs_folder: see `harness.Study`.
        out_parquet: predictions with the columns `condition` and `level` beside the usual ones.
    """
    bench = Bench(Study(name, params, windows_folder, encoder_path, runs_folder, predict_damaged, together=True))
    settings = params.robustness.model_dump(mode="json", exclude={"methods"})
    cells = bench.cells({"robustness": settings, "robustness_code": digest_of_sources(_SOURCES)})
    bench.make_missing(cells)
    write_predictions(out_parquet, bench.predictions(cells), bench.about())


def predict_damaged(params: Params, fitted: Sequence[Fitted], test: ClipData) -> list[pd.DataFrame]:
    """Predictions under every condition; thresholds are not looked for."""
    frames: list[list[pd.DataFrame]] = [[] for _ in fitted]
    for condition in conditions(params.robustness):
        shown = damaged(test, condition, params.robustness.seed)
        for each, parts in zip(fitted, frames, strict=True):
            frame = predictions_frame(each, params.evaluate.protocol, shown, np.full(len(LABELS), 0.5))
            parts.append(frame.assign(condition=condition.kind, level=condition.level))
    return [pd.concat(parts) for parts in frames]
