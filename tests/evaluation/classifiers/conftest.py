import pytest
import torch

from synthgen.types import LabelledImages

TAIL = (7, 8, 9)


@pytest.fixture(scope="session")
def imbalanced(digits):
    """Training digits of which classes 7, 8 and 9 have 4 images each."""
    train = digits.train
    kept = [
        (train.labels == label).nonzero()[:, 0][: 4 if label in TAIL else None]
        for label in range(10)
    ]
    return train.subset(torch.cat(kept))


@pytest.fixture(scope="session")
def tail_recall(digits):
    """The mean recall of classes 7, 8 and 9 on the test digits."""

    def of(predictions):
        right = predictions == digits.test.labels
        return sum(float(right[digits.test.labels == label].double().mean()) for label in TAIL) / 3

    return of


@pytest.fixture(scope="session")
def shuffled(digits):
    """Training digits whose labels mean nothing."""
    order = torch.randperm(len(digits.train), generator=torch.Generator().manual_seed(0))
    return LabelledImages(digits.train.images, digits.train.labels[order], digits.train.classes)
