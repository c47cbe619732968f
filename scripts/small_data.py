"""Does augmenting what the discriminator sees help when there are 20 training images per digit?

    python scripts/small_data.py --mnist FOLDER --out FOLDER

Trains experiment=mnist_small with each augmentation and three seeds, each seed with other training
images and other weights, the same for all augmentations. Then it measures the last generator and
the one that was best on the holdout against the 10,000 official test images, and counts the seeds
in which each augmentation beats none. Finished trainings are kept as
OUT/<augmentation>-<seed>.json: the command goes on where it was stopped. Other settings need
another OUT.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from synthgen import load_sampler
from synthgen.cli.main import main as synthgen
from synthgen.data import MNIST, Splits, prepare
from synthgen.evaluation.classifiers import ClassifierRequest, SmallCNNClassifier, TrainingRecipe
from synthgen.evaluation.classifiers.extractor import ClassifierExtractor
from synthgen.io import read_json, write_json
from synthgen.metrics import frechet_distance
from synthgen.seeds import row_seeds
from synthgen.types import LabelledImages

ARMS = {"none": "none", "diffaugment": "diffaugment_translation", "ada": "ada_no_flip"}
DRAWN = 10_000
STEPS = 600  # of the classifier that learns from drawn images alone
CHECKPOINTS = {"last": "sampler", "best": "best"}
BEST_EVERY = 12_800  # images between comparisons with the holdout
DISTANCE, ACCURACY = "frechet_distance", "accuracy"


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
        request = ClassifierRequest(
            recipe=TrainingRecipe(data=images),
            seed=0,
            steps=STEPS,
            holdout=self.whole.holdout,
            exams={"test": self.whole.test.images},
        )
        taken = SmallCNNClassifier().examine(request)
        right = taken.predictions["test"] == self.whole.test.labels
        return {
            DISTANCE: round(frechet_distance(real=self.real, fake=drawn), 3),
            ACCURACY: round(100 * float(right.double().mean()), 2),
        }


@functools.cache
def instruments(mnist: Path) -> Instruments:
    """Made once, and not at all where every row was measured before."""
    return Instruments(mnist)


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
        # What is there was killed before its first state was saved.
        shutil.rmtree(out, ignore_errors=True)
        code = synthgen(
            [
                "train",
                "experiment=mnist_small",
                f"data.root={arguments.mnist}",
                f"data.split_seed={seed}",
                f"gan/augmentation@model.augmentation={ARMS[arm]}",
                f"max_images={arguments.images}",
                f"trainer.best_every={min(BEST_EVERY, arguments.images)}",
                f"seed={seed}",
                "logger=csv",
                f"out={out}",
            ]
        )
    if code:
        raise SystemExit(code)
    return out


def row(arm: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """What is known of one training; read if it was measured before."""
    path: Path = arguments.out / f"{arm}-{seed}.json"
    found: dict[str, Any] = read_json(path) if path.is_file() else {}
    run = path.with_suffix("") if found else train(arm, seed, arguments)
    trained = found or read_json(run / "training.json")
    if trained["images_seen"] < arguments.images:
        raise SystemExit(
            f"{run} saw {trained['images_seen']:,} images, not {arguments.images:,}.\n"
            "Give another --out, or that --images."
        )
    if found:
        return found
    tools = instruments(arguments.mnist)
    found = {"augmentation": arm, "seed": seed, "features": tools.extractor.name}
    found |= {name: tools.measure(draw(run / place)) for name, place in CHECKPOINTS.items()}
    curve = read_json(run / "best.json")
    found["best_at"] = min(curve, key=lambda one: one["distance"])["images_seen"]
    record = read_json(run / "training.json")
    found |= {key: record[key] for key in ("images_seen", "images_per_second", "parameters")}
    write_json(path, found)
    print(json.dumps(found), flush=True)
    return found


def reference(seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """The 20 training images per digit themselves, repeated: what learning by heart would give."""
    path: Path = arguments.out / f"copies-{seed}.json"
    if not path.is_file():
        few = prepare(MNIST(root=str(arguments.mnist), holdout=0.5, split_seed=seed, at_most=20))
        copies = few.train.subset(torch.arange(DRAWN) % len(few.train))
        measured = instruments(arguments.mnist).measure(copies)
        write_json(path, {"augmentation": "copies", "seed": seed, "last": measured})
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
        best_at = f"{one['best_at']:,}" if "best_at" in one else "–"
        lines.append(
            f"| {one['seed']} | {one['augmentation']} | {last[DISTANCE]:.2f} | "
            f"{best[DISTANCE]:.2f} | {last[ACCURACY]:.1f} % | {best[ACCURACY]:.1f} % "
            f"| {best_at} |"
        )
    return "\n".join(lines)


def verdicts(rows: list[dict[str, Any]]) -> str:
    """A line per augmentation: in how many seeds it beats none, by each number."""
    of = {(one["augmentation"], one["seed"]): one for one in rows}
    lines = []
    for arm in dict.fromkeys(name for name, _ in of if name not in ("none", "copies")):
        seeds = [seed for name, seed in of if name == arm and ("none", seed) in of]
        pairs = [(of[arm, seed], of["none", seed]) for seed in seeds]
        counts = []
        for place in CHECKPOINTS:
            nearer = sum(one[place][DISTANCE] < none[place][DISTANCE] for one, none in pairs)
            righter = sum(one[place][ACCURACY] > none[place][ACCURACY] for one, none in pairs)
            counts.append(f"{place}: Fréchet distance {nearer}, accuracy {righter}")
        lines.append(f"{arm} beats none in so many of {len(pairs)} seeds: {'; '.join(counts)}.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", type=Path, required=True, help="folder that holds MNIST/")
    parser.add_argument("--out", type=Path, required=True, help="folder of finished trainings")
    parser.add_argument("--images", type=int, default=300_032, help="images seen per training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=["none", "ada"])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(arguments.seeds):
        rows += [reference(seed, arguments)]
        rows += [row(arm, seed, arguments) for arm in arguments.arms]
        print(table(rows), verdicts(rows), sep="\n\n", flush=True)


if __name__ == "__main__":
    main()
