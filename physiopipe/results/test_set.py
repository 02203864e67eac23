"""Predictions read back from their files and held to each other: one cohort, protocol, seeds, clips and truth."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from physiopipe.clips.clip_data import NUMBERS_OF_RECORDING
from physiopipe.errors import PhysiopipeError
from physiopipe.experiments.predictions import read_predictions
from physiopipe.results.intervals import SeedPredictions
from physiopipe.results.study import Study

AGAIN = "Run `dvc repro` again, so that predictions and parameters agree."


@dataclass(frozen=True)
class TestSet:
    """Predictions of every method on the very same clips.

    Attributes:
        tasks: names, in the order of the predictions' columns.
        subjects: names; a subject's index is its place here.
        clips: number of (subject, clip) pairs, over all seeds.
        methods: by name, one SeedPredictions a seed.
        about: by name, what the predictions' file says of itself.
        without_meaning: by name, why a method says nothing on this cohort; such a method is not among `methods`.
        clip_names: (subject, clip) of each row that `SeedPredictions.row` numbers.
    """

    __test__ = False  # no test of pytest's

    tasks: tuple[str, ...]
    subjects: tuple[str, ...]
    clips: int
    methods: dict[str, list[SeedPredictions]]
    about: dict[str, dict[str, Any]]
    without_meaning: dict[str, str] = field(default_factory=dict)
    clip_names: tuple[tuple[str, int], ...] = ()

    def title(self, name: str) -> str:
        """How tables and figures call a method."""
        return title_of(name, self.about.get(name, {}))


def title_of(name: str, about: Mapping[str, Any]) -> str:
    """How a predictions file calls its row, or its name as words where it does not say."""
    return str(about.get("title") or name.replace("_", " ").capitalize())


def read_test_set(folder: Path, study: Study, names: Iterable[str], without: Collection[str] = ()) -> TestSet:
    """Read `folder`/<name>.parquet of these names, but for the subjects `without`."""
    return read_predictions_of({name: folder / f"{name}.parquet" for name in names}, study, without)


def read_predictions_of(files: Mapping[str, Path], study: Study, without: Collection[str] = ()) -> TestSet:
    """Read these files, by name, and hold them to one cohort, protocol, seeds, clips and truth.

    Args:
        without: subjects whose predictions are left out.

    Raises:
        PhysiopipeError: a file is missing, of another cohort, protocol, seeds or tasks, or tested on other clips.
    """
    frames: dict[str, pd.DataFrame] = {}
    about: dict[str, dict[str, Any]] = {}
    without_meaning: dict[str, str] = {}
    for name, path in files.items():
        frame, about[name] = read_predictions(path)
        check_about(path, about[name], study)
        if about[name].get("without_meaning"):
            without_meaning[name] = str(about[name]["without_meaning"])
            continue
        check_predictions(path, frame, study)
        frames[name] = frame[~frame["subject"].isin(list(without))]
    if not frames:
        return TestSet(study.tasks, (), 0, {}, about, without_meaning)
    first = next(iter(frames))
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
        name: [
            one_seed(part, subjects, rows, study.tasks, study.scored_by) for _, part in frame.groupby("seed", sort=True)
        ]
        for name, frame in frames.items()
    }
    return TestSet(study.tasks, subjects, len(clips), methods, about, without_meaning, tuple(rows))


def check_about(path: Path, about: Mapping[str, Any], study: Study) -> None:
    """Hold what a file says of itself to the study."""
    if about.get("cohort", study.cohort) != study.cohort:
        raise PhysiopipeError(f"{path} is of the cohort {about['cohort']}, expected {study.cohort}. {AGAIN}")
    if bool(about.get("simulated", study.simulated)) != study.simulated:
        kinds = {True: "simulated recordings", False: "real ones"}
        raise PhysiopipeError(
            f"{path} was made from {kinds[not study.simulated]}, params.yaml says {kinds[study.simulated]}. {AGAIN}"
        )


def check_predictions(path: Path, frame: pd.DataFrame, study: Study) -> None:
    """Hold a file's rows to the protocol, seeds and tasks of the study."""
    expected: dict[str, tuple[str, set[Any]]] = {
        "protocol": ("params.yaml says", {study.settings.protocol}),
        "seed": ("params.yaml says", set(study.settings.seeds)),
        "label": ("the cohort has", set(study.tasks)),
    }
    for column, (whose, values) in expected.items():
        found = set(frame[column].unique())
        if found != values:
            raise PhysiopipeError(f"{path}: {column} is {_listed(found)}, {whose} {_listed(values)}. {AGAIN}")
    twice = frame.duplicated(["seed", "subject", "clip", "label"])
    if twice.any():
        found_twice = frame[twice].iloc[0][["seed", "subject", "clip"]].to_dict()
        raise PhysiopipeError(f"{path}: a clip is tested in two folds of one seed: {found_twice}. {AGAIN}")


def _truth(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    key = ["seed", "subject", "clip", "label"]
    labels = frame.groupby(["subject", "clip", "label"])["truth"].nunique()
    if (labels > 1).any():
        raise PhysiopipeError(f"{path}: a clip's truth changes between seeds: {labels[labels > 1].index[0]}.")
    return frame[[*key, "truth"]].sort_values(key, ignore_index=True)


def one_seed(
    frame: pd.DataFrame,
    subjects: tuple[str, ...],
    rows: Mapping[Any, int],
    tasks: tuple[str, ...],
    scored_by: Literal["clip", "window"] = "clip",
) -> SeedPredictions:
    """Predictions of one seed as the statistics take them; `rows` numbers the clips (subject, clip)."""
    wide = frame.pivot(index=["subject", "clip"], columns="label", values=["truth", "probability", "threshold"])
    gaps = np.flatnonzero(wide["truth"].isna().to_numpy().any(axis=1))
    if gaps.size:
        subject, clip = wide.index[int(gaps[0])]
        raise PhysiopipeError(f"Predictions of {frame['method'].iloc[0]} lack a task of {subject}, clip {clip}.")
    order = list(tasks)
    numbers = np.array([clip for _, clip in wide.index], dtype=np.int64)
    return SeedPredictions(
        subject=np.array([subjects.index(subject) for subject, _ in wide.index], dtype=np.int64),
        row=np.array([rows[key] for key in wide.index], dtype=np.int64),
        truth=wide["truth"][order].to_numpy() == 1,
        probability=wide["probability"][order].to_numpy(dtype=np.float64),
        threshold=wide["threshold"][order].to_numpy(dtype=np.float64),
        recording=numbers // NUMBERS_OF_RECORDING if scored_by == "window" else None,
    )


def _listed(values: set[Any]) -> str:
    return ", ".join(str(value) for value in sorted(values))
