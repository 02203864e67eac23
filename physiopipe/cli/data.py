"""Verbs from recordings to parts, each one rule's job; and `inputs`, which notes what the study reads."""

from pathlib import Path
from typing import Annotated

import typer

from physiopipe.cli.options import (
    DEFAULT,
    FOR_THE_WORKFLOW,
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
    for variant in (*loaded.ablations.variants, *loaded.ablations.planned):
        known_ablation(variant)
    for name, content in plan.local_inputs(loaded).items():
        write_json(plan.DATA / "inputs" / f"{name}.json", content)
    for stage, digest in stage_digests(loaded).items():
        write_json(plan.DATA / "inputs" / "code" / f"{stage}.json", {"code": digest})
    for cohort in loaded.cohorts.downstream:  # a stage depends on these, also where nothing is written into them
        for kind in ("predictions", "ablations", "robustness"):
            (Path("results") / cohort / kind).mkdir(parents=True, exist_ok=True)
