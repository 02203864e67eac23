"""Verbs from recordings to windows, each one rule's job; and `inputs`, which notes what the study reads."""

from pathlib import Path
from typing import Annotated

import typer

from physiopipe.cli.options import (
    DEFAULT,
    FOR_THE_WORKFLOW,
    FOR_YOU,
    BatchName,
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
def simulate(cohort: CohortName, params: ParamsFile = DEFAULT) -> None:
    """Write a simulated cohort in the layout of the published one."""
    from physiopipe.files import hold_lock
    from physiopipe.plan import LOCKS, simulated_file

    loaded = load(params)
    known = chosen_cohort(cohort, loaded)
    last = simulated_file(loaded, cohort)
    with hold_lock(LOCKS / f"simulate-{cohort}.lock"):
        if last.exists():  # Snakemake removes it before a run, so another run has just written it
            print(f"{last} is already there; delete it to simulate anew")
        else:
            known.simulate_to(last, loaded.simulate[cohort])
    print(f"simulated cohort: {last.parent}")


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def discover(
    cohort: CohortName,
    params: ParamsFile = DEFAULT,
    output: Annotated[Path | None, typer.Option(help="the batches.csv that is asked for")] = None,
) -> None:
    """Learn the batches of a cohort and write its plan below data/plan/<cohort>."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.recordings.tree import write_plan

    loaded = load(params)
    chosen_cohort(cohort, loaded)
    with hold_lock(plan.LOCKS / f"discover-{cohort}.lock"):
        folder = plan.plan_folder(loaded, cohort)
        batches = plan.discover_batches(loaded, cohort)
        if folder != plan.plan_folder(loaded, cohort) or (output is not None and output.parent != folder):
            raise PhysiopipeError(
                f"{plan.source_location(loaded, cohort)} or {params} changed while it was read. Nothing was written; "
                "run again."
            )
        write_plan(folder, batches)
    for batch in batches:
        print(f"{batch.name}: {len(batch.records) or 'one file of'} recordings")


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def download(
    tree: Annotated[str, typer.Option("--tree", help="a folder of data/raw")],
    batch: BatchName,
    params: ParamsFile = DEFAULT,
) -> None:
    """Bring the files of one batch of a published tree here, each checked against its published checksum."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.recordings.download import download_batch, expected_amounts
    from physiopipe.recordings.tree import open_tree, planned_sizes

    loaded = load(params)
    cohort = plan.cohort_of_tree(loaded, tree)
    planned = plan.planned_batch(loaded, cohort, batch)
    stamp = plan.recordings_file(loaded, cohort, planned)
    with hold_lock(plan.LOCKS / f"download-{cohort}-{batch}.lock"):
        rejects = download_batch(
            open_tree(plan.source_location(loaded, cohort), loaded.run),
            planned,
            plan.raw_folder(loaded, cohort),
            stamp,
            plan.LOCKS / "connections",
            loaded.run,
            expected_amounts(planned_sizes(plan.plan_folder(loaded, cohort))),
            allow_missing=getattr(loaded.data[cohort], "allow_missing", False),
            simulated=loaded.simulated(cohort),
        )
    print(f"{batch}: {len(planned.records) - len(rejects)} recordings here, {len(rejects)} rejected")


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def unpack(
    cohort: CohortName,
    output: Annotated[Path, typer.Option(help="the stamp that is written last")],
    params: ParamsFile = DEFAULT,
) -> None:
    """Read the one file of a cohort once, into one file of recordings for each modality."""
    from physiopipe import plan
    from physiopipe.windows.prepare import unpack_file

    loaded = load(params)
    known = chosen_cohort(cohort, loaded)
    path = Path(plan.source_location(loaded, cohort)).expanduser()
    (batch,) = plan.planned_batches(loaded, cohort)
    unpack_file(known, path, batch.files[0][1], loaded.data[cohort], loaded.simulated(cohort), output)


@verbs.command("filter", rich_help_panel=FOR_THE_WORKFLOW)
def filter_(
    cohort: CohortName,
    modality: ModalityName,
    batch: BatchName,
    recordings: Annotated[Path, typer.Option()],
    output: Annotated[Path, typer.Option()],
    params: ParamsFile = DEFAULT,
) -> None:
    """Put leads in order, band-pass and notch one batch at the recordings' own rates."""
    from physiopipe import plan
    from physiopipe.cohorts.base import PublishedTree
    from physiopipe.memory import keep_freed_memory
    from physiopipe.windows.prepare import filter_batch, read_recordings

    loaded = load(params)
    known = chosen_modality(cohort, modality, loaded)
    planned = plan.planned_batch(loaded, cohort, batch)
    folder = plan.raw_folder(loaded, cohort) if isinstance(known.publication, PublishedTree) else None
    raw = read_recordings(known, modality, recordings, planned, folder, loaded.data[cohort])
    keep_freed_memory()
    filter_batch(raw, output, loaded.filter[cohort][modality])


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def resample(
    cohort: CohortName,
    modality: ModalityName,
    filtered: Annotated[Path, typer.Option()],
    output: Annotated[Path, typer.Option()],
    params: ParamsFile = DEFAULT,
) -> None:
    """Bring one filtered batch to every rate."""
    from physiopipe.memory import keep_freed_memory
    from physiopipe.windows.prepare import resample_batch

    loaded = load(params)
    chosen_modality(cohort, modality, loaded)
    keep_freed_memory()
    resample_batch(filtered, output, loaded.resample[cohort][modality])


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def shard(
    cohort: CohortName,
    modality: ModalityName,
    batch: BatchName,
    resampled: Annotated[Path, typer.Option()],
    output: Annotated[Path, typer.Option()],
    params: ParamsFile = DEFAULT,
) -> None:
    """Cut one resampled batch into windows and store them as a finished part (OUTPUT is its part.json)."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.memory import keep_freed_memory
    from physiopipe.windows.part import PartName
    from physiopipe.windows.shard import shard_batch

    loaded = load(params)
    known = chosen_modality(cohort, modality, loaded)
    planned = plan.planned_batch(loaded, cohort, batch)
    digest = plan.part_digest_of(loaded, cohort, modality, planned)
    if digest != output.parent.name:
        raise PhysiopipeError(
            f"{params} or data/plan/{cohort} changed since this run was planned: they now name part {digest}, this job "
            f"is to write {output.parent.name}. Nothing was written; run again."
        )
    with hold_lock(plan.LOCKS / f"shard-{cohort}-{modality}-{batch}.lock"):
        if output.exists():  # Snakemake removes it before a run, so another run has just finished this part
            print(f"{output} is already there: nothing to do")
            return
        keep_freed_memory()
        shard_batch(
            resampled,
            output.parent,
            PartName(
                cohort,
                modality,
                batch,
                digest,
                loaded.simulated(cohort),
                known.task_names,
                plan.inputs_digest(planned),
            ),
            loaded.resample[cohort][modality].rates_hz,
            loaded.shard[cohort][modality],
        )


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
    from physiopipe.report.data_facts import facts_of
    from physiopipe.report.overview import write_overview

    loaded = load(params)
    chosen_modality(cohort, modality, loaded)
    write_overview(plan.DATA / "windows" / cohort, output, facts_of(loaded, cohort), modality)


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


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def inputs(params: ParamsFile = DEFAULT) -> None:
    """Check the whole of params.yaml, and write the sha256 of what the study reads into data/inputs."""
    from physiopipe import plan
    from physiopipe.experiments.ablations import known_ablation
    from physiopipe.files import write_json
    from physiopipe.methods.registry import missing_extras
    from physiopipe.params.consistency import check_study
    from physiopipe.stage_code import stage_digests

    loaded = load(params, with_methods=True)
    check_study(loaded, params)
    for name in loaded.methods:
        if (missing := missing_extras(name)) is not None:
            raise PhysiopipeError(missing)
    for variant in loaded.ablations.variants:
        known_ablation(variant)
    for name, content in plan.local_inputs(loaded).items():
        write_json(plan.DATA / "inputs" / f"{name}.json", content)
    for stage, digest in stage_digests(loaded).items():
        write_json(plan.DATA / "inputs" / "code" / f"{stage}.json", {"code": digest})
    for cohort in loaded.cohorts.downstream:  # a stage depends on these, also where nothing is written into them
        for kind in ("predictions", "ablations", "robustness"):
            (Path("results") / cohort / kind).mkdir(parents=True, exist_ok=True)
