"""How a discriminator's features become one logit per image."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from torch import Tensor, nn


class Head(nn.Module, ABC):
    """Features and labels to logits; built with the length of the features and the classes."""

    @abstractmethod
    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(N, F)``, int64 ``(N,)`` -> float32 ``(N,)``."""


class Unconditional(Head):
    """A linear layer that doesn't look at the label, for use with an auxiliary classifier (Odena
    et al. 2017)."""

    def __init__(self, feature_dim: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(feature_dim, 1)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return self.linear(features).squeeze(1)


class Projection(Unconditional):
    """The inner product of features and a class embedding beside a linear layer that doesn't look
    at the label (Miyato & Koyama 2018, eq. 3)."""

    def __init__(self, feature_dim: int, num_classes: int) -> None:
        super().__init__(feature_dim, num_classes)
        self.embedding = nn.Embedding(num_classes, feature_dim)
        nn.init.xavier_uniform_(self.embedding.weight)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return super().forward(features, labels) + (features * self.embedding(labels)).sum(dim=1)


class InnerProduct(Head):
    """The inner product of features and a class embedding, divided by the root of their length, and
    nothing else (as in Huang et al. 2024, whose code starts with an embedding smaller by the root
    of the number of classes)."""

    def __init__(self, feature_dim: int, num_classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_classes, feature_dim)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        embedded = self.embedding(labels) / math.sqrt(features.shape[1])
        return (features * embedded).sum(dim=1)
