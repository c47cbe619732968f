"""A small convolutional classifier and its training, shared by the extractor and the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthgen.hardware import autocast, compute_dtype
from synthgen.images import to_float
from synthgen.seeds import step_generator
from synthgen.types import ImageSpec, LabelledImages

FEATURES = 128
SMALLEST_POOLED = 8  # a map whose shorter side has fewer pixels is not pooled any more


class SmallCNN(nn.Module):
    """3 × 3 convolutions with batch normalisation, each but the last followed by 2 × 2 pooling
    until the map is less than 8 pixels wide or high, then one hidden layer, and logits.

    Takes float images ``(N, C, H, W)`` in [-1, 1] of any size.
    """

    def __init__(self, image: ImageSpec, width: int = 16, dropout: float = 0.3) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        channels, size = image.channels, (image.height, image.width)
        while min(size) >= SMALLEST_POOLED:
            stages += [convolution(channels, width), nn.MaxPool2d(2, ceil_mode=True)]
            channels, width = width, 2 * width
            size = (-(-size[0] // 2), -(-size[1] // 2))
        self.stages = nn.Sequential(*stages, convolution(channels, width))
        self.hidden = nn.Sequential(
            nn.Linear(width * size[0] * size[1], FEATURES, bias=False),
            nn.BatchNorm1d(FEATURES),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(FEATURES, image.num_classes)

    def features(self, images: Tensor) -> Tensor:
        """The hidden layer: ``(N, 128)``, not negative."""
        return self.hidden(self.stages(images).flatten(1))

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(self.dropout(self.features(images)))


def convolution(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def train_classifier(
    data: LabelledImages,
    *,
    width: int,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    device: torch.device,
    on_step: Callable[[int, SmallCNN], None],
) -> SmallCNN:
    """Cross-entropy on the images as they are, AdamW with a one-cycle learning rate.

    The outcome depends on the data (in order), the options, the seed and the hardware alone. Calls
    ``on_step(step, network)`` after every optimizer step, from 1 on.
    """
    network = initial_network(data.image, width=width, seed=seed).to(device)
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=learning_rate, weight_decay=0.05, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=steps, pct_start=0.15
    )
    images, labels = data.images.to(device), data.labels.to(device)
    order = shuffled_batches(len(data), batch_size, step_generator(seed, 1))
    with isolated_randomness(seed, device):  # of dropout
        for step in range(1, steps + 1):
            index = next(order).to(device)
            network.train()
            with autocast(device, compute_dtype("auto", device)):
                logits = network(as_input(images[index]))
            loss = F.cross_entropy(logits.float(), labels[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            on_step(step, network)
    return network.eval()


def initial_network(image: ImageSpec, *, width: int, seed: int) -> SmallCNN:
    with isolated_randomness(seed, torch.device("cpu")):
        return SmallCNN(image, width)


def shuffled_batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches of exactly ``batch_size`` positions. They are cut from one reshuffled pass
    after another, so no image is ever seen two times more often than another."""
    pending = torch.empty(0, dtype=torch.int64)
    while True:
        while len(pending) < batch_size:
            pending = torch.cat([pending, torch.randperm(count, generator=generator)])
        batch, pending = pending[:batch_size], pending[batch_size:]
        yield batch


@torch.inference_mode()
def predict(network: SmallCNN, images: Tensor, *, batch_size: int = 512) -> Tensor:
    """uint8 ``(N, C, H, W)`` -> int64 ``(N,)`` labels on the CPU."""
    network.eval()
    device = next(network.parameters()).device
    found = []
    for batch in images.split(batch_size):
        with autocast(device, compute_dtype("auto", device)):
            found.append(network(as_input(batch.to(device))).argmax(1).cpu())
    return torch.cat(found)


def as_input(images: Tensor) -> Tensor:
    return to_float(images).contiguous(memory_format=torch.channels_last)


@contextmanager
def isolated_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's global generators seeded inside, and left as they were outside."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
