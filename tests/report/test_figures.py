import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from made_up_predictions import (
    make_params,
    make_predictions,
    seed_predictions,
    write_predictions_of_all,
    write_side_predictions,
)
from PIL import Image
from sklearn.metrics import roc_curve

from physiopipe.errors import PhysiopipeError
from physiopipe.report.composition import by_source, covered_s
from physiopipe.report.curves import finetuning_loss, roc_curves, roc_on_grid
from physiopipe.report.figures import make_figures, read_table
from physiopipe.results.evaluate import TestSet as Predicted
from physiopipe.results.evaluate import evaluate
from physiopipe.results.side_tables import write_side_tables

NAMES = {
    "challenge_composition", "challenge_lengths", "confusion", "dreamer_lengths", "dreamer_ratings",
    "finetuning_loss", "pretraining_loss", "quality_challenge_ecg", "quality_dreamer_ecg", "quality_dreamer_eeg",
    "reconstruction_100hz", "reconstruction_200hz", "reconstruction_500hz", "reconstruction_1000hz", "robustness",
    "roc", "subject_auc",
}  # fmt: skip


@pytest.mark.slow
def test_every_figure_is_drawn_and_two_runs_write_the_same_bytes(drawn: Path, tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in (drawn / "results" / "figures").iterdir()}
    assert set(first) == {f"{name}.{suffix}" for name in NAMES for suffix in ("png", "svg")}
    results = tmp_path / "results"
    shutil.copytree(drawn / "results", results, ignore=shutil.ignore_patterns("figures"))
    with mpl.rc_context({"font.size": 30}):  # a reader's own settings change nothing
        make_figures(results, drawn / "windows", make_params())
    assert first == {path.name: path.read_bytes() for path in (results / "figures").iterdir()}
    for name, content in first.items():
        if name.endswith(".svg"):
            ElementTree.fromstring(content)
            assert b"<dc:date>" not in content
        else:
            pixels = np.asarray(Image.open(results / "figures" / name).convert("L"))
            assert pixels.std() > 5  # something is drawn


@pytest.mark.filterwarnings("error")
def test_two_test_subjects_of_few_clips_are_enough(
    made_study: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resamples of one class alone, labels without a low clip: nothing is drawn from them, nothing fails."""
    results, windows = made_study
    # These do not depend on predictions
    monkeypatch.setattr("physiopipe.report.quality_strips.quality_plots", lambda *_: {})
    monkeypatch.setattr("physiopipe.report.reconstructions.read_reconstructions", lambda *_: [])
    write_predictions_of_all(results / "predictions", (0,), subjects=2, clips=4)
    write_side_predictions(results, (0,), subjects=2, clips=4)
    params = make_params(seeds=[0])
    evaluate(results / "predictions", params, results)
    write_side_tables(results, params)
    make_figures(results, windows, params)
    assert (results / "figures" / "roc.png").exists()


def test_roc_goes_through_scikit_learns() -> None:
    frame = make_predictions("ours", (0,), 12, 18, 0.8)
    (one,) = seed_predictions(frame)
    drawn = roc_on_grid(one, 1, np.ones((1, 12)))[0]
    alarms, hits, _ = roc_curve(one.truth[:, 1], one.probability[:, 1], drop_intermediate=False)
    assert drawn == pytest.approx(np.interp(np.linspace(0, 1, 101), alarms, hits), abs=1e-12)


@pytest.mark.parametrize("methods", [3, 12])
def test_roc_has_room_for_titles_and_legend(methods: int) -> None:
    seeds = seed_predictions(make_predictions("ours", (0,), 6, 18, 0.8))
    names = ["ours", *(f"method_{i}" for i in range(1, methods))]
    test = Predicted(tuple("abcdef"), 108, dict.fromkeys(names, seeds), {})
    figure = roc_curves(test, make_params(bootstrap=20).evaluate)
    figure.canvas.draw()
    figure.draw_without_rendering()
    (legend,) = figure.legends
    for axes in figure.axes:
        assert axes.title.get_window_extent().y1 <= figure.bbox.y1
        assert axes.xaxis.label.get_window_extent().y0 >= legend.get_window_extent().y1


def test_composition_counts_records_and_names_missing_sources(made_study: tuple[Path, Path]) -> None:
    index = read_table(made_study[1] / "challenge" / "index.parquet")
    table = by_source(index, ["georgia", "ptb", "ningbo"]).set_index("source")
    assert table.loc["georgia", "records"] == 12
    assert table.loc["ningbo", "records"] == 0
    assert table.loc["georgia", "hours"] == pytest.approx(12 * 10 / 3600, abs=0.01)
    assert table.loc["georgia", "windows, 1000 Hz"] == 12 * 5
    assert covered_s(index)["georgia0"] == pytest.approx(10)


def test_a_missing_input_is_named_with_what_to_do(made_study: tuple[Path, Path]) -> None:
    results, windows = made_study
    (results / "pretrain" / "loss.csv").unlink()
    with pytest.raises(PhysiopipeError, match=r"loss\.csv is missing: run the step"):
        make_figures(results, windows, make_params())


def test_training_curves_of_many_methods_stay_readable() -> None:
    points = [(name, 0, 0, epoch, "train", 1.0 / epoch, 0.5) for name in "abcde" for epoch in (1, 2, 3)]
    curves = pd.DataFrame(points, columns=["method", "seed", "fold", "epoch", "split", "loss", "auc"])
    figure = finetuning_loss(curves)
    assert figure.get_size_inches()[0] < 14
    assert [axes.get_title() for axes in figure.axes if axes.axison] == ["A", "B", "C", "D", "E"]
