"""What judges single images while a set is drawn, and what judges the set afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from synthgen.dataset.schema import Fact
from synthgen.serialization import Rebuildable
from synthgen.types import LabelledImages


@dataclass(frozen=True)
class Verdicts:
    """``keep`` bool ``(N,)``; ``scores`` float32 ``(N,)``, their direction as the filter says."""

    keep: Tensor
    scores: Tensor

    def __post_init__(self) -> None:
        if self.keep.dtype != torch.bool or self.scores.dtype != torch.float32:
            raise ValueError("keep must be bool and scores float32")
        if self.keep.shape != self.scores.shape or self.keep.ndim != 1:
            raise ValueError("keep and scores must be (N,), one per image")


class Filter(Rebuildable, ABC):
    """Keeps or rejects each image for itself, whatever others it is shown with.

    A rejected image is drawn again with another seed until its row is filled.
    """

    name: ClassVar[str]  # the key of its scores in the manifest

    @abstractmethod
    def fit(self, real_train: LabelledImages, seed: int) -> None:
        """Learn from real training images, the same for the same images and ``seed``."""

    @abstractmethod
    def examine(self, images: Tensor, labels: Tensor) -> Verdicts:
        """uint8 ``(N, C, H, W)``, int64 ``(N,)`` -> a verdict per image."""

    def facts(self) -> Fact:
        """For the set's papers once fitted: thresholds, share of real images kept."""
        return Fact()


class SetFilter(Rebuildable, ABC):
    """Settles what only the whole set shows, for example images of it that resemble one another.

    The images come in row order, in parts of any size, and the verdict on one depends on those
    before it alone. A rejected row is drawn again and shown once more, after all others.
    """

    name: ClassVar[str]

    def fit(self, real_train: LabelledImages, seed: int) -> None:
        """Learn what is usual from real training images, the same for the same ones and ``seed``;
        before the first :meth:`begin`."""

    @abstractmethod
    def begin(self) -> None:
        """Forget all images of an earlier set."""

    @abstractmethod
    def examine(self, images: Tensor, labels: Tensor) -> Verdicts:
        """The next images: uint8 ``(N, C, H, W)``, int64 ``(N,)`` -> a verdict per image, given all
        images since :meth:`begin` that were kept."""

    def facts(self) -> Fact:
        """As :meth:`Filter.facts`."""
        return Fact()
