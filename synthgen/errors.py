"""Errors that are meant to be read by the person at the keyboard."""


class SynthgenError(Exception):
    """Something the user can mend. Shown as one or two lines, without a traceback.

    The message says what was wrong, where, and what to do about it.
    """

    exit_code = 2


class CheckFailedError(SynthgenError):
    """What the person asked to be checked is not so: a changed set, a verdict to fail on. A code of
    its own, so that a pipeline can tell the answer no from a mistake in its command."""

    exit_code = 3


class StoppedByUserError(SynthgenError):
    """Ctrl-C or SIGTERM, after the state was saved."""

    exit_code = 130
