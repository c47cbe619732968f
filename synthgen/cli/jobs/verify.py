"""``synthgen verify DIR``: is a set still what was written?"""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

from synthgen.errors import CheckFailedError
from synthgen.synthesis import verify

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.validate import VerifySettings

SHOWN = 100
log = logging.getLogger(__name__)


def run(settings: VerifySettings, invocation: Invocation) -> str:
    findings = verify(settings.folder)
    shown = list(islice(findings, SHOWN))
    more = sum(1 for _ in findings)
    if shown:
        rest = [f"… and {more:,} more."] if more else []
        raise CheckFailedError("\n".join([*shown, *rest]))
    log.info("Every file is as it was written.")
    return settings.folder
