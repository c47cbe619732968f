"""A way of looking at a sampler, and the folder that it leaves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import synthgen
from synthgen.hardware import torch_threads
from synthgen.paths import new_folder, require_absent, write_json
from synthgen.samplers.artifact import load_sampler, read_description, sampler_folder
from synthgen.samplers.base import Sampler
from synthgen.spec import Rebuildable, to_spec

FORMAT = "synthgen-look/1"
DESCRIPTION = "look.json"


class Look(Rebuildable, ABC):
    """Makes pictures of one kind."""

    @abstractmethod
    def write(self, sampler: Sampler, seed: int, folder: Path) -> list[Path]:
        """Write pictures into ``folder``, the most telling one first. Raises SynthgenError if the
        sampler can't be looked at in this way."""


def look(
    sampler_path: str | Path,
    what: Look,
    out: str | Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    allow: Iterable[str] = (),
) -> list[Path]:
    """Write the pictures of ``what`` into the new folder ``out``, with a ``look.json`` that says
    how they were made; returns their paths.

    Different seeds show different latents. Raises SynthgenError, leaving nothing behind, when the
    sampler can't be looked at so.
    """
    out = Path(out)
    require_absent(out)
    sampler = load_sampler(sampler_path, allow, device=device)
    description = read_description(sampler_folder(sampler_path))
    with new_folder(out) as staging, torch_threads(sampler.threads or 1):
        pictures = what.write(sampler, seed, staging)
        write_json(
            staging / DESCRIPTION,
            {
                "format": FORMAT,
                "what": to_spec(what),
                "seed": seed,
                "pictures": [path.name for path in pictures],
                "sampler": {
                    "sha256": description.sha256,
                    "target": description.sampler.target,
                },
                "exposes_real": description.exposes_real,
                "versions": {"synthgen": synthgen.__version__},
            },
        )
    return [out / path.name for path in pictures]
