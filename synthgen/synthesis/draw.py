"""Draw a set exactly as planned, or draw a set again from its manifest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import synthgen
from synthgen.data.names import require_safe_names
from synthgen.errors import SynthgenError
from synthgen.hardware import available_cores
from synthgen.paths import (
    file_digest,
    new_folder,
    read_json,
    require_absent,
    write_json,
)
from synthgen.progress import track
from synthgen.samplers.artifact import load_sampler, read_description, sampler_folder
from synthgen.samplers.base import Sampler
from synthgen.spec import to_spec
from synthgen.synthesis.card import ContactSheet, execution_record, write_readme
from synthgen.synthesis.manifest import (
    MANIFEST,
    manifest_lines,
    read_manifest,
    rows_from_manifest,
)
from synthgen.synthesis.plan import Plan, checked_quotas, whole_number
from synthgen.synthesis.rows import Rows, rows_of
from synthgen.synthesis.writer import write_images

log = logging.getLogger(__name__)

FORMAT = "synthgen-dataset/1"
DESCRIPTION = "dataset.json"


def synthesize(
    sampler_path: str | Path,
    plan: Plan,
    out: str | Path,
    *,
    seed: int = 0,
    batch_size: int = 256,
    device: str = "cpu",
    allow: Iterable[str] = (),
) -> Path:
    """Draw the images that ``plan`` asks for into the new folder ``out``.

    The same sampler, plan and seed give the same files on one machine; ``batch_size`` only says
    how many images are drawn between writes. Raises SynthgenError, leaving nothing behind, when the
    plan can't be fulfilled or written.
    """
    out = Path(out)
    require_absent(out)
    size = _checked_batch_size(batch_size)
    sampler, description = _open_sampler(sampler_path, device, allow)
    real = (description["provenance"].get("data") or {}).get("class_counts")
    quotas = checked_quotas(plan, sampler.image.classes, real)
    rows = rows_of(quotas, seed)
    dataset = {
        "format": FORMAT,
        "classes": list(rows.classes),
        "image": sampler.image.to_json(),
        "plan": to_spec(plan),
        "seed": seed,
        "quotas": quotas,
        "count": len(rows),
        "sampler": {
            "sha256": description["sha256"],
            "target": description["sampler"]["_target_"],
        },
        "exposes_real": bool(description["exposes_real"]),
        "provenance": description["provenance"],
        "execution": execution_record(sampler),
        "versions": {"synthgen": synthgen.__version__},
    }
    with new_folder(out) as staging:
        write_set(staging, sampler, rows, dataset, batch_size=size)
        # The manifest holds the hash of every file, so its own hash stands for the whole set.
        write_json(staging / DESCRIPTION, {**dataset, "digest": file_digest(staging / MANIFEST)})
    return out


def regenerate(
    dataset_path: str | Path,
    sampler_path: str | Path,
    out: str | Path,
    *,
    batch_size: int = 256,
    allow: Iterable[str] = (),
) -> Path:
    """Draw a set again, from its manifest, into the new folder ``out``: identical to the byte.

    Raises SynthgenError, leaving nothing behind, if another sampler is given or an image differs.
    """
    out = Path(out)
    require_absent(out)
    size = _checked_batch_size(batch_size)
    dataset = read_dataset(dataset_path)
    sampler = _sampler_of(dataset, sampler_path, allow)
    rows = rows_from_manifest(read_manifest(Path(dataset_path)), sampler.image.classes)
    with new_folder(out) as staging:
        write_set(staging, sampler, rows, dataset, batch_size=size)
        if file_digest(staging / MANIFEST) != dataset["digest"]:
            raise SynthgenError(
                f"The images drawn here differ from {dataset_path} (made with "
                f"torch {dataset['execution']['torch']} on {dataset['execution']['cpu']}).\n"
                "Use the same torch on the same type of machine."
            )
        write_json(staging / DESCRIPTION, dataset)
    return out


def regenerate_row(
    dataset_path: str | Path, sampler_path: str | Path, row: int, *, allow: Iterable[str] = ()
) -> Tensor:
    """Draw one row of a set again: uint8 ``(C, H, W)``, without drawing the others."""
    dataset = read_dataset(dataset_path)
    entries = read_manifest(Path(dataset_path))
    if not 0 <= row < len(entries):
        raise SynthgenError(f"{dataset_path} has rows 0 to {len(entries) - 1}; there is no {row}.")
    sampler = _sampler_of(dataset, sampler_path, allow)
    label, seed = entries[row]["label"], entries[row]["seed"]
    return sampler.sample(torch.tensor([label]), torch.tensor([seed])).images[0]


def read_dataset(path: str | Path) -> dict[str, Any]:
    """The contents of ``dataset.json``, if it is of the form that we write."""
    dataset = read_json(Path(path) / DESCRIPTION)
    if not isinstance(dataset, dict) or dataset.get("format") != FORMAT:
        raise SynthgenError(f"{Path(path) / DESCRIPTION} is not a set of the form {FORMAT}.")
    return dataset


def write_set(
    folder: Path, sampler: Sampler, rows: Rows, dataset: dict[str, Any], *, batch_size: int
) -> None:
    """Fill ``folder`` with the images of ``rows``, their manifest, a card and a contact sheet."""
    sheet = ContactSheet(rows, sampler.image.shape)
    hashes = {"sampler": dataset["sampler"]["sha256"], "source": dataset["sampler"]["target"]}
    batches = draw_batches(sampler, rows, batch_size, sheet.add)
    with (
        (folder / MANIFEST).open("w", encoding="utf-8", newline="\n") as manifest,
        track(len(rows), "Drawing", unit="images") as advance,
        closing(write_images(folder, rows, batches)) as written,
    ):
        for numbers, digests in written:
            manifest.write(manifest_lines(rows, numbers, digests, **hashes))
            advance(len(numbers))
    sheet.write(folder)
    write_readme(folder, dataset)


def draw_batches(
    sampler: Sampler, rows: Rows, batch_size: int, look: Callable[[range, Tensor], None]
) -> Iterator[tuple[range, Tensor]]:
    """Row numbers and uint8 images, ``batch_size`` at a time; ``look`` sees each batch too."""
    for numbers in rows.batches(batch_size):
        part = slice(numbers.start, numbers.stop)
        images = sampler.sample(rows.labels[part], rows.seeds[part]).images
        look(numbers, images)
        yield numbers, images


def resolve_device(device: str) -> str:
    """``"auto"`` -> ``"cuda"`` if there is one, else ``"cpu"``; anything but these is refused."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise SynthgenError(f"device={device!r} is unknown.\nUse auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise SynthgenError("device=cuda was asked for, but torch finds no GPU.\nUse device=auto.")
    return device


def _open_sampler(
    path: str | Path, device: str, allow: Iterable[str]
) -> tuple[Sampler, dict[str, Any]]:
    sampler = load_sampler(path, allow, device=resolve_device(device))
    require_safe_names(sampler.image.classes)  # they become folders
    if sampler.threads and sampler.threads > available_cores():
        log.info(
            "The sampler was saved with %d threads, and this machine has %d cores: same images, "
            "but slower.",
            sampler.threads,
            available_cores(),
        )
    return sampler, read_description(sampler_folder(path))


def _sampler_of(dataset: dict[str, Any], path: str | Path, allow: Iterable[str]) -> Sampler:
    """The sampler at ``path``, if it is the one that the set was drawn with."""
    sampler, description = _open_sampler(path, dataset["execution"]["device"], allow)
    if description["sha256"] != dataset["sampler"]["sha256"]:
        raise SynthgenError(
            f"The set was not drawn with the sampler in {path} (their SHA-256 differ).\n"
            "Give the sampler that it was made with."
        )
    return sampler


def _checked_batch_size(batch_size: int) -> int:
    """Rounded up to whole chunks, which is what the sampler computes in any case."""
    if whole_number(batch_size, "batch_size") == 0:
        raise SynthgenError("batch_size must be at least 1.")
    return -(-batch_size // Sampler.chunk) * Sampler.chunk
