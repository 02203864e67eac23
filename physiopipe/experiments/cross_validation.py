"""One method over protocol × seeds × folds; every result is kept under a digest of what determines it."""

import copy
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from tqdm import tqdm

from physiopipe.clips.clip_data import MODALITIES, ClipData
from physiopipe.clips.selection import choose_clips, gather_clips
from physiopipe.experiments.fold_run import Fitted, FoldRun, predicted
from physiopipe.experiments.predictions import read_predictions, write_predictions
from physiopipe.experiments.processes import run_in_processes
from physiopipe.experiments.provenance import digest_of_sources, library_versions
from physiopipe.experiments.subject_splits import fewer_training_subjects, subject_split
from physiopipe.files import atomic_file, sha256_file, sha256_json
from physiopipe.methods.base import Setup, method_class
from physiopipe.params import MethodName, Params
from physiopipe.windows.store import WindowStore

CURVE_COLUMNS = ("method", "protocol", "seed", "fold", "epoch", "split", "loss", "auc")
HARNESS_SOURCES = (
    "methods/base.py",
    "experiments/fold_run.py",
    "clips/selection.py",
    "experiments/cross_validation.py",
    "clips/cache.py",
    "experiments/subject_splits.py",
)


class Tester(Protocol):
    """Predictions on test clips, a frame for each of the fitted methods, which share them."""

    def __call__(self, params: Params, fitted: Sequence[Fitted], test: ClipData) -> list[pd.DataFrame]: ...


def predict_once(params: Params, fitted: Sequence[Fitted], test: ClipData) -> list[pd.DataFrame]:
    """Predictions of the clips as they are, with thresholds from the validation clips."""
    return [predicted(each, params.evaluate.protocol, test) for each in fitted]


@dataclass(frozen=True)
class Study:
    """What makes the runs of a method, in few bytes: every process has its own `CrossValidation` from it.

    Attributes:
        windows_folder: the cohort's windows, `data/windows/dreamer`.
        encoder_path: the pretrained ECG encoder; methods without one ignore it.
        runs_folder: `<digest>.parquet` and `<digest>.csv` of each seed and fold, reused by later runs.
        tester: what is predicted once a method is fitted; a function of a module.
        group_by_test_subjects: whether runs with the same test subjects are made at once: `tester` prepares these once.
    """

    name: MethodName
    params: Params
    windows_folder: Path
    encoder_path: Path | None
    runs_folder: Path
    tester: Tester = predict_once
    group_by_test_subjects: bool = False


class CrossValidation:
    """Where a study's runs are made: its method, its clips, read when first needed, and what is kept."""

    def __init__(self, study: Study) -> None:
        self.study, self.params = study, study.params
        self.store = WindowStore(study.windows_folder)
        self.choice = choose_clips(self.store, self.params.finetune)
        setup = Setup(self.params, study.encoder_path, Path(self.params.run.state_folder))
        self.method = method_class(study.name)(setup)

    @cached_property
    def clips(self) -> ClipData:
        """All clips; what the method computes of windows without their labels is computed, or read, with them."""
        clips = gather_clips(self.store, self.choice)
        for modality in MODALITIES:
            clips.digests(modality)  # hashed once: the sides of every fold compare them
        self.method.precompute(clips.without_labels())
        return clips

    def runs(self, extra: dict[str, Any] | None = None) -> list[FoldRun]:
        """Every seed and fold of the protocol; `extra` JSON values enter their digests too."""
        common = self._inputs() | (extra or {})
        subjects = sorted(self.choice.clips["subject"].unique())
        protocol = self.params.evaluate.protocol
        runs = []
        for seed in self.params.evaluate.seeds:
            for number, whole in enumerate(subject_split(subjects, protocol, seed)):
                fold = fewer_training_subjects(whole, self.params.finetune.train_share, seed)
                sides = {"train": sorted(fold.train), "validation": sorted(fold.validation), "test": sorted(fold.test)}
                digest = sha256_json({**common, "protocol": protocol, "seed": seed, "fold": number, **sides})
                runs.append(FoldRun(seed, number, fold, digest))
        return runs

    def make(self, runs: Sequence[FoldRun]) -> None:
        """Fit and test runs that share their test subjects, and keep their predictions and training curves."""
        fitted = []
        for run in runs:
            train, validation, test = run.sides(self.clips)
            fitted.append(Fitted(run, copy.copy(self.method).fit(train, validation, run.seed), validation))
        for each, frame in zip(fitted, self.study.tester(self.params, fitted, test), strict=True):
            about: dict[str, Any] = {"method": self.method.name, "protocol": self.params.evaluate.protocol}
            about |= {"seed": each.run.seed, "fold": each.run.number}
            points = [about | point._asdict() for point in each.method.curve()]
            _write_csv(self._kept(each.run, "csv"), pd.DataFrame(points, columns=list(CURVE_COLUMNS)))
            write_predictions(self._kept(each.run, "parquet"), frame, about)  # last: it marks the run done

    def make_missing(self, runs: Sequence[FoldRun]) -> None:
        """Make the runs that are not kept yet, in as many processes as are worth it."""
        name, plain = self.study.name, not sys.stderr.isatty()
        missing = [run for run in runs if not self._kept(run, "parquet").exists()]
        print(f"{name}: {self.method.provenance}", flush=True)  # an untrained encoder is told here as in the table
        for subject, clip, reason in self.choice.left_out:
            print(f"{name}: {subject} clip {clip} is left out: {reason}")
        if not missing:
            return
        done = 0
        with tqdm(total=len(missing), desc=name, unit="fold", disable=None) as bar:
            for made in self._made(self._shares(missing)):
                for run in made:
                    done += 1
                    bar.update()
                    if plain:
                        print(f"{name}: seed {run.seed} fold {run.number} done, {done} of {len(missing)}", flush=True)

    def _made(self, shares: list[list[FoldRun]]) -> Iterator[list[FoldRun]]:
        """Each share of runs once it is made, here or in other processes."""
        cores = self.params.run.threads or len(os.sched_getaffinity(0))
        workers = self.method.workers(sum(map(len, shares)), cores)
        if workers > 1:
            _ = self.clips  # what all processes need is computed once, and kept where they find it
            yield from run_in_processes(self.study, shares, min(workers, len(shares)))
            return
        for share in shares:
            self.make(share)
            yield share

    def _shares(self, runs: list[FoldRun]) -> list[list[FoldRun]]:
        if not self.study.group_by_test_subjects:
            return [[run] for run in runs]
        ordered = sorted(runs, key=lambda run: (run.fold.test, run.seed))
        return [list(group) for _, group in groupby(ordered, key=lambda run: run.fold.test)]

    def predictions(self, runs: Sequence[FoldRun]) -> pd.DataFrame:
        """What is kept of these runs."""
        return pd.concat([read_predictions(self._kept(run, "parquet"))[0] for run in runs])

    def curves(self, runs: Sequence[FoldRun]) -> pd.DataFrame:
        """CURVE_COLUMNS of these runs, one row an epoch and split."""
        return pd.concat([pd.read_csv(self._kept(run, "csv"), float_precision="round_trip") for run in runs])

    def about(self) -> dict[str, Any]:
        """What a predictions file says of itself."""
        return self._inputs() | {
            "cohort": str(self.store.manifest["cohort"]),
            "simulated": bool(self.store.manifest["simulated"]),
            "provenance": self.method.provenance,
            "licence": self.method.licence,
            "inputs": list(self.method.inputs),
            "left_out": [list(row) for row in self.choice.left_out],
        }

    def _inputs(self) -> dict[str, Any]:
        """What determines a method's results besides seed and fold."""
        return {
            "method": self.method.name,
            "fingerprint": self.method.fingerprint(),
            "code": digest_of_sources([*HARNESS_SOURCES, *self.method.sources]),
            "libraries": library_versions(self.method.libraries),
            "windows_sha256": sha256_file(self.store.folder / "manifest.json"),
            "last_s": self.params.finetune.last_s,
            "high_from": self.params.finetune.high_from,
        }

    def _kept(self, run: FoldRun, suffix: str) -> Path:
        return self.study.runs_folder / f"{run.digest}.{suffix}"


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
        windows_folder, encoder_path, runs_folder: see `Study`.
        out_parquet: written last, see `physiopipe.experiments.predictions`.
        curves_csv: CURVE_COLUMNS, one row an epoch and split; only a header where nothing is trained in epochs.

    Raises:
        PhysiopipeError: a subject on two sides of a split, no usable clip, or what the method itself refuses.
    """
    validation_runs = CrossValidation(Study(name, params, windows_folder, encoder_path, runs_folder))
    runs = validation_runs.runs()
    validation_runs.make_missing(runs)
    if curves_csv is not None:
        _write_csv(curves_csv, validation_runs.curves(runs))
    write_predictions(out_parquet, validation_runs.predictions(runs), validation_runs.about())


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    with atomic_file(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
