"""A report as the evaluation writes it, with made-up numbers and nasty names."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

from synthgen.evaluation.report import page
from synthgen.images import encode_png, grid

SPACE = "classifier-1a2b3c4d"
FIDELITY = {
    "frechet_distance": (12.4, 0.6, False),
    "kid": (0.00412, 0.0007, False),
    "precision": (0.871, 0.02, True),
    "recall": (0.642, 0.03, True),
    "density": (0.93, 0.04, True),
    "coverage": (0.894, 0.015, True),
}
ARM_VALUES = {"real_only": 0.9921, "synthetic_only": 0.9584, "real_and_synthetic": 0.9930}
REFERENCE_FACTORS = {
    "floor": 0.08,
    "model_at_floor_n": 1.05,
    "train": 0.97,
    "bootstrap": 0.1,
    "pca_gaussian": 3.1,
    "noise": 160.0,
}


def result(name: str, value: float | None, half: float, better: bool | None, **more: Any) -> dict:
    """One result as a dict; ``value`` None means that it could not be measured."""
    return {
        "name": name,
        "extractor": None,
        "classifier": None,
        "scope": None,
        "value": value,
        "ci_low": None if value is None else value - half,
        "ci_high": None if value is None else value + half,
        "n_real": 10000,
        "n_fake": 50000,
        "higher_is_better": better,
        "seconds": 1.5,
        **more,
    }


def pictures(folder: Path) -> None:
    """Real digits, so that the page is looked at with real pictures."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    digits = torch.from_numpy(load_digits().images).mul(15).to(torch.uint8)[:, None]
    big = digits.repeat_interleave(3, 2).repeat_interleave(3, 3)
    (folder / "figures/class_grid.png").write_bytes(encode_png(grid(big[:100], 10)))
    (folder / "figures/synthetic_grid.png").write_bytes(encode_png(grid(big[100:200], 10)))
    (folder / "figures/neighbours.png").write_bytes(encode_png(grid(big[:40], 8)))


def fake_report(classes: tuple[str, ...], space: str = SPACE) -> dict[str, Any]:
    """Every key of the report; the last class has too few images to measure."""
    judged = {"classifier": "small_cnn"}
    results = [
        result(f"transfer/{arm}/{metric}", value - shift, 0.0021, True, **judged)
        for arm, value in ARM_VALUES.items()
        for metric, shift in (("accuracy", 0), ("balanced_accuracy", 0.001), ("macro_f1", 0.002))
    ]
    results += [
        result(f"fidelity/{name}", value, half, better, extractor=space)
        for name, (value, half, better) in FIDELITY.items()
    ]
    for index, name in enumerate(classes):
        scope, last = {"class": name}, index == len(classes) - 1
        wave = math.sin(index)
        results.append(
            result("fidelity/frechet_distance", None if last else 30 + 9 * wave, 3, False,
                   extractor=space, scope=scope, n_real=3 if last else 1000, n_fake=5000)
        )  # fmt: skip
        for arm, value in ARM_VALUES.items():
            results.append(
                result(f"transfer/{arm}/recall", value - 0.02 * abs(wave), 0.008, True,
                       scope=scope, n_real=1000, n_fake=5000, **judged)
            )  # fmt: skip
    references = [
        {
            **result(f"fidelity/{name}", value * factor if not better else value ** (1 + factor),
                     half, better, extractor=space),
            "reference": kind,
            "note": f"how {kind} was made",
        }
        for kind, factor in REFERENCE_FACTORS.items()
        for name, (value, half, better) in FIDELITY.items()
    ]  # fmt: skip
    references += [
        {**result("transfer/synthetic_only/accuracy", value, 0.004, True, **judged),
         "reference": kind, "note": ""}
        for kind, value in (("real_at_same_n", 0.99), ("pca_gaussian", 0.87), ("noise", 0.11))
    ]  # fmt: skip
    size = len(classes)
    matrix = [[970 if i == j else (i * 7 + j * 3) % 11 for j in range(size)] for i in range(size)]
    steps = range(50, 1001, 50)
    return {
        "format": "synthgen-report/1",
        "created": "2025-01-31T12:00:00Z",
        "seconds": 412.7,
        "results": results,
        "references": references,
        "verdict": None,
        "sentences": [
            "A classifier that saw only synthetic images names 95.8 % of the real test images.",
            "No synthetic image is an exact copy of a training image.",
        ],
        "confusion": {
            arm: {"classes": list(classes), "matrix": matrix} for arm in ARM_VALUES
        },
        "curves": {
            "transfer": {
                arm: [
                    {"step": s, "accuracy_holdout": value * (1 - math.exp(-s / 150))}
                    for s in steps
                ]
                for arm, value in ARM_VALUES.items()
            },
            "training": {
                "columns": ["images_seen", "epoch", "loss/discriminator", "loss/generator", "kl"],
                "rows": [
                    [n * 1000, n // 10, 1.4 + math.sin(n / 20) / 5, 0.7 + 1 / n, None]
                    for n in range(1, 700)
                ],
            },
        },
        "trial": None,
        "copying": {},
        "statistics": None,
        "fairness": None,
        "neighbours": [
            {
                "figure": "figures/neighbours.png",
                "extractor": space,
                "searched": 5000,
                "share_closer_than_median_real": 0.5,
                "rows": [
                    {"class": c, "distance": 4.2 + i, "median_real_distance": 5.1}
                    for i, c in enumerate(classes[:5])
                ],
            }
        ],
        "figures": [
            {"file": "figures/class_grid.png", "kind": "class_grid", "class": None,
             "caption": "Real images, one class per row."},
            {"file": "figures/synthetic_grid.png", "kind": "class_grid", "class": None,
             "caption": "Synthetic images, one class per row."},
            {"file": "figures/neighbours.png", "kind": "neighbours", "class": None,
             "caption": "Left: synthetic. Right of it: its nearest training images."},
        ],
        "protocol": {
            "judge": {
                "name": "small_cnn", "network": "4 layers", "steps": 1000, "batch_size": 128,
                "optimizer": "SGD", "augmentation": "none", "precision": "float32",
                "device": "cpu", "seeds": 3, "training": "equal for all arms",
            },
            "extractors": {space: {"dimensions": 64}},
            "intervals": "95 % intervals from 1,000 bootstrap draws over images and seeds.",
            "metrics": "as published",
            "counts": "images compared",
            "controls": "10,000 images",
            "reference_split": "test",
            "seed": 0,
        },
        "provenance": {
            "data": {
                "name": "digits",
                "digest": "d" * 64,
                "recipe": {
                    "format": "synthgen-split/1", "source": "synthgen.data.Digits",
                    "name": "digits", "fingerprint": "f" * 64, "images": 200, "channels": 1,
                    "size": [8, 8], "classes": list(classes), "fit": "pad", "holdout": 0.1,
                    "test": 0.2, "split_seed": 0,
                },
                "counts": {"train": dict.fromkeys(classes, 100)},
            },
            "synthetic": {
                "path": "runs/demo/synthetic",
                "digest": "e" * 64,
                "counts": dict.fromkeys(classes, 500),
                "dataset": None,
            },
            "exact_copies": {"train": 0, "test": 2},
            "config": {"model": {"lr": 0.001}, "logger": {"api_key": "hunter2-secret"}},
            "versions": {"torch": "2.11"},
            "hardware": {"cores": 2},
        },
    }  # fmt: skip


drawn_once = cache(page.drawn)


@pytest.fixture
def quick_charts(monkeypatch):
    """Each chart is drawn once in all tests, and not as a PDF."""
    monkeypatch.setattr(page, "drawn", drawn_once)
    monkeypatch.setattr(page, "write_pdfs", lambda _: None)


@pytest.fixture
def make_report():
    """``make_report(folder, classes)`` writes the pictures and returns the report."""

    def make(folder: Path, classes: tuple[str, ...] = ("0", "1", "2"), **more: Any) -> dict:
        pictures(folder)
        return fake_report(classes, **more)

    return make
