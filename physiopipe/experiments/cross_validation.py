"""One method over protocol × seeds × folds; every result is kept under a digest of what determines it."""

import copy
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from tqdm import tqdm

from physiopipe import cpu_time
from physiopipe.clips.baseline import BASELINE_WORDS
from physiopipe.clips.clip_data import MODALITIES, ClipData
from physiopipe.clips.gathering import artefacts_of, gather_clips
from physiopipe.clips.selection import clips_without_beats
from physiopipe.code_digest import code_digest, library_versions
from physiopipe.cohorts.registry import cohort
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.fit_cost import fit_cost, write_costs
from physiopipe.experiments.fold_run import Fitted, FoldRun, predicted
from physiopipe.experiments.kept_folds import CURVE_COLUMNS, KeptFolds, write_curve
from physiopipe.experiments.predictions import COLUMNS, write_predictions
from physiopipe.experiments.processes import run_in_processes
from physiopipe.experiments.study import Study as Study
from physiopipe.experiments.subject_splits import fewer_training_subjects
from physiopipe.files import atomic_file, sha256_file, sha256_json
from physiopipe.methods.base import Method, Setup
from physiopipe.methods.registry import method_class
from physiopipe.params import Params
from physiopipe.params.clips import BaselineUse
from physiopipe.windows.store import WindowStore


class Tester(Protocol):
    """Predictions on test clips, a frame for each of the fitted methods, which share them."""

    def __call__(self, params: Params, fitted: Sequence[Fitted], test: ClipData) -> list[pd.DataFrame]: ...


def predict_once(params: Params, fitted: Sequence[Fitted], test: ClipData) -> list[pd.DataFrame]:
    """Predictions of the clips as they are, with thresholds from the validation clips."""
    return [predicted(each, params.evaluate.protocol, test) for each in fitted]


class CrossValidation:
    """Where a study's runs are made: its method, its clips, read when first needed, and what is kept."""

    def __init__(self, study: Study, tester: Tester = predict_once, group_by_test_subjects: bool = False) -> None:
        """Set up; no window is read yet.

        Args:
            tester: what is predicted once a method is fitted; a function of a module, which other processes import.
            group_by_test_subjects: whether runs with the same test subjects are made at once: `tester` prepares these
                once.
        """
        self.study, self.params = study, study.params
        self._tester, self._grouped = tester, group_by_test_subjects
        self.kept = KeptFolds(study.state_folder / "finetune")
        self.store = WindowStore(study.windows_root / study.cohort)
        self.choice = study.choose(self.store)
        setup = Setup(self.params, study.encoder_path, study.state_folder, tuple(cohort(study.cohort).modalities))
        self.method = method_class(study.method)(setup)
        self._before = cpu_time.Account()  # what was spent on all clips, for every fold

    @cached_property
    def clips(self) -> ClipData:
        """All clips; what the method computes of windows without their labels is computed, or read, with them."""
        clips = gather_clips(self.store, self.choice, self.study.rule)
        for modality in MODALITIES:
            clips.digests(modality)  # hashed once: the sides of every fold compare them
        with cpu_time.accounted() as self._before:
            self.method.precompute(clips.without_labels())
        return clips

    def runs(self, extra: dict[str, Any] | None = None, device: str | None = None) -> list[FoldRun]:
        """Every seed and fold of the protocol.

        Args:
            extra: JSON values that determine the predictions, but not the fits.
            device: the runs as they are named on a machine that trains on this device; None: on this machine.
        """
        common, protocol = self._inputs(), self.params.evaluate.protocol
        if device is not None and "device" in common["fingerprint"]:
            common["fingerprint"] = common["fingerprint"] | {"device": device}
        subjects = sorted(self.choice.clips["subject"].unique())
        runs = []
        for seed in self.params.evaluate.seeds:
            for number, whole in enumerate(self.study.split(subjects, seed)):
                fold = fewer_training_subjects(whole, self.params.evaluate.train_share, seed)
                sides = {"train": sorted(fold.train), "validation": sorted(fold.validation), "test": sorted(fold.test)}
                fitted = sha256_json({**common, "protocol": protocol, "seed": seed, "fold": number, **sides})
                digest = fitted if extra is None else sha256_json({"fitted": fitted, **extra})
                runs.append(FoldRun(seed, number, fold, digest, fitted))
        return runs

    def runs_with_meaning(self, extra: dict[str, Any] | None = None) -> list[FoldRun]:
        """As `runs`; none, and a word on it, where the method says nothing on the cohort."""
        reason = self.study.without_meaning
        if not reason:
            return self.runs(extra)
        print(f"{self.study.method} on {self.study.cohort}: {reason.rstrip('.')}. No row is made.", flush=True)
        return []

    def make(self, runs: Sequence[FoldRun]) -> None:
        """Fit, or restore, and test runs that share their test subjects, and keep what is made."""
        fitted = []
        for run in runs:
            train, validation, test = run.sides(self.clips)
            fitted.append(Fitted(run, self._fitted(run, train, validation), validation))
        for each, frame in zip(fitted, self._tester(self.params, fitted, test), strict=True):
            self.kept.save_predictions(each.run.digest, frame, self._about_run(each.run))  # last: it marks the run done

    def _fitted(self, run: FoldRun, train: ClipData, validation: ClipData) -> Method:
        """The method as a run fits it: restored where an earlier run has fitted it, else fitted and kept."""
        method = copy.copy(self.method)
        if self.kept.has_curve(run.fitted):
            known = self.kept.fitted(run.fitted)
            if known is not None:
                return method.restore(*known)
        with cpu_time.accounted() as spent:
            method.fit(train, validation, run.seed)
        self.kept.save_cost(run.fitted, fit_cost(method, spent, self._before))
        self.kept.save_curve(run.fitted, method.curve(), self._about_run(run))
        self.kept.save_fitted(run.fitted, method)
        return method

    def make_missing(self, runs: Sequence[FoldRun]) -> None:
        """Make the runs that are not kept yet, in as many processes as are worth it."""
        name, plain = self.study.method, not sys.stderr.isatty()
        missing = [run for run in runs if not self._is_kept(run)]
        print(f"{name}: {self.method.provenance}", flush=True)  # an untrained encoder is told here as in the table
        for subject, clip, reason in self.choice.left_out:
            print(f"{name}: {subject} clip {clip} is left out: {reason}")
        if not missing:
            return
        for line in self.method.remarks(self.clips):
            print(f"{name}: {line}", flush=True)
        done = 0
        with tqdm(total=len(missing), desc=name, unit="fold", disable=None) as bar:
            for made in self._made(self._shares(missing)):
                for run in made:
                    done += 1
                    bar.update()
                    if plain:
                        print(f"{name}: seed {run.seed} fold {run.number} done, {done} of {len(missing)}", flush=True)
        size = self.kept.fitted_bytes({run.fitted for run in runs})
        print(f"{name}: {len(runs)} fitted folds are kept in {self.kept.folder}, {size / 1e6:.1f} MB", flush=True)

    def _is_kept(self, run: FoldRun) -> bool:
        """Whether a run's predictions are there, and its curve where they are the fit's own."""
        return self.kept.has_predictions(run.digest) and (run.digest != run.fitted or self.kept.has_curve(run.fitted))

    def _made(self, shares: list[list[FoldRun]]) -> Iterator[list[FoldRun]]:
        """Each share of runs once it is made, here or in other processes."""
        cores = self.params.run.threads or len(os.sched_getaffinity(0))
        workers = self.method.workers(sum(map(len, shares)), cores)
        if workers > 1:
            _ = self.clips  # what all processes need is computed once, and kept where they find it
            run = self.params.run.model_copy(update={"threads": 1})
            single = replace(self.study, params=self.params.model_copy(update={"run": run}))
            begin = partial(_begin, single, self._tester, self._grouped)
            workers = min(workers, len(shares))
            yield from run_in_processes(self.study.method, begin, shares, workers, self.params.run.device != "cpu")
            return
        for share in shares:
            self.make(share)
            yield share

    def _shares(self, runs: list[FoldRun]) -> list[list[FoldRun]]:
        if not self._grouped:
            return [[run] for run in runs]
        ordered = sorted(runs, key=lambda run: (run.fold.test, run.seed))
        return [list(group) for _, group in groupby(ordered, key=lambda run: run.fold.test)]

    def predictions(self, runs: Sequence[FoldRun]) -> pd.DataFrame:
        """What is kept of these runs."""
        empty = pd.DataFrame(columns=list(COLUMNS))
        return pd.concat([self._there(self.kept.predictions(run.digest)) for run in runs]) if runs else empty

    def curves(self, runs: Sequence[FoldRun]) -> pd.DataFrame:
        """CURVE_COLUMNS of these runs, one row an epoch and split."""
        empty = pd.DataFrame(columns=list(CURVE_COLUMNS))
        return pd.concat([self._there(self.kept.curve(run.fitted)) for run in runs]) if runs else empty

    def costs(self, runs: Sequence[FoldRun]) -> list[dict[str, Any]]:
        """What fitting these runs cost, COST_COLUMNS; only whose it was where that is not known."""
        return [self._about_run(run) | (self.kept.cost(run.fitted) or {}) for run in runs]

    def _there(self, frame: pd.DataFrame | None) -> pd.DataFrame:
        if frame is None:
            raise PhysiopipeError(f"{self.kept.folder}: a fold that was made is there no more. Run again.")
        return frame

    def about(self) -> dict[str, Any]:
        """What a predictions file says of itself."""
        method = self.method
        return self._inputs() | {
            "cohort": self.study.cohort,
            "cohort_title": cohort(self.study.cohort).title,
            "simulated": bool(self.store.manifest["simulated"]),
            "tasks": list(self.choice.tasks),
            "title": method.title,
            "note": method.note,
            "details": " ".join(each for each in (method.details, *self._rule_words()) if each),
            "reads": method.reads,
            "encoders": method.encoders,
            "family": method.family,
            "provenance": method.provenance,
            "licence": method.licence,
            "inputs": [each for each in method.inputs if each in cohort(self.study.cohort).modalities],
            "left_out": [list(row) for row in self.choice.left_out],
            "artefacts": list(artefacts_of(self.store, self.choice, self.study.rule)),
            "without_beats": [list(row) for row in clips_without_beats(self.store, self.choice)],
            **({"without_meaning": self.study.without_meaning} if self.study.without_meaning else {}),
        }

    @property
    def _baseline(self) -> BaselineUse:
        """What the method makes of baselines; where it reads none, they make no other fit of it."""
        return self.study.rule.baseline if self.method.uses_baseline else "none"

    def _rule_words(self) -> Iterator[str]:
        """Sentences for tables on what was done to the clips."""
        rule, inputs = self.study.rule, self.method.inputs
        if rule.ecg_leads == "limb" and "ecg" in inputs:
            yield "The ECG is the six limb leads, derived from the recorded ones."
        if rule.baseline != "none" and inputs:
            yield BASELINE_WORDS[self._baseline]

    def _about_run(self, run: FoldRun) -> dict[str, Any]:
        """Whose fold it is: the first columns of a curve."""
        about = {"method": self.method.name, "protocol": self.params.evaluate.protocol}
        return about | {"seed": run.seed, "fold": run.number}

    def _inputs(self) -> dict[str, Any]:
        """What determines a fitted method besides seed and sides."""
        return {
            "method": self.method.name,
            "fingerprint": self.method.fingerprint(),
            "code": code_digest(type(self.method).__module__, __name__),
            "libraries": library_versions(self.method.libraries),
            "windows_sha256": sha256_file(self.store.folder / "manifest.json"),
            "last_s": self.study.rule.last_s,
            "baseline": self._baseline,
            "signals": self.study.rule.model_dump(mode="json", include={"artefacts", "ecg_leads"}),
            "high_from": self.study.high_from,
            **({"scored_by": "window"} if cohort(self.study.cohort).scored_by == "window" else {}),
        }


def _begin(study: Study, tester: Tester, grouped: bool) -> Callable[[Sequence[FoldRun]], None]:
    """In another process: how it makes runs."""
    return CrossValidation(study, tester, grouped).make


def run_method(study: Study, out_parquet: Path, curves_csv: Path | None = None, costs_csv: Path | None = None) -> None:
    """Fit and predict every seed and fold that is not there yet; write all predictions and training curves.

    Args:
        out_parquet: written last, see `physiopipe.experiments.predictions`.
        curves_csv: CURVE_COLUMNS, one row an epoch and split; only a header where nothing is trained in epochs.
        costs_csv: COST_COLUMNS, one row a seed and fold; its seconds are never the same twice.

    Raises:
        PhysiopipeError: a subject on two sides of a split, no usable clip, or what the method itself refuses.
    """
    validation = CrossValidation(study)
    runs = validation.runs_with_meaning()
    validation.make_missing(runs)
    if curves_csv is not None:
        with atomic_file(curves_csv) as temporary:
            write_curve(temporary, validation.curves(runs))
    if costs_csv is not None:
        write_costs(costs_csv, validation.costs(runs))
    write_predictions(out_parquet, validation.predictions(runs), validation.about())
