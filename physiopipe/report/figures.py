"""Every figure of a cohort's study as PNG and SVG: equal inputs give equal bytes."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image  # matplotlib writes its PNG with it

from physiopipe.files import atomic_file, read_json
from physiopipe.params import Params
from physiopipe.report import (
    auc_figures,
    cost_figure,
    critical_difference,
    data_figures,
    loss_figures,
    quality_figures,
    reconstruction_figures,
    robustness_figure,
)
from physiopipe.report.data_facts import DataFacts, facts_of
from physiopipe.report.read_table import read_table
from physiopipe.report.style import styled
from physiopipe.results.evaluate import families
from physiopipe.results.study import Study, study_of
from physiopipe.results.test_set import read_test_set
from physiopipe.windows.store import WindowStore


def make_figures(
    folder: Path,
    pretrain_folder: Path,
    windows_root: Path,
    params: Params,
    cohort: str,
    raw: quality_figures.RawReader | None = None,
) -> None:
    """Write `folder`/figures/*.png and *.svg.

    Args:
        folder: results/<cohort>, which holds predictions/, finetune/*.csv, metrics.json, robustness.csv, costs.csv,
            ranks.csv and pairwise.csv.
        pretrain_folder: holds loss.csv, metrics.json and reconstructions.npz of pretraining.
        windows_root: holds a folder of each of the two cohorts.
        cohort: the downstream one.
        raw: gives the recordings that are still here, for the examples of the quality flags.

    Raises:
        PhysiopipeError: an input is missing; it says which step writes it.
    """
    out, study = folder / "figures", study_of(params, cohort)
    pretraining, downstream = facts_of(params, params.cohorts.pretraining), facts_of(params, cohort)
    with styled():
        _draw_pretraining(pretrain_folder, out, pretraining)
        _draw_results(folder, out, study)
        for facts in (pretraining, downstream):
            _draw_data(windows_root / facts.cohort, out, facts, raw)


def _draw_pretraining(folder: Path, out: Path, facts: DataFacts) -> None:
    loss = read_table(folder / "loss.csv")
    baselines = read_json(folder / "metrics.json")["baselines"]
    save(loss_figures.pretraining_loss(loss, baselines), out / "pretraining_loss", simulated=facts.simulated)
    for window in reconstruction_figures.read_reconstructions(folder / "reconstructions.npz"):
        figure = reconstruction_figures.reconstruction_plot(window)
        save(figure, out / window.name, simulated=facts.simulated)


def _draw_results(folder: Path, out: Path, study: Study) -> None:
    rows, _ = families(folder / "predictions", study)
    test = read_test_set(folder / "predictions", study, rows)
    metrics = read_json(folder / "metrics.json")
    robustness = read_table(folder / "robustness.csv")
    trained = [read_table(folder / "finetune" / f"{name}.csv") for name in test.methods]
    figures = {
        "headline": auc_figures.headline_plot(test, metrics, study),
        "auc_by_task": auc_figures.subject_aucs_plot(test, metrics, study),
        "roc": auc_figures.roc_curves(test, study),
        "confusion": auc_figures.confusion(test),
        "robustness": robustness_figure.robustness_plot(robustness, study.headline),
    }
    costs, ranks = read_table(folder / "costs.csv"), read_table(folder / "ranks.csv")
    if len(costs):  # predictions that were published come without
        figures["cost"] = cost_figure.cost_plot(costs, metrics, study)
    if critical_difference.has_ranks(ranks):
        pairs = read_table(folder / "pairwise.csv")
        figures["critical_difference"] = critical_difference.critical_difference_plot(ranks, pairs)
    if any(len(curve) for curve in trained):  # methods that are not trained in epochs have a header only
        with_epochs = pd.concat([curve for curve in trained if len(curve)])
        titles = {name: test.title(name) for name in test.methods}
        figures["finetuning_loss"] = loss_figures.finetuning_loss(with_epochs, titles)
    for name, figure in figures.items():
        save(figure, out / name, simulated=study.simulated)


def _draw_data(windows: Path, out: Path, facts: DataFacts, raw: quality_figures.RawReader | None) -> None:
    index = read_table(windows / "index.parquet")
    first = str(index["modality"].iloc[0])
    unit = "clips" if facts.tasks else "records"
    figures = {"lengths": data_figures.lengths_plot(index[(index["modality"] == first) & (index["clip"] >= 0)], unit)}
    if len(facts.sources) > 1:
        figures["composition"] = data_figures.windows_by_source_plot(index)
    if facts.tasks:
        figures["values"] = data_figures.values_plot(index, facts.tasks, facts.thresholds)
    for name, figure in figures.items():
        save(figure, out / f"{facts.cohort}_{name}", simulated=facts.simulated)
    for modality, figure in quality_figures.quality_plots(WindowStore(windows), facts, raw).items():
        path = out / f"{facts.cohort}_quality_{modality}"
        save(figure, path, simulated=facts.simulated)
        to_palette(path.with_suffix(".png"))


def save(figure: Figure, path: Path, *, simulated: bool) -> None:
    """Write a figure as `path`.png and `path`.svg, marked where nobody was recorded."""
    if simulated:
        figure.supxlabel("simulated cohort", x=0.995, ha="right", fontsize=8, style="italic", color="#444444")
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None, "Creator": None})):
        with atomic_file(path.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, format=suffix[1:], metadata=metadata)
        figure.set_layout_engine("none")  # it is laid out: doing so again takes as long as drawing


def to_palette(path: Path) -> None:
    """Make a PNG of black and red lines on white four times smaller: 16 greys, and 16 shades of the red."""
    shades = np.linspace(0, 1, 16)[:, None]
    red = np.array(to_rgb(quality_figures.MARKED))
    colours = np.rint(255 * np.concatenate([shades * np.ones(3), red + shades * (1 - red)])).astype(np.uint8)
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours.tobytes())
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    with atomic_file(path) as temporary:
        small.save(temporary, format="png", optimize=True)
