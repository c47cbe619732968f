"""The curator's own classifier: another network, other weights and another lesson than those of
any extractor or judge, so that a set isn't chosen to please who measures it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgen.hardware import torch_threads
from synthgen.images import to_float
from synthgen.progress import track
from synthgen.seeds import step_generator
from synthgen.types import ImageSpec, LabelledImages

STREAM = 53
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
    random = step_generator(seed, STREAM)
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
            padded = torch.zeros(CHUNK, *images.shape[1:], dtype=torch.uint8)
            padded[: len(part)] = part
            found.append(network(to_float(padded))[: len(part)])
    return torch.cat(found) if found else torch.empty(0, network.logits.out_features)


def _initial(image: ImageSpec, width: int, random: torch.Generator) -> Curator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=random)))
        return Curator(image, width)
