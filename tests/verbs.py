"""Verbs as `physiopipe` runs them, without the second that another process takes to begin."""

import contextlib
import io
import sys
from pathlib import Path

import pytest

from physiopipe.cli import main


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and what is printed, errors last, of a verb in a folder. What `main` lets through is raised."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["physiopipe", *arguments])
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, out.getvalue() + err.getvalue()
