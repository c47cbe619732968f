"""A sampler on disk: ``sampler.json`` says how to rebuild it and where it comes from,
``weights.safetensors`` the numbers.

Loading needs neither Hydra nor Lightning nor pickle. It refuses files whose hash is wrong and
classes outside the allow-list.
"""

from __future__ import annotations

import hashlib
import itertools
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from annotated_types import Interval
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

import synthgen
from synthgen.dataset.origin import Provenance
from synthgen.errors import SynthgenError
from synthgen.io import canonical_digest, new_folder, write_bytes, write_json
from synthgen.ranges import Few
from synthgen.samplers.base import FittedSampler, Sampler
from synthgen.schema import Document, Image, Schema, Sha256, Spec, Word
from synthgen.serialization import from_spec, to_spec
from synthgen.types import ImageSpec

AGAIN = "Copy the sampler again, or export it again from its run."
Threads = Annotated[int, Interval(ge=1, le=4096)]


class Drawing(Schema):
    """What the bytes of an image depend on beside label and seed."""

    chunk: Few
    threads: Threads


class SamplerDescription(Document):
    """``sampler.json``; the numbers lie beside it, in ``weights.safetensors``."""

    FORM: ClassVar[str] = "synthgen-sampler/2"  # 1 named classes by their module
    OLDER: ClassVar[tuple[str, ...]] = ("synthgen-sampler/1",)
    ADVICE: ClassVar[str] = AGAIN

    format: Literal["synthgen-sampler/1", "synthgen-sampler/2"]
    sampler: Spec
    image: Image
    exposes_real: bool
    weights_sha256: Sha256
    execution: Drawing
    versions: dict[Word, Word]
    provenance: Provenance
    sha256: Sha256  # of this file without it

    @classmethod
    def of_table(cls, table: dict[str, object], place: str) -> Self:
        """Raises SynthgenError too if the file is not the one that was saved."""
        cls.require_known(table, place)
        body = {key: value for key, value in table.items() if key != "sha256"}
        if canonical_digest(body) != table.get("sha256"):
            raise SynthgenError(
                f"{place} was changed since it was saved (its SHA-256 differs).\n{AGAIN}"
            )
        return super().of_table(table, place)


DESCRIPTION = "sampler.json"
WEIGHTS = "weights.safetensors"
ALLOWANCE = 8  # times as many tensors may be registered as are kept


def save_sampler(
    sampler: Sampler, folder: Path, provenance: Provenance | Mapping[str, Any]
) -> Path:
    """Write ``sampler`` to a new ``folder``, which appears complete or not at all.

    Args:
        provenance: travels with everything that the sampler draws, so it must hold no list of
            training images; as plain JSON, or empty.

    Raises:
        SynthgenError: ``folder`` is there already, or the provenance has other fields.
    """
    weights = save({name: value.cpu().contiguous() for name, value in sampler.state_dict().items()})
    if not isinstance(provenance, Provenance):
        provenance = Provenance.from_json(dict(provenance), "The sampler's provenance")
    description = {
        "format": SamplerDescription.FORM,
        "sampler": to_spec(sampler),
        "image": sampler.image.to_json(),
        "exposes_real": sampler.exposes_real,
        "weights_sha256": _sha256(weights),
        "execution": {
            "chunk": sampler.chunk,
            "threads": sampler.threads or torch.get_num_threads(),
        },
        "versions": {
            "synthgen": synthgen.__version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "provenance": provenance.to_json(),
    }
    description["sha256"] = canonical_digest(description)
    written = SamplerDescription.of_table(description, "The description of the sampler")
    with new_folder(Path(folder)) as staging:
        write_bytes(staging / WEIGHTS, weights)
        write_json(staging / DESCRIPTION, written.to_json())
    return Path(folder)


def load_sampler(path: str | Path, allow: Iterable[str] = (), device: str = "cpu") -> Sampler:
    """Load a sampler that was trained or fitted, ready to draw.

    Args:
        path: the folder of a run, or the sampler's own.
        allow: further Python packages whose samplers you trust; a sampler's class is looked up in
            synthgen and these alone.
        device: as torch names it; images may differ a little between types of devices.

    Returns:
        The sampler in evaluation mode, without gradients; see :meth:`Sampler.sample`.

    Raises:
        SynthgenError: something is missing, damaged or not allowed.
    """
    folder = sampler_folder(path)
    description = read_description(folder)
    weights = (folder / WEIGHTS).read_bytes()
    if _sha256(weights) != description.weights_sha256:
        raise SynthgenError(
            f"{folder / WEIGHTS} was changed or cut short since it was saved (its SHA-256 differs)."
            f"\n{AGAIN}"
        )
    spec = description.sampler.to_json()
    _require_fitting(folder, spec, allow)
    sampler = from_spec(spec, allow, Sampler)
    if not isinstance(sampler, Sampler) or not isinstance(sampler.image, ImageSpec):
        raise _no_sampler(folder)
    if sampler.image.to_json() != description.image.to_json():
        raise SynthgenError(
            f"{folder / DESCRIPTION} gives two shapes or classes of images.\n{AGAIN}"
        )
    try:
        tensors = load(weights)
        if isinstance(sampler, FittedSampler):
            sampler.set_fitted(**tensors)
        else:
            sampler.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise SynthgenError(f"{folder / WEIGHTS} does not fit its description: {error}") from error
    sampler.threads = description.execution.threads
    sampler = sampler.to(device).eval().requires_grad_(False)
    if isinstance(sampler, FittedSampler):
        _require_drawing(sampler, folder)
    return sampler


def _require_drawing(sampler: FittedSampler, folder: Path) -> None:
    """What a fitted sampler keeps has the sizes of its data, so only drawing shows whether they
    belong together: the first and the last class, a moment's work."""
    labels = torch.tensor([0, len(sampler.image.classes) - 1])
    try:
        sampler.sample(labels, labels)
    except (RuntimeError, ValueError, TypeError, LookupError) as error:
        reason = str(error).partition("\n")[0]
        raise SynthgenError(
            f"{folder / WEIGHTS} does not fit its description: {reason}."
        ) from error


def _require_fitting(folder: Path, spec: Any, allow: Iterable[str]) -> None:
    """Raise SynthgenError if ``spec`` describes no sampler, or one with other tensors than there
    are, before it takes memory: on the meta device a tensor is a shape and nothing else. Fitted
    samplers have no tensors until theirs are loaded."""
    stored = _stored_shapes(folder / WEIGHTS)
    try:
        with torch.device("meta"), _no_more_than(len(stored), folder):
            sampler = from_spec(spec, allow, Sampler)
    except RuntimeError as error:
        if "meta" in str(error):  # a class of another package that looks into its tensors
            return
        reason = str(error).partition("\n")[0]
        raise SynthgenError(f"{folder / DESCRIPTION} can't be rebuilt: {reason}.") from error
    if not isinstance(sampler, Sampler) or not isinstance(sampler.image, ImageSpec):
        raise _no_sampler(folder)
    if isinstance(sampler, FittedSampler):
        return
    described = {name: tuple(value.shape) for name, value in sampler.state_dict().items()}
    for name in sorted(described.keys() | stored.keys()):
        here, there = described.get(name), stored.get(name)
        if here != there:
            raise SynthgenError(
                f"{folder / WEIGHTS} does not fit its description: {name} is {there or 'missing'} "
                f"in the file and {here or 'unknown'} in {DESCRIPTION}.\n"
                f"{AGAIN}"
            )


def _no_sampler(folder: Path) -> SynthgenError:
    return SynthgenError(f"{folder / DESCRIPTION} does not describe a sampler.")


def _stored_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes in the file's header."""
    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except SafetensorError as error:
        raise SynthgenError(f"{path} does not fit its description: {error}.") from error


@contextmanager
def _no_more_than(tensors: int, folder: Path) -> Iterator[None]:
    """End the building of a sampler with far more tensors than the file has: millions of layers
    take memory without a single number. While it is built, a layer may replace a tensor."""
    left = itertools.count(ALLOWANCE * (tensors + 1), -1)

    def count(*_: Any) -> None:
        if next(left) <= 0:
            raise SynthgenError(
                f"{folder / WEIGHTS} does not fit its description: it has {tensors} tensors, "
                f"{DESCRIPTION} describes many more.\n"
                f"{AGAIN}"
            )

    hooks = (
        register_module_parameter_registration_hook(count),
        register_module_buffer_registration_hook(count),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def read_description(folder: Path) -> SamplerDescription:
    """The checked contents of ``sampler.json``. Raises SynthgenError."""
    return SamplerDescription.read(Path(folder) / DESCRIPTION)


def sampler_folder(path: str | Path) -> Path:
    """``path`` itself or its ``sampler/``, whichever holds a complete sampler."""
    for folder in (Path(path), Path(path) / "sampler"):
        if (folder / DESCRIPTION).is_file() and (folder / WEIGHTS).is_file():
            return folder
    raise SynthgenError(
        f"There is no sampler in {path} (looked for {DESCRIPTION} and {WEIGHTS}).\n"
        "Give the folder of a finished run, or of its sampler/."
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
