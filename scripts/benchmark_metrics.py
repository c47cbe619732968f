"""Do our metrics agree with the common libraries, and how fast are they beside them?

    python scripts/benchmark_metrics.py                      # 10,000 images, 2,048 features
    python scripts/benchmark_metrics.py --images 2000 --features 512 --repetitions 1

Needs the extra ``reference`` (torch-fidelity, clean-fid, prdc); a library that is missing is left
out. Everything runs on the same made-up features. Repetitions are interleaved (ours, theirs, ours,
theirs, …), so a busy machine slows all alike; each time is the smallest seen, and a ratio is the
median of the ratios to ours within one round.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthgen.metrics import frechet_distance, frechet_from_moments, kid
from synthgen.metrics.manifold import membership, points

Values = dict[str, float]
Run = Callable[[], Values]
OURS = "synthgen"
NAMES = ("precision", "recall", "density", "coverage")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs=2, metavar=("LIBRARY", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.child:
        run_child(*options.child)
        return
    real, fake = made_up(options.images, options.features)
    print(f"{options.images:,} images of each set, {options.features:,} features")
    print(f"{options.threads} threads, {options.repetitions} interleaved rounds\n")
    moments = [(x.double().mean(0).numpy(), np.cov(x.numpy(), rowvar=False)) for x in (real, fake)]
    compare("Fréchet distance from means and covariances", frechet_moments(*moments), options)
    compare("Fréchet distance from features", frechet_features(real, fake), options)
    few = options.features // 4
    singular = [(x[:few].double().mean(0), x[:few].double().T.cov()) for x in (real, fake)]
    compare(
        f"Fréchet distance, singular: {few} images of each set",
        frechet_singular(real[:few], fake[:few], singular),
        options,
    )
    compare("Kernel distance, 2,000 images at most", kernel(real[:2000], fake[:2000]), options)
    compare(
        "Precision and recall, k = 3, 5,000 images at most",
        manifold_fidelity(real[:5000], fake[:5000]),
        options,
    )
    manifold(real, fake, options)


def made_up(images: int, features: int) -> tuple[torch.Tensor, torch.Tensor]:
    """float32 non-negative features with full-rank covariances and a falling spectrum, somewhat
    like Inception's."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(features, features, generator=generator) / features**0.5
    mixing *= torch.logspace(0, -1, features)
    real = (torch.randn(images, features, generator=generator) @ mixing).relu_()
    fake = (torch.randn(images, features, generator=generator) @ (1.05 * mixing) + 0.01).relu_()
    return real, fake


def compare(title: str, runs: dict[str, Run], options: argparse.Namespace) -> None:
    """Print one table: seconds, ratio to ours, relative differences of the values."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    values: dict[str, Values] = {}
    for _ in range(options.repetitions):
        for name, run in runs.items():
            started = time.perf_counter()
            values[name] = run()
            seconds[name].append(time.perf_counter() - started)
    show(title, seconds, values)


def show(title: str, seconds: dict[str, list[float]], values: dict[str, Values]) -> None:
    print(f"{title}\n")
    print("| library | seconds | × ours | value | relative difference |")
    print("|---|---|---|---|---|")
    for name, found in values.items():
        ratio = statistics.median(
            theirs / ours for theirs, ours in zip(seconds[name], seconds[OURS], strict=True)
        )
        same = [key for key in found if key in values[OURS]]
        worst = max(relative(found[key], values[OURS][key]) for key in same)
        text = ", ".join(f"{found[key]:.6g}" for key in same)
        print(f"| {name} | {min(seconds[name]):.2f} | {ratio:.1f} | {text} | {worst:.1e} |")
    print(flush=True)


def relative(theirs: float, ours: float) -> float:
    return abs(theirs - ours) / max(abs(ours), 1e-300)


def frechet_moments(real: tuple[Any, Any], fake: tuple[Any, Any]) -> dict[str, Run]:
    def ours() -> Values:
        value = frechet_from_moments(
            real_mean=real[0], real_covariance=real[1], fake_mean=fake[0], fake_covariance=fake[1]
        )
        return {"frechet": value}

    def torchmetrics() -> Values:
        from torchmetrics.image.fid import _compute_fid

        tensors = [torch.as_tensor(x) for x in (*real, *fake)]
        return {"frechet": float(_compute_fid(*tensors))}

    return {OURS: ours, "torchmetrics": torchmetrics} | from_statistics(lambda: (real, fake))


def from_statistics(get: Callable[[], tuple[tuple[Any, Any], tuple[Any, Any]]]) -> dict[str, Run]:
    """The libraries that take NumPy means and covariances, as far as they are installed."""
    runs: dict[str, Run] = {}
    try:
        from torch_fidelity.metric_fid import fid_statistics_to_metric

        def fidelity() -> Values:
            first, second = ({"mu": mean, "sigma": cov} for mean, cov in get())
            found = fid_statistics_to_metric(first, second, verbose=False)
            return {"frechet": found["frechet_inception_distance"]}

        runs["torch-fidelity"] = fidelity
    except ImportError:
        print("torch-fidelity is not installed")
    try:
        from cleanfid.fid import frechet_distance as clean_frechet

        def clean() -> Values:
            (mean, covariance), (fake_mean, fake_covariance) = get()
            return {"frechet": float(clean_frechet(mean, covariance, fake_mean, fake_covariance))}

        runs["clean-fid"] = clean
    except ImportError:
        print("clean-fid is not installed")
    return runs


def frechet_features(real: torch.Tensor, fake: torch.Tensor) -> dict[str, Run]:
    def statistics_of_both() -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        first, second = (
            (np.mean(x.numpy(), axis=0), np.cov(x.numpy(), rowvar=False)) for x in (real, fake)
        )
        return first, second

    def torchmetrics() -> Values:
        from torchmetrics.image.fid import FrechetInceptionDistance

        metric = FrechetInceptionDistance(feature=Given(real.shape[1])).set_dtype(torch.float64)
        for start in range(0, len(real), 1000):
            metric.update(real[start : start + 1000].double(), real=True)
            metric.update(fake[start : start + 1000].double(), real=False)
        return {"frechet": float(metric.compute())}

    return {
        OURS: lambda: {"frechet": frechet_distance(real=real, fake=fake)},
        "torchmetrics": torchmetrics,
    } | from_statistics(statistics_of_both)


class Given(torch.nn.Module):
    """An extractor for features that are already there."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def frechet_singular(
    real: torch.Tensor, fake: torch.Tensor, moments: list[tuple[torch.Tensor, torch.Tensor]]
) -> dict[str, Run]:
    """Fewer images than features: the low-rank route, the eigen route, and the others."""

    def eigen() -> Values:
        (mean, covariance), (fake_mean, fake_covariance) = moments
        value = frechet_from_moments(
            real_mean=mean,
            real_covariance=covariance,
            fake_mean=fake_mean,
            fake_covariance=fake_covariance,
        )
        return {"frechet": value}

    arrays = [(mean.numpy(), covariance.numpy()) for mean, covariance in moments]
    return {
        OURS: lambda: {"frechet": frechet_distance(real=real, fake=fake)},
        "synthgen, from the covariances": eigen,
    } | from_statistics(lambda: (arrays[0], arrays[1]))


def kernel(real: torch.Tensor, fake: torch.Tensor) -> dict[str, Run]:
    def torchmetrics() -> Values:
        from torchmetrics.image.kid import poly_mmd

        return {"kid": float(poly_mmd(real.double(), fake.double()))}

    runs: dict[str, Run] = {
        OURS: lambda: {"kid": kid(real=real, fake=fake)},
        "torchmetrics": torchmetrics,
    }
    try:
        from torch_fidelity.metric_kid import kid_features_to_metric

        def fidelity() -> Values:
            found = kid_features_to_metric(
                fake.double(),
                real.double(),
                kid_subsets=1,
                kid_subset_size=len(real),
                verbose=False,
            )
            return {"kid": found["kernel_inception_distance_mean"]}

        runs["torch-fidelity"] = fidelity
    except ImportError:
        print("torch-fidelity is not installed")
    return runs


def manifold_fidelity(real: torch.Tensor, fake: torch.Tensor) -> dict[str, Run]:
    def ours() -> Values:
        found = manifold_values(real, fake, 3)
        return {name: found[name] for name in ("precision", "recall")}

    runs: dict[str, Run] = {OURS: ours}
    try:
        from torch_fidelity.metric_prc import prc_features_to_metric

        def fidelity() -> Values:
            found = prc_features_to_metric(
                fake, real, prc_neighborhood=3, save_cpu_ram=False, verbose=False
            )
            return {name: float(found[name]) for name in ("precision", "recall")}

        runs["torch-fidelity"] = fidelity
    except ImportError:
        print("torch-fidelity is not installed")
    return runs


def manifold(real: torch.Tensor, fake: torch.Tensor, options: argparse.Namespace) -> None:
    """Each run in a process of its own, so that its memory can be told."""
    seconds: dict[str, list[float]] = {OURS: [], "prdc": []}
    values: dict[str, Values] = {}
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, features in (("real", real), ("fake", fake)):
            np.save(f"{folder}/{name}.npy", features.numpy())
        for _ in range(options.repetitions):
            for name in seconds:
                command = [sys.executable, str(Path(__file__).resolve()), "--child", name, folder]
                command += ["--threads", str(options.threads)]
                finished = subprocess.run(command, capture_output=True, text=True, check=False)
                if finished.returncode:
                    print(f"{name}: {finished.stderr.strip().splitlines()[-1]}")
                    return
                found = json.loads(finished.stdout.splitlines()[-1])
                seconds[name].append(found["seconds"])
                values[name], peaks[name] = found["values"], found["peak"]
    show("Precision, recall, density, coverage, k = 5 for all", seconds, values)
    for name, peak in peaks.items():
        print(f"{name}: {peak / 1e9:.2f} GB at most, both sets included, libraries not")


def manifold_values(real: Any, fake: Any, k: int) -> dict[str, float]:
    """Without the intervals, which others don't have either."""
    whole = membership(*points(real, fake, k), k, k)
    found = (whole.fake_inside, whole.real_inside, whole.density, whole.covered)
    return {name: float(one.double().mean()) for name, one in zip(NAMES, found, strict=True)}


def run_child(library: str, folder: str) -> None:
    imported = peak_memory()
    real, fake = (np.load(f"{folder}/{name}.npy") for name in ("real", "fake"))
    if library == OURS:
        started = time.perf_counter()
        values: dict[str, Any] = manifold_values(real, fake, 5)
    else:
        from prdc import compute_prdc

        started = time.perf_counter()
        values = compute_prdc(real_features=real, fake_features=fake, nearest_k=5)
    seconds = time.perf_counter() - started
    known = {name: float(values[name]) for name in NAMES}
    used = peak_memory() - imported
    print(json.dumps({"seconds": seconds, "values": known, "peak": used}))


def peak_memory() -> int:
    """Bytes of this program; ``ru_maxrss`` would start with those of its parent."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    main()
