"""Reports side by side: refused where they can't be compared, and written as a page, as CSV
and as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synthgen.errors import SynthgenError, plain_cell
from synthgen.evaluation.experiments import Experiment, distinct, experiments_in
from synthgen.evaluation.report.comparison import (
    DIFFERENCE,
    EXACT_COPIES,
    IMAGES,
    IMAGES_SEEN,
    NEAR_COPIES,
    SECONDS,
    answers,
    ranking,
)
from synthgen.evaluation.report.comparison_page import write_comparison_page
from synthgen.evaluation.report.formatting import reference_split
from synthgen.evaluation.report.schema import (
    Answered,
    ChangedSetting,
    ComparedLine,
    ComparedRun,
    ComparedValue,
    Comparison,
    Report,
    scope_text,
)
from synthgen.evaluation.report.verdict import verdict_text
from synthgen.evaluation.schema import Interval, Result
from synthgen.io import new_folder, write_json, write_text
from synthgen.masking import flatten, masked
from synthgen.moved import specs_today

Identity = tuple[str, str | None, str | None, str]


def compare(folders: Sequence[Path], out: Path) -> Comparison:
    """:func:`compare_experiments` of the reports in ``folders``: report folders, run folders with
    ``report/`` in them, or folders of a sweep that hold such runs."""
    return compare_experiments(experiments_in([Path(folder) for folder in folders]), out)


def compare_experiments(experiments: Sequence[Experiment], out: Path) -> Comparison:
    """Put reports side by side, the best first, and write ``out/comparison.{json,csv,html}``.

    Raises:
        SynthgenError: there are fewer than two reports, or they have different splits, different
            reference splits, different extractors of one kind or no result in common.
    """
    if len(experiments) < 2:
        raise SynthgenError(
            f"Comparing needs at least two reports, got {len(experiments)}.\n"
            "Name their folders: synthgen compare DIR DIR"
        )
    runs = distinct(experiments)
    require_same_split(runs)
    require_same_extractors(runs)
    comparison = side_by_side(runs)
    if (found := ranking(comparison)) is not None:
        runs = sorted(runs, key=lambda run: found.order.index(run.name))
        comparison = side_by_side(runs)
    said = tuple(Answered(question=a.question, text=a.text) for a in answers(comparison))
    comparison = comparison.model_copy(update={"answers": said})
    with new_folder(Path(out)) as staging:
        write_json(staging / "comparison.json", comparison.to_json())
        write_csv(comparison, staging / "comparison.csv")
        write_comparison_page(comparison, runs, staging)
    return comparison


def side_by_side(runs: Sequence[Experiment]) -> Comparison:
    """In this order."""
    results = shared_lines(runs)
    if not results:
        raise SynthgenError(
            "These reports have no result in common (name, extractor, classifier and scope).\n"
            "Evaluate them again with the same extractors and judge."
        )
    return Comparison(
        format="synthgen-comparison/1",
        runs=[compared_run(run) for run in runs],
        results=[*results, *fact_lines(runs)],
        differences=differing_settings(runs),
        sentences=sentences(runs),
        same_judge=same_judge(runs),
    )


# Refusing what can't be compared.


def require_same_split(runs: Sequence[Experiment]) -> None:
    """Numbers from different real images are different measurements."""
    for what, of in (
        ("splits of the data", lambda run: run.report.provenance.data.digest),
        ("reference splits", lambda run: reference_split(run.report)),
    ):
        first = of(runs[0])
        for run in runs[1:]:
            if of(run) != first:
                raise SynthgenError(
                    f"{runs[0].name} and {run.name} were tested on different {what} "
                    f"({_short(first)} and {_short(of(run))}).\n"
                    "Evaluate both with the same data and split settings."
                )


def require_same_extractors(runs: Sequence[Experiment]) -> None:
    """A distance in one network's features says nothing about a distance in another's. Extractors
    of one kind (the part of the name before the weights' hash) must have the same weights."""
    first = _extractors(runs[0])
    for run in runs[1:]:
        own = _extractors(run)
        for kind in first.keys() & own.keys():
            if first[kind] != own[kind]:
                raise SynthgenError(
                    f"{runs[0].name} and {run.name} were seen by different {kind} networks "
                    f"({', '.join(sorted(first[kind]))} and {', '.join(sorted(own[kind]))}).\n"
                    "Evaluate both with the same extractor: same data, split, seed and settings."
                )


def _extractors(run: Experiment) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {}
    for name in {result.extractor for result in run.report.results if result.extractor}:
        kinds.setdefault(name.split("-")[0], set()).add(name)
    return kinds


def _short(text: str) -> str:
    return f"{text[:12]}…" if len(text) > 16 else text


# Results in lines, runs in columns.


def shared_lines(runs: Sequence[Experiment]) -> list[ComparedLine]:
    """Results that at least two runs have, overall ones before classes, else in their order."""
    found: dict[Identity, dict[str, Result]] = {}
    for run in runs:
        for result in run.report.results:
            found.setdefault(identity(result), {})[run.name] = result
    kept = [own for own in found.values() if len(own) > 1]
    kept.sort(key=lambda own: next(iter(own.values())).scope is not None)  # stable
    return [line(own, [run.name for run in runs]) for own in kept]


def identity(result: Result) -> Identity:
    """What makes two results the same measurement."""
    return result.name, result.extractor, result.classifier, scope_text(result.scope)


def line(own: Mapping[str, Result], names: Sequence[str]) -> ComparedLine:
    first = next(iter(own.values()))
    best = clear_best([own.get(name) for name in names], first.higher_is_better)
    return ComparedLine(
        name=first.name,
        label=first.label,
        extractor=first.extractor,
        classifier=first.classifier,
        scope=first.scope,
        higher_is_better=first.higher_is_better,
        values={name: value_of(result, result.n_fake) for name, result in own.items()},
        best=None if best is None else names[best],
    )


def value_of(found: Interval, n_fake: int) -> ComparedValue:
    low, high = found.ci_low, found.ci_high
    return ComparedValue(value=found.value, ci_low=low, ci_high=high, n_fake=n_fake)


def clear_best(results: Sequence[Interval | None], higher_is_better: bool) -> int | None:
    """The position of the best value if its interval overlaps with no other; None when a value or
    an interval is missing, or intervals overlap."""
    sign = 1 if higher_is_better else -1
    ends = [ends_of(result, sign) for result in results if result is not None]
    known = [one for one in ends if one is not None]
    if len(known) < max(2, len(results)):
        return None
    best = max(range(len(known)), key=lambda index: known[index][1])
    others = [far for index, (_, _, far) in enumerate(known) if index != best]
    return best if all(known[best][0] > far for far in others) else None


def ends_of(result: Interval, sign: int) -> tuple[float, float, float] | None:
    """The worse end, the value and the better end of an interval, all times ``sign``."""
    value, low, high = result.value, result.ci_low, result.ci_high
    if value is None or low is None or high is None:
        return None
    near, far = (low, high) if sign > 0 else (high, low)
    return sign * near, sign * value, sign * far


def compared_run(run: Experiment) -> ComparedRun:
    verdict, copying = run.report.verdict, run.report.copying
    return ComparedRun(
        name=run.name,
        folder=run.place,
        verdict=verdict.primary.verdict if verdict and verdict.primary else None,
        endpoint=verdict.endpoint if verdict else None,
        copies_flagged=any(one.flagged for one in copying.values()) if copying else None,
    )


def fact_lines(runs: Sequence[Experiment]) -> list[ComparedLine]:
    """What the reports say of their trials, of copies and of the cost, as lines beside the results.
    Only a gain in the same endpoint can be the best."""
    found = {run.name: facts(run.report) for run in runs}
    endpoints = {run.report.verdict.endpoint if run.report.verdict else None for run in runs}
    lines = []
    for name in dict.fromkeys(name for own in found.values() for name in own):
        values = {run: own[name] for run, own in found.items() if name in own}
        best = clear_best([own.get(name) for own in found.values()], higher_is_better=True)
        decides = name == DIFFERENCE and best is not None and len(endpoints) == 1
        lines.append(
            ComparedLine(
                name=name,
                extractor=None,
                classifier=None,
                scope=None,
                higher_is_better=True if name == DIFFERENCE else None,
                values=values,
                best=runs[best].name if decides and best is not None else None,
            )
        )
    return lines


def facts(report: Report) -> dict[str, ComparedValue]:
    """By name; what a report doesn't say isn't there."""
    total = sum(report.provenance.synthetic.counts.values())
    made = flatten(report.provenance.synthetic.dataset or {})
    found: dict[str, Any] = {}
    if report.verdict and (primary := report.verdict.primary):
        found[DIFFERENCE] = (primary.difference, primary.ci_low, primary.ci_high)
    if "train" in report.provenance.exact_copies:
        found[EXACT_COPIES] = (report.provenance.exact_copies["train"], None, None)
    most = max(report.copying.values(), key=lambda one: one.near_copies, default=None)
    if most is not None:
        found[NEAR_COPIES] = (most.near_copies, None, None)
    found[IMAGES] = (total, None, None)
    for name in (IMAGES_SEEN, SECONDS):
        value = made.get(f"provenance.{name.replace('/', '.')}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = (value, None, None)
    counted = most.searched if most else total
    return {
        name: ComparedValue(
            value=value,
            ci_low=low,
            ci_high=high,
            n_fake=counted if name == NEAR_COPIES else total,
        )
        for name, (value, low, high) in found.items()
    }


# Settings that differ.

JUDGE = ("name", "network", "steps", "batch_size", "optimizer", "augmentation")
FOLLOWS = {  # from other settings or from the machine, or only names a place
    "sha256", "digest", "fingerprint", "id", "created", "seconds", "images_per_second",
    "images_seen", "threads", "machine", "torch", "root", "out", "cache", "synthetic", "sampler",
    "path", "_partial_",
}  # fmt: skip
MADE = ("plan", "seed", "mode")  # of what a set says of itself
DRAWN = ("latents", "filters", "shares")  # of what each of its parts says


def differing_settings(runs: Sequence[Experiment]) -> list[ChangedSetting]:
    """Settings that are not equal in all reports that could name them, the broadest first, each
    once; secrets are masked. What only one kind of model has is told by the kind."""
    settings = [settings_of(run.report) for run in runs]
    rows: dict[str, list[Any]] = {}
    for key in dict.fromkeys(key for flat in settings for key in flat):
        told = [flat.get(key) for flat in settings if could_tell(flat, key)]
        if any(value != told[0] for value in told):
            rows[key] = told
    if "model" in rows:
        rows.pop("set.model", None)
    changed: dict[str, dict[str, Any]] = {}
    for key in sorted(rows, key=lambda key: key.count(".")):
        values = {run.name: flat.get(key) for run, flat in zip(runs, settings, strict=True)}
        if not told_by_kind(key, rows) and not told_already(key, values, changed):
            changed[key] = values
    return [ChangedSetting(key=key, values=values) for key, values in changed.items()]


def told_already(
    key: str, values: Mapping[str, Any], changed: Mapping[str, dict[str, Any]]
) -> bool:
    """Whether the setting is one of ``changed`` under the name of another place. What that place
    doesn't know is filled in."""
    for other, known in changed.items():
        both = [run for run in values if None not in (values[run], known[run])]
        alike = other.rpartition(".")[2] == key.rpartition(".")[2] and both
        if alike and all(values[run] == known[run] for run in both):
            known |= {run: values[run] for run in values if known[run] is None}
            return True
    return False


def could_tell(flat: Mapping[str, Any], key: str) -> bool:
    """A report that lacks a whole group of settings, as one of a set alone lacks those of the
    training, says nothing about them; within a group that it has, a missing one is none. Which
    metrics were asked for is no difference between experiments."""
    group = key.partition(".")[0]
    return key in flat or (
        group not in ("set", "training", "versions", "metric")
        and any(other == group or other.startswith(f"{group}.") for other in flat)
    )


def told_by_kind(key: str, rows: Mapping[str, list[Any]]) -> bool:
    """Whether a setting differs only because a part that it belongs to is of another kind."""
    present = [value for value in rows[key] if value is not None]
    if len(present) == len(rows[key]) or any(value != present[0] for value in present):
        return False
    parents = key.split(".")
    return any(".".join(parents[:depth]) in rows for depth in range(1, len(parents)))


def settings_of(report: Report) -> dict[str, Any]:
    """What was chosen for a run as flat names: how its set was made, and how it was evaluated. The
    kind of a part (``_target_``) has the part's own name."""
    made, config = report.provenance.synthetic.dataset or {}, report.provenance.config or {}
    origin = made.get("provenance") or {}
    about = {name: made[name] for name in MADE if name in made} | {"model": origin.get("model")}
    for part in made.get("parts") or []:
        about |= {name: part[name] for name in DRAWN if part.get(name)}
    classifier = {
        name: getattr(report.protocol.judge, name) for name in (*JUDGE, "seeds", "precision")
    }
    whole: dict[str, Any] = {name: config[name] for name in config if name != "logger"}
    versions = report.provenance.versions
    whole |= {"set": about, "training": origin.get("training"), "versions": versions}
    flat = flatten(masked(specs_today(whole))) | {f"judge.{k}": v for k, v in classifier.items()}
    return {
        key.removesuffix("._target_"): str(value).rpartition(".")[2] if "_target_" in key else value
        for key, value in flat.items()
        if key.rpartition(".")[2] not in FOLLOWS and key not in ("set", "training")
    }


def same_judge(runs: Sequence[Experiment]) -> bool:
    """How many trainings there were changes only the intervals."""
    found = [[getattr(run.report.protocol.judge, name) for name in JUDGE] for run in runs]
    return all(one == found[0] for one in found)


# What to keep in mind while reading, and the table for programs.

BEST_SENTENCE = (
    "A value is marked as best (*) only where its interval overlaps with no other run's interval; "
    "where nothing is marked, no run is surely the best."
)
ONE_SET_EACH = (
    "Intervals are over test images and trainings of the judge. Another training of the same "
    "generator could differ by more: compare several seeds before you prefer a setting."
)


def sentences(runs: Sequence[Experiment]) -> list[str]:
    """What to keep in mind while reading the table."""
    said = [BEST_SENTENCE, ONE_SET_EACH]
    if (reference := reference_split(runs[0].report)) != "test":
        said.append(
            f"These reports are for choosing: their reference is the {reference} split. The final "
            "report of what is chosen uses reference=test."
        )
    if not same_judge(runs):
        said.append(
            "The judges were trained with different settings (see the differences), so the "
            "transfer results of these runs are not the same test."
        )
    return said + verdicts(runs)


def verdicts(runs: Sequence[Experiment]) -> list[str]:
    """What the trials said, if any report has one: the first two sentences of each."""
    tried = [run for run in runs if run.report.verdict is not None]
    untried = [run.name for run in runs if run.report.verdict is None]
    said = [
        f"Verdict of {run.name}: "
        f"{'. '.join(verdict_text(run.report.verdict).split('. ')[:2]).rstrip('.')}."
        for run in tried
    ]
    if tried and untried:
        said.append(f"Without a trial, so not tested for help: {', '.join(untried)}.")
    return said


def write_csv(comparison: Comparison, path: Path) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in (comparison.columns(), *comparison.records()):
        writer.writerow(map(plain_cell, row))
    write_text(path, buffer.getvalue())
