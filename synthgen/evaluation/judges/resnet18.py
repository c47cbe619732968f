"""ResNet-18 with the stem for small images."""

from __future__ import annotations

from torch import nn

from synthgen.evaluation.judges.base import Augment
from synthgen.evaluation.judges.network import NetworkJudge
from synthgen.ranges import BatchSize, Count, Positive
from synthgen.types import ImageSpec


class ResNet18Judge(NetworkJudge):
    """The network of He et al. 2016, table 1, whose first convolution is 3 × 3 with stride 1 and
    which has no max pooling, as is usual for 32 × 32 pixels. For a GPU: minutes per training there,
    about a second per step of 128 images of 32 × 32 pixels on a CPU core.

    Args:
        steps: optimizer steps, equal for all arms; None chooses by the number of real training
            images.
        augment: of the training batches of every arm without an augmentation of its own.
    """

    name = "resnet18"

    def __init__(
        self,
        steps: Count | None = None,
        batch_size: BatchSize = 128,
        learning_rate: Positive = 2e-3,
        augment: Augment | None = None,
    ) -> None:
        super().__init__(steps, batch_size, learning_rate, augment)

    def network(self, image: ImageSpec) -> nn.Module:
        from torchvision.models import resnet18  # slow to import

        network = resnet18(num_classes=image.num_classes)
        network.conv1 = nn.Conv2d(image.channels, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
        return network

    def architecture(self) -> str:
        return "ResNet-18, first convolution 3x3 with stride 1, no max pooling"
