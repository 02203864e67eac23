import itertools
import json
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from made_up_predictions import (
    LABELS,
    make_latents,
    make_params,
    make_predictions,
    make_study,
    seed_predictions,
    write_predictions_of_all,
    write_side_predictions,
)
from made_up_study import draw
from PIL import Image
from sklearn.metrics import roc_curve

from physiopipe.errors import PhysiopipeError
from physiopipe.report.auc_figures import confusion, headline_plot, roc_curves, roc_on_grid
from physiopipe.report.data_figures import by_source, covered_s, values_plot
from physiopipe.report.loss_figures import finetuning_loss, pretraining_loss, spread_out, used_epochs
from physiopipe.report.read_table import read_table
from physiopipe.report.robustness_figure import robustness_plot
from physiopipe.results.evaluate import evaluate
from physiopipe.results.study import study_of
from physiopipe.results.test_set import TestSet

NAMES = {
    "auc_by_task", "challenge_composition", "challenge_lengths", "challenge_quality_ecg", "confusion", "cost",
    "critical_difference",
    "dreamer_lengths", "dreamer_quality_ecg", "dreamer_quality_eeg", "dreamer_values", "finetuning_loss", "headline",
    "pretraining_loss", "reconstruction_100hz", "reconstruction_1000hz", "robustness", "roc",
}  # fmt: skip


@pytest.mark.slow
def test_every_figure_is_drawn_and_two_runs_write_the_same_bytes(drawn: Path, tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in (drawn / "results" / "figures").iterdir()}
    assert set(first) == {f"{name}.{suffix}" for name in NAMES for suffix in ("png", "svg")}
    results = tmp_path / "results"
    shutil.copytree(drawn / "results", results, ignore=shutil.ignore_patterns("figures"))
    with mpl.rc_context({"font.size": 30}):  # a reader's own settings change nothing
        draw(results, drawn / "windows")
    assert first == {path.name: path.read_bytes() for path in (results / "figures").iterdir()}
    for name, content in first.items():
        if name.endswith(".svg"):
            ElementTree.fromstring(content)
            assert b"<dc:date>" not in content
        else:
            pixels = np.asarray(Image.open(results / "figures" / name).convert("L"))
            assert pixels.std() > 5  # something is drawn


@pytest.mark.filterwarnings("error")
@pytest.mark.slow
def test_two_test_subjects_of_few_clips_are_enough(
    made_study: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resamples of one class alone, labels without a low clip: nothing is drawn from them, nothing fails."""
    results, windows = made_study
    # These do not depend on predictions
    monkeypatch.setattr("physiopipe.report.quality_figures.quality_plots", lambda *_: {})
    monkeypatch.setattr("physiopipe.report.reconstruction_figures.read_reconstructions", lambda *_: [])
    write_predictions_of_all(results / "predictions", (0,), subjects=2, clips=4)
    write_side_predictions(results, (0,), subjects=2, clips=4)
    params = make_params(seeds=[0])
    evaluate(results, replace(study_of(params, "dreamer"), latents=make_latents(2, 4)))
    draw(results, windows, params)
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
    test = TestSet(LABELS, tuple("abcdef"), 108, dict.fromkeys(names, seeds), {})
    figure = roc_curves(test, make_study(bootstrap=20))
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
        draw(results, windows)


def test_training_curves_of_many_methods_stay_readable() -> None:
    points = [(name, 0, 0, epoch, "train", 1.0 / epoch, 0.5) for name in "abcde" for epoch in (1, 2, 3)]
    curves = pd.DataFrame(points, columns=["method", "seed", "fold", "epoch", "split", "loss", "auc"])
    figure = finetuning_loss(curves, {"a": "A", "b": "B"})
    assert figure.get_size_inches()[0] < 14
    assert [axes.get_title() for axes in figure.axes if axes.axison] == ["A", "B", "c", "d", "e"]


def test_the_epoch_that_is_used_is_marked() -> None:
    """Best validation AUC, the first among equals, as training keeps it; where none is defined, the least loss."""
    auc = {"a": (0.5, 0.7, 0.7), "b": (np.nan, np.nan, np.nan)}
    loss = {"a": (1.0, 3.0, 2.0), "b": (2.0, 3.0, 1.0)}
    points = [
        (name, 0, 0, epoch, split, loss[name][epoch - 1], auc[name][epoch - 1] if split == "validation" else 0.9)
        for name in "ab" for epoch in (1, 2, 3) for split in ("train", "validation")
    ]  # fmt: skip
    curves = pd.DataFrame(points, columns=["method", "seed", "fold", "epoch", "split", "loss", "auc"])
    assert used_epochs(curves).set_index("method")["epoch"].to_dict() == {"a": 2, "b": 3}
    figure = finetuning_loss(curves, {})
    rings = [line for axes in figure.axes for line in axes.lines if line.get_label() == "epoch used"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in rings] == [(2, 3.0), (3, 1.0)]


def test_used_epochs_are_those_that_training_keeps() -> None:
    """Against the trainer itself: the loss of the weights that it leaves is that of the epoch that is marked."""
    import torch

    from physiopipe.methods.ours import FusionSettings
    from physiopipe.models.fusion import LabelHeads
    from physiopipe.training.finetune import LabelledWindows, train

    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(60, 8, generator=generator)
    labels = (torch.rand(60, 1, generator=generator) < 0.5).float()
    windows = LabelledWindows((inputs[:40],), labels[:40], np.arange(40))
    held_out = LabelledWindows((inputs[40:],), labels[40:], np.arange(20))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LabelHeads((8,), 16, 0.0, 1)
    points = train(model, windows, held_out, FusionSettings(epochs=6, batch_size=8), 0, torch.device("cpu"))
    curves = pd.DataFrame([point._asdict() | {"method": "m", "seed": 0, "fold": 0} for point in points])
    (used,) = used_epochs(curves)["epoch"]
    with torch.no_grad():
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(inputs[40:]), labels[40:])
    validation = curves[curves["split"] == "validation"].set_index("epoch")["loss"]
    assert float(loss) == pytest.approx(validation[used], rel=1e-5)
    assert (abs(validation.drop(used) - validation[used]) > 1e-4).all()


def test_confusion_is_in_whole_clips() -> None:
    seeds = seed_predictions(make_predictions("ours", (0, 1), 6, 18, 0.8))
    figure = confusion(TestSet(LABELS, tuple("abcdef"), 108, {"ours": seeds}, {}))
    for axes in figure.axes:
        shown = [text.get_text() for text in axes.texts]
        assert all(text.isdigit() for text in shown)
        assert sum(map(int, shown)) == 2 * 108


def test_robustness_shows_chance_and_every_interval(with_tables: Path) -> None:
    table = pd.read_csv(with_tables / "robustness.csv")
    figure = robustness_plot(table, "subject_auc")
    mean = table[table["label"] == "mean"]
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert low < 50 < high
        assert low < mean["low_percent"].min() < mean["high_percent"].max() < high
        assert len(axes.containers) == 2  # error bars of each method


def test_labels_of_levels_do_not_touch() -> None:
    epochs = [(e, 10 * e, "held_out", None, None, "total", 10.0 * 0.5**e + 0.6) for e in range(6)]
    loss = pd.DataFrame(epochs, columns=["epoch", "step", "split", "rate_hz", "source", "term", "value"])
    levels = {"zero": {"total": 1.0}, "lead_mean": {"total": 1.01}, "interpolation": {"total": 1.02}}
    figure = pretraining_loss(loss, levels)
    figure.canvas.draw()
    boxes = sorted((text.get_window_extent() for text in figure.axes[0].texts), key=lambda box: box.y0)
    assert len(boxes) == 3
    assert all(below.y1 <= above.y0 + 0.5 for below, above in itertools.pairwise(boxes))
    assert [name for name, _ in spread_out({"b": 1.0, "a": 1.0}, 1.5)] == ["b", "a"]


def test_first_picture_marks_ours_and_the_best_row(with_tables: Path) -> None:
    metrics = json.loads((with_tables / "metrics.json").read_text())
    names = ("chance", "handcrafted", "ours")
    seeds = {name: seed_predictions(make_predictions(name, (0, 1), 12, 18, 0.5)) for name in names}
    test = TestSet(LABELS, tuple(f"s{i:02d}" for i in range(1, 13)), 216, seeds, {})
    (axes,) = headline_plot(test, metrics, make_study()).axes
    bold = [label.get_text() for label in axes.get_yticklabels() if label.get_fontweight() == "bold"]
    assert bold == ["Handcrafted", "Ours"]


def test_values_of_labels_are_dark_from_the_threshold_on() -> None:
    values = {"sums": [0, 0, 1, 1, 1, 1, 0, 1], "score": np.linspace(0, 30, 8)}
    index = pd.DataFrame({"subject": "s", "clip": range(8), **values})
    figure = values_plot(index, ("sums", "score"), {"sums": 1.0, "score": 21.5})
    for axes, high in zip(figure.axes, (5, 2), strict=True):
        dark = sum(bar.get_height() for bar in axes.patches if bar.get_facecolor()[0] < 0.1)
        assert dark == high
