"""How a report came about: the protocol, the data, the versions and the machine; and the report
that may leave the house."""

from __future__ import annotations

import csv
import importlib.metadata
import math
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import torch

import synthgen
from synthgen.data.splits import Splits
from synthgen.dataset.source import SyntheticSet
from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers import Classifier
from synthgen.evaluation.features import Extractor
from synthgen.evaluation.fidelity import CONTROL_IMAGES, definitions, intervals
from synthgen.metrics import Metric
from synthgen.types import LabelledImages

# A report that may leave the house: the numbers, without what points back to single real images or
# to this machine's folders.

FILE = "report.public.json"
# Keys under which configs and reports keep paths, relative ones too.
PATHS = frozenset(
    {
        "answers", "cache", "folder", "folders", "image", "key", "out", "path", "resume", "root",
        "sampler", "start", "synthetic", "weights",
    }
)  # fmt: skip
# The folders of an absolute path that stands in a sentence.
FOLDERS = re.compile(r"""(?<![\w.:/\\-])(?:~[\w-]*|[A-Za-z]:)?[\\/](?:[^\s'"`,;:()\\/]+[\\/])+""")


def public_report(report: dict[str, Any]) -> dict[str, Any]:
    """``report`` without positions and distances of single training images, without pictures, and
    with the last part of each path only.

    Notes about the split go too: they name files. What stays tells how well the set did, on how
    much data, by which protocol.
    """
    public = {name: value for name, value in report.items() if name != "figures"}
    if "neighbours" in public:
        public["neighbours"] = [without(block, "rows", "figure") for block in public["neighbours"]]
    if isinstance(public.get("copying"), dict):
        public["copying"] = {
            space: without(found, "pairs") for space, found in public["copying"].items()
        }
    public["protocol"] = without(public.get("protocol") or {}, "split_notes")
    return {**shortened(public), "public": True}


def without(table: Any, *names: str) -> Any:
    if not isinstance(table, dict):
        return table
    return {name: value for name, value in table.items() if name not in names}


def shortened(value: Any, *, named: bool = False) -> Any:
    """Paths become their last part: absolute ones wherever they stand, relative ones under a key of
    ``PATHS`` (``named``: below one). Names of folders tell whose data they are."""
    if isinstance(value, dict):
        return {
            name: shortened(item, named=named or str(name) in PATHS) for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [shortened(item, named=named) for item in value]
    if not isinstance(value, str):
        return value
    if named or is_absolute(value):
        return PurePath(value.replace("\\", "/")).name
    return FOLDERS.sub("", value)


def is_absolute(text: str) -> bool:
    """``/a/b``, ``~/a`` or ``C:\\a``; a sentence that only contains a path is not one."""
    return "\n" not in text and (text.startswith(("/", "~")) or text[1:3] in (":\\", ":/"))


PACKAGES = ("torch", "torchvision", "torchmetrics", "numpy", "scipy", "scikit-learn")
TRANSFER_INTERVALS = (
    "95 %. Transfer: mean over seeds; variance = between {reference} images (delete-one jackknife) "
    "+ between seeds, t quantile with Satterthwaite's degrees of freedom. "
)
SCATTER = " None of them contains the scatter between generators."


def protocol(
    judge: Classifier,
    steps: int,
    seeds: int,
    seed: int,
    extractors: Sequence[Extractor],
    metrics: Sequence[Metric],
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
        "metrics": definitions(metrics),
        "intervals": TRANSFER_INTERVALS.format(reference=splits.reference)
        + intervals(metrics)
        + SCATTER,
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
