"""Copying, statistics and fairness of a report, with made-up numbers."""

from __future__ import annotations

from typing import Any


def estimate(value: float, half: float) -> dict[str, float]:
    return {"value": value, "ci_low": value - half, "ci_high": value + half}


def copying(space: str, *, flagged: bool = False) -> dict[str, Any]:
    share = 0.71 if flagged else 0.506
    return {
        space: {
            "share_nearer_train": {**estimate(share, 0.014), "n": 5000},
            "share_nearer_train_real": {**estimate(0.498, 0.02), "n": 2000},
            "exact_copies": 12 if flagged else 0,
            "near_copies": 238 if flagged else 1,
            "unmistakable": 200 if flagged else 0,
            "n_reference": 2000,
            "power": {"noise": {"0.8": 3, "0.95": 5}, "mirror": {"0.8": None, "0.95": None}},
            "threshold": 0.41,
            "p": 0.0001 if flagged else 0.44,
            "pairs": [
                {"synthetic": i, "train": 3 * i, "distance": 0.02 * i, "ratio": 0.1 + 0.01 * i}
                for i in range(6)
            ],
            "auth_pct": {**estimate(61.2, 1.4), "n": 5000},
            "auth_pct_real": {**estimate(63.0, 2.1), "n": 2000},
            "searched": 5000,
            "searched_train": 20000,
            "flagged": flagged,
            "sentence": f"Training images were copied, by the space {space}."
            if flagged
            else f"No sign of copying in the space {space}.",
        }
    }


def shift(name: str, ks: float, p: float, effect: float | None) -> dict[str, Any]:
    return {
        "statistic": name,
        "ks": ks,
        "p": p,
        "p_adjusted": min(1.0, 20 * p),
        "p_bh": min(1.0, 4 * p),
        "wasserstein": 2.1 * ks,
        "effect": effect,
        "size": "small",
        "real_mean": 33.1,
        "fake_mean": 33.1 + 8 * (effect or 0),
        "real_sd": 8.0,
        "fake_sd": 7.6,
    }


def statistics(space: str) -> dict[str, Any]:
    image = [
        shift("brightness", 0.031, 0.12, 0.02),
        shift("contrast", 0.19, 1e-9, -0.31),
        shift("sharpness", 0.28, 1e-14, -0.52),
        shift("foreground area", 0.05, 0.004, 0.08),
    ]
    return {
        "image": image,
        "features": {
            space: [
                {**shift(f"component {i}", 0.3 / i, 0.002 * i, 0.2 / i), "variance_share": 0.4 / i}
                for i in range(1, 7)
            ]
        },
        "labels": {
            "chi2": 3.1,
            "p": 0.96,
            "degrees": 9,
            "total_variation": 0.012,
            "n_real": 10000,
            "n_fake": 4000,
            "balanced": True,
            "missing": [],
        },
        "two_sample": {
            "accuracy": 0.631,
            "ci_low": 0.612,
            "ci_high": 0.65,
            "p": 0.005,
            "n": 2000,
            "space": space,
        },
        "sentence": [
            "2 of 4 image statistics differ significantly: sharpness is lower, contrast is lower.",
            "A classifier tells 63 % of the images apart.",
        ],
        "correction": "Holm over 10 tests (p_adjusted)",
        "n_real": 10000,
        "n_fake": 4000,
    }


def fairness(classes: tuple[str, ...]) -> dict[str, Any]:
    def row(name: str, before: float) -> dict[str, Any]:
        return {
            "name": name,
            "n": 400,
            "before": estimate(before, 0.02),
            "after": estimate(before + 0.01, 0.02),
            "difference": estimate(0.01, 0.008),
            "coverage": {**estimate(0.88, 0.03), "n": 400},
        }

    by_class = [row(name, 0.9 + i / 200) for i, name in enumerate(classes)]
    by_group = [row(name, 0.9) for name in ("scanner A", "scanner B")]
    return {
        "by_class": by_class,
        "by_group": by_group,
        "worst_class": {**by_class[0], "gap_before": 0.05, "gap_after": 0.05},
        "worst_group": None,
        "sentences": ["The worst class is 0."],
    }
