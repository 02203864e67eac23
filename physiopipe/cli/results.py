"""Verbs from saved predictions to the page: `evaluate`, `report`."""

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from physiopipe.cli.options import DEFAULT, FOR_THE_WORKFLOW, CohortName, ParamsFile, chosen_downstream, load

if TYPE_CHECKING:
    from physiopipe.params import Params

verbs = typer.Typer()


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def evaluate(cohort: CohortName, params: ParamsFile = DEFAULT) -> None:
    """Compute metrics and tables of a cohort from the saved predictions."""
    from physiopipe.results.evaluate import evaluate as evaluate_predictions
    from physiopipe.results.study import study_of

    loaded = load(params)
    folder = Path("results") / chosen_downstream(cohort, loaded).name
    for line in evaluate_predictions(folder, study_of(loaded, cohort)):
        print(line)
    print(f"wrote {folder}/metrics.json, summary.json, table1.{{csv,md,tex}} and the tables beside them")


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def report(
    cohort: CohortName,
    params: ParamsFile = DEFAULT,
    duration: Annotated[
        str, typer.Option(help="How long the study took, for the page; else it tells of the fits.")
    ] = "",
) -> None:
    """Draw the figures of a cohort and write its report.html."""
    from physiopipe import plan
    from physiopipe.raw_recordings import raw_reader
    from physiopipe.report.figures import make_figures
    from physiopipe.report.page import Origin, write_report
    from physiopipe.report.read_table import read_table
    from physiopipe.results.costs import fitting_words

    loaded, windows = load(params, with_methods=True), plan.DATA / "windows"
    name = chosen_downstream(cohort, loaded).name
    folder = Path("results") / name
    make_figures(folder, Path("results/pretrain"), windows, loaded, name, raw_reader(loaded))
    took = duration or fitting_words(read_table(folder / "costs.csv"))
    origin = Origin(preset=_preset_of(loaded), **_commit(), duration=took)
    print(f"wrote {write_report(folder, Path('results/pretrain'), windows, loaded, name, origin)}")


def _preset_of(loaded: "Params") -> str:
    """Name of the preset that the parameters are equal to, but for `run`; empty where they are none's."""
    from physiopipe.params.presets import preset_names, preset_with
    from physiopipe.study_files import preset_folders

    folders, found = preset_folders(), loaded.model_dump(exclude={"run"})
    names = preset_names(folders)
    return next((name for name in names if preset_with(folders, name, []).model_dump(exclude={"run"}) == found), "")


def _commit() -> dict[str, str]:
    """Commit and its date of the folder that is worked in; empty where it is no repository."""
    if shutil.which("git") is None:
        return {}
    done = subprocess.run(
        ["git", "log", "-1", "--format=%h %cs"], capture_output=True, text=True, check=False
    )  # fmt: skip
    commit, _, date = done.stdout.strip().partition(" ")
    return {"commit": commit, "date": date}
