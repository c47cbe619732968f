"""Does augmenting what the discriminator sees help when there are 20 training images per digit?

    python scripts/small_data.py --mnist FOLDER --out FOLDER

Trains experiment=mnist_small with each augmentation and three seeds, each seed with other training
images and other weights, the same for all augmentations. Then it measures the last generator and
the one that was best on the holdout against the 10,000 official test images. Finished trainings
are kept as OUT/<augmentation>-<seed>.json: the command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from synthgen import load_sampler
from synthgen.cli.main import main as synthgen
from synthgen.data import MNIST, Splits, prepare
from synthgen.evaluation.features import ClassifierExtractor
from synthgen.evaluation.judges import Lesson, SmallCNNJudge
from synthgen.evaluation.metrics import frechet_distance
from synthgen.paths import read_json, write_json
from synthgen.seeds import row_seeds
from synthgen.types import LabelledImages

ARMS = {"none": "none", "diffaugment": "diffaugment_translation", "ada": "ada_no_flip"}
DRAWN = 10_000
STEPS = 600  # of the classifier that learns from drawn images alone
CHECKPOINTS = {"last": "sampler", "best": "best"}


class Instruments:
    """Features of a classifier that saw all of MNIST's training images, and the test images."""

    def __init__(self, mnist: Path) -> None:
        self.whole: Splits = prepare(MNIST(root=str(mnist)))
        self.extractor = ClassifierExtractor()
        self.extractor.prepare(self.whole.train, seed=0)
        self.real = self.extractor.extract(self.whole.test.images)

    def measure(self, images: LabelledImages) -> dict[str, float]:
        """Fréchet distance of the features, and what a small CNN learns from ``images`` alone."""
        drawn = self.extractor.extract(images.images)
        taken = SmallCNNJudge().examine(
            Lesson(data=images),
            holdout=self.whole.holdout,
            exams={"test": self.whole.test.images},
            steps=STEPS,
            seed=0,
        )
        right = taken.predictions["test"] == self.whole.test.labels
        return {
            "frechet_distance": round(frechet_distance(real=self.real, fake=drawn), 3),
            "accuracy": round(100 * float(right.double().mean()), 2),
        }


def draw(folder: Path) -> LabelledImages:
    sampler = load_sampler(folder)
    labels = torch.arange(DRAWN) % sampler.image.num_classes
    return LabelledImages(
        sampler.sample(labels, row_seeds(0, 0, DRAWN)).images, labels, sampler.image.classes
    )


def train(arm: str, seed: int, arguments: argparse.Namespace) -> Path:
    """The finished run, gone on with if it was stopped."""
    out: Path = arguments.out / f"{arm}-{seed}"
    if (out / "training.json").is_file():
        return out
    if (out / "checkpoints" / "last.ckpt").is_file():
        code = synthgen(["train", f"resume={out}"])
    else:
        code = synthgen(
            [
                "train",
                "experiment=mnist_small",
                f"data.root={arguments.mnist}",
                f"data.split_seed={seed}",
                f"gan/augmentation@model.augmentation={ARMS[arm]}",
                f"max_images={arguments.images}",
                f"seed={seed}",
                "logger=csv",
                f"out={out}",
            ]
        )
    if code:
        raise SystemExit(code)
    return out


def row(arm: str, seed: int, arguments: argparse.Namespace, tools: Instruments) -> dict[str, Any]:
    """What is known of one training; read if it was measured before."""
    path: Path = arguments.out / f"{arm}-{seed}.json"
    if path.is_file():
        found: dict[str, Any] = read_json(path)
        return found
    run = train(arm, seed, arguments)
    found = {"augmentation": arm, "seed": seed, "features": tools.extractor.name}
    found |= {name: tools.measure(draw(run / place)) for name, place in CHECKPOINTS.items()}
    curve = read_json(run / "best.json")
    found["best_at"] = min(curve, key=lambda one: one["distance"])["images_seen"]
    record = read_json(run / "training.json")
    found |= {key: record[key] for key in ("images_seen", "images_per_second", "parameters")}
    write_json(path, found)
    print(json.dumps(found), flush=True)
    return found


def reference(seed: int, arguments: argparse.Namespace, tools: Instruments) -> dict[str, Any]:
    """The 20 training images per digit themselves, repeated: what learning by heart would give."""
    path: Path = arguments.out / f"copies-{seed}.json"
    if not path.is_file():
        few = prepare(MNIST(root=str(arguments.mnist), holdout=0.5, split_seed=seed, at_most=20))
        copies = few.train.subset(torch.arange(DRAWN) % len(few.train))
        write_json(path, {"augmentation": "copies", "seed": seed, "last": tools.measure(copies)})
    found: dict[str, Any] = read_json(path)
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """A line per training, for people."""
    lines = [
        "| seed | augmentation | Fréchet distance, last | best | accuracy, last | best | best at |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in sorted(rows, key=lambda one: one["seed"]):
        last, best = one["last"], one.get("best", one["last"])
        lines.append(
            f"| {one['seed']} | {one['augmentation']} | {last['frechet_distance']:.2f} | "
            f"{best['frechet_distance']:.2f} | {last['accuracy']:.1f} % | {best['accuracy']:.1f} % "
            f"| {one.get('best_at', 0):,} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", type=Path, required=True, help="folder that holds MNIST/")
    parser.add_argument("--out", type=Path, required=True, help="folder of finished trainings")
    parser.add_argument("--images", type=int, default=300_032, help="images seen per training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=["none", "diffaugment"])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    tools = Instruments(arguments.mnist)
    rows = []
    for seed in range(arguments.seeds):
        rows += [reference(seed, arguments, tools)]
        rows += [row(arm, seed, arguments, tools) for arm in arguments.arms]
        print(table(rows), flush=True)


if __name__ == "__main__":
    main()
