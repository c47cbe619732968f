"""A map of real and synthetic images: two dimensions of a feature space."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthgen.evaluation.report.charts import Cloud, Scatter, write_figure
from synthgen.evaluation.subsets import positions_by_class

MOST = 1200  # points per panel
NEIGHBOURS = 15  # UMAP's n_neighbors


def embedding_map(
    real: Tensor,
    real_labels: Tensor,
    fake: Tensor,
    fake_labels: Tensor,
    classes: Sequence[str],
    folder: Path,
    *,
    extractor: str,
    seed: int = 0,
    file: str = "figures/embedding_map.svg",
) -> dict[str, Any]:
    """Write an SVG of two panels, real and synthetic, and return its entry for ``figures``.

    Features are ``(N, D)``, labels int64 ``(N,)``. The map is UMAP's where umap-learn is installed,
    else the first two principal components; both are fitted to equally many real and synthetic
    images, so neither set draws the map for the other.
    """
    count = min(MOST, len(real), len(fake))
    at = positions_by_class(real_labels, count)
    fake_at = positions_by_class(fake_labels, count)
    joint = torch.cat([real[at], fake[fake_at]]).double()
    by_umap = find_spec("umap") is not None and len(joint) > 2 * NEIGHBOURS
    points = umap(joint, seed) if by_umap else principal(joint)
    method = "UMAP" if by_umap else "First two principal components"
    caption = (
        f"{method} of the features of {len(at):,} real and {len(fake_at):,} synthetic images in "
        f"the space {extractor}. Grey behind each: the images of the other panel. Grey without "
        "colour on the right is what the generator misses."
    )
    clouds = (
        Cloud("real", points[: len(at)].numpy(), real_labels[at].numpy()),
        Cloud("synthetic", points[len(at) :].numpy(), fake_labels[fake_at].numpy()),
    )
    chart = Scatter(title=f"Map of {extractor}", note=method, clouds=clouds, classes=tuple(classes))
    write_figure(chart, folder, file)
    return {
        "file": file,
        "kind": "embedding_map",
        "class": None,
        "extractor": extractor,
        "caption": caption,
    }


def principal(points: Tensor) -> Tensor:
    """float64 ``(N, D)`` -> ``(N, 2)``; each axis points to where its largest loading is positive,
    so that the same features always give the same map."""
    centred = points - points.mean(0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    axes = vectors[:, -2:].flip(1)  # ascending eigenvalues
    if axes.shape[1] < 2:
        axes = torch.cat([axes, torch.zeros_like(axes)], 1)
    signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return centred @ (axes * signs)


def umap(points: Tensor, seed: int) -> Tensor:
    """McInnes et al. 2018, with its usual settings."""
    from umap import UMAP

    found = UMAP(n_neighbors=NEIGHBOURS, random_state=seed, n_jobs=1).fit_transform(points.numpy())
    return torch.from_numpy(found).double()
