"""Verbs of a whole study: `new` begins one; `status`, `clean` and `describe` say how it stands and what it holds."""

from pathlib import Path
from typing import Annotated

import typer

from physiopipe.cli.options import DEFAULT, FOR_YOU, CohortName, ParamsFile, chosen_cohort, load

verbs = typer.Typer()


@verbs.command(rich_help_panel=FOR_YOU)
def new(
    folder: Annotated[Path, typer.Argument(help="A folder that is missing or empty.")],
    preset: Annotated[str, typer.Option(help="As for `physiopipe preset`.")] = "demo",
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.path=value; may be given several times.")] = None,
) -> None:
    """Begin a study in a folder of its own: parameters, stages, rules and profiles, with git and DVC initialised."""
    from physiopipe.params.presets import preset_with
    from physiopipe.study_files import preset_folders
    from physiopipe.study_new import new_study

    new_study(folder, preset_with(preset_folders(), preset, set_ or []))
    print(f"wrote a study of the preset {preset} into {folder}; next: cd {folder} && dvc repro")


@verbs.command(rich_help_panel=FOR_YOU)
def status(params: ParamsFile = DEFAULT) -> None:
    """Say what is done, what comes next, what it takes on the disk, and what is free there."""
    from physiopipe.study_status import status_lines

    for line in status_lines(load(params)):
        print(line)


@verbs.command(rich_help_panel=FOR_YOU)
def clean(
    params: ParamsFile = DEFAULT,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what is not needed; else it is only told.")] = False,
) -> None:
    """Say what takes how much on the disk, and what of it no run of the parameter file needs; with --remove, remove it.

    Downloads and results stay. Going back to other parameters then makes their parts and fitted folds anew.
    """
    from physiopipe.cli.training import ENCODER
    from physiopipe.study_clean import clean_lines

    for line in clean_lines(load(params, with_methods=True), ENCODER, remove):
        print(line)


@verbs.command(rich_help_panel=FOR_YOU)
def describe(cohort: CohortName, params: ParamsFile = DEFAULT) -> None:
    """Write Croissant metadata of a cohort's windows, for catalogues of datasets."""
    from physiopipe import plan
    from physiopipe.windows.croissant import write_croissant

    chosen_cohort(cohort, load(params))
    path = write_croissant(plan.DATA / "windows" / cohort)
    print(f"{path}: Croissant 1.0; it names {cohort}/index.parquet and its Zarr stores beside it")
