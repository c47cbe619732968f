"""Which training image is nearest to a synthetic one, and how near would a new real image be?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synthgen.evaluation.metrics.distances import CHUNK
from synthgen.evaluation.subsets import positions_by_class
from synthgen.types import LabelledImages

SEARCHED_FROM = 5000  # synthetic images, in proportion to the classes
CALIBRATED_ON = 2000  # real reference images
PER_CLASS = 3
NEAREST = 3
SPARE = 8  # candidates measured exactly beyond those asked for


@dataclass(frozen=True)
class Pair:
    """A synthetic image, its nearest training images (nearest first), and distances."""

    label: int
    synthetic: int  # position in the synthetic features
    training: list[int]  # positions in the training features
    distance: float
    median_real_distance: float  # of real ones of the class to their nearest training image


@dataclass(frozen=True)
class Search:
    """The pairs shown, and how many images were searched."""

    pairs: list[Pair]
    searched: int
    training: int
    closer: (
        float  # share of them nearer than the median of the real reference images of their class
    )


def closest_pairs(
    *,
    train: Tensor,
    synthetic: Tensor,
    synthetic_labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
) -> Search:
    """For each class the synthetic images that lie closest to any training image: if anything was
    copied, it is among these. All tensors are features ``(N, D)`` or labels ``(N,)``."""
    asked = positions_by_class(synthetic_labels, SEARCHED_FROM)
    distances, found = nearest(synthetic[asked], train, NEAREST)
    calibration = positions_by_class(test_labels, CALIBRATED_ON)
    usual, _ = nearest(test[calibration], train, 1)
    pairs, closer = [], 0
    for label in synthetic_labels[asked].unique().tolist():
        of_class = (synthetic_labels[asked] == label).nonzero().flatten()
        real = usual[test_labels[calibration] == label, 0]
        median = float(real.median()) if len(real) else float(usual.median())
        closer += int((distances[of_class, 0] < median).sum())
        for row in of_class[distances[of_class, 0].argsort(stable=True)][:PER_CLASS].tolist():
            pairs.append(
                Pair(label, int(asked[row]), found[row].tolist(), float(distances[row, 0]), median)
            )
    return Search(pairs, len(asked), len(train), closer / len(asked))


def nearest(queries: Tensor, train: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Euclidean distances (float64) and positions ``(N, count)`` of the nearest rows of ``train``.

    float32 products pick a few more candidates than asked; these are measured exactly, so that a
    copy has distance 0.
    """
    count = min(count, len(train))
    centre = train.double().mean(0)
    columns = (train.double() - centre).float()
    norms = columns.square().sum(1)
    distances, found = [], []
    for chunk in queries.split(CHUNK):
        # |x|² is the same for all candidates of a query, so the order does not need it.
        order = torch.addmm(norms, (chunk.double() - centre).float(), columns.T, alpha=-2)
        candidates = order.topk(min(count + SPARE, len(train)), dim=1, largest=False).indices
        exact = (train[candidates].double() - chunk[:, None].double()).square().sum(2)
        closest = exact.topk(count, dim=1, largest=False)
        distances.append(closest.values.sqrt())
        found.append(candidates.gather(1, closest.indices))
    return torch.cat(distances), torch.cat(found)


def rows(search: Search, classes: tuple[str, ...]) -> list[dict[str, str | float]]:
    """Plain JSON for the report."""
    return [
        {
            "class": classes[pair.label],
            "distance": pair.distance,
            "median_real_distance": pair.median_real_distance,
        }
        for pair in search.pairs
    ]


def picked(images: LabelledImages, positions: list[int]) -> Tensor:
    return images.images[torch.tensor(positions, dtype=torch.int64)]
