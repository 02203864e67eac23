"""Every figure of the study as PNG and SVG: equal inputs give equal bytes, nothing is drawn by colour alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image  # matplotlib writes its PNG with it

from physiopipe.errors import PhysiopipeError
from physiopipe.files import atomic_file, read_json
from physiopipe.params import Params
from physiopipe.report import composition, curves, quality_strips, reconstructions, robustness_figure
from physiopipe.results.evaluate import read_test_set
from physiopipe.windows.store import WindowStore

DPI = 120
STYLE = {
    "axes.prop_cycle": cycler(color=curves.COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "figure.dpi": DPI,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 10,
    "legend.frameon": False,
    "savefig.dpi": DPI,
    "svg.fonttype": "path",
    "svg.hashsalt": "physiopipe",
}


def make_figures(results_folder: Path, windows_root: Path, params: Params) -> None:
    """Write `results_folder`/figures/*.png and *.svg.

    Args:
        results_folder: holds predictions/, finetune/*.csv, robustness.csv, metrics.json and of pretrain/ loss.csv,
            metrics.json and reconstructions.npz.
        windows_root: holds the cohorts challenge/ and dreamer/.

    Raises:
        PhysiopipeError: an input is missing; it says which step writes it.
    """
    test = read_test_set(results_folder / "predictions", params)
    pretrain = read_table(results_folder / "pretrain" / "loss.csv")
    trained = [read_table(results_folder / "finetune" / f"{name}.csv") for name in test.methods]
    challenge, dreamer = (read_table(windows_root / cohort / "index.parquet") for cohort in ("challenge", "dreamer"))
    metrics = read_json(results_folder / "metrics.json")
    baselines = read_json(results_folder / "pretrain" / "metrics.json")["baselines"]
    robustness = read_table(results_folder / "robustness.csv")
    ecg_simulated = params.data.challenge.origin == "simulated"
    with _style():
        figures = {
            "pretraining_loss": (curves.pretraining_loss(pretrain, baselines), ecg_simulated),
            "roc": (curves.roc_curves(test, params.evaluate), params.simulated),
            "subject_auc": (curves.subject_aucs_plot(test, metrics), params.simulated),
            "confusion": (curves.confusion(test), params.simulated),
            "robustness": (robustness_figure.robustness_plot(robustness), params.simulated),
            "challenge_composition": (composition.windows_by_source_plot(challenge), ecg_simulated),
            "challenge_lengths": (composition.lengths_plot(challenge, "records"), ecg_simulated),
            "dreamer_lengths": (
                composition.lengths_plot(dreamer[dreamer["modality"] == "eeg"], "clips"),
                params.simulated,
            ),
            "dreamer_ratings": (composition.ratings_plot(dreamer, params.finetune.high_from), params.simulated),
        }
        if any(len(curve) for curve in trained):  # methods that are not trained in epochs have a header only
            with_epochs = pd.concat([curve for curve in trained if len(curve)])
            figures["finetuning_loss"] = (curves.finetuning_loss(with_epochs), params.simulated)
        for name, (figure, simulated) in figures.items():
            _save(figure, results_folder / "figures" / name, simulated=simulated)
        for window in reconstructions.read_reconstructions(results_folder / "pretrain" / "reconstructions.npz"):
            figure = reconstructions.reconstruction_plot(window)
            _save(figure, results_folder / "figures" / window.name, simulated=ecg_simulated)
        for cohort, simulated in (("challenge", ecg_simulated), ("dreamer", params.simulated)):
            plots = quality_strips.quality_plots(WindowStore(windows_root / cohort), cohort, params)
            for modality, figure in plots.items():
                path = results_folder / "figures" / f"quality_{cohort}_{modality}"
                _save(figure, path, simulated=simulated)
                _to_palette(path.with_suffix(".png"))


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file that an earlier step wrote; a missing one is a plain error."""
    if not path.exists():
        raise PhysiopipeError(f"{path} is missing: run the step that writes it first (`dvc repro` does).")
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context():
        mpl.rcdefaults()  # a reader's own matplotlibrc must not change the bytes
        mpl.rcParams.update(STYLE)
        yield


def _save(figure: Figure, path: Path, *, simulated: bool) -> None:
    if simulated:
        figure.supxlabel("simulated cohort", x=0.995, ha="right", fontsize=8, style="italic", color="#444444")
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None, "Creator": None})):
        with atomic_file(path.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, format=suffix[1:], metadata=metadata)
        figure.set_layout_engine("none")  # it is laid out: doing so again takes as long as drawing


def _to_palette(path: Path) -> None:
    """Make a PNG of black and red lines on white four times smaller: 16 greys, and 16 shades of the red."""
    shades = np.linspace(0, 1, 16)[:, None]
    red = np.array(to_rgb(quality_strips.MARKED))
    colours = np.rint(255 * np.concatenate([shades * np.ones(3), red + shades * (1 - red)])).astype(np.uint8)
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours.tobytes())
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    with atomic_file(path) as temporary:
        small.save(temporary, format="png", optimize=True)
