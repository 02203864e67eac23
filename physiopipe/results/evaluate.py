"""From saved predictions to metrics.json, comparisons.csv and Table 1; nothing is trained here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.predictions import read_predictions
from physiopipe.files import atomic_file, write_json
from physiopipe.params import Params
from physiopipe.results.metrics import HEADLINE, LABELS, attainable_share
from physiopipe.results.statistics import (
    MEAN,
    Comparison,
    Estimates,
    SeedPredictions,
    compare,
    estimate,
    permutation_p_values,
    resample_subjects,
)
from physiopipe.results.table1 import Measured, Setting, assemble, attainable_of
from physiopipe.results.typeset import as_latex, as_markdown, typeset

REFERENCE = "ours"  # the method that the others are compared with
_DECIMALS = 6  # sums of another BLAS differ further down


@dataclass(frozen=True)
class TestSet:
    """Predictions of every method on the very same clips.

    Attributes:
        subjects: names; a subject's index is its place here.
        clips: number of (subject, clip) pairs, over all seeds.
        methods: by name, one SeedPredictions a seed.
        about: by name, what the predictions' file says of itself.
    """

    subjects: tuple[str, ...]
    clips: int
    methods: dict[str, list[SeedPredictions]]
    about: dict[str, dict[str, Any]]


def evaluate(predictions_folder: Path, params: Params, out_folder: Path) -> None:
    """Write metrics.json, comparisons.csv, table1.csv, table1.md and table1.tex into `out_folder`.

    Raises:
        PhysiopipeError: predictions missing, of another protocol or cohort, or not on the same clips.
    """
    test = read_test_set(predictions_folder, params)
    settings = params.evaluate
    weights = resample_subjects(len(test.subjects), settings.bootstrap, settings.resampling_seed)
    estimates = {name: estimate(seeds, weights, settings.confidence) for name, seeds in test.methods.items()}
    p_values = permutation_p_values(list(test.methods.values()), settings.permutations, settings.resampling_seed)
    p_by_method = dict(zip(test.methods, p_values, strict=True))
    comparisons = compare(_pairs(test), estimates, settings.confidence, settings.permutations, settings.resampling_seed)
    attainable = attainable_levels(params)
    frame = assemble(
        [_measured(name, test.about[name], estimates[name], p_by_method[name]) for name in test.methods],
        Setting(
            cohort=cohort_name(params),
            protocol=settings.protocol,
            seeds=len(settings.seeds),
            subjects=len(test.subjects),
            clips=test.clips,
            attainable=attainable,
        ),
    )
    table = typeset(frame, settings.confidence)
    write_json(out_folder / "metrics.json", _metrics(estimates, p_by_method, attainable))
    write_text(out_folder / "comparisons.csv", _comparison_frame(comparisons).to_csv(index=False))
    write_text(out_folder / "table1.csv", frame.to_csv(index=False))
    write_text(out_folder / "table1.md", as_markdown(table))
    write_text(out_folder / "table1.tex", as_latex(table))


def cohort_name(params: Params) -> str:
    """The cohort as tables and figures name it."""
    return "simulated" if params.simulated else "DREAMER"


def read_test_set(folder: Path, params: Params) -> TestSet:
    """Read the predictions of the rows of Table 1 and hold them to one cohort, protocol, seeds, clips and truth."""
    return read_predictions_of({method: folder / f"{method}.parquet" for method in params.table_methods}, params)


def read_predictions_of(files: Mapping[str, Path], params: Params) -> TestSet:
    """Read these files, by name, and hold them to one cohort, protocol, seeds, clips and truth."""
    frames: dict[str, pd.DataFrame] = {}
    about: dict[str, dict[str, Any]] = {}
    for name, path in files.items():
        frames[name], about[name] = read_predictions(path)
        check_predictions(path, frames[name], about[name], params)
    first = next(iter(files))
    whole = frames[first]
    expected = _truth(files[first], whole)
    for name, frame in frames.items():
        truth = _truth(files[name], frame)
        if not truth.equals(expected):
            raise PhysiopipeError(
                f"{files[name]}: {name} and {first} were tested on different clips or labels ({len(truth)} and "
                f"{len(expected)} rows). Rows of one table need the same test set: run `dvc repro` again."
            )
    subjects = tuple(sorted(whole["subject"].unique()))
    clips = whole[["subject", "clip"]].drop_duplicates().sort_values(["subject", "clip"], ignore_index=True)
    rows = {key: row for row, key in enumerate(clips.itertuples(index=False, name=None))}
    methods = {
        name: [one_seed(part, subjects, rows) for _, part in frame.groupby("seed", sort=True)]
        for name, frame in frames.items()
    }
    return TestSet(subjects, len(clips), methods, about)


def check_predictions(path: Path, frame: pd.DataFrame, about: Mapping[str, Any], params: Params) -> None:
    """Hold a file to the protocol, seeds, labels and cohort of the parameters."""
    again = "Run `dvc repro` again, so that predictions and parameters agree."
    expected: dict[str, set[Any]] = {
        "protocol": {params.evaluate.protocol},
        "seed": set(params.evaluate.seeds),
        "label": set(LABELS),
    }
    for column, values in expected.items():
        found = set(frame[column].unique())
        if found != values:
            raise PhysiopipeError(f"{path}: {column} is {_listed(found)}, params.yaml says {_listed(values)}. {again}")
    if bool(about.get("simulated", params.simulated)) != params.simulated:
        found_cohort = "the simulated cohort" if about["simulated"] else "DREAMER"
        raise PhysiopipeError(f"{path} is of {found_cohort}, params.yaml says {cohort_name(params)}. {again}")
    twice = frame.duplicated(["seed", "subject", "clip", "label"])
    if twice.any():
        found_twice = frame[twice].iloc[0][["seed", "subject", "clip"]].to_dict()
        raise PhysiopipeError(f"{path}: a clip is tested in two folds of one seed: {found_twice}. {again}")


def _truth(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    key = ["seed", "subject", "clip", "label"]
    labels = frame.groupby(["subject", "clip", "label"])["truth"].nunique()
    if (labels > 1).any():
        raise PhysiopipeError(f"{path}: a clip's truth changes between seeds: {labels[labels > 1].index[0]}.")
    return frame[[*key, "truth"]].sort_values(key, ignore_index=True)


def one_seed(frame: pd.DataFrame, subjects: tuple[str, ...], rows: Mapping[Any, int]) -> SeedPredictions:
    """Predictions of one seed as the statistics take them; `rows` numbers the clips (subject, clip)."""
    wide = frame.pivot(index=["subject", "clip"], columns="label", values=["truth", "probability", "threshold"])
    gaps = np.flatnonzero(wide["truth"].isna().to_numpy().any(axis=1))
    if gaps.size:
        subject, clip = wide.index[int(gaps[0])]
        raise PhysiopipeError(f"Predictions of {frame['method'].iloc[0]} lack a label of {subject}, clip {clip}.")
    order = list(LABELS)
    return SeedPredictions(
        subject=np.array([subjects.index(subject) for subject, _ in wide.index], dtype=np.int64),
        row=np.array([rows[key] for key in wide.index], dtype=np.int64),
        truth=wide["truth"][order].to_numpy() == 1,
        probability=wide["probability"][order].to_numpy(dtype=np.float64),
        threshold=wide["threshold"][order].to_numpy(dtype=np.float64),
    )


def _pairs(test: TestSet) -> list[tuple[str, str]]:
    if REFERENCE in test.methods:
        return [(REFERENCE, other) for other in test.methods if other != REFERENCE]
    return list(combinations(test.methods, 2))


def _measured(name: str, about: Mapping[str, Any], estimates: Estimates, p_value: Mapping[str, float]) -> Measured:
    inputs = " + ".join(each.upper() for each in about.get("inputs", ()))
    return Measured(
        name, inputs, str(about.get("provenance", "unknown")), str(about.get("licence", "unknown")), estimates, p_value
    )


def attainable_levels(params: Params) -> Mapping[str, tuple[float, float]] | None:
    """Best AUC of each label, (pooled, per subject), where effects were planted; None on a real cohort."""
    if not params.simulated:
        return None
    from physiopipe.cohorts.dreamer_simulation import attainable_auc  # of no use to a real cohort

    found: Mapping[str, tuple[float, float]] = attainable_auc(params.simulate.dreamer)
    return found


def _metrics(
    estimates: Mapping[str, Estimates],
    p_values: Mapping[str, Mapping[str, float]],
    attainable: Mapping[str, tuple[float, float]] | None,
) -> dict[str, dict[str, dict[str, float]]]:
    """Method → label → metric → number; what is undefined is left out. `attainable` stands beside the methods."""
    content: dict[str, dict[str, dict[str, float]]] = {}
    for name, found in estimates.items():
        content[name] = {}
        for label in (*LABELS, MEAN):
            numbers = {
                **found.value[label],
                f"{HEADLINE}_low": found.low[label][HEADLINE],
                f"{HEADLINE}_high": found.high[label][HEADLINE],
                f"{HEADLINE}_p": p_values[name][label],
            }
            best = attainable_of(attainable, label, HEADLINE)
            if math.isfinite(best):
                numbers["attainable_share"] = attainable_share(found.value[label][HEADLINE], best)
            content[name][label] = _rounded(numbers)
    if attainable is not None:
        content["attainable"] = {
            label: _rounded({metric: attainable_of(attainable, label, metric) for metric in ("auc", HEADLINE)})
            for label in (*LABELS, MEAN)
        }
    return content


def _rounded(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, _DECIMALS) for name, value in numbers.items() if math.isfinite(value)}


def _comparison_frame(comparisons: list[Comparison]) -> pd.DataFrame:
    rows = [
        {
            "first": one.first, "second": one.second, "metric": f"{HEADLINE}, {MEAN} of labels",
            "difference_percent": round(100 * one.difference, 4), "low_percent": round(100 * one.low, 4),
            "high_percent": round(100 * one.high, 4), "p_value": round(one.p_value, _DECIMALS),
            "p_holm": round(one.p_holm, _DECIMALS),
        }
        for one in comparisons
    ]  # fmt: skip
    columns = ("first", "second", "metric", "difference_percent", "low_percent", "high_percent", "p_value", "p_holm")
    return pd.DataFrame(rows, columns=list(columns))


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _listed(values: set[Any]) -> str:
    return ", ".join(str(value) for value in sorted(values))
