"""The one error that users are meant to see, and a sentence that it often has."""

import difflib
from collections.abc import Iterable


class PhysiopipeError(Exception):
    """Something the user can mend: the message says what was found, what was expected and what to do.

    The command line prints it as one plain message, without a traceback, and exits with 2.
    """


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """A sentence on a name that is not known, with the closest one that is."""
    names = list(known)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are: {', '.join(names)}."
    return f"no {what} named {name!r}; {hint}"
