"""Errors that are meant to be read by the person at the keyboard."""


class SynthgenError(Exception):
    """Something the user can mend. Shown as one or two lines, without a traceback.

    The message says what was wrong, where, and what to do about it.
    """

    exit_code = 2


class StoppedByUserError(SynthgenError):
    """Ctrl-C or SIGTERM, after the state was saved."""

    exit_code = 130
