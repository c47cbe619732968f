"""The classification accuracy score (Ravuri & Vinyals 2019): what a ResNet-56 learns from a
synthetic set alone, beside the same network on the real training images.

    python scripts/classification_score.py --cifar FOLDER --out FOLDER             # real images
    python scripts/classification_score.py --cifar FOLDER --out FOLDER --set SET   # a synthetic set
    python scripts/classification_score.py --out FOLDER --table

Every network takes the same steps, with random crops and flips, and is asked about the official
test images once, at its last step. Each training is kept as OUT/<name>-<seed>.json, so the command
goes on where it was stopped, and several may work at different seeds at the same time. Other steps
need another OUT. For a GPU.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch
from machine import machine

from synthgen.data import CIFAR10, Splits, prepare
from synthgen.dataset.source import read_synthetic
from synthgen.evaluation.classifiers import (
    ClassifierRequest,
    CropFlip,
    ResNet56Classifier,
    TrainingRecipe,
)
from synthgen.evaluation.classifiers.scores import accuracy, score_estimate
from synthgen.io import read_json, write_json
from synthgen.types import LabelledImages

REAL = "real"


def score(
    classifier: ResNet56Classifier, data: LabelledImages, splits: Splits, seed: int
) -> dict[str, Any]:
    """One training, and the labels that it gave the test images."""
    assert classifier.steps is not None
    request = ClassifierRequest(
        recipe=TrainingRecipe(data=data),
        seed=seed,
        steps=classifier.steps,
        holdout=splits.holdout,
        exams={"test": splits.test.images},
    )
    taken = classifier.examine(request)
    right = taken.predictions["test"] == splits.test.labels
    return {
        "images": len(data),
        "seed": seed,
        "judge": classifier.describe(classifier.steps).to_json(),
        "accuracy": float(right.double().mean()),
        "seconds": round(taken.seconds, 1),
        "labels": splits.test.labels.tolist(),
        "predictions": taken.predictions["test"].tolist(),
        "split": splits.digest,
        "machine": machine(),
    }


def work(arguments: argparse.Namespace) -> None:
    name = REAL if arguments.set is None else arguments.name or arguments.set.parent.name
    classifier = ResNet56Classifier(arguments.steps, arguments.batch_size, augment=CropFlip())
    refuse_mixture(arguments.out, classifier)
    files = {seed: arguments.out / f"{name}-{seed}.json" for seed in arguments.seeds}
    if all(file.is_file() for file in files.values()):
        return
    splits = prepare(CIFAR10(root=str(arguments.cifar)))
    data = splits.train
    if arguments.set is not None:
        data = read_synthetic(arguments.set, splits.train.classes).images
    arguments.out.mkdir(parents=True, exist_ok=True)
    for seed, file in files.items():
        if not file.is_file():
            found = score(classifier, data, splits, seed)
            write_json(file, {"name": name, **found})
            print(f"{name}, seed {seed}: {found['accuracy']:.4f}", file=sys.stderr)


def refuse_mixture(out: Path, classifier: ResNet56Classifier) -> None:
    """Trainings are compared: all of a folder take the same steps."""
    for file in out.glob("*-*.json"):
        found = read_json(file)["judge"]
        if (found["steps"], found["batch_size"]) != (classifier.steps, classifier.batch_size):
            raise SystemExit(
                f"{file} took {found['steps']} steps of {found['batch_size']}, but "
                f"{classifier.steps} of {classifier.batch_size} were asked for.\n"
                "Give the same, or another --out."
            )


def table(out: Path) -> str:
    """A row per set: the mean of its trainings, with an interval over test images and trainings."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(out.glob("*-*.json")):
        found = read_json(file)
        rows.setdefault(found["name"], []).append(found)
    titles = ("trained on", "images", "trainings", "accuracy (95 %)", "each", "protocol")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name, trainings in rows.items():
        one = trainings[0]
        labels = torch.tensor(one["labels"])
        predictions = [torch.tensor(found["predictions"]) for found in trainings]
        value = score_estimate(accuracy, labels, predictions, int(labels.max()) + 1)
        assert value.value is not None
        assert value.low is not None
        assert value.high is not None
        each = ", ".join(f"{100 * found['accuracy']:.1f}" for found in trainings)
        classifier = one["judge"]
        lines.append(
            f"| {name} | {one['images']:,} | {len(trainings)} | {100 * value.value:.1f} "
            f"({100 * value.low:.1f} to {100 * value.high:.1f}) | {each} | {classifier['name']}, "
            f"{classifier['steps']:,} steps of {classifier['batch_size']}, "
            f"{classifier['augmentation']}, "
            f"{one['machine']['gpu'] or one['machine']['cpu']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cifar", type=Path, help="folder that holds CIFAR-10")
    parser.add_argument("--out", type=Path, required=True, help="folder of finished trainings")
    parser.add_argument("--set", type=Path, help="folder of a synthetic set; without: real images")
    parser.add_argument("--name", help="of the row; without: the folder around the set")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument(
        "--table", action="store_true", help="print the finished trainings, and stop"
    )
    arguments = parser.parse_args()
    if not arguments.table:
        if arguments.cifar is None:
            parser.error("--cifar is needed")
        work(arguments)
    print(table(arguments.out))


if __name__ == "__main__":
    main()
