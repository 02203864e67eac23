"""The verbs: `physiopipe <verb>`. Paths and printing only; everything heavy is imported by the verb that needs it."""

import os
import sys
from pathlib import Path

import typer

from physiopipe.cli import data, parameters, results, training
from physiopipe.errors import PhysiopipeError
from physiopipe.files import full_disk

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
for group in (parameters, data, training, results):  # in the order of `--help`
    app.add_typer(group.verbs)


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
