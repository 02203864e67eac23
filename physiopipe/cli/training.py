"""Verbs that train: the ECG encoder (`pretrain`, `export`) and methods (`finetune`, `ablate`, `robustness`)."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from physiopipe.cli.options import DEFAULT, ParamsFile, load
from physiopipe.errors import PhysiopipeError

verbs = typer.Typer()
ENCODER = Path("models/ecg_encoder.safetensors")
Name = TypeVar("Name", bound=str)


@verbs.command()
def pretrain(params: ParamsFile = DEFAULT) -> None:
    """Train the ECG encoder on data/windows/challenge."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.training.launch import launch, processes_wanted, rank_if_launched
    from physiopipe.training.pretrain import PretrainFiles
    from physiopipe.windows.pretraining import pretrain_on_store

    loaded, results = load(params), Path("results/pretrain")
    files = PretrainFiles(ENCODER, results / "loss.csv", results / "metrics.json", results / "reconstructions.npz")
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


@verbs.command()
def export(
    encoder: Annotated[Path, typer.Option()] = ENCODER,
    metrics: Annotated[Path, typer.Option()] = Path("results/pretrain/metrics.json"),
    output: Annotated[Path, typer.Option(help="folder to write")] = Path("models/export"),
) -> None:
    """Write the pretrained encoder for others: safetensors, .pth, braindecode's config and a model card."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.models.export import export_encoder

    with hold_lock(plan.LOCKS / "export.lock"):
        export_encoder(encoder, metrics, output)
    print(f"wrote {output}: model.safetensors, pretrained_weights.pth, config.json, README.md")


@verbs.command()
def finetune(
    method: Annotated[str, typer.Option("--method", help="a method of Table 1, see `methods` in params.yaml")],
    params: ParamsFile = DEFAULT,
) -> None:
    """Fit one method on every seed and fold of the protocol and save its predictions."""
    from physiopipe import plan
    from physiopipe.experiments.cross_validation import Study, run_method
    from physiopipe.files import hold_lock
    from physiopipe.params import METHODS

    loaded = load(params)
    name = _known(method, METHODS, "method")
    with hold_lock(plan.LOCKS / f"finetune-{method}.lock"):
        kept = Path(loaded.run.state_folder) / "finetune"
        run_method(
            Study(name, loaded, plan.DATA / "windows" / "dreamer", ENCODER, kept),
            Path("results/predictions") / f"{method}.parquet",
            Path("results/finetune") / f"{method}.csv",
        )


@verbs.command()
def ablate(
    variant: Annotated[str, typer.Option("--variant", help="see `ablations.variants` in params.yaml")],
    params: ParamsFile = DEFAULT,
) -> None:
    """Fit Ours with one thing changed on every seed and fold and save its predictions."""
    from physiopipe import plan
    from physiopipe.experiments.ablations import run_ablation
    from physiopipe.files import hold_lock
    from physiopipe.params import ABLATIONS

    loaded = load(params)
    name = _known(variant, ABLATIONS, "ablation")
    with hold_lock(plan.LOCKS / f"ablate-{variant}.lock"):
        run_ablation(
            name,
            loaded,
            plan.DATA / "windows",
            ENCODER,
            Path("results/ablations") / f"{variant}.parquet",
            Path(loaded.run.state_folder),
        )


@verbs.command()
def robustness(
    method: Annotated[str, typer.Option("--method", help="a method of Table 1, see `robustness.methods`")],
    params: ParamsFile = DEFAULT,
) -> None:
    """Fit one method as `finetune` does and save its predictions of corrupted test clips."""
    from physiopipe import plan
    from physiopipe.experiments.cross_validation import Study
    from physiopipe.experiments.robustness import run_robustness
    from physiopipe.files import hold_lock
    from physiopipe.params import METHODS

    loaded = load(params)
    name = _known(method, METHODS, "method")
    with hold_lock(plan.LOCKS / f"robustness-{method}.lock"):
        kept = Path(loaded.run.state_folder) / "finetune"
        run_robustness(
            Study(name, loaded, plan.DATA / "windows" / "dreamer", ENCODER, kept),
            Path("results/robustness") / f"{method}.parquet",
        )


def _known(wanted: str, names: tuple[Name, ...], what: str) -> Name:
    """The one of `names` that is wanted."""
    for name in names:
        if name == wanted:
            return name
    raise PhysiopipeError(f"no {what} named {wanted!r}; there are: {', '.join(names)}.")
