"""What went wrong in the jobs of one workflow run, noted by each so that the run can end with it.

Standard library only: every verb imports this module.
"""

import json
import os
import sys
from pathlib import Path

_NAMED_BY = "PHYSIOPIPE_ERRORS"  # the environment's name for the file of notes
_MOST = 5  # that are told at the end


def begin_notes(path: Path) -> None:
    """Let this process's jobs note their errors in `path`, empty at first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("", encoding="utf-8")
    os.environ[_NAMED_BY] = str(path.absolute())


def note_error(words: str) -> None:
    """Note an error, if this process is a job of a run that wants to know."""
    name = os.environ.get(_NAMED_BY)
    if name:
        try:
            with Path(name).open("a", encoding="utf-8") as notes:  # one short write: jobs do not mix
                notes.write(json.dumps(words) + "\n")
        except OSError:
            return  # a full disk, say; the error itself was printed


def tell_notes(path: Path) -> None:
    """Print each error once, as the last words of a run."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    told = list(dict.fromkeys(json.loads(line) for line in lines))
    for words in told[:_MOST]:
        print(f"\nerror: {words}", file=sys.stderr)
    if len(told) > _MOST:
        print(f"\nand {len(told) - _MOST} more errors, see logs/", file=sys.stderr)
    sys.stderr.flush()
