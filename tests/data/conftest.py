"""Real digits, and files written from them in every shape that people have."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthgen.data import Digits


@pytest.fixture(scope="session")
def digits():
    """uint8 (1797, 8, 8) pixels and their labels."""
    images = Digits().read().images
    return images.images[:, 0].numpy(), images.labels.numpy()


@pytest.fixture
def write_classes(digits):
    """``write_classes(root, {"0": 6, …})``: that many distinct real digits per class folder."""
    pixels, labels = digits

    def write(root: Path, counts: dict[str, int], first: int = 0) -> Path:
        for label, (name, count) in enumerate(counts.items()):
            folder = root / name
            folder.mkdir(parents=True, exist_ok=True)
            chosen = pixels[labels == label][first : first + count]
            for number, image in enumerate(chosen):
                Image.fromarray(image).save(folder / f"{first + number:03d}.png")
        return root

    return write


@pytest.fixture
def colour_noise():
    """``colour_noise(height, width, seed)``: a uint8 (H, W, 3) picture, no two alike."""

    def draw(height: int, width: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)

    return draw
