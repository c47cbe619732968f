"""What an augmentation of the discriminator's images is, and the resampling that several share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from synthgen.seeds import BatchGenerator


class Augmentation(nn.Module, ABC):
    """Changes images in a way that gradients flow through (Zhao et al. 2020; Karras et al. 2020).

    It is applied to real and generated images in the steps of both networks, so the generator need
    not learn it. Whatever it keeps from step to step is a buffer, so that a run resumes with it.
    Penalties may take gradients of gradients through it. Several processes may train together, each
    on its rows of a batch: ``random.rand``, ``randn`` and ``randint`` draw for all rows and return
    one's own.
    """

    @abstractmethod
    def forward(self, images: Tensor, random: BatchGenerator) -> Tensor:
        """float32 ``(N, C, H, W)`` in [-1, 1] -> the same; ``random`` is a CPU generator, so that
        what is drawn doesn't depend on the device."""

    def advance(self, progress: float) -> None:
        """Called before each discriminator step with the progress of the run, 0 to 1: for a
        strength that follows from it."""

    def observe(self, real_logits: Tensor, fake_logits: Tensor, images: int) -> None:
        """Called in each discriminator step with its logits, float32, one per image or per patch,
        and the number of real images that they are of: for a strength that follows from them."""


def uniform(images: Tensor, low: float, high: float, random: BatchGenerator) -> Tensor:
    """A number per image from U(low, high), ``(N, 1, 1, 1)`` on the images' device."""
    drawn = random.rand(len(images), 1, 1, 1) * (high - low) + low
    return drawn.to(images.device, non_blocking=True)


# One affine resampling of a batch, differentiable twice with respect to the images.

Padding = Literal["zeros", "border", "reflection"]
BILINEAR = 0  # torch's codes for what grid_sample calls by name
PADDING = {"zeros": 0, "border": 1, "reflection": 2}


def warp(images: Tensor, back: Tensor, padding: Padding) -> Tensor:
    """Bilinear resampling: the output pixel at x shows the input at ``back`` x.

    Args:
        images: float32 ``(N, C, H, W)``.
        back: float32 ``(N, 3, 3)`` on homogeneous (column, row, 1) in pixels from the image's
            centre, so that shifts by whole pixels and quarter turns of a square are exact.
        padding: what lies outside of the images.
    """
    height, width = images.shape[2:]
    columns = torch.arange(width, device=images.device) - (width - 1) / 2
    rows = torch.arange(height, device=images.device) - (height - 1) / 2
    back = back.to(images.device, non_blocking=True)
    across = back[:, :2, 0, None, None] * columns
    down = back[:, :2, 1, None, None] * rows[:, None]
    places = across + down + back[:, :2, 2, None, None]  # (N, 2, H, W)
    half = torch.tensor([width / 2, height / 2], device=images.device)
    grid = places.permute(0, 2, 3, 1) / half  # -1 and 1 are the outer edges
    warped: Tensor = _Resample.apply(images, grid, PADDING[padding])
    return warped


class _Resample(torch.autograd.Function):
    """Resampling is linear in the images, and so is its gradient: the gradient of the gradient is
    resampling again. torch 2.11, our oldest, has no derivative of grid_sample's backward pass; 2.12
    and later do, and theirs takes 0.8 to 1.1 of this one's time for all three passes (torch 2.14,
    one CPU thread, 28 to 128 pixels)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.padding, ctx.shape = padding, images.shape
        return torch.grid_sampler(images, grid, BILINEAR, padding, False)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        (grid,) = ctx.saved_tensors
        return _Scatter.apply(slopes[0], grid, ctx.padding, ctx.shape), None, None


class _Scatter(torch.autograd.Function):
    """The transpose of :class:`_Resample`: every output pixel's slope goes where it came from."""

    @staticmethod
    def forward(ctx: Any, slopes: Tensor, grid: Tensor, padding: int, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.padding = padding
        anywhere = slopes.new_zeros(()).expand(shape)  # values don't matter: the map is linear
        found, _ = torch.ops.aten.grid_sampler_2d_backward(
            slopes, anywhere, grid, BILINEAR, padding, False, [True, False]
        )
        return found

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Any:
        (grid,) = ctx.saved_tensors
        return _Resample.apply(slopes[0], grid, ctx.padding), None, None, None
