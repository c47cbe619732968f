"""The table of speeds: a model is measured with its own settings, and a mistake becomes a note."""

import importlib

import pytest
import torch

from synthgen.networks import R3Generator
from synthgen.networks.cost import cost
from synthgen.types import ImageSpec


@pytest.fixture
def benchmark():
    return importlib.import_module("benchmark_training")


def test_a_model_is_measured(benchmark):
    settings = "model.generator.width=16 model.generator.max_width=16 model.batch_size=8"
    found = benchmark.measure(f"gan {settings}", [1, 8, 8], 0.1)
    with torch.device("meta"):
        image = ImageSpec(1, 8, 8, tuple("0123456789"))
        narrow = R3Generator(
            image, patch=2, width=16, max_width=16, expansion=1, group_size=None
        )  # the rest are its defaults
    assert found["multiply_adds"] == cost(narrow).multiply_adds
    assert found["parts"]["generator"]["parameters"] == cost(narrow).parameters
    assert found["batch_size"] == 8
    assert found["images_per_second"] > 0
    assert found["draws_per_second"] > 0
    assert found["memory_mib"] > 50
    assert benchmark.row(found).count("|") == len(benchmark.TITLES) + 1


def test_steps_are_timed_over_the_whole_run(benchmark, monkeypatch):
    """A discriminator that joins in at a fifth of the run costs its time in the other four."""
    module = benchmark.build_module("kl_autoencoder", [1, 8, 8], [])
    rates = iter([100.0, 50.0, 50.0, 50.0, 50.0])
    seen = []

    def timed(module, seconds, warm_up):
        seen.append((round(module.clock.progress, 3), seconds))
        return next(rates)

    monkeypatch.setattr(benchmark, "images_per_second", timed)
    assert benchmark.training_rate(module, 10.0) == pytest.approx(5 / (1 / 100 + 4 / 50))
    assert seen == [(0.1, 2.0), (0.3, 2.0), (0.5, 2.0), (0.7, 2.0), (0.9, 2.0)]


def test_only_what_is_trained_is_listed(benchmark):
    found = benchmark.models()
    assert {"gan", "vae"} <= set(found)
    assert not {"noise", "pca_gaussian", "stroke_digits"} & set(found)


def test_a_failure_is_a_note_in_the_same_table(benchmark):
    note = {"model": "x", "note": "ValueError: no"}
    assert benchmark.row(note).count("|") == len(benchmark.TITLES) + 1
    assert "ValueError: no" in benchmark.row(note)
