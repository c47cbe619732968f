"""Copies of training images as generators and files leave them: to see which a check finds."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from synthgen.evaluation.subsets import spread_by_class
from synthgen.seeds import step_generator
from synthgen.types import LabelledImages

STREAM = 71
PLANTED = 60  # training images, each in every way
NOISE = 8.0  # grey levels
QUALITY = 75


def plant(train: LabelledImages) -> dict[str, LabelledImages]:
    """At most 60 training images in each of :data:`KINDS`, spread over the classes."""
    some = spread_by_class(train, PLANTED)
    return {
        kind: LabelledImages(change(some.images), some.labels, some.classes)
        for kind, change in KINDS.items()
    }


def noisy(images: Tensor) -> Tensor:
    noise = torch.randn(images.shape, generator=step_generator(0, STREAM))
    return whole(images.float() + NOISE * noise)


def brightened(images: Tensor) -> Tensor:
    """Less contrast and more light."""
    return whole(0.85 * images.float() + 25)


def shifted(images: Tensor) -> Tensor:
    """To the right and down by a sixteenth of the side, edges repeated."""
    height, width = images.shape[2:]
    down, right = max(1, round(height / 16)), max(1, round(width / 16))
    padded = F.pad(images.float(), (right, 0, down, 0), mode="replicate")
    return whole(padded[:, :, :height, :width])


def mirrored(images: Tensor) -> Tensor:
    return images.flip(3)


def as_jpeg(images: Tensor) -> Tensor:
    """Written as JPEG and read again."""
    return torch.stack([_jpeg(image) for image in images]) if len(images) else images


def whole(pixels: Tensor) -> Tensor:
    return pixels.clamp(0, 255).round().to(torch.uint8)


def _jpeg(image: Tensor) -> Tensor:
    pixels = image.permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(
        file, "JPEG", quality=QUALITY
    )
    read = np.asarray(Image.open(io.BytesIO(file.getvalue())))
    return torch.from_numpy(read.reshape(pixels.shape).copy()).permute(2, 0, 1)


KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "noise": noisy,
    "brightness": brightened,
    "shift": shifted,
    "mirror": mirrored,
    "JPEG": as_jpeg,
}
