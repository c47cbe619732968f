"""Where rows come from: saved samplers, and the real training images of an augmented set."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from synthgen.data.source import require_safe_names
from synthgen.dataset.origin import Provenance
from synthgen.dataset.schema import REAL, SYNTHETIC, SamplerMark
from synthgen.device import available_cores
from synthgen.errors import SynthgenError
from synthgen.io import canonical_digest
from synthgen.samplers.artifact import (
    SamplerDescription,
    load_sampler,
    read_description,
    sampler_folder,
)
from synthgen.samplers.base import Sampler
from synthgen.types import ImageSpec, LabelledImages, Samples

log = logging.getLogger(__name__)


class Draws(Protocol):
    """A sampler, or what takes its place."""

    def sample(self, labels: Tensor, seeds: Tensor) -> Samples: ...


@dataclass(frozen=True)
class Source:
    """``sha256``, ``target`` (its class) and ``attributes`` go into every row of the manifest."""

    name: str
    draws: Draws
    origin: str
    sha256: str | None
    target: str
    attributes: Mapping[str, str] = field(default_factory=dict)  # those that were ordered

    @property
    def key(self) -> tuple[str, str]:
        """What a row of the manifest finds its source by."""
        return source_key(str(self.sha256), self.attributes)


def source_key(sha256: str, attributes: Mapping[str, str]) -> tuple[str, str]:
    return sha256, json.dumps(dict(attributes), sort_keys=True)


class RealImages:
    """The real images of each class, one after the other; their "seed" is a position among them."""

    def __init__(self, real: LabelledImages) -> None:
        self.real = real
        self.order = torch.argsort(real.labels, stable=True)
        counts = torch.bincount(real.labels, minlength=len(real.classes))
        self.starts = counts.cumsum(0) - counts

    def sample(self, labels: Tensor, seeds: Tensor) -> Samples:
        """int64 ``(N,)`` labels and positions -> the images, uint8 ``(N, C, H, W)``."""
        images = self.real.images[self.order[self.starts[labels] + seeds]]
        return Samples(images, labels, seeds)


@dataclass(frozen=True)
class Samplers:
    """Samplers of the same images and classes, opened; ``descriptions`` are their sampler.json."""

    named: dict[str, Sampler]
    descriptions: dict[str, SamplerDescription]

    @property
    def image(self) -> ImageSpec:
        return next(iter(self.named.values())).image

    @property
    def provenance(self) -> Provenance:
        """Of the first sampler that was fitted on data, else of the first."""
        all_of_them = [one.provenance for one in self.descriptions.values()]
        return next((one for one in all_of_them if one.data is not None), all_of_them[0])

    @property
    def data_digest(self) -> str | None:
        """Of the split that they were trained on; None if none says."""
        return self.provenance.split_digest

    @property
    def real_counts(self) -> dict[str, int] | None:
        data = self.provenance.data
        return None if data is None else data.class_counts

    @property
    def exposes_real(self) -> bool:
        """Whether a file says so or a class does: neither alone may clear the other."""
        said = any(one.exposes_real for one in self.descriptions.values())
        return said or any(one.exposes_real for one in self.named.values())

    def sources(self) -> list[Source]:
        return [
            Source(
                name,
                sampler,
                SYNTHETIC,
                self.descriptions[name].sha256,
                self.descriptions[name].sampler.target,
            )
            for name, sampler in self.named.items()
        ]

    def record(self) -> SamplerMark:
        """What ``dataset.json`` calls the sampler: its own hash, or that of the several hashes."""
        sources = self.sources()
        if len(sources) == 1:
            return SamplerMark(sha256=sources[0].sha256, target=sources[0].target)
        digest = canonical_digest([source.sha256 for source in sources])
        return SamplerMark(sha256=digest, target=" + ".join(source.target for source in sources))

    def set_latents(self, temperature: float | None, truncation: float | None) -> None:
        """Raises SynthgenError where a sampler has no latents that could be changed."""
        if temperature is None and truncation is None:
            return
        for sampler in self.named.values():
            sampler.set_latents(temperature=temperature, truncation=truncation)


def attribute_grid(attributes: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Every combination of the options of each attribute, the last one running fastest."""
    for name, options in attributes.items():
        named = isinstance(options, Sequence) and not isinstance(options, str)
        if not named or not options or len(set(options)) != len(options):
            raise SynthgenError(
                f"attributes.{name} must be a list of different options, got {options!r}.\n"
                "For example: 'attributes={weather: [fog, rain], light: [night]}'"
            )
    combined = itertools.product(*attributes.values())
    return [dict(zip(attributes, options, strict=True)) for options in combined]


def cells_of(source: Source, grid: Sequence[Mapping[str, str]]) -> list[Source]:
    """``source`` once for every combination of attributes; itself where none are asked for."""
    if not any(grid):
        return [source]
    sampler = source.draws
    assert isinstance(sampler, Sampler)
    return [
        Source(
            name=", ".join(f"{name}={option}" for name, option in cell.items()),
            draws=sampler.with_attributes(cell),
            origin=source.origin,
            sha256=source.sha256,
            target=source.target,
            attributes=cell,
        )
        for cell in grid
    ]


def open_samplers(
    paths: str | Path | Mapping[str, str | Path], device: str, allow: Iterable[str]
) -> Samplers:
    """Load one sampler, or several by name, and see that they belong together."""
    if not isinstance(paths, Mapping):
        paths = {"sampler": paths}
    if not paths:
        raise SynthgenError("No sampler was given.\nGive the folder of a run: sampler=RUN")
    device, allow = resolve_device(device), tuple(allow)
    named = {str(name): load_sampler(path, allow, device=device) for name, path in paths.items()}
    descriptions = {
        str(name): read_description(sampler_folder(path)) for name, path in paths.items()
    }
    samplers = Samplers(named, descriptions)
    require_safe_names(samplers.image.classes)  # they become folders
    _require_alike(samplers)
    _tell_about_threads(named)
    return samplers


def _require_alike(samplers: Samplers) -> None:
    first, *others = samplers.named
    for name in others:
        if samplers.named[name].image != samplers.image:
            raise SynthgenError(
                f"The samplers {first!r} and {name!r} draw different images or classes.\n"
                "Samplers of one set must be trained on the same data."
            )
    digests = {one.provenance.split_digest for one in samplers.descriptions.values()} - {None}
    if len(digests) > 1:
        raise SynthgenError(
            "The samplers were trained on different training splits, so no test set would be "
            "unseen by all of them.\nTrain them on the same split."
        )


def _tell_about_threads(named: Mapping[str, Sampler]) -> None:
    threads = max(sampler.threads or 0 for sampler in named.values())
    if threads > available_cores():
        log.info(
            "The sampler was saved with %d threads, and this machine has %d cores: same images, "
            "but slower.",
            threads,
            available_cores(),
        )


def resolve_device(device: str) -> str:
    """``"auto"`` -> ``"cuda"`` if there is one, else ``"cpu"``; anything but these is refused."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise SynthgenError(f"device={device!r} is unknown.\nUse auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise SynthgenError("device=cuda was asked for, but torch finds no GPU.\nUse device=auto.")
    return device


__all__ = [
    "REAL", "SYNTHETIC", "Draws", "RealImages", "Samplers", "Source", "attribute_grid", "cells_of",
    "open_samplers", "resolve_device", "source_key",
]  # fmt: skip
