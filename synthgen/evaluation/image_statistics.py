"""Numbers that anyone can read off one image: how bright, how sharp, how much of it is object."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from synthgen.evaluation.features.network import luma
from synthgen.images import top_of

CHUNK = 2**19  # pixels held at a time: memory grows with one image, not with the set
LEVELS = 256


def image_statistics(images: Tensor) -> dict[str, Tensor]:
    """Images ``(N, C, H, W)`` -> float64 ``(N,)`` per statistic, for every image by itself.

    brightness and contrast are mean and standard deviation of the luma (of other images than grey
    and RGB: of the bands' mean), 0..1; sharpness is the standard deviation of its Laplacian;
    spectrum slope is that of log power against log frequency (natural photographs: about -2); fine
    detail is the share of power above half of Nyquist's frequency; foreground is the share of
    pixels on the other side of Otsu's threshold (1979) than the border. RGB images also have red,
    green, blue (means) and colourfulness (Hasler and Süsstrunk 2003).
    """
    found: dict[str, list[Tensor]] = {}
    together = max(1, CHUNK // images.shape[1:].numel())
    for chunk in images.split(together):
        for name, values in _of_chunk(chunk).items():
            found.setdefault(name, []).append(values)
    return {name: torch.cat(values) for name, values in found.items()}


def _of_chunk(images: Tensor) -> dict[str, Tensor]:
    pixels = images.double() / top_of(images)
    grey = luma(pixels) if images.shape[1] == 3 else pixels.mean(1, keepdim=True)
    slope, fine = _spectrum(grey[:, 0])
    found = {
        "brightness": grey.mean((1, 2, 3)),
        "contrast": grey.flatten(1).std(1, correction=0),
        "sharpness": _laplacian(grey).flatten(1).std(1, correction=0),
        "spectrum slope": slope,
        "fine detail": fine,
        "foreground": foreground_area(grey[:, 0]),
    }
    if images.shape[1] == 3:
        red, green, blue = pixels.mean((2, 3)).unbind(1)
        found |= {"red": red, "green": green, "blue": blue, "colourfulness": _colourful(pixels)}
    return found


def _laplacian(grey: Tensor) -> Tensor:
    """``(N, 1, H, W)``; borders are repeated, so that a frame adds no edge."""
    kernel = grey.new_tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
    return F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), kernel)


def _spectrum(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and share of high frequencies of the power spectrum of ``(N, H, W)``.

    A Hann window keeps the jump between opposite borders out of it. Power is averaged over rings
    of one frequency each, from the second up to Nyquist's. An image without any power has slope 0.
    """
    power, frequency = windowed_power(grey)
    rings = max(2, min(grey.shape[1:]) // 2)
    ring = (frequency * 2 * rings).round().long()  # Nyquist's frequency, 1/2, is the last ring
    inside = ((ring >= 1) & (ring <= rings)).flatten()
    where = ring.flatten()[inside] - 1
    counts = torch.bincount(where, minlength=rings).double()
    sums = power.new_zeros(len(power), rings).index_add_(1, where, power.flatten(1)[:, inside])
    used = counts > 0
    radial = sums[:, used] / counts[used]
    position = (torch.arange(rings, device=grey.device)[used] + 1).double().log()
    position = position - position.mean()
    # The floor lies at the rounding of 8-bit pixels: below it there is nothing to measure.
    logs = (radial + 1e-8).log()
    slope = (logs * position).sum(1) / position.square().sum().clamp_min(1e-12)
    total = sums.sum(1)
    high = sums[:, rings // 2 :].sum(1)
    return slope, torch.where(total > 1e-12, high / total.clamp_min(1e-12), torch.zeros_like(total))


def windowed_power(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Power ``(N, H, W)`` of the mean-free, Hann-windowed images, in squared contrast per pixel,
    and each entry's frequency ``(H, W)`` in cycles per pixel."""
    height, width = grey.shape[1:]
    rows = torch.hann_window(height + 2, periodic=False, dtype=grey.dtype, device=grey.device)[1:-1]
    columns = torch.hann_window(width + 2, periodic=False, dtype=grey.dtype, device=grey.device)
    window = rows[:, None] * columns[None, 1:-1]
    centred = (grey - grey.mean((1, 2), keepdim=True)) * window
    power = torch.fft.fft2(centred).abs().square() / (height * width * window.square().mean())
    vertical = torch.fft.fftfreq(height, dtype=grey.dtype, device=grey.device)
    horizontal = torch.fft.fftfreq(width, dtype=grey.dtype, device=grey.device)
    return power, (vertical[:, None].square() + horizontal[None].square()).sqrt()


def foreground_area(grey: Tensor) -> Tensor:
    """Share of the pixels of ``(N, H, W)``, 0..1, that Otsu's threshold parts from the border's
    median; 0 for an image of one level."""
    levels = (grey * (LEVELS - 1)).round().long().flatten(1)
    histogram = torch.zeros(len(grey), LEVELS, dtype=torch.float64, device=grey.device)
    histogram.scatter_add_(1, levels, torch.ones_like(levels, dtype=torch.float64))
    share = histogram / levels.shape[1]
    below = share.cumsum(1)
    mass = (share * torch.arange(LEVELS, device=grey.device)).cumsum(1)
    spread = below * (1 - below)
    between = (mass[:, -1:] * below - mass).square() / spread.clamp_min(1e-12)
    threshold = torch.where(spread > 1e-12, between, 0.0).argmax(1, keepdim=True)
    bright = levels > threshold
    border = _border(grey).mul(LEVELS - 1).round().median(1, keepdim=True).values
    area = torch.where(border.long() > threshold, ~bright, bright).double().mean(1)
    flat = levels.amin(1) == levels.amax(1)
    return torch.where(flat, 0.0, area)


def _border(grey: Tensor) -> Tensor:
    """The outermost pixels of ``(N, H, W)`` as ``(N, P)``."""
    sides = [grey[:, 0], grey[:, -1], grey[:, 1:-1, 0], grey[:, 1:-1, -1]]
    return torch.cat(sides, dim=1)


def _colourful(pixels: Tensor) -> Tensor:
    """Hasler and Süsstrunk (2003), eq. of M^(3), for ``(N, 3, H, W)`` in 0..1; grey images: 0."""
    red, green, blue = pixels.flatten(2).unbind(1)
    first, second = red - green, (red + green) / 2 - blue
    spread = (first.var(1, correction=0) + second.var(1, correction=0)).sqrt()
    centre = (first.mean(1).square() + second.mean(1).square()).sqrt()
    return spread + 0.3 * centre
