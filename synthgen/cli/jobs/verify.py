"""``synthgen verify DIR …``: is a set still what was written?"""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

from synthgen.errors import CheckFailedError, SynthgenError
from synthgen.synthesis import verify

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.settings import VerifySettings

SHOWN = 100
log = logging.getLogger(__name__)


def run(settings: VerifySettings, invocation: Invocation) -> str:
    """Check every folder, whatever is wrong with the ones before it."""
    if isinstance(settings.folder, str):
        findings = findings_of(settings.folder)
        if findings:
            raise CheckFailedError("\n".join(findings))
        log.info("Every file is as it was written.")
        return settings.folder
    if not settings.folder:
        raise SynthgenError("There is no folder to check.\nName one: synthgen verify DIR")
    wrong: list[str] = []
    unchecked = False
    for folder in settings.folder:
        try:
            findings = findings_of(folder)
        except SynthgenError as error:
            unchecked, findings = True, str(error).splitlines()[:1]
        wrong += [f"{folder}: {finding}" for finding in findings]
        if not findings:
            log.info("%s: every file is as it was written.", folder)
    if wrong:
        raise (SynthgenError if unchecked else CheckFailedError)("\n".join(wrong))
    return "\n".join(settings.folder)


def findings_of(folder: str) -> list[str]:
    """The first of what is wrong, a sentence each, and how many more there are."""
    findings = verify(folder)
    shown = list(islice(findings, SHOWN))
    more = sum(1 for _ in findings)
    return [*shown, *([f"… and {more:,} more."] if more else [])]
