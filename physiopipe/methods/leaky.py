"""LEAKY on purpose: windows shuffled over the sides of a split, to show what that mistake would have claimed.

Windows of one clip are then in training and in test alike, and a method that recognises the clip knows its rating. No
row made here may stand beside honest ones: it goes to the table of ablations, under the name of what it is.
"""

from dataclasses import dataclass
from pathlib import Path

from physiopipe.files import sha256_json
from physiopipe.methods.base import ClipData
from physiopipe.methods.cells import Cell
from physiopipe.methods.harness import Bench, Study
from physiopipe.methods.sources import digest_of_sources
from physiopipe.params import MethodName, Params
from physiopipe.results.predictions import write_predictions
from physiopipe.windows.splits import GROUPS, Fold, shuffled_windows

PROVENANCE = "LEAKY: windows shuffled over the split, so that training windows come from test clips"


@dataclass(frozen=True)
class LeakyCell(Cell):
    """One of a seed's five groups of windows is tested, of the fold's test subjects; the next validates."""

    def sides(self, clips: ClipData) -> tuple[ClipData, ClipData, ClipData]:
        train, validation, test = leaky_sides(clips, self.seed, self.number)
        return train, validation, test.of_subjects(self.fold.test)


def run_leaky(
    name: MethodName,
    params: Params,
    windows_folder: Path,
    encoder_path: Path | None,
    out_parquet: Path,
    runs_folder: Path,
) -> None:
    """Fit and predict with shuffled windows, for every seed, on the clips that the honest protocol tests.

    A clip's probability is the mean over the groups that hold windows of it.
    """
    bench = Bench(Study(name, params, windows_folder, encoder_path, runs_folder))
    print(f"{name}: {PROVENANCE}", flush=True)
    honest = bench.cells({"leaky": digest_of_sources(["methods/leaky.py"])})
    cells = []
    for seed in params.evaluate.seeds:
        mine = [cell for cell in honest if cell.seed == seed]
        tested = Fold((), (), tuple(sorted({subject for cell in mine for subject in cell.fold.test})))
        digests = [cell.digest for cell in mine]
        cells += [LeakyCell(seed, number, tested, sha256_json([number, digests])) for number in range(GROUPS)]
    bench.make_missing(cells)
    whole = bench.predictions(cells).groupby(["seed", "subject", "clip", "label"], as_index=False)
    first = dict.fromkeys(("method", "protocol", "truth"), "first")
    frame = whole.agg(first | dict.fromkeys(("probability", "threshold"), "mean")).assign(fold=0)
    write_predictions(out_parquet, frame, bench.about() | {"provenance": PROVENANCE, "leaky": True})


def leaky_sides(clips: ClipData, seed: int, number: int) -> tuple[ClipData, ClipData, ClipData]:
    """Training, validation and test windows of one of a seed's GROUPS leaky folds."""
    group = shuffled_windows(len(clips.clip_of), seed)
    test, validation = group == number, group == (number + 1) % GROUPS
    return clips.of_windows(~(test | validation)), clips.of_windows(validation), clips.of_windows(test)
