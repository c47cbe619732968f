"""From stored pixels to what a pretrained network was trained on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """uint8 ``(N, C, H, W)`` -> float32 ``(N, C', H', W')``.

    Args:
        size: height and width that the network wants; None leaves images as they are. The whole
            image is resized (antialiased bicubic, in float32, the overshoot clamped): nothing is
            cropped, so another aspect is stretched.
        channels: 3 repeats grey images, 1 takes the luma of colour images, None leaves both.
        mean, std: per channel or for all, in units of the full range 0..1.
    """

    size: tuple[int, int] | None = None
    channels: int | None = 3
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.channels not in (None, 1, 3):
            raise ValueError(f"channels must be 1, 3 or null, got {self.channels}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels or len(values)):
                raise ValueError(f"{name} has {len(values)} numbers for {self.channels} channels")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std must be more than 0, got {list(self.std)}")

    def __call__(self, images: Tensor) -> Tensor:
        pixels = images.float()
        if self.channels == 1 and pixels.shape[1] == 3:
            pixels = luma(pixels)
        if self.size is not None and tuple(pixels.shape[2:]) != self.size:
            pixels = F.interpolate(pixels, size=self.size, mode="bicubic", antialias=True)
            pixels = pixels.clamp_(0, 255)
        if self.channels == 3 and pixels.shape[1] == 1:
            pixels = pixels.expand(-1, 3, -1, -1)
        mean, std = (pixels.new_tensor(v).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return (pixels / 255 - mean) / std

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()},
            "resizing": "antialiased bicubic of the whole image, float32",
        }


def luma(images: Tensor) -> Tensor:
    """Float ``(N, 3, H, W)`` -> ``(N, 1, H, W)`` with the weights of ITU-R BT.601."""
    weights = images.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def as_size(size: int | list[int] | None) -> tuple[int, int] | None:
    """One number or [height, width]. Raises ValueError for anything else."""
    if size is None:
        return None
    sides = [size, size] if isinstance(size, int) else list(size)
    if len(sides) != 2 or not all(side > 0 for side in sides):
        raise ValueError(f"size must be one number or [height, width] in pixels, got {size}")
    return sides[0], sides[1]
