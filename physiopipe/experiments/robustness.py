"""One method over protocol × seeds × folds, tested on damaged clips: training sees none of the damage."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from physiopipe.clips.clip_data import LABELS, ClipData
from physiopipe.experiments.corruptions import conditions, corrupted
from physiopipe.experiments.cross_validation import CrossValidation, Study
from physiopipe.experiments.fold_run import Fitted, predictions_frame
from physiopipe.experiments.predictions import write_predictions
from physiopipe.experiments.provenance import digest_of_sources
from physiopipe.params import MethodName, Params

_SOURCES = ("experiments/corruptions.py", "experiments/robustness.py")


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
    validation_runs = CrossValidation(
        Study(name, params, windows_folder, encoder_path, runs_folder, predict_corrupted, group_by_test_subjects=True)
    )
    settings = params.robustness.model_dump(mode="json", exclude={"methods"})
    runs = validation_runs.runs({"robustness": settings, "robustness_code": digest_of_sources(_SOURCES)})
    validation_runs.make_missing(runs)
    write_predictions(out_parquet, validation_runs.predictions(runs), validation_runs.about())


def predict_corrupted(params: Params, fitted: Sequence[Fitted], test: ClipData) -> list[pd.DataFrame]:
    """Predictions under every condition; thresholds are not looked for."""
    frames: list[list[pd.DataFrame]] = [[] for _ in fitted]
    for condition in conditions(params.robustness):
        shown = corrupted(test, condition, params.robustness.seed)
        for each, parts in zip(fitted, frames, strict=True):
            frame = predictions_frame(each, params.evaluate.protocol, shown, np.full(len(LABELS), 0.5))
            parts.append(frame.assign(condition=condition.kind, level=condition.level))
    return [pd.concat(parts) for parts in frames]
