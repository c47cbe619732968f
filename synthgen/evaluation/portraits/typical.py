"""The best, the worst and the most typical synthetic images of each class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synthgen.evaluation.pictures import MOST_CLASSES, draw_rows
from synthgen.types import LabelledImages

SHOWN = 5
CHUNK = 1024
NAMED = 8  # classes that a caption names
NEIGHBOUR = 3  # k of the balls around real images
MOST_REAL = 2000  # of one class; more change no ranking that an eye could see


def typical_grid(
    synthetic: LabelledImages,
    fake_features: Tensor,
    real_features: Tensor,
    real_labels: Tensor,
    folder: Path,
    *,
    extractor: str,
    file: str = "figures/typical.png",
) -> dict[str, Any] | None:
    """Write a PNG with one row per class, and return its entry for the report's ``figures``.

    ``fake_features`` ``(N, D)`` belong to the N images of ``synthetic``, ``real_features``
    ``(M, D)`` with int64 ``real_labels`` ``(M,)`` to real ones that nothing was trained on. Best
    and worst are the ends of :func:`realism`, typical the images nearest to their class's mean.
    None when no class has enough images of both kinds.
    """
    rows, names = [], []
    for label, name in enumerate(synthetic.classes[:MOST_CLASSES]):
        mine = (synthetic.labels == label).nonzero().flatten()
        real = real_features[real_labels == label][:MOST_REAL]
        if len(mine) < SHOWN or len(real) <= NEIGHBOUR:
            continue
        features = fake_features[mine]
        order = realism(features, real).argsort(descending=True, stable=True)
        middle = (features.double() - features.double().mean(0)).square().sum(1)
        chosen = (order[:SHOWN], middle.argsort(stable=True)[:SHOWN], order[-SHOWN:].flip(0))
        rows.append([list(synthetic.images[mine[positions]]) for positions in chosen])
        names.append(name)
    if not rows:
        return None
    titles = ("most realistic", "most typical", "least realistic")
    draw_rows(rows, names, titles, (SHOWN,) * 3, folder / file)
    left = [name for name in synthetic.classes if name not in names]
    caption = (
        f"Per class the {SHOWN} most realistic of its synthetic images, the {SHOWN} nearest to "
        f"their mean, and the {SHOWN} least realistic, worst first. Realism is measured against "
        f"real images of the same class in the space {extractor} (Kynkäänniemi et al. 2019), so a "
        "wrong label counts as unrealistic."
    )
    if left:
        few = left[:NAMED]
        more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
        caption += (
            f" Not shown: {', '.join(few)}{more} (of each {SHOWN} synthetic and {NEIGHBOUR + 1} "
            f"real images are needed; the first {MOST_CLASSES} classes are shown at most)."
        )
    return {
        "file": file,
        "kind": "typical",
        "class": None,
        "extractor": extractor,
        "caption": caption,
    }


def realism(features: Tensor, real: Tensor, k: int = NEIGHBOUR) -> Tensor:
    """float64 ``(N,)``, higher is more realistic; at 1 an image lies on the edge of a real image's
    ball. Kynkäänniemi et al. 2019, eq. 3: the largest ratio of a ball's radius (distance to the
    k-th nearest real image) to the distance from its centre, over the half with the smaller radii.
    """
    centre = real.double().mean(0)
    real, features = real.double() - centre, features.double() - centre
    among = torch.cdist(real, real).fill_diagonal_(torch.inf)
    radii = among.topk(k, dim=1, largest=False).values[:, -1]
    kept = radii <= radii.median()
    scores = []
    for chunk in features.split(CHUNK):
        distances = torch.cdist(chunk, real[kept]).clamp_min(1e-12)
        scores.append((radii[kept] / distances).max(1).values)
    return torch.cat(scores)
