"""The verbs: `physiopipe <verb>`. Paths and printing only; everything heavy is imported by the verb that needs it."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from physiopipe.errors import PhysiopipeError
from physiopipe.files import full_disk

if TYPE_CHECKING:
    from physiopipe.params import Params

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)

ParamsFile = Annotated[Path, typer.Option("--params", help="the parameter file")]
CohortName = Annotated[str, typer.Option("--cohort", help="challenge or dreamer")]
ModalityName = Annotated[str, typer.Option("--modality", help="ecg or eeg")]
BatchName = Annotated[str, typer.Option("--batch", help="a batch of data/plan/<cohort>/batches.csv")]
Name = TypeVar("Name", bound=str)
DEFAULT = Path("params.yaml")


def main() -> None:
    """Run one verb; errors meant for users are printed plainly, with exit code 2."""
    try:
        app(standalone_mode=True)
    except PhysiopipeError as error:
        if not _left_to_launcher(error):
            print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        full = full_disk(error)
        if full is None:
            raise
        found, place = os.strerror(full.errno or 0).lower(), full.filename2 or full.filename or Path.cwd()
        print(f"error: {found}: {place}. Free some space and run again; finished work is kept.", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(
            "interrupted: nothing half-written was left under a final name; run the same command again", file=sys.stderr
        )
        sys.exit(130)


def _left_to_launcher(error: PhysiopipeError) -> bool:
    """Whether this is one of several processes, whose errors are said once, by the one that started them."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return False
    from physiopipe.training.launch import report_to_launcher

    return report_to_launcher(error)


def _load(path: Path) -> "Params":
    from physiopipe.params import load_params

    return load_params(path)


@app.command()
def preset(
    name: Annotated[str, typer.Argument(help="tiny, demo, sample, study or paper")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="key.path=value, repeatable")] = None,
    params: ParamsFile = DEFAULT,
) -> None:
    """Write a complete parameter file from presets/NAME.yaml."""
    from physiopipe.files import atomic_file
    from physiopipe.params.presets import preset_with
    from physiopipe.params.writing import dump_params

    chosen = preset_with(Path("presets"), name, set_ or [])
    with atomic_file(params) as temporary:
        temporary.write_text(dump_params(chosen), encoding="utf-8")
    print(f"wrote {params} from presets/{name}.yaml; next: dvc repro")


@app.command()
def schema(output: Annotated[Path, typer.Option()] = Path("workflow/schemas/params.schema.json")) -> None:
    """Write the JSON schema of params.yaml."""
    from physiopipe.files import write_json
    from physiopipe.params import Params

    write_json(output, Params.model_json_schema())


@app.command()
def simulate(cohort: CohortName, params: ParamsFile = DEFAULT) -> None:
    """Write a simulated cohort in the layout of the published one."""
    from physiopipe.files import hold_lock
    from physiopipe.plan import LOCKS, simulated_file

    loaded = _load(params)
    last = simulated_file(cohort)
    with hold_lock(LOCKS / f"simulate-{cohort}.lock"):
        if last.exists():  # Snakemake removes it before a run, so another run has just written it
            print(f"{last} is already there; delete it to simulate anew")
        elif cohort == "challenge":
            from physiopipe.recordings.simulate_challenge import simulate_challenge

            simulate_challenge(last.parent, loaded.simulate.challenge)
        else:
            from physiopipe.recordings.simulate_dreamer import simulate_dreamer

            simulate_dreamer(last, loaded.simulate.dreamer)
    print(f"simulated cohort: {last.parent}")


@app.command()
def discover(cohort: CohortName, params: ParamsFile = DEFAULT) -> None:
    """Learn the batches of a cohort and write data/plan/<cohort>."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.recordings.tree import write_plan

    loaded = _load(params)
    with hold_lock(plan.LOCKS / f"discover-{cohort}.lock"):
        batches = plan.discover_batches(loaded, cohort)
        write_plan(plan.plan_folder(cohort), batches)
    for batch in batches:
        print(f"{batch.name}: {len(batch.records) or 'one file of'} recordings")


@app.command()
def download(batch: BatchName, params: ParamsFile = DEFAULT) -> None:
    """Bring the files of one batch of the Challenge here, each checked against its published checksum."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.recordings.download import download_batch, expected_amounts
    from physiopipe.recordings.tree import open_tree, planned_sizes

    loaded = _load(params)
    planned = plan.planned_batch("challenge", batch)
    stamp = plan.recordings_file(loaded, "challenge", "ecg", planned)
    with hold_lock(plan.LOCKS / f"download-{batch}.lock"):
        tree = open_tree(plan.source_location(loaded, "challenge"), loaded.run)
        rejects = download_batch(
            tree,
            planned,
            plan.raw_folder(loaded),
            stamp,
            plan.LOCKS / "connections",
            loaded.run,
            expected_amounts(planned_sizes(plan.plan_folder("challenge"))),
        )
    print(f"{batch}: {len(planned.records) - len(rejects)} recordings here, {len(rejects)} rejected")


@app.command()
def unpack(
    eeg: Annotated[Path, typer.Option()], ecg: Annotated[Path, typer.Option()], params: ParamsFile = DEFAULT
) -> None:
    """Read DREAMER.mat once, into one file of recordings for each modality."""
    from physiopipe import plan
    from physiopipe.windows.prepare import unpack_dreamer

    loaded = _load(params)
    unpack_dreamer(Path(plan.source_location(loaded, "dreamer")), loaded.data.dreamer, eeg, ecg)


@app.command("filter")
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
    from physiopipe.memory import keep_freed_memory
    from physiopipe.windows.prepare import filter_batch, read_recordings

    loaded = _load(params)
    planned = plan.planned_batch(cohort, batch)
    raw = read_recordings(recordings, planned, plan.raw_folder(loaded))
    keep_freed_memory()
    filter_batch(raw, output, plan.section(loaded, cohort, modality, "filter"))


@app.command()
def resample(
    cohort: CohortName,
    modality: ModalityName,
    filtered: Annotated[Path, typer.Option()],
    output: Annotated[Path, typer.Option()],
    params: ParamsFile = DEFAULT,
) -> None:
    """Bring one filtered batch to every rate."""
    from physiopipe import plan
    from physiopipe.memory import keep_freed_memory
    from physiopipe.windows.prepare import resample_batch

    keep_freed_memory()
    resample_batch(filtered, output, plan.section(_load(params), cohort, modality, "resample"))


@app.command()
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

    loaded = _load(params)
    planned = plan.planned_batch(cohort, batch)
    digest = plan.part_digest(loaded, cohort, modality, planned)
    if digest != output.parent.name:
        raise PhysiopipeError(
            f"{params} or data/plan/{cohort} changed since this run was planned: they now name part {digest}, this job "
            f"is to write {output.parent.name}. Nothing was written; run again."
        )
    simulated = getattr(loaded.data, cohort).origin == "simulated"
    with hold_lock(plan.LOCKS / f"shard-{cohort}-{modality}-{batch}.lock"):
        if output.exists():  # Snakemake removes it before a run, so another run has just finished this part
            print(f"{output} is already there: nothing to do")
            return
        keep_freed_memory()
        shard_batch(
            resampled,
            output.parent,
            PartName(cohort, modality, batch, digest, simulated),
            plan.section(loaded, cohort, modality, "resample").rates_hz,
            plan.section(loaded, cohort, modality, "shard"),
        )


@app.command()
def collect(cohort: CohortName, params: ParamsFile = DEFAULT) -> None:
    """Link the finished parts of a cohort into data/windows/<cohort>."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.windows.collect import collect_cohort

    loaded = _load(params)
    parts = [part.folder for part in plan.planned_parts(loaded, cohort)]
    target = plan.DATA / "windows" / cohort
    with hold_lock(plan.LOCKS / f"collect-{cohort}.lock"):
        manifest = collect_cohort(cohort, parts, target, plan.cohort_parameters(loaded, cohort))
    print(
        f"{target}: {manifest['windows']} windows of {manifest['records']} recordings, {manifest['rejected']} rejected"
    )


@app.command()
def inputs(params: ParamsFile = DEFAULT) -> None:
    """Write the sha256 of every local file that the study reads into data/inputs."""
    from physiopipe import plan
    from physiopipe.files import write_json

    for name, content in plan.local_inputs(_load(params)).items():
        write_json(plan.DATA / "inputs" / f"{name}.json", content)


@app.command()
def pretrain(params: ParamsFile = DEFAULT) -> None:
    """Train the ECG encoder on data/windows/challenge."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.training.launch import launch, processes_wanted, rank_if_launched
    from physiopipe.training.pretrain import PretrainFiles
    from physiopipe.windows.training import pretrain_on_store

    loaded, results = _load(params), Path("results/pretrain")
    files = PretrainFiles(
        Path("models/ecg_encoder.safetensors"),
        results / "loss.csv",
        results / "metrics.json",
        results / "reconstructions.npz",
    )
    launched = rank_if_launched()
    if launched is None:
        with hold_lock(plan.LOCKS / "pretrain.lock"):
            processes = processes_wanted(loaded.run)
            if processes > 1:
                launch(processes, ["-m", "physiopipe.cli", "pretrain", "--params", str(params)])
            else:
                pretrain_on_store(plan.DATA / "windows" / "challenge", loaded, files)
        print(f"wrote {files.encoder}")
    else:
        # what a killed run's processes may still hold, for a moment
        with hold_lock(plan.LOCKS / f"pretrain-{launched}.lock"):
            pretrain_on_store(plan.DATA / "windows" / "challenge", loaded, files)


@app.command()
def export(
    encoder: Annotated[Path, typer.Option()] = Path("models/ecg_encoder.safetensors"),
    metrics: Annotated[Path, typer.Option()] = Path("results/pretrain/metrics.json"),
    output: Annotated[Path, typer.Option(help="folder to write")] = Path("models/export"),
) -> None:
    """Write the pretrained encoder for others: safetensors, .pth, braindecode's config and a model card."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.results.export import export_encoder

    with hold_lock(plan.LOCKS / "export.lock"):
        export_encoder(encoder, metrics, output)
    print(f"wrote {output}: model.safetensors, pretrained_weights.pth, config.json, README.md")


def _known(wanted: str, names: tuple[Name, ...], what: str) -> Name:
    """The one of `names` that is wanted."""
    for name in names:
        if name == wanted:
            return name
    raise PhysiopipeError(f"no {what} named {wanted!r}; there are: {', '.join(names)}.")


@app.command()
def finetune(
    method: Annotated[str, typer.Option("--method", help="a method of Table 1, see `methods` in params.yaml")],
    params: ParamsFile = DEFAULT,
) -> None:
    """Fit one method on every seed and fold of the protocol and save its predictions."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.methods.harness import run_method
    from physiopipe.params import METHODS

    loaded = _load(params)
    name = _known(method, METHODS, "method")
    with hold_lock(plan.LOCKS / f"finetune-{method}.lock"):
        run_method(
            name,
            loaded,
            plan.DATA / "windows" / "dreamer",
            Path("models/ecg_encoder.safetensors"),
            Path("results/predictions") / f"{method}.parquet",
            Path(loaded.run.state_folder) / "finetune",
            Path("results/finetune") / f"{method}.csv",
        )


@app.command()
def ablate(
    variant: Annotated[str, typer.Option("--variant", help="see `ablations.variants` in params.yaml")],
    params: ParamsFile = DEFAULT,
) -> None:
    """Fit Ours with one thing changed on every seed and fold and save its predictions."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.methods.ablations import run_ablation
    from physiopipe.params import ABLATIONS

    loaded = _load(params)
    name = _known(variant, ABLATIONS, "ablation")
    with hold_lock(plan.LOCKS / f"ablate-{variant}.lock"):
        run_ablation(
            name,
            loaded,
            plan.DATA / "windows",
            Path("models/ecg_encoder.safetensors"),
            Path("results/ablations") / f"{variant}.parquet",
            Path(loaded.run.state_folder),
        )


@app.command()
def robustness(
    method: Annotated[str, typer.Option("--method", help="a method of Table 1, see `robustness.methods`")],
    params: ParamsFile = DEFAULT,
) -> None:
    """Fit one method as `finetune` does and save its predictions of damaged test clips."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.methods.robustness import run_robustness
    from physiopipe.params import METHODS

    loaded = _load(params)
    name = _known(method, METHODS, "method")
    with hold_lock(plan.LOCKS / f"robustness-{method}.lock"):
        run_robustness(
            name,
            loaded,
            plan.DATA / "windows" / "dreamer",
            Path("models/ecg_encoder.safetensors"),
            Path("results/robustness") / f"{method}.parquet",
            Path(loaded.run.state_folder) / "robustness",
        )


@app.command()
def evaluate(params: ParamsFile = DEFAULT) -> None:
    """Compute metrics and Table 1 from the saved predictions."""
    from physiopipe.results.evaluate import evaluate as evaluate_predictions
    from physiopipe.results.side_tables import share_of_the_attainable, write_side_tables

    loaded, results = _load(params), Path("results")
    evaluate_predictions(results / "predictions", loaded, results)
    for line in share_of_the_attainable(write_side_tables(results, loaded)):
        print(line)
    print("wrote results/metrics.json, results/table1.{csv,md,tex} and the tables beside it")


@app.command()
def report(params: ParamsFile = DEFAULT) -> None:
    """Draw the figures and write results/report.html."""
    from physiopipe import plan
    from physiopipe.results.figures import make_figures
    from physiopipe.results.report import write_report

    loaded = _load(params)
    results, windows = Path("results"), plan.DATA / "windows"
    make_figures(results, windows, loaded)
    write_report(results, windows, loaded, results / "report.html")
    print("wrote results/report.html")


if __name__ == "__main__":
    main()
