"""What a set says about itself: ``dataset.json``, a README and a contact sheet."""

from __future__ import annotations

import os
import platform
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthgen.images import encode_png, grid
from synthgen.paths import write_bytes, write_text
from synthgen.samplers.base import Sampler
from synthgen.synthesis.rows import Rows

CONTACT_SHEET = "contact_sheet.png"
README = "README.md"
SHEET_COLUMNS = 10
SHEET_CLASSES = 20  # with more, the sheet shows the first ones

WARNING = """**Every image here was drawn by a program; none is a record of anything real.
Do not mix them into a test set.**"""
COPIES_WARNING = """**These images are copies of real ones, made as a control.
Treat them as confidentially as the originals, and do not mix them into a test set.**"""


class ContactSheet:
    """Collects the first images of each class while the set is being drawn."""

    def __init__(self, rows: Rows, shape: tuple[int, int, int]) -> None:
        self.rows = rows
        used = rows.labels.unique().tolist()[:SHEET_CLASSES]
        self.lines = {label: line for line, label in enumerate(used)}
        self.seen = dict.fromkeys(used, 0)
        grey = torch.full((len(used), SHEET_COLUMNS, *shape), 128)
        self.images = grey.to(torch.uint8)

    def add(self, numbers: range, images: Tensor) -> None:
        """uint8 ``(N, C, H, W)`` of the rows ``numbers``."""
        labels = self.rows.labels[numbers.start : numbers.stop]
        for label, seen in self.seen.items():
            found = images[labels == label][: SHEET_COLUMNS - seen]
            self.images[self.lines[label], seen : seen + len(found)] = found
            self.seen[label] = seen + len(found)
        self.seen = {label: seen for label, seen in self.seen.items() if seen < SHEET_COLUMNS}

    def write(self, folder: Path) -> None:
        sheet = grid(self.images.flatten(0, 1), columns=SHEET_COLUMNS)
        write_bytes(folder / CONTACT_SHEET, encode_png(sheet))


def write_readme(folder: Path, dataset: dict[str, Any]) -> None:
    """A short card for people who find the folder without this package."""
    image = dataset["image"]
    data = dataset["provenance"].get("data") or {}
    counts = "\n".join(f"| {name} | {count:,} |" for name, count in dataset["quotas"].items())
    warning = COPIES_WARNING if dataset["exposes_real"] else WARNING
    write_text(
        folder / README,
        f"""# {dataset["count"]:,} synthetic images

{warning}

- Drawn by `{dataset["sampler"]["target"]}` (SHA-256 `{dataset["sampler"]["sha256"]}`),
  fitted on: {data.get("name") or "not stated"}
- Images: {image["height"]} × {image["width"]} pixels, {image["channels"]} channel(s), PNG
- Plan seed: {dataset["seed"]}; every row of `manifest.jsonl` has its own seed and SHA-256
- Class order (label 0, 1, …), split, training and settings: `dataset.json`

| class | images |
|---|---|
{counts}

![First images of each class]({CONTACT_SHEET})

Open it with `torchvision.datasets.ImageFolder`. That numbers the classes in alphabetical order;
the labels in `manifest.jsonl` follow the class order in `dataset.json`.
""",
    )


def execution_record(sampler: Sampler) -> dict[str, Any]:
    """What the bytes may depend on beside the seeds."""
    return {
        "chunk": sampler.chunk,
        "threads": sampler.threads,
        "device": sampler.device.type,
        "torch": torch.__version__,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "cpu": cpu_model(),
    }


def cpu_model() -> str:
    """The processor's name, e.g. ``"AMD EPYC 9755"``; the architecture where it isn't told."""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
