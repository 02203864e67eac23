"""LEAKY on purpose: windows shuffled over the sides of a split, to show what that mistake would have claimed.

Windows of one clip are then in training and in test alike, and a method that recognises the clip knows its rating. No
row made here may stand beside honest ones: it goes to the table of ablations, under the name of what it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physiopipe.clips.clip_data import ClipData
from physiopipe.code_digest import code_digest
from physiopipe.experiments.cross_validation import CrossValidation, Study
from physiopipe.experiments.fold_run import FoldRun
from physiopipe.experiments.predictions import write_predictions
from physiopipe.experiments.subject_splits import GROUPS, Fold, shuffled_windows
from physiopipe.files import sha256_json

PROVENANCE = "LEAKY: windows shuffled over the split, so that training windows come from test clips"


@dataclass(frozen=True)
class LeakyFoldRun(FoldRun):
    """One of a seed's five groups of windows is tested, of the fold's test subjects; the next validates."""

    def sides(self, clips: ClipData) -> tuple[ClipData, ClipData, ClipData]:
        train, validation, test = leaky_sides(clips, self.seed, self.number)
        return train, validation, test.of_subjects(self.fold.test)


def run_leaky(study: Study, out_parquet: Path) -> None:
    """Fit and predict with shuffled windows, for every seed, on the clips that the honest protocol tests.

    A clip's probability is the mean over the groups that hold windows of it.
    """
    validation = CrossValidation(study)
    print(f"{study.method}: {PROVENANCE}", flush=True)
    runs = leaky_runs(validation.runs_with_meaning(leaks_determined_by()))
    validation.make_missing(runs)
    whole = validation.predictions(runs).groupby(["seed", "subject", "clip", "label"], as_index=False)
    first = dict.fromkeys(("method", "protocol", "truth"), "first")
    frame = whole.agg(first | dict.fromkeys(("probability", "threshold"), "mean")).assign(fold=0)
    write_predictions(out_parquet, frame, validation.about() | {"provenance": PROVENANCE, "leaky": True})


def leaks_determined_by() -> dict[str, Any]:
    """What determines a leaky fold beside what determines an honest one."""
    return {"leaky": code_digest(__name__)}


def leaky_runs(honest: Sequence[FoldRun]) -> list[LeakyFoldRun]:
    """The leaky folds of every seed, from the honest runs that `leaks_determined_by` is told of."""
    runs: list[LeakyFoldRun] = []
    for seed in dict.fromkeys(run.seed for run in honest):
        mine = [run for run in honest if run.seed == seed]
        tested = Fold((), (), tuple(sorted({subject for run in mine for subject in run.fold.test})))
        digests = [sha256_json([number, [run.digest for run in mine]]) for number in range(GROUPS)]
        runs += [LeakyFoldRun(seed, number, tested, digest, digest) for number, digest in enumerate(digests)]
    return runs


def leaky_sides(clips: ClipData, seed: int, number: int) -> tuple[ClipData, ClipData, ClipData]:
    """Training, validation and test windows of one of a seed's GROUPS leaky folds."""
    group = shuffled_windows(len(clips.clip_of), seed)
    test, validation = group == number, group == (number + 1) % GROUPS
    return clips.of_windows(~(test | validation)), clips.of_windows(validation), clips.of_windows(test)
