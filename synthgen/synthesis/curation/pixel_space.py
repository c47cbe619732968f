"""A short vector per image whose distances stand for distances between pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from synthgen.images import to_float
from synthgen.types import LabelledImages

LONGEST = 32  # larger images are averaged down first: copies stay copies, and PCA stays small
FITTED_ON = 10_000  # images, drawn from all
PER_COMPONENT = 4  # images at least: with fewer the axes run through single images
PART = 1024  # images at a time
STREAM = 51


class PixelSpace:
    """Scores on the first principal components of real training images, and as a last value how
    much the components leave unexplained; a distance here is never more than one in pixels. New
    images lie farther from the components than those that these were fitted to, so thresholds come
    from images that were not.

    Values are summed in float64 and kept in float32, so they don't depend on the batch.
    """

    def __init__(self, components: int = 64) -> None:
        self.components = components
        self.mean = self.axes = torch.empty(0)  # float64 (pixels,), (pixels, K)

    def fit(self, real: LabelledImages, seed: int) -> None:
        from sklearn.decomposition import PCA  # slow to import, and needed only here
        from threadpoolctl import threadpool_limits

        from synthgen.seeds import step_generator

        order = torch.randperm(len(real), generator=step_generator(seed, STREAM))[:FITTED_ON]
        pixels = _small(real.images[order.sort().values])
        count = max(1, min(self.components, len(pixels) // PER_COMPONENT, pixels.shape[1]))
        with threadpool_limits(1):  # the result doesn't depend on the machine's cores then
            pca = PCA(n_components=count, random_state=seed).fit(pixels.numpy())
        self.mean = torch.from_numpy(pca.mean_).double()
        self.axes = torch.from_numpy(pca.components_.T.copy()).double()

    def encode(self, images: Tensor) -> Tensor:
        """uint8 ``(N, C, H, W)`` -> float32 ``(N, components + 1)``."""
        parts = []
        for part in images.split(PART):
            centred = _small(part).double() - self.mean
            scores = centred @ self.axes
            rest = (centred.square().sum(1) - scores.square().sum(1)).clamp(min=0).sqrt()
            parts.append(torch.cat([scores, rest[:, None]], dim=1).float())
        return torch.cat(parts) if parts else torch.empty(0, self.axes.shape[1] + 1)


def _small(images: Tensor) -> Tensor:
    """uint8 ``(N, C, H, W)`` -> float32 pixels ``(N, P)`` in [-1, 1]."""
    pixels = to_float(images)
    height, width = pixels.shape[2:]
    if max(height, width) > LONGEST:
        scale = LONGEST / max(height, width)
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        pixels = F.adaptive_avg_pool2d(pixels, size)
    return pixels.flatten(1)
