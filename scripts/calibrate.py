"""Is the trial's verdict to be trusted? Trials whose truth is known, and how often each verdict
was given.

    python scripts/calibrate.py --mnist FOLDER --out FOLDER

Every trial has a fresh split, fresh seeds and fresh draws; it compares real only with real +
synthetic at ratios of which the holdout chooses one, with 5 seeds and the MLP judge (the linear one
where a study's name says so), on the endpoint that the sizes of the classes declare. Finished
trials are kept as lines of OUT/<study>.jsonl: the command goes on where it was stopped. Each line
has what every other endpoint would have said of the same trainings, so the endpoints can be
compared; --endpoints prints that.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from calibrate_cases import (
    TEN,
    TWO,
    Setup,
    copies,
    new_images,
    noisy_copies,
    shifted_copies,
    tail_copies,
    unequal_splits,
)

from synthgen.data import MNIST, Digits
from synthgen.data.divide import prepare
from synthgen.data.splits import Splits
from synthgen.evaluation.classifiers import Classifier, LinearClassifier, MLPClassifier
from synthgen.evaluation.trial import Trial
from synthgen.evaluation.trial.analysis import contrast_of, control_of, others_of, pair_of
from synthgen.evaluation.trial.arms import FixedFolder, FreshDraws, SyntheticSource, rank_in_class
from synthgen.evaluation.trial.contrast import guarded_verdict
from synthgen.evaluation.trial.endpoints import ENDPOINTS, TAIL_RECALL
from synthgen.evaluation.trial.trial import Outcome
from synthgen.io import write_json
from synthgen.progress import track
from synthgen.samplers import Bootstrap, FittedSampler, Noise, ShuffledLabels
from synthgen.seeds import step_generator
from synthgen.types import LabelledImages

RATIOS = (0.5, 1.0, 2.0)
POWER_RATIOS = (0.5, 1.0, 2.0, 4.0)
FEW = 20  # training images per class of MNIST
VERY_FEW = 10  # training images per class in the study of power
SEEDS = 5


@dataclass(frozen=True)
class Case:
    """One trial's ingredients."""

    splits: Splits
    source: SyntheticSource
    ratios: tuple[float, ...]


@dataclass(frozen=True)
class Study:
    """Trials of one kind. ``truth`` says what the verdict ought to be."""

    name: str
    trials: int
    truth: str
    case: Callable[[int, Path], Case]
    classifier: Callable[[], Classifier] = MLPClassifier


def digits_case(sampler_class: type[FittedSampler]) -> Callable[[int, Path], Case]:
    def case(number: int, _: Path) -> Case:
        splits = prepare(Digits(split_seed=number))
        return Case(splits, draws_from(sampler_class, splits, number), RATIOS)

    return case


def mnist_case(number: int, mnist: Path) -> Case:
    """20 training and 20 holdout images of each class, and all official test images."""
    splits = few_of(mnist_splits(mnist), FEW, number)
    return Case(splits, draws_from(Bootstrap, splits, number), RATIOS)


def power_case(number: int, _: Path) -> Case:
    """10 training images of each digit; the other real ones stand in for a perfect generator."""
    splits = prepare(Digits(split_seed=number))
    order = torch.randperm(len(splits.train), generator=step_generator(number, 5))
    shuffled = splits.train.subset(order)
    few = rank_in_class(shuffled.labels, len(shuffled.classes)) < VERY_FEW
    splits = dataclasses.replace(splits, train=shuffled.subset(few))
    return Case(splits, FixedFolder(shuffled.subset(~few), seed=number), POWER_RATIOS)


Source = Callable[[Splits, LabelledImages, int], SyntheticSource]


def unequal_case(setup: Setup, source: Source) -> Callable[[int, Path], Case]:
    def case(number: int, mnist: Path) -> Case:
        splits, further = unequal_splits(mnist_splits(mnist), setup, number)
        return Case(splits, source(splits, further, number), RATIOS)

    return case


STUDIES = [
    Study("digits-copies", 200, "no help", digits_case(Bootstrap)),
    Study("digits-shuffled-labels", 50, "no help", digits_case(ShuffledLabels)),
    Study("digits-noise", 50, "no help", digits_case(Noise)),
    Study("mnist20-copies", 200, "no help", mnist_case),
    Study("digits10-held-back-real", 100, "help", power_case),
    *(
        Study(f"{name}-{what}", 100, truth, unequal_case(setup, source))
        for name, setup in (("two-unequal", TWO), ("ten-unequal", TEN))
        for what, truth, source in (
            ("copies", "no help", copies),
            ("tail-copies", "no help", tail_copies),
            ("tail-label-shifted", "no help", shifted_copies),
            ("held-back-real", "help", new_images),
        )
    ),
    *(
        Study(f"{name}-{what}-linear", 50, "no help", unequal_case(setup, source), LinearClassifier)
        for name, setup in (("two-unequal", TWO), ("ten-unequal", TEN))
        for what, source in (("tail-copies", tail_copies), ("noisy-tail-copies", noisy_copies))
    ),
]


def draws_from(sampler_class: type[FittedSampler], splits: Splits, number: int) -> SyntheticSource:
    sampler = sampler_class(splits.train.image)
    sampler.fit(splits.train)
    most = round(max(RATIOS) * len(splits.train))
    return FreshDraws(sampler, splits.train.counts, most=most, seed=number)


_MNIST: dict[Path, Splits] = {}  # read once per process


def mnist_splits(root: Path) -> Splits:
    if root not in _MNIST:
        _MNIST[root] = prepare(MNIST(root=str(root)))
    return _MNIST[root]


def few_of(splits: Splits, per_class: int, number: int) -> Splits:
    order = torch.randperm(len(splits.train), generator=step_generator(number, 4))
    shuffled = splits.train.subset(order)
    rank = rank_in_class(shuffled.labels, len(shuffled.classes))

    def between(first: int, last: int) -> LabelledImages:
        return shuffled.subset((rank >= first) & (rank < last))

    return dataclasses.replace(
        splits, train=between(0, per_class), holdout=between(per_class, 2 * per_class)
    )


def hold(job: tuple[str, int, Path]) -> tuple[str, dict[str, Any]]:
    """One trial of a study: the verdict at the chosen ratio, and at every ratio."""
    name, number, mnist = job
    torch.set_num_threads(1)
    started = time.perf_counter()
    study = next(study for study in STUDIES if study.name == name)
    case = study.case(number, mnist)
    outcome = Trial(seeds=SEEDS, ratios=case.ratios, shares=(), arms=()).run(
        case.splits,
        case.source,
        n_synthetic_only=len(case.splits.train),
        classifier=study.classifier(),
        baseline=None,
        exams={},
        seed=number,
    )
    found = {
        f"{ratio:g}": said(outcome, case.splits, ratio, outcome.endpoint) for ratio in case.ratios
    }
    endpoints = ENDPOINTS if outcome.tail else [name for name in ENDPOINTS if name != TAIL_RECALL]
    chosen = outcome.choices.ratio
    return name, {
        "trial": number,
        "endpoint": outcome.endpoint,
        "ratio": chosen,
        **found[f"{chosen:g}"],
        "by_ratio": found,
        "by_endpoint": {one: said(outcome, case.splits, chosen, one) for one in endpoints},
        "seconds": round(time.perf_counter() - started, 2),
    }


def said(outcome: Outcome, splits: Splits, ratio: float, endpoint: str) -> dict[str, Any]:
    """The verdict at a ratio; also what the gain over real only alone would have said. ``control``:
    against copies of real images at the chosen ratio, where the classes' shares were moved."""
    ours = outcome.arms[f"real_and_synthetic_{ratio:g}"]
    pair = pair_of(outcome, splits, ours, outcome.arms["real_only"], endpoint)
    contrast = contrast_of(pair, splits)
    control = control_of(pair, splits)
    return {
        "verdict": guarded_verdict(contrast, others_of(pair, splits), control),
        "one_sided": contrast.verdict,
        "control": control and control.to_json(),
        **{key: getattr(contrast, key) for key in ("difference", "ci_low", "ci_high", "p")},
    }


def pending(out: Path, mnist: Path, studies: list[Study]) -> Iterator[tuple[str, int, Path]]:
    for study in studies:
        done = {line["trial"] for line in read(out, study)}
        missing = (number for number in range(study.trials) if number not in done)
        yield from ((study.name, number, mnist) for number in missing)


def read(out: Path, study: Study) -> list[dict[str, Any]]:
    """Finished trials; a line cut off by a kill is a trial that has not been held."""
    path = out / f"{study.name}.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def append(path: Path, line: dict[str, Any]) -> None:
    """One more line, after the end of one that a kill may have cut off."""
    torn = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write(("\n" if torn else "") + json.dumps(line) + "\n")


def share(count: int, total: int) -> str:
    """A count with its Clopper-Pearson 95 % interval."""
    from scipy.stats import binomtest

    interval = binomtest(count, total).proportion_ci(method="exact")
    return f"{count} of {total} ({100 * interval.low:.1f}-{100 * interval.high:.1f} %)"


def summary(out: Path) -> str:
    """A table for people: how often each verdict was given where the truth is known."""
    rows = ["| study | truth | helped | harmed | no evidence |", "|---|---|---|---|---|"]
    power = []
    for study in STUDIES:
        lines = read(out, study)
        if not lines:
            continue
        verdicts = [
            line["by_ratio"]["4"]["verdict"] if "4" in line["by_ratio"] else line["verdict"]
            for line in lines
        ]
        counts = [share(verdicts.count(v), len(lines)) for v in ("helped", "harmed", "no evidence")]
        rows.append(f"| {study.name} | {study.truth} | {' | '.join(counts)} |")
        if study.truth == "help" and "4" in lines[0]["by_ratio"]:
            for ratio in lines[0]["by_ratio"]:
                helped = sum(line["by_ratio"][ratio]["verdict"] == "helped" for line in lines)
                mean = sum(line["by_ratio"][ratio]["difference"] for line in lines) / len(lines)
                power.append(
                    f"| {ratio} | {share(helped, len(lines))} | {100 * mean:+.1f} points |"
                )
    head = ["", "| ratio | helped | mean difference |", "|---|---|---|"] if power else []
    return "\n".join([*rows, *head, *power])


def endpoint_summary(out: Path) -> str:
    """How often each endpoint would have said "helped" of the same trainings (the moments and
    ratios are those of the declared one)."""
    names = [*ENDPOINTS, "tail_recall alone"]
    rows = [f"| study | truth | trials | {' | '.join(names)} |", "|---" * (3 + len(names)) + "|"]
    for study in STUDIES:
        lines = [line["by_endpoint"] for line in read(out, study) if "by_endpoint" in line]
        if not lines:
            continue
        cells = []
        for name in names:
            key = "one_sided" if name.endswith("alone") else "verdict"
            own = [line[name.split()[0]] for line in lines if name.split()[0] in line]
            helped = sum(one[key] == "helped" for one in own)
            mean = 100 * sum(one["difference"] for one in own) / max(len(own), 1)
            cells.append(f"{helped} ({mean:+.1f})" if own else "not tested")
        rows.append(f"| {study.name} | {study.truth} | {len(lines)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", type=Path, required=True, help="folder that holds MNIST/")
    parser.add_argument("--out", type=Path, required=True, help="folder of finished trials")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--study", action="append", help="only this study; may be repeated")
    parser.add_argument("--trials", type=int, help="at most so many of each study")
    parser.add_argument(
        "--endpoints", action="store_true", help="print also what other endpoints would have said"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    studies = [s for s in STUDIES if not arguments.study or s.name in arguments.study]
    if arguments.trials is not None:
        studies = [
            dataclasses.replace(study, trials=min(study.trials, arguments.trials))
            for study in studies
        ]
    jobs = list(pending(arguments.out, arguments.mnist, studies))
    started = time.perf_counter()
    with (
        multiprocessing.get_context("spawn").Pool(arguments.processes) as pool,
        track(len(jobs), "Calibration", unit="trials") as advance,
    ):
        for name, line in pool.imap_unordered(hold, jobs):
            append(arguments.out / f"{name}.jsonl", line)
            advance(1)
    write_json(
        arguments.out / f"held-{int(time.time())}.json",
        {"trials": len(jobs), "seconds": round(time.perf_counter() - started, 1)},
    )
    print(summary(arguments.out))
    if arguments.endpoints:
        print(endpoint_summary(arguments.out))


if __name__ == "__main__":
    main()
