"""What a set says about itself: ``dataset.json``, a README and a contact sheet."""

from __future__ import annotations

import os
import platform
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthgen.dataset import README
from synthgen.dataset.schema import Dataset
from synthgen.images import encode_png, grid
from synthgen.paths import write_text
from synthgen.samplers.base import Sampler
from synthgen.synthesis.card_text import card_text
from synthgen.synthesis.papers import Papers
from synthgen.synthesis.rows import ExampleRows
from synthgen.synthesis.sheet_page import CONTACT_SHEET, sheet_page
from synthgen.types import ImageSpec

SHEET_COLUMNS = 10
SHEET_CLASSES = 20  # with more, the sheet shows the first ones


class ContactSheet:
    """Collects the first images of each class while the set is being drawn."""

    def __init__(self, rows: ExampleRows, image: ImageSpec) -> None:
        self.rows = rows
        used = rows.labels.unique().tolist()[:SHEET_CLASSES]
        self.names = [image.classes[label] for label in used]
        self.lines = {label: line for line, label in enumerate(used)}
        self.seen = dict.fromkeys(used, 0)
        grey = torch.full((len(used), SHEET_COLUMNS, *image.shape), 128)
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
        write_text(folder / CONTACT_SHEET, sheet_page(encode_png(sheet), self.names))


def classes_shown(dataset: Dataset) -> list[str]:
    """The classes whose images the contact sheet shows: the sheet of an appended set stays."""
    quotas = dataset.parts[0].quotas
    return [name for name in dataset.classes if quotas.get(name)][:SHEET_CLASSES]


def write_readme(folder: Path, dataset: Dataset) -> None:
    """The dataset card, README.md, in the form that dataset hubs read, with what the person said
    about the set."""
    write_text(folder / README, card_text(dataset, Papers.stated_in(dataset)))


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
