"""The images of a source as the pictures that everything after training shows too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synthgen.data.levels import in_parts, levels_shown, scale
from synthgen.data.splits import Splits
from synthgen.types import ImageSpec, LabelledImages


@dataclass(frozen=True)
class Looks:
    """Images as pictures for people.

    Attributes:
        image: their kind, which says what is shown of them.
        pictures: uint8 ``(N, 1 or 3, H, W)``.
    """

    image: ImageSpec
    pictures: Tensor

    @classmethod
    def of(
        cls,
        stored: LabelledImages,
        images: LabelledImages,
        view: Sequence[int] | None,
        splits: Splits | None,
    ) -> Looks:
        """As everything that comes of training will show them; as well as can be guessed if
        training refuses them.

        Args:
            stored: with the levels of their files.
            images: the same in 8 bits, see :func:`synthgen.data.levels.preview`.
            view: ``data.view``.
        """
        if splits is None:
            return cls._guessed(images, view)
        image = splits.train.image
        if image.shown is None:
            return cls(image, replace(images, view=image.view).pictures)
        parts = (
            part
            if image.levels is None
            else scale(part, (image.levels.low, image.levels.high), image.bits)
            for part in in_parts(stored)
        )
        return cls(image, torch.cat([image.pictures(part.images) for part in parts]))

    @classmethod
    def _guessed(cls, images: LabelledImages, view: Sequence[int] | None) -> Looks:
        fits = view is not None and max(view) < images.image.channels  # else training says so
        images = replace(images, view=tuple(view) if view is not None and fits else None)
        if images.levels is not None and len(images):
            images = replace(images, shown=levels_shown(images, range(len(images))))
        return cls(images.image, images.pictures)
