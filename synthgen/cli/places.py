"""Where a command may write: not into what another one wrote."""

from __future__ import annotations

from pathlib import Path

from synthgen.errors import SynthgenError
from synthgen.paths import parse_json

SET, UNFINISHED = "dataset.json", Path(".synthgen") / "job.json"
RUN, FIRST_WORDS = "config.yaml", b"# synthgen "
OF_A_RUN = {"sampler", "best", "checkpoints", "samples", "synthetic", "report", "wandb"}


def require_own_place(out: Path) -> None:
    """Raises SynthgenError if ``out`` lies inside a set, which would then no longer be as it was
    written, or inside a folder that a run keeps for itself."""
    place = out.expanduser().resolve()
    for parent in place.parents:
        if (parent / UNFINISHED).is_file() or _is_set(parent / SET):
            raise SynthgenError(
                f"out={out} lies inside the set {parent}, which has no place for other files.\n"
                "Choose another out=."
            )
        if parent.name in OF_A_RUN and _is_run(parent.parent / RUN):
            raise SynthgenError(
                f"out={out} lies inside {parent}, where the run {parent.parent.name} keeps its "
                "own.\nChoose another out=."
            )


def _is_set(path: Path) -> bool:
    """Whether it is synthgen's: other programs have files of that name, too."""
    try:
        found = parse_json(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and str(found.get("format")).startswith("synthgen-")


def _is_run(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(FIRST_WORDS)) == FIRST_WORDS
