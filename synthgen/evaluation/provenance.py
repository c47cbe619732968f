"""How a report came about: the protocol, the data, the versions and the machine; and the report
that may leave the house."""

from __future__ import annotations

import csv
import importlib.metadata
import math
import os
import platform
import re
from collections.abc import Mapping, Sequence
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
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.schema import (
    ClassifierProtocol,
    Hardware,
    Protocol,
    Provenance,
    RealData,
    SyntheticData,
    TrainingLog,
)
from synthgen.metrics import Metric
from synthgen.types import LabelledImages

PACKAGES = ("torch", "torchvision", "torchmetrics", "numpy", "scipy", "scikit-learn")
TRANSFER_INTERVALS = (
    "95 %. Transfer: mean over seeds; variance = between {reference} images (delete-one jackknife) "
    "+ between seeds, t quantile with Satterthwaite's degrees of freedom. "
)
SCATTER = " None of them contains the scatter between generators."

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


def public_report(report: Report) -> dict[str, object]:
    """JSON of ``report`` without positions and distances of single training images, without
    pictures, and with the last part of each path only.

    Notes about the split go too: they name files. What stays tells how well the set did, on how
    much data, by which protocol.
    """
    kept = report.model_dump(
        mode="json",
        by_alias=True,
        exclude_unset=True,
        exclude={
            "figures": True,
            "neighbours": {"__all__": {"rows", "figure"}},
            "copying": {"__all__": {"pairs"}},
            "protocol": {"split_notes"},
        },
    )
    return {**shortened(kept), "public": True}


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


def protocol(
    classifier: Classifier,
    steps: int,
    seeds: int,
    seed: int,
    extractors: Sequence[Extractor],
    metrics: Sequence[Metric],
    splits: Splits,
) -> Protocol:
    """What was done."""
    training = (
        "the same number of optimizer steps and batch size for every arm; nothing selected on the "
        f"{splits.reference} split"
    )
    asked = {**classifier.describe(steps).to_json(), "seeds": seeds, "training": training}
    return Protocol(
        judge=ClassifierProtocol.model_validate(asked),
        extractors={extractor.name: extractor.describe() for extractor in extractors},
        metrics=definitions(metrics),
        intervals=TRANSFER_INTERVALS.format(reference=splits.reference)
        + intervals(metrics)
        + SCATTER,
        counts="fidelity: n_real and n_fake are the images compared; transfer: n_real is the "
        f"number of real {splits.reference} images, n_fake of synthetic training images",
        controls=f"at most {CONTROL_IMAGES:,} images, in the synthetic set's proportions",
        reference_split=splits.reference,
        held_back_split=splits.held_back,
        seed=seed,
        split_notes=splits.public_notes,
    )


def provenance(
    splits: Splits,
    synthetic: SyntheticSet,
    copies: dict[str, int],
    config: Mapping[str, object] | None,
) -> Provenance:
    """What was compared, with what, on what."""
    parts = {
        "train": splits.train,
        splits.held_back: splits.holdout,
        splits.reference: splits.test,
    }
    data = RealData(
        name=splits.name,
        digest=splits.digest,
        recipe=splits.recipe,
        counts={part: class_counts(images) for part, images in parts.items()},
    )
    drawn = SyntheticData(
        path=str(synthetic.path),
        digest=synthetic.digest,
        counts=class_counts(synthetic.images),
        dataset=None if synthetic.described is None else synthetic.described.to_json(),
    )
    return Provenance(
        data=data,
        synthetic=drawn,
        exact_copies=copies,
        config=plain_json(config),
        versions=versions(),
        hardware=hardware(),
    )


def plain_json(value: Any) -> Any:
    """What others gave us, without anything that JSON can't hold: numbers that are not finite
    become None, objects become text. A report must not fail over it after minutes of work."""
    if isinstance(value, Mapping):
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


def hardware() -> Hardware:
    return Hardware(
        machine=platform.machine(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    )


def training_curves(log: Path | None) -> TrainingLog | None:
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
    rows = [[number(cell) for cell in row] for row in lines[1:]]
    return TrainingLog(columns=lines[0], rows=rows)


def number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
