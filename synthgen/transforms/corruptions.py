"""Named disturbances of test images, to see where a classifier breaks: the scenarios.

A corruption is one rule at one strength for all images: its seeds, not a batch, decide where the
drops fall.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import to_float, to_levels
from synthgen.transforms.base import ImageRandom, SoloTransform
from synthgen.transforms.geometric import Rotation
from synthgen.transforms.photometric import (
    Blur,
    Contrast,
    Darkness,
    Fog,
    Occlusion,
    Pixelation,
    PixelNoise,
    Rain,
    Snow,
)

Corruption = Callable[[Tensor, float, Sequence[int] | Tensor], Tensor]
PIXELS_AT_A_TIME = 2**21  # bounds the memory of intermediate results; does not change them


@dataclass(frozen=True)
class TransformCorruption:
    """A rule at a strength that is the same for all images.

    Called with uint8 or uint16 ``(N, C, H, W)`` images, a strength in [0, 1] (0 returns them
    unchanged) and N seeds; image ``i`` of the result depends on image ``i``, the strength and seed
    ``i``.
    """

    rule: type[SoloTransform]

    def __call__(self, images: Tensor, strength: float, seeds: Sequence[int] | Tensor) -> Tensor:
        if not 0.0 <= strength <= 1.0:
            raise SynthgenError(
                f"The strength of {self.rule.__name__} is {strength}; it goes from 0 to 1."
            )
        if len(seeds) != len(images):
            raise ValueError(f"{len(images)} images need as many seeds, got {len(seeds)}")
        if strength == 0 or not len(images):
            return images.clone()
        size = max(1, PIXELS_AT_A_TIME // images[0].numel())
        parts = [
            self._corrupt(images[first : first + size], strength, seeds[first : first + size])
            for first in range(0, len(images), size)
        ]
        return torch.cat(parts)

    @torch.inference_mode()
    def _corrupt(self, images: Tensor, strength: float, seeds: Sequence[int] | Tensor) -> Tensor:
        strengths = torch.full((len(images),), strength)
        changed = self.rule().change(to_float(images), strengths, ImageRandom(seeds))
        return to_levels(changed, 16 if images.dtype == torch.uint16 else 8)


CORRUPTIONS: dict[str, Corruption] = {
    "blur": TransformCorruption(Blur),
    "noise": TransformCorruption(PixelNoise),
    "rotation": TransformCorruption(Rotation),
    "occlusion": TransformCorruption(Occlusion),
    "contrast": TransformCorruption(Contrast),
    "darkness": TransformCorruption(Darkness),
    "fog": TransformCorruption(Fog),
    "rain": TransformCorruption(Rain),
    "snow": TransformCorruption(Snow),
    "pixelation": TransformCorruption(Pixelation),
}
