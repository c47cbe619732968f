"""Images that a classifier takes for another class than the one they were drawn for."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from synthgen.ranges import ClassifierWidth, Count, KeptShare, Real
from synthgen.synthesis.curation.base import Filter, Verdicts
from synthgen.synthesis.curation.gate import Gate, checked_share, gate
from synthgen.synthesis.curation.held_out import divided, without_copies
from synthgen.synthesis.curation.network import Curator, logits_of, train_curator
from synthgen.types import LabelledImages

HELD_OUT = 0.2  # of the training images, which the classifier doesn't learn from


class LabelAgreement(Filter):
    """Rejects images of which a classifier doubts the label.

    The score is the logit of the label less the largest of the others, after training on four
    fifths of the real training images: positive where the classifier would say the label, **higher
    is better**. The threshold comes from the other fifth: where the classifier often doubts real
    images, a doubt about a drawn one says little, and it is kept.

    Args:
        keep_real: share of new real images that would be kept, which sets the threshold.
        threshold: a margin of one's own instead; 0 keeps what is recognised as its label.
        steps: optimizer steps of 128 images; None chooses by the number of training images.
        width: channels of the first convolution; each later one doubles it, up to 256.
    """

    name: ClassVar[str] = "label_agreement"

    def __init__(
        self,
        keep_real: KeptShare = 0.95,
        threshold: Real | None = None,
        steps: Count | None = None,
        width: ClassifierWidth = 32,
    ) -> None:
        self.keep_real, self.threshold = checked_share(keep_real), threshold
        self.steps, self.width = steps, width
        self.network: Curator | None = None
        self.gate: Gate | None = None
        self.accuracy = 0.0

    def fit(self, real_train: LabelledImages, seed: int) -> None:
        real = without_copies(real_train)
        learned, held = (real.subset(part) for part in divided(real, HELD_OUT, seed))
        self.network = train_curator(learned, steps=self.steps, width=self.width, seed=seed)
        scores = _margins(logits_of(self.network, held.images), held.labels)
        self.accuracy = float((scores > 0).double().mean())
        self.gate = gate(
            scores, held.labels, real.classes, keep_real=self.keep_real, threshold=self.threshold
        )

    def examine(self, images: Tensor, labels: Tensor) -> Verdicts:
        if self.network is None or self.gate is None:
            raise RuntimeError("fit() must come before examine()")
        return self.gate.verdicts(_margins(logits_of(self.network, images), labels), labels)

    def facts(self) -> dict[str, Any]:
        if self.gate is None:
            return {}
        return {**self.gate.facts, "accuracy_on_held_out_real": round(self.accuracy, 4)}


def _margins(logits: Tensor, labels: Tensor) -> Tensor:
    """float32 ``(N, K)``, int64 ``(N,)`` -> ``(N,)``."""
    own = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], float("-inf"))
    if logits.shape[1] == 1:
        return own[:, 0]
    return own[:, 0] - others.max(dim=1).values
