"""Inception-v3 features of the original FID implementation, as ported by torch-fidelity."""

from __future__ import annotations

import contextlib
import pickle
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from synthgen.device import default_device
from synthgen.errors import SynthgenError
from synthgen.evaluation.features.base import Extractor
from synthgen.io import file_digest
from synthgen.ranges import BatchSize, Count
from synthgen.types import LabelledImages

FILE = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
SHA256_START = "6726825d"  # torch.hub's convention: a file's name ends in its hash's first 8 digits
LAYER = "2048"


class InceptionExtractor(Extractor):
    """2,048 pooled features of uint8 images, resized as TensorFlow 1 did (the original's quirk, so
    that values equal torch-fidelity's). Grey images are repeated to three channels.

    Args:
        weights: file with torch-fidelity's weights; None means torch hub's folder.
        max_images: a CPU core extracts about 8 images a second.

    Needs torch-fidelity: pip install torch-fidelity.
    """

    def __init__(
        self, weights: str | None = None, batch_size: BatchSize = 50, max_images: Count = 10_000
    ) -> None:
        super().__init__(batch_size, max_images)
        path, self.weights_sha256 = find_weights(weights)
        self.name = f"inception-{self.weights_sha256[:8]}"
        self.weights_file = path.name
        self.network = build_network(path)

    def prepare(self, train: LabelledImages, seed: int) -> None:
        """Nothing is learned; moves to the GPU if there is one."""
        self.to(default_device())

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        (features,) = self.network(images)
        return features

    @torch.inference_mode()
    def logits(self, features: Tensor) -> Tensor:
        """The original's 1,008 class scores without the bias, as its Inception score takes them."""
        weight = self.network.get_parameter("fc.weight").detach().cpu()
        return features @ weight.T

    def describe(self) -> dict[str, object]:
        return {
            "kind": "inception",
            "features": int(LAYER),
            "network": "torch-fidelity inception-v3-compat, layer 2048, TensorFlow 1 resizing",
            "weights_file": self.weights_file,
            "weights_sha256": self.weights_sha256,
            "max_images": self.max_images,
        }


def find_weights(weights: str | None) -> tuple[Path, str]:
    """The file and its SHA-256. Raises SynthgenError, with the way to get it, if it is missing or,
    for the usual file, not what was published."""
    path = Path(weights) if weights else Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if not path.is_file():
        raise SynthgenError(
            f"The Inception weights are not at {path}.\n"
            f"Download {URL} there, or name the file with extractor.inception.weights=PATH, "
            "or use extractor=classifier."
        )
    digest = file_digest(path)
    if (weights is None or path.name == FILE) and not digest.startswith(SHA256_START):
        raise SynthgenError(
            f"{path} is damaged: its SHA-256 starts with {digest[:8]}, not {SHA256_START}.\n"
            f"Delete it and download {URL} again."
        )
    return path, digest


def build_network(path: Path) -> nn.Module:
    """torch-fidelity's network with the weights of ``path``, read without running pickled code."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise SynthgenError(
            "extractor=inception needs torch-fidelity.\n"
            "Install it with pip install torch-fidelity, or use extractor=classifier."
        ) from None
    try:
        tensors = dict(torch.load(path, map_location="cpu", weights_only=True))
        # torch-fidelity unpickles whatever file it is given, so it gets one that we wrote.
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
            clean = Path(folder) / FILE
            torch.save(tensors, clean)
            return FeatureExtractorInceptionV3(
                "inception-v3-compat", [LAYER], feature_extractor_weights_path=str(clean)
            )
    except (pickle.UnpicklingError, RuntimeError, EOFError, TypeError, ValueError) as error:
        raise SynthgenError(
            f"{path} does not hold torch-fidelity's Inception weights ({type(error).__name__}).\n"
            f"Download {URL} instead."
        ) from error
