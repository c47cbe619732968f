"""Images that a classifier takes for another class than the one they were drawn for."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgen.dataset.schema import Fact
from synthgen.device import torch_threads
from synthgen.images import to_float
from synthgen.progress import track
from synthgen.ranges import ClassifierWidth, Count, KeptShare, Real
from synthgen.seeds import Stream, step_generator
from synthgen.synthesis.filters.base import (
    Filter,
    Gated,
    Verdicts,
    checked_share,
    divided,
    threshold,
    without_copies,
)
from synthgen.types import ImageSpec, LabelledImages

# The curator's own classifier: another network, other weights and another lesson than those of any
# extractor or judge, so that a set isn't chosen to please who measures it.

BATCH = 128
CHUNK = 64  # images per pass, always: the rounding of a sum may depend on its shape
LEAST_STEPS, MOST_STEPS = 300, 1000


class Curator(nn.Module):
    """Strided 4 × 4 convolutions down to 4 × 4 positions, averaged over them for the logits."""

    def __init__(self, image: ImageSpec, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels, side = image.channels, max(image.height, image.width)
        while side > 4 or not layers:
            layers += [
                nn.Conv2d(channels, width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.SiLU(),
            ]
            channels, width, side = width, min(2 * width, 256), (side + 1) // 2
        layers += [
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.SiLU(),
        ]
        self.layers = nn.Sequential(*layers)
        self.logits = nn.Linear(channels, image.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """float32 ``(N, C, H, W)`` in [-1, 1] -> logits ``(N, classes)``."""
        x = F.pad(images, [0, images.shape[3] % 2, 0, images.shape[2] % 2])
        return self.logits(self.layers(x).mean(dim=(2, 3)))


def train_curator(data: LabelledImages, *, steps: int | None, width: int, seed: int) -> Curator:
    """Cross-entropy with the logits shifted by the classes' log shares (Menon et al. 2021,
    equation 10), so that rare classes are recognised as readily as common ones. One thread of the
    CPU: the same data, options and seed give the same weights."""
    steps = steps or min(MOST_STEPS, max(LEAST_STEPS, 4 * len(data) // BATCH))
    shares = torch.tensor(data.counts).clamp(min=1).float() / len(data)
    random = step_generator(seed, Stream.CURATOR)
    with torch_threads(1), track(steps, "curating classifier", "steps") as advance:
        network = _initial(data.image, width, random)
        optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 3e-3, total_steps=steps, pct_start=0.2
        )
        for _ in range(steps):
            index = torch.randint(len(data), (BATCH,), generator=random)
            logits = network(to_float(data.images[index])) + shares.log()
            loss = F.cross_entropy(logits, data.labels[index], label_smoothing=0.05)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            advance(1)
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def logits_of(network: Curator, images: Tensor) -> Tensor:
    """uint8 ``(N, C, H, W)`` -> float32 ``(N, classes)``, the same for an image in any company."""
    found = []
    with torch_threads(1):
        for part in images.split(CHUNK):
            padded = torch.zeros(CHUNK, *images.shape[1:], dtype=images.dtype)
            padded[: len(part)] = part
            found.append(network(to_float(padded))[: len(part)])
    return torch.cat(found) if found else torch.empty(0, network.logits.out_features)


def _initial(image: ImageSpec, width: int, random: torch.Generator) -> Curator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=random)))
        return Curator(image, width)


HELD_OUT = 0.2  # of the training images, which the classifier doesn't learn from


class LabelAgreement(Gated, Filter):
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
        self.accuracy = 0.0

    def fit(self, real_train: LabelledImages, seed: int) -> None:
        real = without_copies(real_train)
        learned, held = (real.subset(part) for part in divided(real, HELD_OUT, seed))
        self.network = train_curator(learned, steps=self.steps, width=self.width, seed=seed)
        scores = _margins(logits_of(self.network, held.images), held.labels)
        self.accuracy = float((scores > 0).double().mean())
        self.gate = threshold(
            scores, held.labels, real.classes, keep_real=self.keep_real, threshold=self.threshold
        )

    def examine(self, images: Tensor, labels: Tensor) -> Verdicts:
        line, network = self.line, self.network
        assert network is not None
        return line.verdicts(_margins(logits_of(network, images), labels), labels)

    def facts(self) -> Fact:
        if self.gate is None:
            return Fact()
        right = {"accuracy_on_held_out_real": round(self.accuracy, 4)}
        return super().facts().model_copy(update=right)


def _margins(logits: Tensor, labels: Tensor) -> Tensor:
    """float32 ``(N, K)``, int64 ``(N,)`` -> ``(N,)``."""
    own = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], float("-inf"))
    if logits.shape[1] == 1:
        return own[:, 0]
    return own[:, 0] - others.max(dim=1).values
