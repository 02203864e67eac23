"""Verbs for recordings of one's own: `embed`, `fit`, `predict`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from physiopipe.cli.options import DEFAULT, FOR_YOU, CohortName, ParamsFile, chosen_downstream, load
from physiopipe.cli.training import ENCODER
from physiopipe.errors import PhysiopipeError

verbs = typer.Typer()
SOME_REFUSED = 3  # exit code

RecordingsPlace = Annotated[
    Path,
    typer.Argument(help="A folder of WFDB, EDF or BIDS recordings (.hea, .edf, .vhdr, .set, .bdf), or one file."),
]
MainsHz = Annotated[
    float | None,
    typer.Option("--mains-hz", min=1.0, help="Mains frequency to remove, 50 or 60. Default: as in training."),
]
Named = Annotated[
    list[str] | None,
    typer.Option("--channel", help="WANTED=NAME: what a file's channel is, where its name does not tell. Repeat it."),
]


@verbs.command(rich_help_panel=FOR_YOU)
def embed(
    recordings: RecordingsPlace,
    encoder: Annotated[Path, typer.Option(help="A pretrained ECG encoder, .safetensors.")] = ENCODER,
    out: Annotated[Path, typer.Option(help="Table of windows to write, .parquet.")] = Path("embeddings.parquet"),
    rate_hz: Annotated[
        int | None, typer.Option("--rate-hz", help="One of the encoder's rates. Default: 200, or the nearest.")
    ] = None,
    mains_hz: MainsHz = None,
    channel: Named = None,
) -> None:
    """Embed the ECG of your own recordings: a row a window in OUT, a row a recording in OUT's .records.parquet.

    Exit code 0: all were embedded; 3: some were refused, see OUT's .refused.csv; 2: an error, or none was embedded.
    """
    from physiopipe.own_recordings.embed import embed_recordings, told
    from physiopipe.own_recordings.encoder import load_encoder
    from physiopipe.own_recordings.reading import beside, named_channels

    if out.suffix != ".parquet":
        raise PhysiopipeError(f"--out {out}: expected a name that ends in .parquet.")
    named = named_channels(channel or [])
    known = load_encoder(encoder)
    for line in told(known):
        print(line)
    done = embed_recordings(recordings, known, out, rate_hz=rate_hz, mains_hz=mains_hz, named=named)
    print(done.last_line("embedded", out, beside(out, "refused.csv")))
    if done.refused.rows:
        raise typer.Exit(SOME_REFUSED)


@verbs.command(rich_help_panel=FOR_YOU)
def fit(
    cohort: CohortName,
    method: Annotated[str, typer.Option("--method", help="A method of the study, see `methods` in params.yaml.")],
    params: ParamsFile = DEFAULT,
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: models/<cohort>-<method>.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of groups of people and of the fits. Default: the study's first.")
    ] = None,
) -> None:
    """Fit one method on all people of a cohort and keep it in a folder, with the study's cross-validated numbers."""
    from physiopipe import plan
    from physiopipe.experiments.cross_validation import Study
    from physiopipe.files import hold_lock
    from physiopipe.methods.registry import known_method, missing_extras
    from physiopipe.own_recordings.card import SIMULATED, headline_of
    from physiopipe.own_recordings.fit import fit_model

    loaded = load(params, with_methods=True)
    chosen_downstream(cohort, loaded)
    if (missing := missing_extras(known_method(method))) is not None:
        raise PhysiopipeError(missing)
    folder = out or Path("models") / f"{cohort}-{method}"
    study = Study(method, loaded, cohort, plan.DATA / "windows", ENCODER, Path(loaded.run.state_folder))
    with hold_lock(plan.LOCKS / f"fit-{cohort}-{method}.lock"):
        about = fit_model(study, Path("results") / cohort, folder, loaded.evaluate.seeds[0] if seed is None else seed)
    if about["simulated"]:
        print(SIMULATED)
    numbers = "; ".join(f"{task} {headline_of(about, task)}" for task in about["tasks"])
    print(f"{about['title']} on {about['cohort_title']}, cross-validated: {numbers}")
    print(f"wrote {folder}: fitted on {about['people']} people, {about['clips']} clips; its card is README.md")


@verbs.command(rich_help_panel=FOR_YOU)
def predict(
    recordings: RecordingsPlace,
    model: Annotated[Path, typer.Option(help="A folder that `physiopipe fit` wrote.")],
    out: Annotated[Path, typer.Option(help="Table to write, .csv.")] = Path("predictions.csv"),
    clips: Annotated[
        Literal["recording", "consecutive"],
        typer.Option(help="recording: one clip each, its last seconds; consecutive: every stretch of a clip's length."),
    ] = "recording",
    mains_hz: MainsHz = None,
    channel: Named = None,
) -> None:
    """Give a fitted model's probability for each clip of your own recordings of EEG and ECG: a row a clip and task.

    Exit code 0: all were predicted; 3: some were refused, see OUT's .refused.csv; 2: an error, or none was predicted.
    """
    from physiopipe.own_recordings.predict import predict_recordings
    from physiopipe.own_recordings.reading import beside, named_channels

    if out.suffix != ".csv":
        raise PhysiopipeError(f"--out {out}: expected a name that ends in .csv.")
    named = named_channels(channel or [])
    done = predict_recordings(recordings, model, out, clips=clips, mains_hz=mains_hz, named=named)
    print(done.last_line("predicted", out, beside(out, "refused.csv")))
    if done.refused.rows:
        raise typer.Exit(SOME_REFUSED)
