"""Geometry of a scatter plot in panels that share their axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

COLOURS = 10  # then they repeat; names stand on the clouds, so colour never has to tell alone
MOST_NAMES = 20


@dataclass(frozen=True)
class Cloud:
    """The points of one class, as one SVG path of dots; named at their median."""

    path: str
    colour: int
    name: str
    x: float
    y: float


@dataclass(frozen=True)
class Panel:
    title: str
    note: str
    x: float
    clouds: list[Cloud]
    behind: str  # the points of the other panel


@dataclass(frozen=True)
class Scatter:
    title: str
    note: str
    width: float
    height: float
    side: float
    panels: list[Panel]
    description: str
    file: str = ""


def scatter_panels(
    title: str,
    note: str,
    panels: Sequence[tuple[str, Tensor, Tensor]],
    classes: Sequence[str],
    *,
    side: float = 380,
    gap: float = 28,
) -> Scatter:
    """Two panels ``(title, points (N, 2), labels (N,))`` on common axes; each shows the other's
    points behind its own."""
    import torch

    every = torch.cat([points for _, points, _ in panels]).double()
    low, high = every.quantile(0.002, dim=0), every.quantile(0.998, dim=0)
    span = (high - low).clamp_min(1e-12)

    def place(points: Tensor, left: float) -> Tensor:
        shares = ((points.double() - low) / span).clamp(0, 1)
        x = left + 12 + shares[:, 0] * (side - 24)
        y = 24 + side - 12 - shares[:, 1] * (side - 24)
        return torch.stack([x, y], 1)

    drawn = []
    for index, (name, points, labels) in enumerate(panels):
        left = index * (side + gap)
        others = [place(p, left) for i, (_, p, _) in enumerate(panels) if i != index]
        drawn.append(
            Panel(
                name,
                f"{len(points):,} images",
                left,
                clouds(place(points, left), labels, classes),
                dots(torch.cat(others)) if others else "",
            )
        )
    width = len(panels) * side + (len(panels) - 1) * gap
    counts = ", ".join(f"{len(points):,} {name}" for name, points, _ in panels)
    return Scatter(title, note, width, side + 26, side, drawn, f"{counts} images by class")


def clouds(points: Tensor, labels: Tensor, classes: Sequence[str]) -> list[Cloud]:
    found = []
    for label in labels.unique().tolist():
        own = points[labels == label]
        x, y = own.median(0).values.tolist()
        name = str(classes[label]) if len(classes) <= MOST_NAMES else ""
        found.append(Cloud(dots(own), label % COLOURS, name[:14], round(x, 1), round(y + 4, 1)))
    return found


def dots(points: Tensor) -> str:
    """Zero-length strokes with round ends: a tenth of the size of as many circles."""
    return "".join(f"M{x:.0f} {y:.0f}h0" for x, y in points.tolist())
