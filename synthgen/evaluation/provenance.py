"""How a report came about: the protocol, the data, the versions and the machine."""

from __future__ import annotations

import csv
import importlib.metadata
import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import synthgen
from synthgen.data.splits import Splits
from synthgen.data.synthetic import SyntheticSet
from synthgen.errors import SynthgenError
from synthgen.evaluation.controls import CONTROL_IMAGES
from synthgen.evaluation.features import Extractor
from synthgen.evaluation.fidelity import DEFINITIONS, INTERVALS
from synthgen.evaluation.judges import Judge
from synthgen.types import LabelledImages

PACKAGES = ("torch", "torchvision", "torchmetrics", "numpy", "scipy", "scikit-learn")
TRANSFER_INTERVALS = (
    "95 %. Transfer: mean over seeds; variance = between {reference} images (delete-one jackknife) "
    "+ between seeds, t quantile with Satterthwaite's degrees of freedom. "
)
SCATTER = " None of them contains the scatter between generators."


def protocol(
    judge: Judge,
    steps: int,
    seeds: int,
    seed: int,
    extractors: Sequence[Extractor],
    splits: Splits,
) -> dict[str, Any]:
    """What was done, in plain JSON."""
    return {
        "judge": {
            **judge.describe(steps),
            "seeds": seeds,
            "training": "the same number of optimizer steps and batch size for every arm; "
            f"nothing selected on the {splits.reference} split",
        },
        "extractors": {extractor.name: extractor.describe() for extractor in extractors},
        "metrics": DEFINITIONS,
        "intervals": TRANSFER_INTERVALS.format(reference=splits.reference) + INTERVALS + SCATTER,
        "counts": "fidelity: n_real and n_fake are the images compared; transfer: n_real is the "
        f"number of real {splits.reference} images, n_fake of synthetic training images",
        "controls": f"at most {CONTROL_IMAGES:,} images, in the synthetic set's proportions",
        "reference_split": splits.reference,
        "held_back_split": splits.held_back,
        "seed": seed,
        "split_notes": list(splits.notes),
    }


def provenance(
    splits: Splits,
    synthetic: SyntheticSet,
    copies: dict[str, int],
    config: dict[str, Any] | None,
) -> dict[str, Any]:
    """What was compared, with what, on what."""
    parts = {
        "train": splits.train,
        splits.held_back: splits.holdout,
        splits.reference: splits.test,
    }
    return {
        "data": {
            "name": splits.name,
            "digest": splits.digest,
            "recipe": splits.recipe.to_json(),
            "counts": {part: class_counts(images) for part, images in parts.items()},
        },
        "synthetic": {
            "path": str(synthetic.path),
            "digest": synthetic.digest,
            "counts": class_counts(synthetic.images),
            "dataset": None if synthetic.described is None else synthetic.described.to_json(),
        },
        "exact_copies": copies,
        "config": plain_json(config),
        "versions": versions(),
        "hardware": hardware(),
    }


def plain_json(value: Any) -> Any:
    """What others gave us, without anything that JSON can't hold: numbers that are not finite
    become None, objects become text. A report must not fail over it after minutes of work."""
    if isinstance(value, dict):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def class_counts(images: LabelledImages) -> dict[str, int]:
    return dict(zip(images.classes, images.counts, strict=True))


def versions() -> dict[str, str]:
    found = {"synthgen": synthgen.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def training_curves(log: Path | None) -> dict[str, Any] | None:
    """A ``metrics.csv`` as columns and rows of numbers; empty and non-finite cells become None."""
    if log is None:
        return None
    try:
        with Path(log).open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except OSError as error:
        raise SynthgenError(f"The training log {log} can't be read: {error.strerror}.") from error
    if len(lines) < 2:
        return None
    return {"columns": lines[0], "rows": [[number(cell) for cell in row] for row in lines[1:]]}


def number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
