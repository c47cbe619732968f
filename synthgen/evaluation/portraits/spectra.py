"""Mean power spectra: at which sizes synthetic images have more or less detail than real ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthgen.evaluation.report.charts import Curve, Point, line_chart, write_figure

CHUNK = 1000
MOST = 5000  # images of each set
SPREAD = (0.1, 0.9)  # quantiles of single images around the mean
FINE = 0.35  # cycles per pixel from which detail counts as fine; 0.5 is the finest
NOTABLE = 0.2  # relative difference in fine detail that the caption names


def spectra(
    real: Tensor, synthetic: Tensor, folder: Path, *, file: str = "figures/spectra.svg"
) -> dict[str, Any] | None:
    """Write an SVG of both sets' spectra and return its entry for ``figures``.

    Both are uint8 ``(N, C, H, W)`` of the same size. None for images too small to have a spectrum.
    """
    frequencies, ours = radial_power(real[:MOST])
    _, theirs = radial_power(synthetic[:MOST])
    if len(frequencies) < 3 or not len(ours) or not len(theirs):
        return None
    curves = [
        curve(frequencies, ours, "real", "arm-real_only"),
        curve(frequencies, theirs, "synthetic", "arm-synthetic_only"),
    ]
    chart = line_chart(
        "Mean power spectrum",
        "spatial frequency, cycles per pixel",
        curves,
        note="bands: from the 10th to the 90th of 100 images",
        y_axis="logarithmic",
    )
    if chart is None:
        return None
    write_figure(chart, folder, file)
    return {
        "file": file,
        "kind": "spectra",
        "class": None,
        "caption": said(frequencies, ours, theirs),
    }


def said(frequencies: Tensor, real: Tensor, synthetic: Tensor) -> str:
    fine = frequencies >= FINE
    base = float(real[:, fine].mean())
    text = (
        f"Power by spatial frequency, mean of {len(real):,} real and {len(synthetic):,} synthetic "
        "images (brightness, 0 to 1); the bands hold 80 % of the single images."
    )
    if base <= 0 or not math.isfinite(base):
        return text
    ratio = float(synthetic[:, fine].mean()) / base
    if abs(ratio - 1) < NOTABLE:
        return f"{text} Fine detail is about as strong in both ({ratio:.2f} times the real power)."
    kind = "weaker: blur" if ratio < 1 else "stronger: noise or a grid"
    return f"{text} Fine detail is {kind} would look like this ({ratio:.2f} times the real power)."


def curve(frequencies: Tensor, power: Tensor, label: str, style: str) -> Curve:
    low, high = (power.quantile(share, dim=0).tolist() for share in SPREAD)
    mean = power.mean(0).tolist()
    return Curve(
        f"{label}, {len(power):,} images",
        style,
        [Point(*row) for row in zip(frequencies.tolist(), mean, low, high, strict=True)],
    )


def radial_power(images: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 ``(N, C, H, W)`` -> frequencies ``(F,)`` in cycles per pixel, up to 0.5, and each
    image's mean power ``(N, F)`` on the ring around each, float64.

    Brightness is the channels' mean in [0, 1]; each image's own mean is taken off, and a Hann
    window hides its edges, which would otherwise draw a cross of power through the spectrum.
    """
    _, _, height, width = images.shape
    window = torch.hann_window(height, periodic=False, dtype=torch.float64)[:, None]
    window = window * torch.hann_window(width, periodic=False, dtype=torch.float64)
    radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None, :])
    rings = min(height, width) // 2
    ring = (radius * 2 * rings).round().long()  # 0 is the mean
    wanted = torch.arange(1, rings + 1)
    found = []
    for chunk in images.split(CHUNK):
        grey = chunk.double().mean(1) / 255
        grey = (grey - grey.mean((1, 2), keepdim=True)) * window
        power = torch.fft.fft2(grey, norm="ortho").abs().square().flatten(1)
        size = int(ring.max()) + 1
        sums = torch.zeros(len(chunk), size, dtype=torch.float64)
        sums.index_add_(1, ring.flatten(), power)
        counts = torch.bincount(ring.flatten(), minlength=size)
        found.append((sums / counts.clamp_min(1))[:, wanted])
    empty = torch.zeros(0, rings, dtype=torch.float64)
    return wanted / (2 * rings), torch.cat(found) if found else empty
