"""The one error that users are meant to see."""


class PhysiopipeError(Exception):
    """Something the user can mend: the message says what was found, what was expected and what to do.

    The command line prints it as one plain message, without a traceback, and exits with 2.
    """
