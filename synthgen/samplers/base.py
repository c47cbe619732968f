"""Whatever draws labelled images is a Sampler: a network, a density, a set of rules, a copy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from synthgen.device import torch_threads
from synthgen.errors import SynthgenError
from synthgen.seeds import image_rng
from synthgen.serialization import Rebuildable
from synthgen.types import ImageSpec, LabelledImages, Samples


class Sampler(nn.Module, Rebuildable, ABC):
    """Draws images for given labels and seeds; image ``i`` depends on (label, seed) alone.

    Requests are cut into chunks of exactly ``chunk`` images (the last one padded), so the
    arithmetic behind an image has the same shapes whatever the size and order of the request.
    Together with a fixed number of threads this makes images identical to the byte on one machine.

    Attributes:
        image: shape and classes of what is drawn.
        exposes_real: outputs are copies or transforms of real images.
        threads: what torch had when the sampler was saved, set by loading it; None: as many as
            torch has at the moment.
    """

    chunk: ClassVar[int] = 64
    exposes_real: ClassVar[bool] = False
    threads: int | None = None

    def __init__(self, image: ImageSpec) -> None:
        super().__init__()
        self.image = image

    def set_latents(self, *, temperature: float | None, truncation: float | None) -> None:
        """Draw latents of another spread from now on; None leaves a side of it as it was trained.

        Args:
            temperature: factor on their standard deviation.
            truncation: none lies beyond so many standard deviations, before the factor.

        Raises:
            SynthgenError: the sampler has no latents.
        """
        name = type(self).__name__
        raise SynthgenError(
            f"{name} has no latents, so temperature and truncation mean nothing to it.\n"
            "Leave them out; they are for trained networks."
        )

    def with_attributes(self, options: Mapping[str, str]) -> Sampler:
        """The same sampler, showing one option of each named attribute in every image.

        Raises:
            SynthgenError: there is no such attribute or option.
        """
        raise SynthgenError(
            f"{type(self).__name__} has no attributes such as weather, so none can be ordered.\n"
            "Leave attributes out; they are for samplers that draw from rules."
        )

    @property
    def device(self) -> torch.device:
        tensors = [*self.parameters(), *self.buffers()]
        return tensors[0].device if tensors else torch.device("cpu")

    @torch.inference_mode()
    def sample(self, labels: Tensor, seeds: Tensor) -> Samples:
        """Draw one image for each pair of a label and a seed.

        Args:
            labels: int64 ``(N,)``, each an index of ``image.classes``.
            seeds: int64 ``(N,)``; equal pairs give equal images.

        Returns:
            images ``(N, C, H, W)`` of ``image.dtype`` on the CPU, with the labels and seeds.

        Raises:
            ValueError: the two differ in length, or a label means no class.
        """
        labels = torch.as_tensor(labels, dtype=torch.int64)
        seeds = torch.as_tensor(seeds, dtype=torch.int64)
        if labels.ndim != 1 or labels.shape != seeds.shape:
            raise ValueError("labels and seeds must be 1-D and of equal length")
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < len(
            self.image.classes
        ):
            raise ValueError(f"labels must be in 0..{len(self.image.classes) - 1}")
        images = torch.empty(len(labels), *self.image.shape, dtype=self.image.dtype)
        with torch_threads(self.threads or torch.get_num_threads()):
            for start in range(0, len(labels), self.chunk):
                part = slice(start, min(start + self.chunk, len(labels)))
                count = part.stop - part.start
                chunk_labels = torch.zeros(self.chunk, dtype=torch.int64)
                chunk_seeds = torch.zeros(self.chunk, dtype=torch.int64)
                chunk_labels[:count], chunk_seeds[:count] = labels[part], seeds[part]
                drawn = self.draw(chunk_labels, chunk_seeds)
                if drawn.dtype != self.image.dtype or drawn.shape != (
                    self.chunk,
                    *self.image.shape,
                ):
                    raise SynthgenError(
                        f"{type(self).__name__}.draw gave {drawn.dtype} {tuple(drawn.shape)} "
                        f"instead of {self.image.dtype} {(self.chunk, *self.image.shape)}.\n"
                        "synthgen.images.to_levels(floats in [-1, 1], self.image.bits) makes them."
                    )
                images[part] = drawn[:count].cpu()
        return Samples(images, labels, seeds)

    @abstractmethod
    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        """One chunk: int64 ``(chunk,)`` on the CPU -> ``(chunk, C, H, W)`` of ``image.dtype``, any
        device."""


class FittedSampler(Sampler):
    """A sampler that is estimated from real images in one call instead of being trained.

    Everything learned lives in buffers whose shapes depend on the data; they start empty and are
    replaced by ``fit`` or by loading.
    """

    threads = 1  # so little arithmetic per image that sharing it costs more than it saves

    @abstractmethod
    def fit(self, real: LabelledImages) -> None:
        """Estimate from the real training images; replaces any earlier fit.

        Args:
            real: uint8 images ``(N, C, H, W)`` of the shape and classes in ``image``.

        Raises:
            SynthgenError: a class has too few images.
        """

    def set_fitted(self, **tensors: Tensor) -> None:
        """Replace the buffers that hold what was learned.

        Raises:
            ValueError: the names aren't exactly those of the buffers.
        """
        expected = set(dict(self.named_buffers(recurse=False)))
        if set(tensors) != expected:
            raise ValueError(f"expected tensors {sorted(expected)}, got {sorted(tensors)}")
        for name, tensor in tensors.items():
            # A fresh copy is aligned alike in every process; products may depend on alignment.
            setattr(self, name, tensor.clone(memory_format=torch.contiguous_format))


def sorted_by_class(values: Tensor, real: LabelledImages) -> tuple[Tensor, Tensor]:
    """``values`` ``(N, …)`` of real images sorted by class, and int64 ``(classes + 1,)`` where each
    begins: class i is ``values[first[i]:first[i + 1]]``."""
    return values[real.labels.argsort(stable=True)], torch.tensor([0, *real.counts]).cumsum(0)


def one_of_class(first: Tensor, labels: Tensor, seeds: Tensor, stream: int = 0) -> Tensor:
    """int64 ``(N,)`` positions in what :func:`sorted_by_class` sorted, drawn uniformly within the
    class; each depends on its label and seed alone."""
    edges = first.tolist()
    drawn = [
        int(image_rng(seed, stream).integers(edges[label], edges[label + 1]))
        for label, seed in zip(labels.tolist(), seeds.tolist(), strict=True)
    ]
    return torch.tensor(drawn, dtype=torch.int64)
