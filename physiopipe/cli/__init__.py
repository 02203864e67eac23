"""From public ECG and EEG recordings to a table of results that anyone can rerun."""

import errno
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from physiopipe.cli import data, own, parameters, results, study, training, windows
from physiopipe.errors import PhysiopipeError
from physiopipe.errors_noted import note_error

PLATFORMS = "Linux and macOS; Windows in WSL"
app = typer.Typer(
    help=f"{__doc__} A new study: `physiopipe new study`, then in its folder `dvc repro`. For {PLATFORMS}.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (parameters, study, own, data, windows, training, results):  # in the order of `--help`
    app.add_typer(group.verbs)


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"physiopipe {version('physiopipe')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version and end.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run one verb; errors meant for users are printed plainly, with exit code 2."""
    if find_spec("fcntl") is None:  # before any module that imports it
        print(f"error: physiopipe needs the locks of POSIX (`fcntl`). It is for {PLATFORMS}.", file=sys.stderr)
        sys.exit(2)
    try:
        app(standalone_mode=True)
    except PhysiopipeError as error:
        if not _left_to_launcher(error):
            _tell(str(error))
        sys.exit(2)
    except Exception as error:
        words = of_the_disk(error)
        if words is None:
            note_error(f"{type(error).__name__}: {error} (not foreseen: the job's log under logs/ has the whole of it)")
            raise
        _tell(words)
        sys.exit(2)
    except KeyboardInterrupt:
        print(
            "interrupted: nothing half-written was left under a final name; run the same command again", file=sys.stderr
        )
        sys.exit(130)


def _tell(words: str) -> None:
    print(f"error: {words}", file=sys.stderr)
    note_error(words)


def of_the_disk(error: Exception) -> str | None:
    """What to say of a disk that is full, or of a place that may not be written."""
    from physiopipe.files import full_disk

    full = full_disk(error)
    if full is not None:
        found, place = os.strerror(full.errno or 0).lower(), full.filename2 or full.filename or Path.cwd()
        return f"{found}: {place}. Free some space and run again; finished work is kept."
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        place = error.filename or Path.cwd()
        return f"{place}: {os.strerror(error.errno).lower()}. Run in a folder that you may write, or ask its owner."
    return None


def _left_to_launcher(error: PhysiopipeError) -> bool:
    """Whether this is one of several processes, whose errors are said once, by the one that started them."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return False
    from physiopipe.training.launch import report_to_launcher

    return report_to_launcher(error)
