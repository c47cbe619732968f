"""The keys that a trial adds to a report, with made-up numbers that hang together."""

from __future__ import annotations

import math
from typing import Any

from evidence_numbers import copying, estimate, fairness, statistics

from synthgen.evaluation.report.schema import Report

ARMS = [  # name, label, kind, ratio, real images, synthetic images, gain over real only in points
    ("real_only", "real only", "real", None, 2000, 0, 0.0),
    ("oversampling", "real + oversampling", "cheap", None, 2000, 0, 0.1),
    ("class_weights", "real + class weights", "cheap", None, 2000, 0, -0.3),
    ("mixup", "real + mixup", "cheap", None, 2000, 0, 0.4),
    ("augmentation_medium", "real + classic augmentation (medium)", "cheap", None, 2000, 0, 1.1),
    ("synthetic_only", "synthetic only", "synthetic", None, 0, 4000, -3.4),
    ("real_and_synthetic_0.5", "real + 0.5 × synthetic", "combined", 0.5, 2000, 1000, 0.8),
    ("real_and_synthetic_1", "real + 1 × synthetic", "combined", 1.0, 2000, 2000, 1.2),
    ("real_and_synthetic_2", "real + 2 × synthetic", "combined", 2.0, 2000, 4000, 1.7),
    ("real_and_synthetic_4", "real + 4 × synthetic", "combined", 4.0, 2000, 8000, 1.3),
    (
        "pretrained_on_synthetic",
        "pre-trained on 2 × synthetic, then real",
        "combined",
        2.0,
        2000,
        4000,
        0.9,
    ),
    (
        "augmentation_and_synthetic",
        "real + 2 × synthetic + classic augmentation",
        "combined",
        2.0,
        2000,
        4000,
        1.9,
    ),
    ("baseline_only", "pca_gaussian only", "baseline", None, 0, 4000, -12.6),
    ("real_and_baseline", "real + 2 × pca_gaussian", "cheap", 2.0, 2000, 4000, -0.9),
]
CHOSEN, CHEAP = "real_and_synthetic_2", "augmentation_medium"
BASE = 0.942
SCENARIOS = {"fog": 0.35, "occlusion": 0.5, "blur": 0.2, "rotation": 0.6}


def comparison(name: str, against: str, difference: float, half: float, **more: Any) -> dict:
    low, high = difference - half, difference + half
    p = math.erfc(abs(difference) / half * 1.96 / math.sqrt(2))
    shift = "helped" if low > 0 else "harmed" if high < 0 else "no evidence"
    verdict = shift if more.get("primary") or 9 * p < 0.05 else "no evidence"
    label, ratio = next((label, ratio) for n, label, _, ratio, *_ in ARMS if n == name)
    return {
        "name": name,
        "label": label,
        "against": against,
        "endpoint": "macro_f1",
        "ratio": ratio,
        "primary": False,
        "verdict": verdict,
        "difference": difference,
        "ci_low": low,
        "ci_high": high,
        "p": p,
        "p_adjusted": min(1.0, 9 * p),
        "smallest_detectable": 1.4 * half,
        "others": None,
        "control": None,
        **more,
    }


def verdict(shift: float = 0.0) -> dict[str, Any]:
    """``shift`` in points moves the primary contrast: -1.7 is none, -4 is harm."""
    gain = (1.7 + shift) / 100
    primary = comparison(CHOSEN, "real_only", gain, 0.006, primary=True)
    arms = [primary] + [
        comparison(name, "real_only", points / 100, 0.005 + abs(points) / 1500)
        for name, _, _, _, _, _, points in ARMS
        if name not in ("real_only", CHOSEN)
    ]
    cheap = comparison(CHOSEN, CHEAP, gain - 0.011, 0.0058)
    arms += [cheap, comparison(CHOSEN, "real_only", gain * 0.96, 0.0055, endpoint="accuracy")]
    words = {
        "helped": "The synthetic images helped, by more than the 0.5 points that matter.",
        "harmed": "The synthetic images harmed.",
        "no evidence": "No evidence that the synthetic images helped or harmed.",
    }[primary["verdict"]]
    return {
        "endpoint": "macro_f1",
        "minimum_difference": 0.005,
        "sentence": f"{words} Real + 2 × synthetic against real only: {100 * gain:+.1f} points in "
        "macro F1, on 10,000 real test images with 5 seeds (each seed has its own draw from the "
        "sampler).",
        "against_best_cheap": {**cheap, "name": CHEAP},
        "real_equivalent": {
            "replaces": {
                "images": 812,
                "ci_low": 655,
                "ci_high": 1004,
                "bound": None,
                "fewest": 100,
                "most": 2000,
            },
            "adds": {"images": 1480, "ci_low": 610, "ci_high": 3900, "extrapolated": True},
            "reason": None,
        },
        "arms": arms,
    }


def trial_arm(row: tuple, classes: tuple[str, ...]) -> dict[str, Any]:
    name, label, kind, ratio, n_real, n_synthetic, points = row
    value = BASE + points / 100
    tests = [
        {
            "seed": s,
            "only_this_right": 210 + 9 * s,
            "only_real_right": 150 - 4 * s,
            "p": 0.0004 + 0.02 * s,
        }
        for s in range(5)
    ]
    return {
        "name": name,
        "label": label,
        "kind": kind,
        "ratio": ratio,
        "n_real": n_real,
        "n_synthetic": n_synthetic,
        "n": 10_000,
        "test": estimate(value, 0.004),
        "accuracy": estimate(value + 0.001, 0.004),
        "holdout": value + 0.003,
        "per_seed": [value + d / 1000 for d in (-2, -1, 0, 1, 2)],
        "recall": {c: value - 0.02 * abs(math.sin(i + 1)) for i, c in enumerate(classes)},
        "chosen_steps": [900, 1000, 950, 1000, 850],
        "seconds": 41.3,
        "mcnemar": None if kind == "real" else tests,
        "chosen": name == CHOSEN,
    }


def trial(classes: tuple[str, ...] = ("0", "1", "2")) -> dict[str, Any]:
    arms = [trial_arm(row, classes) for row in ARMS]
    values = {arm["name"]: arm["test"]["value"] for arm in arms}
    sizes = (100, 200, 500, 1000, 2000)
    return {
        "protocol": {
            "judge": {
                "name": "small_cnn",
                "network": "two convolutions",
                "steps": 1000,
                "batch_size": 128,
                "optimizer": "AdamW",
                "augmentation": "none",
                "precision": "float32",
                "device": "cpu",
            },
            "seeds": [11, 12, 13, 14, 15],
            "steps": 1000,
            "endpoint": "macro_f1",
            "minimum_difference": 0.005,
            "source": "sampler",
            "ratios": [0.5, 1, 2, 4],
            "shares": [0.05, 0.1, 0.25, 0.5],
            "augmentations": {"medium": "CropAffine()"},
            "tail": None,
            "baseline": "pca_gaussian",
            "scenarios": list(SCENARIOS),
            "strengths": [0.0, 0.25, 0.5, 0.75, 1.0],
            "arms": [],
            "units": "test images",
            "choices": [
                "The ratio 2 was chosen by the mean over seeds on 1,000 real holdout images."
            ],
        },
        "arms": arms,
        "ratio_curve": [
            {
                "ratio": a["ratio"],
                "holdout": a["holdout"],
                "test": a["test"]["value"],
                "ci_low": a["test"]["ci_low"],
                "ci_high": a["test"]["ci_high"],
                "chosen": a["chosen"],
            }
            for a in arms
            if a["name"].startswith("real_and_synthetic")
        ],
        "learning_curve": [
            {"images": n, **estimate(1 - 0.058 * (2000 / n) ** 0.45, 0.002 + 0.2 / n)}
            for n in sizes
        ],
        "convergence": {
            name: [
                {"step": s, "holdout": value * (1 - 0.7 * math.exp(-s / 120))}
                for s in range(50, 1001, 50)
            ]
            for name, value in values.items()
        },
        "skipped": [
            {"arm": "real_and_baseline_4", "reason": "the baseline needs 10 images a class"}
        ],
        "test_images": dict.fromkeys(classes, 1000),
        "gan_test": {
            "accuracy": estimate(0.953, 0.004),
            "n": 4000,
            "label_agreement": {
                c: {**estimate(0.96 - 0.05 * abs(math.sin(3 * i)), 0.02), "n": 400}
                for i, c in enumerate(classes)
            },
        },
        "scenarios": [
            {
                "name": name,
                "strength": strength,
                "arm": arm["name"],
                "n": 1000,
                "accuracy": arm["test"]["value"]
                * (1 - steep * strength**1.5 * (0.8 if arm["n_synthetic"] else 1)),
                "ci_low": arm["test"]["value"] * (1 - steep * strength**1.5) - 0.01,
                "ci_high": arm["test"]["value"] * (1 - 0.8 * steep * strength**1.5) + 0.02,
            }
            for name, steep in SCENARIOS.items()
            for strength in (0.0, 0.25, 0.5, 0.75, 1.0)
            for arm in arms
        ],
        "tail": {
            "classes": list(classes[-2:]),
            "n": 240,
            "recall": {name: estimate(value - 0.12, 0.03) for name, value in values.items()},
        },
    }


def with_trial(report: dict[str, Any], space: str, *, moved: float = 0.0) -> dict[str, Any]:
    """A whole report of a trial; ``moved`` as in :func:`verdict`."""
    classes = tuple(report["confusion"]["real_only"]["classes"])
    return {
        **report,
        "verdict": verdict(moved),
        "trial": trial(classes),
        "copying": copying(space, flagged=moved < 0),
        "statistics": statistics(space),
        "fairness": fairness(classes),
    }


def typed(report: dict[str, Any]) -> Report:
    return Report.from_json(report, "The made-up report")
