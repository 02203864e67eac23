"""One method over protocol × seeds × folds, tested on corrupted clips: training sees nothing of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from physiopipe.clips.clip_data import ClipData
from physiopipe.code_digest import code_digest
from physiopipe.experiments.corruptions import conditions, corrupted
from physiopipe.experiments.cross_validation import CrossValidation, Study
from physiopipe.experiments.fold_run import Fitted, predictions_frame
from physiopipe.experiments.predictions import write_predictions
from physiopipe.params import Params


def run_robustness(study: Study, out_parquet: Path) -> None:
    """Predict the test clips of every seed and fold under every condition; fits are those of `run_method`, where it has
    made them.

    Args:
        out_parquet: predictions with the columns `condition` and `level` beside the usual ones.
    """
    validation = CrossValidation(study, predict_corrupted, group_by_test_subjects=True)
    runs = validation.runs_with_meaning(corruptions_determined_by(study.params))
    validation.make_missing(runs)
    write_predictions(out_parquet, validation.predictions(runs), validation.about())


def corruptions_determined_by(params: Params) -> dict[str, Any]:
    """What determines predictions on corrupted clips beside the fitted method and the clips."""
    settings = params.robustness.model_dump(mode="json", exclude={"methods"})
    return {"robustness": settings, "robustness_code": code_digest(__name__)}


def predict_corrupted(params: Params, fitted: Sequence[Fitted], test: ClipData) -> list[pd.DataFrame]:
    """Predictions under every condition; thresholds are not looked for."""
    frames: list[list[pd.DataFrame]] = [[] for _ in fitted]
    for condition in conditions(params.robustness):
        shown = corrupted(test, condition, params.robustness.seed)
        for each, parts in zip(fitted, frames, strict=True):
            frame = predictions_frame(each, params.evaluate.protocol, shown, np.full(len(test.tasks), 0.5))
            parts.append(frame.assign(condition=condition.kind, level=condition.level))
    return [pd.concat(parts) for parts in frames]
