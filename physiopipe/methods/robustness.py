"""One method over protocol × seeds × folds, tested on damaged clips: training sees none of the damage."""

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from physiopipe.methods.base import ClipData, Method, Setup, method_class
from physiopipe.methods.clips import choose_clips, gather_clips
from physiopipe.methods.damage import conditions, damaged
from physiopipe.methods.harness import Cell, about_method, cells_of, predictions_frame
from physiopipe.methods.sources import digest_of_sources
from physiopipe.params import MethodName, Params
from physiopipe.results.predictions import read_predictions, write_predictions
from physiopipe.windows.store import WindowStore

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

    Folds with the same test subjects (those of several seeds) are taken together, so that a damage is done once.

    Args:
        out_parquet: predictions with the columns `condition` and `level` beside the usual ones.
        runs_folder: `<digest>.parquet` of each seed and fold, reused by later runs.
    """
    store = WindowStore(windows_folder)
    choice = choose_clips(store, params.finetune)
    setup = Setup(params, encoder_path, Path(params.run.state_folder))
    method = method_class(name)(setup)
    extra: dict[str, Any] = {"robustness": params.robustness.model_dump(mode="json", exclude={"methods"})}
    extra["robustness_code"] = digest_of_sources(_SOURCES)
    cells = cells_of(method, params, windows_folder, sorted(choice.clips["subject"].unique()), extra)
    missing = [cell for cell in cells if not (runs_folder / f"{cell.digest}.parquet").exists()]
    if missing:
        clips = gather_clips(store, choice)
        missing.sort(key=lambda cell: (cell.fold.test, cell.seed))
        for tested, group in groupby(missing, key=lambda cell: cell.fold.test):
            of_cell = list(group)
            found = _one_test_set(name, setup, clips, of_cell)
            for cell in of_cell:
                about = {"method": name, "seed": cell.seed, "fold": cell.number}
                write_predictions(runs_folder / f"{cell.digest}.parquet", found[cell.digest], about)
            print(f"{name}: {len(of_cell)} folds tested on {', '.join(tested)}", flush=True)
    frames = [read_predictions(runs_folder / f"{cell.digest}.parquet")[0] for cell in cells]
    write_predictions(out_parquet, pd.concat(frames), about_method(method, params, store, choice))


def _one_test_set(name: MethodName, setup: Setup, clips: ClipData, cells: list[Cell]) -> dict[str, pd.DataFrame]:
    """Predictions under every condition of cells that share their test subjects, by the cells' digests."""
    fitted: list[tuple[Cell, Method]] = []
    test = clips.of_subjects(())
    for cell in cells:
        train, validation, test = cell.sides(clips)
        fitted.append((cell, method_class(name)(setup).fit(train, validation, cell.seed)))
    frames: dict[str, list[pd.DataFrame]] = {cell.digest: [] for cell in cells}
    for condition in conditions(setup.params.robustness):
        shown = damaged(test, condition, setup.params.robustness.seed)
        for cell, method in fitted:
            frame = predictions_frame(method, cell, setup.params.evaluate.protocol, shown, np.full(3, 0.5))
            frames[cell.digest].append(frame.assign(condition=condition.kind, level=condition.level))
    return {digest: pd.concat(parts) for digest, parts in frames.items()}
