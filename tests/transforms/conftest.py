"""Real grey images, and colour images of an odd shape."""

import pytest
import torch
from sklearn.datasets import load_digits


@pytest.fixture(scope="session")
def grey():
    """uint8 (40, 1, 8, 8)"""
    images = torch.from_numpy(load_digits().images[:40] * 15.9375)
    return images.round().to(torch.uint8)[:, None]


@pytest.fixture(scope="session")
def colour():
    """uint8 (12, 3, 24, 37), smooth enough to look like something."""
    random = torch.Generator().manual_seed(0)
    knots = torch.rand(12, 3, 5, 7, generator=random)
    field = torch.nn.functional.interpolate(knots, (24, 37), mode="bicubic").clamp(0, 1)
    return (field * 255).to(torch.uint8)
