"""One method over protocol × seeds × folds; every result is kept under a digest of what determines it."""

import hashlib
import sys
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
from physiopipe.methods.clips import ClipChoice, choose_clips, gather_clips
from physiopipe.methods.sources import digest_of_sources, library_versions
from physiopipe.params import MethodName, Params
from physiopipe.results.predictions import read_predictions, write_predictions
from physiopipe.windows.splits import Fold, fewer_training_subjects, subject_split
from physiopipe.windows.store import WindowStore

CURVE_COLUMNS = ("method", "protocol", "seed", "fold", "epoch", "split", "loss", "auc")
HARNESS_SOURCES = (
    "methods/base.py",
    "methods/clips.py",
    "methods/harness.py",
    "methods/embedding_cache.py",
    "windows/splits.py",
)


@dataclass(frozen=True)
class Cell:
    """One seed and fold: who is on which side, and the digest that its result is kept under."""

    seed: int
    number: int
    fold: Fold
    digest: str

    def sides(self, clips: ClipData) -> tuple[ClipData, ClipData, ClipData]:
        """Clips to train on, to validate on and to test on; a subject on two sides fails the run."""
        train, validation, test = (
            clips.of_subjects(side) for side in (self.fold.train, self.fold.validation, self.fold.test)
        )
        check_disjoint(train, validation, test)
        return train, validation, test


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
    cells = cells_of(method, params, windows_folder, sorted(choice.clips["subject"].unique()))
    missing = [cell for cell in cells if not _kept(runs_folder, cell, "parquet").exists()]
    print(f"{name}: {method.provenance}", flush=True)  # an untrained encoder is told here as in the table
    for subject, clip, reason in choice.left_out:
        print(f"{name}: {subject} clip {clip} is left out: {reason}")
    if missing:
        clips = gather_clips(store, choice)
        plain = not sys.stderr.isatty()
        for done, cell in enumerate(tqdm(missing, desc=name, unit="fold", disable=None), start=1):
            train, validation, test = cell.sides(clips)
            method.fit(train, validation, cell.seed)
            frame = predicted(method, cell, params.evaluate.protocol, validation, test)
            curve = pd.DataFrame(
                [{**_about(method, cell, params), **point._asdict()} for point in method.curve()],
                columns=list(CURVE_COLUMNS),
            )
            _write_csv(_kept(runs_folder, cell, "csv"), curve)  # the predictions, written last, mark the cell done
            write_predictions(
                _kept(runs_folder, cell, "parquet"), frame, _about(method, cell, params)
            )  # last: it is done
            if plain:
                print(f"{name}: seed {cell.seed} fold {cell.number} done, {done} of {len(missing)}", flush=True)
    predictions = pd.concat([read_predictions(_kept(runs_folder, cell, "parquet"))[0] for cell in cells])
    if curves_csv is not None:
        curves = pd.concat(
            [pd.read_csv(_kept(runs_folder, cell, "csv"), float_precision="round_trip") for cell in cells]
        )
        _write_csv(curves_csv, curves)
    write_predictions(out_parquet, predictions, about_method(method, params, store, choice))


def about_method(method: Method, params: Params, store: WindowStore, choice: ClipChoice) -> dict[str, Any]:
    """What a predictions file says of itself."""
    return _common_inputs(method, params, store.folder) | {
        "cohort": str(store.manifest["cohort"]),
        "simulated": bool(store.manifest["simulated"]),
        "provenance": method.provenance,
        "licence": method.licence,
        "inputs": list(method.inputs),
        "left_out": [list(row) for row in choice.left_out],
    }


def check_disjoint(train: ClipData, validation: ClipData, test: ClipData) -> None:
    """Fail where a subject, or a window's very samples, are on two sides: what was learned would be tested on itself.

    Raises:
        PhysiopipeError: naming the subject and the sides.
    """
    sides = {"training": train, "validation": validation, "test": test}
    of_subject: dict[str, str] = {}
    of_window: dict[bytes, tuple[str, str]] = {}
    for side, clips in sides.items():
        for subject in np.unique(clips.subjects):
            other = of_subject.setdefault(str(subject), side)
            if other != side:
                raise PhysiopipeError(
                    f"subject {subject} has clips on two sides of a split, {other} and {side}: what is learned of a "
                    "subject would be tested on the same. Give every subject one side."
                )
        for window, owner in zip(clips.eeg, clips.subjects[clips.clip_of], strict=True):
            digest = hashlib.blake2b(np.ascontiguousarray(window[:, 0]).tobytes(), digest_size=16).digest()
            known, of = of_window.setdefault(digest, (side, str(owner)))
            if known != side and window[:, 0].any():
                raise PhysiopipeError(
                    f"a window of subject {owner} ({side}) has the very samples of one of {of} ({known}): a recording "
                    "is in the cohort under two names. Keep one of them."
                )


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


def cells_of(
    method: Method, params: Params, windows_folder: Path, subjects: list[str], extra: dict[str, Any] | None = None
) -> list[Cell]:
    """Every seed and fold of the protocol; `extra` JSON values enter the digests besides what determines a method."""
    common = _common_inputs(method, params, windows_folder) | (extra or {})
    protocol = params.evaluate.protocol
    cells = []
    for seed in params.evaluate.seeds:
        for number, whole in enumerate(subject_split(subjects, protocol, seed)):
            fold = fewer_training_subjects(whole, params.finetune.train_share, seed)
            sides = {"train": sorted(fold.train), "validation": sorted(fold.validation), "test": sorted(fold.test)}
            digest = sha256_json({**common, "protocol": protocol, "seed": seed, "fold": number, **sides})
            cells.append(Cell(seed, number, fold, digest))
    return cells


def _common_inputs(method: Method, params: Params, windows_folder: Path) -> dict[str, Any]:
    """What determines a method's results besides seed and fold."""
    return {
        "method": method.name,
        "fingerprint": method.fingerprint(),
        "code": digest_of_sources([*HARNESS_SOURCES, *method.sources]),
        "libraries": library_versions(method.libraries),
        "windows_sha256": sha256_file(windows_folder / "manifest.json"),
        "last_s": params.finetune.last_s,
        "high_from": params.finetune.high_from,
    }


def predicted(method: Method, cell: Cell, protocol: str, validation: ClipData, test: ClipData) -> pd.DataFrame:
    """Predictions of a fitted method on the test clips, with the thresholds that are best on the validation clips."""
    thresholds = np.full(len(LABELS), 0.5)
    if len(validation):
        found = method.predict(validation.without_labels())
        thresholds = np.array([best_threshold(validation.labels[:, i], found[:, i]) for i in range(len(LABELS))])
    return predictions_frame(method, cell, protocol, test, thresholds)


def predictions_frame(method: Method, cell: Cell, protocol: str, test: ClipData, thresholds: F64) -> pd.DataFrame:
    """Predictions on the test clips, a row a clip and label; `thresholds` (label,) stand beside them."""
    probability = method.predict(test.without_labels())
    if probability.shape != (len(test), len(LABELS)) or not np.isfinite(probability).all():
        raise PhysiopipeError(
            f"{method.name}, seed {cell.seed}, fold {cell.number}: expected finite probabilities "
            f"{(len(test), len(LABELS))}, found shape {probability.shape} with "
            f"{int((~np.isfinite(probability)).sum())} that are not finite."
        )
    frames = [
        pd.DataFrame(
            {
                "method": method.name,
                "protocol": protocol,
                "seed": cell.seed,
                "fold": cell.number,
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
    return pd.concat(frames)


def _about(method: Method, cell: Cell, params: Params) -> dict[str, Any]:
    return {
        "method": method.name,
        "protocol": params.evaluate.protocol,
        "seed": cell.seed,
        "fold": cell.number,
    }


def _kept(runs_folder: Path, cell: Cell, suffix: str) -> Path:
    return runs_folder / f"{cell.digest}.{suffix}"


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    with atomic_file(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
