"""Verbs for recordings of one's own: `embed`."""

from pathlib import Path
from typing import Annotated

import typer

from physiopipe.cli.options import FOR_YOU
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
