"""The verbs: `physiopipe <verb>`. Paths and printing only; everything heavy is imported by the verb that needs it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from physiopipe.errors import PhysiopipeError

if TYPE_CHECKING:
    from physiopipe.params import Params

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)

ParamsFile = Annotated[Path, typer.Option("--params", help="the parameter file")]
CohortName = Annotated[str, typer.Option("--cohort", help="challenge or dreamer")]
ModalityName = Annotated[str, typer.Option("--modality", help="ecg or eeg")]
BatchName = Annotated[str, typer.Option("--batch", help="a batch of data/plan/<cohort>/batches.csv")]
DEFAULT = Path("params.yaml")


def main() -> None:
    """Run one verb; errors meant for users are printed plainly, with exit code 2."""
    try:
        app(standalone_mode=True)
    except PhysiopipeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: nothing half-written was left under a final name; run the same command again", file=sys.stderr)
        sys.exit(130)


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
    from physiopipe.params_file import dump_params, preset_with

    chosen = preset_with(Path("presets"), name, set_ or [])
    with atomic_file(params) as temporary:
        temporary.write_text(dump_params(chosen), encoding="utf-8")
    print(f"wrote {params} from presets/{name}.yaml; next: dvc repro")


@app.command()
def schema(output: Path = Path("workflow/schemas/params.schema.json")) -> None:
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
        if cohort == "challenge":
            from physiopipe.recordings.simulate_challenge import simulate_challenge

            simulate_challenge(last.parent, loaded.simulate.challenge)
        else:
            from physiopipe.recordings.simulate_dreamer import simulate_dreamer

            simulate_dreamer(last, loaded.simulate.dreamer)
    print(f"simulated cohort written: {last.parent}")


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
    from physiopipe.recordings.download import download_batch
    from physiopipe.recordings.tree import open_tree

    loaded = _load(params)
    planned = plan.planned_batch("challenge", batch)
    stamp = plan.recordings_file(loaded, "challenge", "ecg", planned)
    with hold_lock(plan.LOCKS / f"download-{batch}.lock"):
        tree = open_tree(plan.source_location(loaded, "challenge"), loaded.run)
        rejects = download_batch(tree, planned, plan.raw_folder(loaded), stamp, plan.LOCKS / "connections", loaded.run)
    print(f"{batch}: {len(planned.records) - len(rejects)} recordings here, {len(rejects)} rejected")


@app.command()
def unpack(eeg: Path, ecg: Path, params: ParamsFile = DEFAULT) -> None:
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
    recordings: Path,
    output: Path,
    params: ParamsFile = DEFAULT,
) -> None:
    """Put leads in order, band-pass and notch one batch at the recordings' own rates."""
    from physiopipe import plan
    from physiopipe.windows.prepare import filter_batch, read_recordings

    loaded = _load(params)
    planned = plan.planned_batch(cohort, batch)
    raw = read_recordings(recordings, planned, plan.raw_folder(loaded))
    filter_batch(raw, output, modality, plan.section(loaded, cohort, modality, "filter"))
