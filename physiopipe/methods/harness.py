"""One method over protocol × seeds × folds; every result is kept under a digest of what determines it."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file, sha256_file, sha256_json
from physiopipe.methods.base import F64, LABELS, ClipData, Method, Setup, method_class
from physiopipe.methods.clips import choose_clips, gather_clips
from physiopipe.methods.sources import digest_of_sources, library_versions
from physiopipe.params import MethodName, Params
from physiopipe.results.predictions import read_predictions, write_predictions
from physiopipe.windows.splits import Fold, subject_split
from physiopipe.windows.store import WindowStore

CURVE_COLUMNS = ("method", "protocol", "seed", "fold", "epoch", "split", "loss", "auc")
_HARNESS_SOURCES = ("methods/base.py", "methods/clips.py", "methods/harness.py", "methods/embedding_cache.py")


@dataclass(frozen=True)
class _Cell:
    """One seed and fold: who is on which side, and the digest that its result is kept under."""

    seed: int
    number: int
    fold: Fold
    digest: str


def run_method(
    name: MethodName,
    params: Params,
    windows_folder: Path,
    encoder_path: Path | None,
    out_parquet: Path,
    runs_folder: Path,
    curves_csv: Path | None = None,
) -> None:
    """Fit and predict every seed and fold that is not there yet; write all predictions and training curves.

    Args:
        windows_folder: the cohort's windows, `data/windows/dreamer`.
        encoder_path: the pretrained ECG encoder; methods without one ignore it.
        out_parquet: written last, see `physiopipe.results.predictions`.
        runs_folder: `<digest>.parquet` and `<digest>.csv` of each seed and fold, reused by later runs.
        curves_csv: CURVE_COLUMNS, one row an epoch and split; only a header where nothing is trained in epochs.

    Raises:
        PhysiopipeError: a subject on two sides of a split, no usable clip, or what the method itself refuses.
    """
    store = WindowStore(windows_folder)
    choice = choose_clips(store, params.finetune)
    method = method_class(name)(Setup(params, encoder_path, Path(params.run.state_folder)))
    common = _common_inputs(method, params, windows_folder)
    subjects = sorted(choice.clips["subject"].unique())
    cells = list(_cells(subjects, params, common))
    missing = [cell for cell in cells if not _kept(runs_folder, cell, "parquet").exists()]
    print(f"{name}: {method.provenance}", flush=True)  # an untrained encoder is told here as in the table
    for subject, clip, reason in choice.left_out:
        print(f"{name}: {subject} clip {clip} is left out: {reason}")
    if missing:
        clips = gather_clips(store, choice)
        plain = not sys.stderr.isatty()
        for done, cell in enumerate(tqdm(missing, desc=name, unit="fold", disable=None), start=1):
            _run_cell(method, clips, cell, params.evaluate.protocol, runs_folder)
            if plain:
                print(f"{name}: seed {cell.seed} fold {cell.number} done, {done} of {len(missing)}", flush=True)
    predictions = pd.concat([read_predictions(_kept(runs_folder, cell, "parquet"))[0] for cell in cells])
    if curves_csv is not None:
        curves = pd.concat(
            [pd.read_csv(_kept(runs_folder, cell, "csv"), float_precision="round_trip") for cell in cells]
        )
        _write_csv(curves_csv, curves)
    about = common | {
        "cohort": str(store.manifest["cohort"]),
        "simulated": bool(store.manifest["simulated"]),
        "provenance": method.provenance,
        "licence": method.licence,
        "inputs": list(method.inputs),
        "left_out": [list(row) for row in choice.left_out],
    }
    write_predictions(out_parquet, predictions, about)


def best_threshold(truth: npt.NDArray[np.int8], probability: F64) -> float:
    """Threshold (high from it on) of best balanced accuracy; the one nearest one half among equals.

    Candidates are half-way between neighbouring probabilities, and 0 (all high); .5 where only one class is there.
    """
    high, low = np.sort(probability[truth == 1]), np.sort(probability[truth == 0])
    if not len(high) or not len(low):
        return 0.5
    values = np.unique(probability)
    candidates = np.unique(np.concatenate([[0.0, 0.5], (values[1:] + values[:-1]) / 2]))
    sensitivity = 1 - np.searchsorted(high, candidates, side="left") / len(high)
    specificity = np.searchsorted(low, candidates, side="left") / len(low)
    score = np.round(sensitivity + specificity, 12)
    best = candidates[score == score.max()]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _cells(subjects: list[str], params: Params, common: dict[str, Any]) -> Iterator[_Cell]:
    for seed in params.evaluate.seeds:
        for number, fold in enumerate(subject_split(subjects, params.evaluate.protocol, seed)):
            sides = {"train": sorted(fold.train), "validation": sorted(fold.validation), "test": sorted(fold.test)}
            digest = sha256_json(
                {**common, "protocol": params.evaluate.protocol, "seed": seed, "fold": number, **sides}
            )
            yield _Cell(seed, number, fold, digest)


def _common_inputs(method: Method, params: Params, windows_folder: Path) -> dict[str, Any]:
    """What determines a method's results besides seed and fold."""
    return {
        "method": method.name,
        "fingerprint": method.fingerprint(),
        "code": digest_of_sources([*_HARNESS_SOURCES, *method.sources]),
        "libraries": library_versions(method.libraries),
        "windows_sha256": sha256_file(windows_folder / "manifest.json"),
        "last_s": params.finetune.last_s,
        "high_from": params.finetune.high_from,
    }


def _run_cell(method: Method, clips: ClipData, cell: _Cell, protocol: str, runs_folder: Path) -> None:
    train, validation, test = (
        clips.of_subjects(side) for side in (cell.fold.train, cell.fold.validation, cell.fold.test)
    )
    method.fit(train, validation, cell.seed)
    probability = method.predict(test.without_labels())
    if probability.shape != (len(test), len(LABELS)) or not np.isfinite(probability).all():
        raise PhysiopipeError(
            f"{method.name}, seed {cell.seed}, fold {cell.number}: expected finite probabilities "
            f"{(len(test), len(LABELS))}, found shape {probability.shape} with "
            f"{int((~np.isfinite(probability)).sum())} that are not finite."
        )
    thresholds = np.full(len(LABELS), 0.5)
    if len(validation):
        found = method.predict(validation.without_labels())
        thresholds = np.array([best_threshold(validation.labels[:, i], found[:, i]) for i in range(len(LABELS))])
    about = {"method": method.name, "protocol": protocol, "seed": cell.seed, "fold": cell.number}
    frames = [
        pd.DataFrame(
            {
                **about,
                "subject": test.subjects,
                "clip": test.clips,
                "label": label,
                "truth": test.labels[:, i],
                "probability": probability[:, i],
                "threshold": thresholds[i],
            }
        )
        for i, label in enumerate(LABELS)
    ]
    curve = pd.DataFrame([{**about, **point._asdict()} for point in method.curve()], columns=list(CURVE_COLUMNS))
    _write_csv(_kept(runs_folder, cell, "csv"), curve)
    write_predictions(_kept(runs_folder, cell, "parquet"), pd.concat(frames), about)  # last: it marks the cell done


def _kept(runs_folder: Path, cell: _Cell, suffix: str) -> Path:
    return runs_folder / f"{cell.digest}.{suffix}"


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    with atomic_file(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
