"""Time and memory of the networks of published size beside those of reference implementations.

    python scripts/benchmark_references.py --r3gan CLONE --studiogan CLONE --stylegan2 CLONE

CLONE is a checkout of brownvc/R3GAN, POSTECH-CVLab/PyTorch-StudioGAN, NVlabs/stylegan2-ada-pytorch;
what isn't given is left out. Both sides: 32 x 32 in colour, ten classes, float32, theirs in the
memory layout in which their code runs. Ours and theirs take turns, each in a process of its own, so
that its peak memory is its own; the faster of the turns counts. Leave the machine alone meanwhile.
R3GAN's code wants `pip install 'setuptools<81'`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from benchmark import build_module, synchronise
from benchmark_training import MIB, peak_memory
from machine import machine
from references import CLASSES, REFERENCES, Pair
from zoo_rows import published_sizes

from synthgen.device import default_device

BATCH = 16
SECONDS = 6.0  # of each part
TURNS = 2
TITLES = {
    "drawing": "drawing, ms per image",
    "generator": "generator forwards and backwards",
    "discriminator": "discriminator forwards and backwards",
    "memory": "memory of both beside the weights, MiB",
}


def ours(name: str) -> Pair:
    _, settings = published_sizes()[name]
    model, *rest = settings.split()
    module: Any = build_module(model, [3, 32, 32], rest).to(memory_format=torch.channels_last)
    generator, discriminator = module.generator, module.critic.discriminator
    return Pair(
        generator,
        discriminator,
        generator.z_dim,
        generator,
        lambda images, labels: discriminator.logits(discriminator.features(images), labels),
    )


def measure(pair: Pair) -> dict[str, Any]:
    """Milliseconds per image of each part, and MiB that the passes took beside the weights."""
    device = default_device()
    generator, discriminator = pair.generator.to(device), pair.discriminator.to(device)
    labels = (torch.arange(BATCH) % CLASSES).to(device)
    z = torch.randn(BATCH, pair.z_dim, device=device)
    images = torch.randn(BATCH, 3, 32, 32, device=device)
    before = peak_memory()

    def draw() -> None:
        with torch.no_grad():
            pair.generate(z, labels)

    def train_generator() -> None:
        pair.generate(z, labels).square().mean().backward()

    def train_discriminator() -> None:
        pair.judge(images, labels).square().mean().backward()

    found = {
        "generator": milliseconds(train_generator),
        "discriminator": milliseconds(train_discriminator),
        "memory": (peak_memory() - before) / MIB,
        "parameters": sum(
            one.numel() for network in (generator, discriminator) for one in network.parameters()
        ),
    }
    generator.eval()
    return found | {"drawing": milliseconds(draw)}


def milliseconds(work: Callable[[], None]) -> float:
    """Per image: the median over some seconds."""
    spent: list[float] = []
    for _ in range(2):  # kernels are chosen, memory is allocated
        work()
    started = time.perf_counter()
    while time.perf_counter() - started < SECONDS or len(spent) < 3:
        synchronise(default_device())
        start = time.perf_counter()
        work()
        synchronise(default_device())
        spent.append(time.perf_counter() - start)
    return 1000 * sorted(spent)[len(spent) // 2] / BATCH


def apart(name: str, clone: Path | None) -> dict[str, Any]:
    """:func:`measure` in a process of its own; theirs if there is a clone, else ours."""
    command = [sys.executable, __file__, "--one", name, *([] if clone is None else [str(clone)])]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr.strip()[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def best(name: str, clone: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    turns = [(apart(name, None), apart(name, clone)) for _ in range(TURNS)]
    mine, theirs = zip(*turns, strict=True)
    return smallest(mine), smallest(theirs)


def smallest(turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {key: min(one[key] for one in turns) for key in turns[0]}


def row(name: str, mine: dict[str, Any], theirs: dict[str, Any]) -> str:
    cells = [name, f"{mine['parameters'] / 1e6:.2f} M, {theirs['parameters'] / 1e6:.2f} M"]
    for key in TITLES:
        form = ",.0f" if key == "memory" else ".2f"
        ratio = f" (× {mine[key] / theirs[key]:.2f})" if theirs[key] else ""
        cells.append(f"{mine[key]:{form}}, {theirs[key]:{form}}{ratio}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for clone in sorted({clone for clone, _ in REFERENCES.values()}):
        parser.add_argument(f"--{clone}", type=lambda text: Path(text).absolute(), metavar="CLONE")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, *folder = arguments.one
        pair = REFERENCES[name][1](Path(folder[0])) if folder else ours(name)
        print(json.dumps(measure(pair)))
        return
    given = {name: getattr(arguments, clone) for name, (clone, _) in REFERENCES.items()}
    if not any(given.values()):
        parser.error("give at least one CLONE")
    titles = ["network", "parameters", *TITLES.values()]
    print(f"{machine()}\nOurs, theirs (ratio); batches of {BATCH}.\n")
    print(f"| {' | '.join(titles)} |\n" + "|---" * len(titles) + "|", flush=True)
    for name, clone in given.items():
        if clone is not None:
            print(row(name, *best(name, clone)), flush=True)


if __name__ == "__main__":
    main()
