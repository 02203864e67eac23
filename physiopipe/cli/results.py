"""Verbs from saved predictions to the page: `evaluate`, `report`."""

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from physiopipe.cli.options import DEFAULT, ParamsFile, load

if TYPE_CHECKING:
    from physiopipe.params import Params

verbs = typer.Typer()


@verbs.command()
def evaluate(params: ParamsFile = DEFAULT) -> None:
    """Compute metrics and Table 1 from the saved predictions."""
    from physiopipe.results.evaluate import evaluate as evaluate_predictions
    from physiopipe.results.study import study_of

    folder = Path("results")
    for line in evaluate_predictions(folder, study_of(load(params), "dreamer")):
        print(line)
    print(f"wrote {folder}/metrics.json, table1.{{csv,md,tex}}, summary.json and the tables beside them")


@verbs.command()
def report(
    params: ParamsFile = DEFAULT,
    duration: Annotated[str, typer.Option(help="how long the study took, to be told on the page")] = "",
) -> None:
    """Draw the figures and write results/report.html."""
    from physiopipe import plan
    from physiopipe.report.data_facts import facts_of
    from physiopipe.report.figures import make_figures
    from physiopipe.report.page import Origin, write_report
    from physiopipe.results.study import study_of

    loaded, folder, pretrain = load(params), Path("results"), Path("results/pretrain")
    study, windows = study_of(loaded, "dreamer"), plan.DATA / "windows"
    facts = facts_of(loaded, "challenge"), facts_of(loaded, "dreamer")
    make_figures(folder, pretrain, windows, study, *facts)
    origin = Origin(preset=_preset_of(loaded), **_commit(), duration=duration)
    print(f"wrote {write_report(folder, pretrain, windows, loaded, study, *facts, origin)}")


def _preset_of(loaded: "Params") -> str:
    """Name of the preset that the parameters are equal to, but for `run`; empty where they are none's."""
    from physiopipe.params.presets import preset_names
    from physiopipe.params.reading import load_params

    folder = Path("presets")
    for name in preset_names(folder):
        preset = load_params(folder / f"{name}.yaml")
        if preset.model_copy(update={"run": loaded.run}) == loaded:
            return name
    return ""


def _commit() -> dict[str, str]:
    """Commit and its date of the folder that is worked in; empty where it is no repository."""
    if shutil.which("git") is None:
        return {}
    done = subprocess.run(
        ["git", "log", "-1", "--format=%h %cs"], capture_output=True, text=True, check=False
    )  # fmt: skip
    commit, _, date = done.stdout.strip().partition(" ")
    return {"commit": commit, "date": date}
