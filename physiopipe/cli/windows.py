"""Verbs of data/windows: bring a cohort's up to date, put it together, look at it, compare it with its checksums."""

from pathlib import Path
from typing import Annotated

import typer

from physiopipe.cli.options import (
    DEFAULT,
    FOR_THE_WORKFLOW,
    FOR_YOU,
    CohortName,
    ModalityName,
    ParamsFile,
    chosen_cohort,
    chosen_modality,
    load,
)
from physiopipe.errors import PhysiopipeError

verbs = typer.Typer()


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def windows(
    cohort: Annotated[str, typer.Option("--cohort", help="a cohort of the study")] = "",
    pretraining: Annotated[bool, typer.Option("--pretraining", help="the cohort that is pretrained on")] = False,
    params: ParamsFile = DEFAULT,
) -> None:
    """Bring data/windows/<cohort> up to date: `snakemake --cores all` for this one cohort."""
    import os

    loaded = load(params)
    if params.resolve() != DEFAULT.resolve():
        raise PhysiopipeError(f"{params}: the workflow reads params.yaml alone. Write these parameters there.")
    name = chosen_cohort(loaded.cohorts.pretraining if pretraining else cohort, loaded).name
    command = ["snakemake", "--cores", "all", "--", f"data/windows/{name}/manifest.json"]
    print(f"> {' '.join(command)}", flush=True)
    os.execvp(command[0], command)  # it takes this process's place, so a signal meets it alone


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def collect(cohort: CohortName, params: ParamsFile = DEFAULT) -> None:
    """Link the finished parts of a cohort into data/windows/<cohort>."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.windows.collect import collect_cohort

    loaded = load(params)
    chosen_cohort(cohort, loaded)
    parts = [part.folder for part in plan.planned_parts(loaded, cohort)]
    target = plan.DATA / "windows" / cohort
    with hold_lock(plan.LOCKS / f"collect-{cohort}.lock"):
        parameters = plan.cohort_parameters(loaded, cohort)
        manifest, rejections = collect_cohort(cohort, parts, target, parameters, loaded.data[cohort].max_rejected_share)
    print(
        f"{target}: {manifest['windows']} windows of {manifest['records']} recordings, {manifest['rejected']} rejected"
    )
    missing = plan.missing_sources(loaded, cohort)
    told = [*(each.in_words() for each in rejections), f"missing sources: {', '.join(missing) or 'none'}"]
    print(f"{cohort}: {'. '.join(told)}")


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def overview(
    cohort: CohortName,
    modality: ModalityName,
    output: Annotated[Path, typer.Option(help="the folder that it is written into")],
    params: ParamsFile = DEFAULT,
) -> None:
    """Draw and count what data/windows/<cohort> holds of one modality, for `snakemake --report`."""
    from physiopipe import plan
    from physiopipe.raw_recordings import raw_reader
    from physiopipe.report.data_facts import facts_of
    from physiopipe.report.overview import write_overview

    loaded = load(params)
    chosen_modality(cohort, modality, loaded)
    facts = facts_of(loaded, cohort)
    write_overview(plan.DATA / "windows" / cohort, output, facts, modality, raw_reader(loaded))


@verbs.command(rich_help_panel=FOR_YOU)
def verify(
    remove: Annotated[
        bool, typer.Option("--remove", help="Take what is damaged out of data/windows, data/parts and DVC's cache.")
    ] = False,
) -> None:
    """Read all of data/windows and compare it with its checksums; exit code 2 where something is damaged."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.windows.damage import damage_of_cohort, remove_from_cohort

    told, gone = [], []
    folders = sorted(path for path in (plan.DATA / "windows").glob("[!.]*") if path.is_dir())
    if not folders:
        print("data/windows holds no cohort: there is nothing to compare")
    for folder in folders:
        damage = damage_of_cohort(folder)
        told += [f"{path}: {why}" for path, why in damage.items()]
        print(f"{folder}: {f'{len(damage)} damaged' if damage else 'whole'}")
        if damage and remove:
            with hold_lock(plan.LOCKS / f"collect-{folder.name}.lock"):
                gone += remove_from_cohort(folder, damage, plan.DATA / "parts")
    if told:
        found = "\n".join(f"  {line}" for line in told)
        done = "\n".join(f"  {path}" for path in gone)
        raise PhysiopipeError(
            f"{len(told)} file(s) are not as they were written:\n{found}\n"
            + (
                f"Removed:\n{done}\nNow run `dvc repro` (or `snakemake --cores 2`): it makes them anew."
                if remove
                else "`physiopipe verify --remove` takes them out of data/windows, data/parts and DVC's cache; "
                "`dvc repro` (or `snakemake --cores 2`) then makes them anew."
            )
        )
