"""Verbs that say how a study stands: `status`."""

import typer

from physiopipe.cli.options import DEFAULT, FOR_YOU, ParamsFile, load

verbs = typer.Typer()


@verbs.command(rich_help_panel=FOR_YOU)
def status(params: ParamsFile = DEFAULT) -> None:
    """Say what is done, what comes next, what it takes on the disk, and what is free there."""
    from physiopipe.study_status import status_lines

    for line in status_lines(load(params)):
        print(line)
