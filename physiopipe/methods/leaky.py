"""LEAKY on purpose: windows shuffled over the sides of a split, to show what that mistake would have claimed.

Windows of one clip are then in training and in test alike, and a method that recognises the clip knows its rating. No
row made here may stand beside honest ones: it goes to the table of ablations, under the name of what it is.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from physiopipe.methods.base import ClipData, Setup, method_class
from physiopipe.methods.clips import choose_clips, gather_clips
from physiopipe.methods.harness import Cell, about_method, cells_of, predicted
from physiopipe.params import MethodName, Params
from physiopipe.results.predictions import write_predictions
from physiopipe.windows.splits import GROUPS, Fold, shuffled_windows
from physiopipe.windows.store import WindowStore

PROVENANCE = "LEAKY: windows shuffled over the split, so that training windows come from test clips"


def run_leaky(
    name: MethodName, params: Params, windows_folder: Path, encoder_path: Path | None, out_parquet: Path
) -> None:
    """Fit and predict with shuffled windows, for every seed, on the clips that the honest protocol tests.

    Five groups of windows for each seed: group g is tested, g + 1 validates, the others train. A clip's probability is
    the mean over the groups that hold windows of it.
    """
    store = WindowStore(windows_folder)
    choice = choose_clips(store, params.finetune)
    clips = gather_clips(store, choice)
    method = method_class(name)(Setup(params, encoder_path, Path(params.run.state_folder)))
    print(f"{name}: {PROVENANCE}", flush=True)
    method.remember(clips.without_labels())
    honest = cells_of(method, params, windows_folder, sorted(choice.clips["subject"].unique()))
    frames = []
    for seed in params.evaluate.seeds:
        tested = {subject for cell in honest if cell.seed == seed for subject in cell.fold.test}
        parts = []
        for number, train, validation, test in leaky_sides(clips, seed):
            method.fit(train, validation, seed)
            cell = Cell(seed, number, Fold((), (), ()), "")
            parts.append(predicted(method, cell, params.evaluate.protocol, validation, test.of_subjects(tested)))
        whole = pd.concat(parts).groupby(["subject", "clip", "label"], as_index=False)
        frames.append(
            whole.agg({"method": "first", "protocol": "first", "seed": "first", "truth": "first"}
                      | dict.fromkeys(("probability", "threshold"), "mean")).assign(fold=0)
        )  # fmt: skip
    about = about_method(method, params, store, choice) | {"provenance": PROVENANCE, "leaky": True}
    write_predictions(out_parquet, pd.concat(frames), about)


def leaky_sides(clips: ClipData, seed: int) -> Iterator[tuple[int, ClipData, ClipData, ClipData]]:
    """Number, training, validation and test windows of each of the five leaky folds."""
    group = shuffled_windows(len(clips.clip_of), seed)
    for number in range(GROUPS):
        test, validation = group == number, group == (number + 1) % GROUPS
        train = ~(test | validation)
        yield number, clips.of_windows(train), clips.of_windows(validation), clips.of_windows(test)
