"""``synthgen look``: a sampler in, pictures of what it draws out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synthgen.cli.assemble import build_instance, sampler_here
from synthgen.io import require_absent
from synthgen.synthesis.sources import resolve_device
from synthgen.visualize import Look, look

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.settings import LookSettings


def run(settings: LookSettings, invocation: Invocation) -> Path:
    out = invocation.folder(settings.out)
    require_absent(out)
    what = build_instance(settings.what, Look, key="what", allow=settings.allow)
    with sampler_here(settings.sampler) as sampler:
        look(
            sampler,
            what,
            out,
            seed=settings.seed,
            device=resolve_device(settings.device),
            allow=settings.allow,
        )
    return out
