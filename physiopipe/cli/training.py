"""Verbs that train: the ECG encoder (`pretrain`, `export`) and methods (`finetune`, `ablate`, `robustness`)."""

from pathlib import Path
from typing import Annotated

import typer

from physiopipe.cli.options import DEFAULT, FOR_THE_WORKFLOW, FOR_YOU, CohortName, ParamsFile, chosen_downstream, load

verbs = typer.Typer()
ENCODER = Path("models/ecg_encoder.safetensors")


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def pretrain(params: ParamsFile = DEFAULT) -> None:
    """Train the ECG encoder on the windows of the pretraining cohort."""
    from physiopipe import plan
    from physiopipe.files import hold_lock, read_json, write_json
    from physiopipe.results.summary import pretraining_summary
    from physiopipe.training.launch import launch, processes_wanted, rank_if_launched
    from physiopipe.training.pretrain import PretrainFiles
    from physiopipe.windows.pretraining import pretrain_on_store

    loaded, results = load(params), Path("results/pretrain")
    files = PretrainFiles(ENCODER, results / "loss.csv", results / "metrics.json", results / "reconstructions.npz")
    windows = plan.DATA / "windows" / loaded.cohorts.pretraining
    launched = rank_if_launched()
    if launched is None:
        with hold_lock(plan.LOCKS / "pretrain.lock"):
            processes = processes_wanted(loaded.run)
            if processes > 1:
                launch(processes, ["-m", "physiopipe.cli", "pretrain", "--params", str(params)])
            else:
                pretrain_on_store(windows, loaded, files)
        write_json(results / "summary.json", pretraining_summary(read_json(files.metrics)))
        print(f"wrote {files.encoder}")
    else:
        # what a killed run's processes may still hold, for a moment
        with hold_lock(plan.LOCKS / f"pretrain-{launched}.lock"):
            pretrain_on_store(windows, loaded, files)


@verbs.command(rich_help_panel=FOR_YOU)
def export(
    encoder: Annotated[Path, typer.Option()] = ENCODER,
    metrics: Annotated[Path, typer.Option()] = Path("results/pretrain/metrics.json"),
    output: Annotated[Path, typer.Option(help="folder to write")] = Path("models/export"),
    params: ParamsFile = DEFAULT,
) -> None:
    """Write the pretrained encoder for others: safetensors, .pth, braindecode's config and a model card."""
    from physiopipe import plan
    from physiopipe.files import hold_lock
    from physiopipe.models.export import export_encoder
    from physiopipe.params import load_params

    recipe = load_params(params, with_methods=False).pretrain if params.exists() else None
    with hold_lock(plan.LOCKS / "export.lock"):
        export_encoder(encoder, metrics, output, recipe)
    print(f"wrote {output}: model.safetensors, pretrained_weights.pth, config.json, README.md")


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def finetune(
    cohort: CohortName,
    method: Annotated[str, typer.Option("--method", help="a method of Table 1, see `methods` in params.yaml")],
    params: ParamsFile = DEFAULT,
) -> None:
    """Fit one method on every seed and fold of the protocol and save its predictions."""
    from physiopipe import plan
    from physiopipe.experiments.cross_validation import Study, run_method
    from physiopipe.files import hold_lock
    from physiopipe.methods.registry import known_method

    loaded = load(params, with_methods=True)
    chosen_downstream(cohort, loaded)
    results = Path("results") / cohort
    with hold_lock(plan.LOCKS / f"finetune-{cohort}-{known_method(method)}.lock"):
        run_method(
            Study(method, loaded, cohort, plan.DATA / "windows", ENCODER, Path(loaded.run.state_folder)),
            results / "predictions" / f"{method}.parquet",
            results / "finetune" / f"{method}.csv",
            results / "costs" / f"{method}.csv",
        )


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def ablate(
    cohort: CohortName,
    variant: Annotated[str, typer.Option("--variant", help="see `ablations.variants` in params.yaml")],
    params: ParamsFile = DEFAULT,
) -> None:
    """Fit Ours with one thing changed on every seed and fold and save its predictions."""
    from physiopipe import plan
    from physiopipe.experiments.ablations import known_ablation, run_ablation
    from physiopipe.experiments.cross_validation import Study
    from physiopipe.files import hold_lock

    loaded = load(params, with_methods=True)
    chosen_downstream(cohort, loaded)
    with hold_lock(plan.LOCKS / f"ablate-{cohort}-{known_ablation(variant)}.lock"):
        run_ablation(
            variant,
            Study("ours", loaded, cohort, plan.DATA / "windows", ENCODER, Path(loaded.run.state_folder)),
            Path("results") / cohort / "ablations" / f"{variant}.parquet",
        )


@verbs.command(rich_help_panel=FOR_THE_WORKFLOW)
def robustness(
    cohort: CohortName,
    method: Annotated[str, typer.Option("--method", help="a method of Table 1, see `robustness.methods`")],
    params: ParamsFile = DEFAULT,
) -> None:
    """Test one method, fitted as by `finetune`, on corrupted clips and save its predictions."""
    from physiopipe import plan
    from physiopipe.experiments.cross_validation import Study
    from physiopipe.experiments.robustness import run_robustness
    from physiopipe.files import hold_lock
    from physiopipe.methods.registry import known_method

    loaded = load(params, with_methods=True)
    chosen_downstream(cohort, loaded)
    with hold_lock(plan.LOCKS / f"robustness-{cohort}-{known_method(method)}.lock"):
        run_robustness(
            Study(method, loaded, cohort, plan.DATA / "windows", ENCODER, Path(loaded.run.state_folder)),
            Path("results") / cohort / "robustness" / f"{method}.parquet",
        )
