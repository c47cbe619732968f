"""Which metric sees which fault? On real images with known faults, and on your own sets.

    python scripts/benchmark_ordering.py --root DATA                     # MNIST in DATA/MNIST/raw
    python scripts/benchmark_ordering.py --root DATA 1min=SET 3min=SET 10min=SET

``SET`` is what ``synthgen synthesize`` wrote, any folder with one subfolder per class, or an npz;
one that does not exist is left out. Half of the test images are the reference, the other half
stand in for an honest synthetic set, and the faults are made of that half. Every set is cut to the
same number of images. A mark says how a value compares with the honest set's: ▲ the two 95 %
intervals are apart and it is worse, ▽ apart and better, · not apart.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from synthgen.data import MNIST, prepare
from synthgen.data.splits import Splits
from synthgen.dataset.source import read_synthetic
from synthgen.evaluation.classifiers.extractor import ClassifierExtractor
from synthgen.evaluation.copying import copies_in_space
from synthgen.evaluation.features import Extractor, PixelExtractor
from synthgen.evaluation.fidelity import fidelity_results
from synthgen.evaluation.result import Result
from synthgen.metrics import Comparison, Strata
from synthgen.types import LabelledImages, spread_by_class

HONEST = "real"
DROPPED = 2  # classes
COPIED = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw")
    parser.add_argument("--images", type=int, default=4000, help="of each set, at most")
    parser.add_argument("--steps", type=int, default=600, help="of the classifier's training")
    parser.add_argument("sets", nargs="*", metavar="NAME=SET")
    options = parser.parse_args()
    splits = prepare(MNIST(root=options.root))
    reference, fresh = halves(splits.test)
    sets = faults(splits.train, fresh) | own_sets(options.sets, splits)
    count = min(options.images, *(len(images) for images in sets.values()))
    sets = {name: spread_by_class(images, count) for name, images in sets.items()}
    reference = spread_by_class(reference, count)
    print(f"{count:,} images of each set, {len(reference):,} reference images\n")
    for extractor in (ClassifierExtractor(steps=options.steps), PixelExtractor()):
        extractor.prepare(splits.train, 0)
        table(extractor, splits, reference, sets)


def halves(images: LabelledImages) -> tuple[LabelledImages, LabelledImages]:
    return images.subset(torch.arange(0, len(images), 2)), images.subset(
        torch.arange(1, len(images), 2)
    )


def faults(train: LabelledImages, fresh: LabelledImages) -> dict[str, LabelledImages]:
    """The honest images, and what can be wrong with a synthetic set."""
    labels, classes = fresh.labels, fresh.classes
    generator = torch.Generator().manual_seed(0)
    copies = train.subset(torch.randperm(len(train), generator=generator)[: len(fresh)])
    # Every set below is cut evenly by class, so planted copies must be spread over the classes.
    planted = torch.rand(len(fresh), generator=generator) < COPIED
    some = fresh.images.clone()
    some[planted] = train.images[: int(planted.sum())]
    some_labels = labels.clone()
    some_labels[planted] = train.labels[: int(planted.sum())]
    few = fresh.subset(torch.arange(len(fresh)) % (len(fresh) // 20))
    return {
        HONEST: fresh,
        "blurred": LabelledImages(blurred(fresh.images), labels, classes),
        "noisy": LabelledImages(noisy(fresh.images, generator), labels, classes),
        f"{DROPPED} classes missing": fresh.subset(labels >= DROPPED),
        "few images again and again": few,
        "copied": copies,
        f"{COPIED:.0%} copied": LabelledImages(some, some_labels, classes),
    }


def blurred(images: torch.Tensor) -> torch.Tensor:
    """Mean of 3 × 3 pixels, twice."""
    soft = images.float()
    for _ in range(2):
        soft = F.avg_pool2d(soft, 3, stride=1, padding=1)
    return soft.round().byte()


def noisy(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    noise = 25 * torch.randn(images.shape, generator=generator)
    return (images + noise).clamp(0, 255).round().byte()


def own_sets(named: list[str], splits: Splits) -> dict[str, LabelledImages]:
    found = {}
    for item in named:
        name, _, path = item.partition("=")
        if not Path(path).exists():
            print(f"{name}: {path or 'no path'} is not there and is left out")
            continue
        found[name] = read_synthetic(path, splits.train.classes).images
    return found


def table(
    extractor: Extractor,
    splits: Splits,
    reference: LabelledImages,
    sets: dict[str, LabelledImages],
) -> None:
    """One row per metric, one column per set."""
    real = extractor.extract(reference.images, "reference images")
    results = {
        name: {
            result.name.removeprefix("fidelity/"): result
            for result in fidelity_results(
                Comparison(
                    real,
                    extractor.extract(images.images, name),
                    (Strata(reference.labels), Strata(images.labels)),
                ),
                extractor=extractor.name,
            )
        }
        for name, images in sets.items()
    }
    print(f"In the space {extractor.name}\n")
    print("| metric | " + " | ".join(sets) + " |")
    print("|---" * (len(sets) + 1) + "|")
    for metric, honest in results[HONEST].items():
        cells = [
            f"{shown(results[name][metric])} {mark(results[name][metric], honest)}" for name in sets
        ]
        arrow = "↑" if honest.higher_is_better else "↓"
        print(f"| {metric} {arrow} | " + " | ".join(cells) + " |")
    found = {
        name: copies_in_space(
            extractor,
            train=splits.train,
            holdout=splits.holdout,
            test=reference,
            synthetic=images,
        )
        for name, images in sets.items()
    }
    for title, cell in (
        ("exact + near copies", lambda c: f"{c.exact_copies} + {c.near_copies}"),
        ("nearer to train", lambda c: f"{100 * c.share_nearer_train.value:.0f} %"),
        ("AuthPct", lambda c: f"{c.auth_pct.value:.0f}"),
        ("flagged", lambda c: "**yes**" if c.flagged else "no"),
    ):
        print(f"| {title} | " + " | ".join(cell(found[name]) for name in sets) + " |")
    print(flush=True)


def shown(result: Result) -> str:
    return "too few" if result.value is None else f"{result.value:.3g}"


def mark(result: Result, honest: Result) -> str:
    """▲, ▽ or ·; nothing for the honest set itself and where something can't be said."""
    bounds: list[Any] = [result.ci_low, result.ci_high, honest.ci_low, honest.ci_high]
    if result is honest or None in bounds:
        return ""
    low, high, honest_low, honest_high = bounds
    if low <= honest_high and honest_low <= high:
        return "·"
    larger = low > honest_high
    return "▽" if larger == honest.higher_is_better else "▲"


if __name__ == "__main__":
    main()
