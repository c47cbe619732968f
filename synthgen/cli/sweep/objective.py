"""The one result that a search is to make better, by its name; of held-back images only.

The test images are for the report at the end. Whoever chooses among twenty models by the test
images reports the luckiest of twenty, so a result of theirs is refused here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synthgen.cli.coerce import suggestion
from synthgen.cli.settings import EvaluateSettings, RunSettings, TrainSettings
from synthgen.errors import SynthgenError

if TYPE_CHECKING:
    from synthgen.evaluation.schema import Result

DISTANCE, VERDICT = "distance", "verdict/difference"
FIDELITY = "fidelity/"
OBJECTIVE = "objective"


@dataclass(frozen=True)
class Objective:
    """``name`` is the result's, without a feature space; ``space`` the one that was asked for."""

    name: str
    higher_is_better: bool
    space: str | None = None


def objective_of(settings: object) -> Objective | None:
    """What ``objective=`` names, before anything is run; None if nothing is asked for.

    Raises SynthgenError for a result that the command won't have, and for one of the test images.
    """
    if not isinstance(settings, TrainSettings | EvaluateSettings) or settings.objective is None:
        return None
    given, known = settings.objective, results_of(settings)
    meant = {name: space for name in known for space in _spaces(given, name)}
    if len(meant) != 1:
        raise _unclear(given, list(meant), known, settings)
    ((name, space),) = meant.items()
    if name == DISTANCE:
        _require_comparisons(settings)
    if isinstance(settings, RunSettings | EvaluateSettings) and name != DISTANCE:
        _require_holdout(given, settings.reference)
        if name.startswith(FIDELITY):
            _require_one_space(given, space, settings.extractor)
    return Objective(name, known[name], space)


def results_of(settings: TrainSettings | EvaluateSettings) -> dict[str, bool]:
    """The names of all results that the command will have -> whether higher is better."""
    found = {DISTANCE: False} if isinstance(settings, TrainSettings) else {}
    if isinstance(settings, RunSettings | EvaluateSettings):
        from synthgen.cli.jobs.evaluate import metrics_of
        from synthgen.evaluation.classifiers.scores import SCORES
        from synthgen.evaluation.transfer import ARMS

        found |= {f"{FIDELITY}{one.name}": one.higher_is_better for one in metrics_of(settings)}
        if settings.trial is not None:
            found[VERDICT] = True
        else:
            found |= {f"transfer/{arm}/{score}": True for arm in ARMS[1:] for score in SCORES}
    return found


def value_of(objective: Objective, folder: Path) -> float:
    """The result in ``folder``, which a run or an evaluation wrote. Raises SynthgenError if it
    isn't there."""
    value = _distance(folder) if objective.name == DISTANCE else _reported(objective, folder)
    if value is None or not math.isfinite(value):
        raise SynthgenError(
            f"{folder} has no value for {objective.name}, so this job has no objective.\n"
            "It needs more images of each class: data.holdout=, plan.per_class=."
        )
    return value


def _distance(folder: Path) -> float | None:
    from synthgen.io import read_json
    from synthgen.training.callbacks import CURVE

    path = folder / CURVE
    if not path.is_file():
        raise SynthgenError(
            f"{folder} was never compared with the holdout: training ended before best_every "
            "images.\nTrain longer, or compare more often: trainer.best_every=."
        )
    rows = [row.get("distance") for row in read_json(path)]
    return min((value for value in rows if value is not None), default=None)


def _reported(objective: Objective, folder: Path) -> float | None:
    from synthgen.evaluation.report.schema import Report

    place = folder / "report" if (folder / "report").is_dir() else folder
    report = Report.read(place / "report.json")
    if report.protocol.reference_split != "holdout":
        raise SynthgenError(f"{place} is a report on the test images, no objective.")
    if objective.name == VERDICT:
        primary = report.verdict and report.verdict.primary
        return primary.difference if primary else None
    rows = [row for row in report.results if _is_asked(row, objective)]
    return rows[0].value if rows else None


def _is_asked(row: Result, objective: Objective) -> bool:
    if row.name != objective.name or row.scope is not None:
        return False
    space = objective.space
    return space is None or row.extractor == space or str(row.extractor).startswith(f"{space}-")


def _spaces(given: str, name: str) -> list[str | None]:
    """The feature space that ``given`` names behind ``name`` or the end of it, None for none; an
    empty list if it means something else."""
    ends = [name.split("/", at)[-1] for at in range(name.count("/") + 1)]
    if given in ends:
        return [None]
    spaces = [given.removeprefix(f"{end}/") for end in ends if given.startswith(f"{end}/")]
    return [*spaces[:1]] if name.startswith(FIDELITY) else []


def _require_holdout(given: str, reference: str) -> None:
    if reference != "holdout":
        raise SynthgenError(
            f"objective={given} would choose by the test images, and the best of many is no fair "
            "report.\nAdd reference=holdout; report the winner on the test images once."
        )


def _require_comparisons(settings: TrainSettings | EvaluateSettings) -> None:
    if isinstance(settings, TrainSettings) and settings.trainer.get("best_every") is None:
        raise SynthgenError(
            "objective=distance is the smallest distance to the holdout, and nothing compares with "
            "it.\nAdd trainer.best_every=IMAGES, the images between comparisons."
        )


def _require_one_space(given: str, space: str | None, extractors: Iterable[str]) -> None:
    names = list(extractors)
    if space is None and len(names) > 1:
        raise SynthgenError(
            f"objective={given} would be measured in several feature spaces.\n"
            f"Name one: {', '.join(f'{given}/{name}' for name in names)}."
        )
    if space is not None and space not in names and space.rpartition("-")[0] not in names:
        raise SynthgenError(
            f"objective={given} names a feature space that isn't used.{suggestion(space, names)}\n"
            f"extractor= has {', '.join(names)}."
        )


def _unclear(
    given: str,
    found: list[str],
    known: dict[str, bool],
    settings: TrainSettings | EvaluateSettings,
) -> SynthgenError:
    if found:
        return SynthgenError(f"objective={given} is one of {', '.join(found)}.\nName one of them.")
    short = {name.rpartition("/")[2]: name for name in known}
    near = suggestion(given, [*known, *short])
    if not isinstance(settings, RunSettings | EvaluateSettings):
        return SynthgenError(
            f"synthgen train has no result {given!r}.{near}\n"
            "It has distance, to the holdout (with trainer.best_every=); reports are of run and "
            "evaluate."
        )
    return SynthgenError(
        f"There will be no result {given!r} in the report.{near}\nThere are {', '.join(known)}."
    )
