"""How fast each model trains, draws, and how much memory it takes: one table.

    python scripts/benchmark_training.py                                  # every model, 1x28x28
    python scripts/benchmark_training.py gan vae image=3x32x32 seconds=20
    python scripts/benchmark_training.py 'gan network/generator@model.generator=r3gan' --json

An argument is a model, with further settings of `synthgen train` after a space: so the published
size of a network stands beside the small one. Whole steps on random images, spread over a run whose
steps may change on its way, in the precision that training would choose, each model in a process of
its own, so that its peak memory is its own. Multiply-adds are those of `synthgen models`. Leave the
machine alone meanwhile.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

import torch
from benchmark import RUN, Alone, build_module, images_per_second
from hydra import compose, initialize_config_dir
from machine import machine

from synthgen.cli.build import find_target
from synthgen.cli.catalogue import drawing, networks
from synthgen.io import config_dir
from synthgen.networks.cost import cost, parameters
from synthgen.training.module import GenerativeModule

TITLES = (
    "model", "training images/s", "drawing images/s", "parameters", "multiply-adds to draw",
    "of each network", "peak memory", "batch",
)  # fmt: skip
SECONDS, LIMIT = 10.0, 300.0
PROGRESS = (0.1, 0.3, 0.5, 0.7, 0.9)  # where in a run its steps are timed
DRAWN = 64  # images in a request, as the samplers' chunk
MIB = 2**20


def measure(model: str, shape: list[int], seconds: float) -> dict[str, Any]:
    """One model, in this process. ``model`` is its name and settings, divided by spaces."""
    name, *settings = model.split()
    module = build_module(name, shape, settings)
    module.to(memory_format=torch.channels_last)
    before = peak_memory()
    Alone(module, fused=True)
    rate = training_rate(module, seconds)
    parts = {part: asdict(cost(network)) for part, network in networks(module)}
    memory = peak_memory()
    return {
        "model": model,
        "images_per_second": round(rate, 1),
        "draws_per_second": round(drawing_rate(module, min(seconds, 3.0)), 1),
        "parameters": parameters(module),
        "multiply_adds": drawing(module),
        "parts": parts,
        "memory_mib": round(memory / MIB),
        "training_memory_mib": round((memory - before) / MIB),
        "batch_size": module.batch_size,
        "note": None,
    }


def training_rate(module: GenerativeModule, seconds: float) -> float:
    """Images per second over a whole run: a discriminator may join in on the way, a prior may take
    its turn after the autoencoder."""
    spent = 0.0
    for position, progress in enumerate(PROGRESS):
        module.clock.images_seen = round(progress * RUN / module.batch_size) * module.batch_size
        warm_up = 2 if position else 8
        spent += 1 / images_per_second(module, seconds / len(PROGRESS), warm_up)
    return len(PROGRESS) / spent


def drawing_rate(module: GenerativeModule, seconds: float) -> float:
    """Of the sampler as it is saved, float32; the density that a model fits at the end of its
    training is not in it."""
    sampler = module.sampler().eval()
    labels = torch.arange(DRAWN) % module.image.num_classes
    sampler.sample(labels, torch.arange(DRAWN))
    drawn, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        sampler.sample(labels, torch.arange(drawn, drawn + DRAWN))
        drawn += DRAWN
    return drawn / (time.perf_counter() - started)


def peak_memory() -> int:
    """Bytes that this process has held at most: on the GPU if it is used, else resident."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def models() -> list[str]:
    """Those that are trained step by step."""
    names = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        targets = {name: compose("train", [f"model={name}"]).model._target_ for name in names}
    classes = {name: find_target(target, f"model={name}") for name, target in targets.items()}
    return [
        name
        for name, one in classes.items()
        if isinstance(one, type) and issubclass(one, GenerativeModule)
    ]


def apart(model: str, shape: str, seconds: float) -> dict[str, Any]:
    """:func:`measure` in a process of its own; what goes wrong there becomes the note."""
    command = [sys.executable, __file__, "--one", model, f"image={shape}", f"seconds={seconds}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + LIMIT)
    except subprocess.TimeoutExpired:
        return {"model": model, "note": f"not done after {seconds + LIMIT:.0f} s"}
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if re.match(r"[\w.]+: ", line)]
        return {"model": model, "note": (said or ["failed"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(found: dict[str, Any]) -> str:
    if found["note"]:
        return f"| {found['model']} | {found['note']} |" + " |" * (len(TITLES) - 2)
    parts = ", ".join(
        f"{part} {short(one['multiply_adds'])}" for part, one in found["parts"].items()
    )
    cells = [
        found["model"],
        f"{found['images_per_second']:,.0f}",
        f"{found['draws_per_second']:,.0f}",
        short(found["parameters"]),
        short(found["multiply_adds"]),
        parts,
        f"{found['memory_mib']:,} MiB (training {found['training_memory_mib']:,})",
        str(found["batch_size"]),
    ]
    return f"| {' | '.join(cells)} |"


def short(count: int | None) -> str:
    if count is None:
        return "–"
    for unit, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {letter}"
    return str(count)


def main(arguments: list[str]) -> None:
    own = {"image": "1x28x28", "seconds": str(SECONDS)}
    own |= dict(one.split("=", 1) for one in arguments if one.split("=")[0] in own)
    rest = [one for one in arguments if one.split("=")[0] not in own and not one.startswith("--")]
    seconds = float(own["seconds"])
    if "--one" in arguments:
        shape = [int(size) for size in own["image"].split("x")]
        print(json.dumps(measure(rest[0], shape, seconds)))
        return
    as_json = "--json" in arguments
    found = []
    if not as_json:
        print(f"{machine()}\nImages of {own['image']}, 10 classes, {seconds:g} s each.\n")
        print(f"| {' | '.join(TITLES)} |\n" + "|---" * len(TITLES) + "|", flush=True)
    for model in rest or models():
        found.append(apart(model, own["image"], seconds) | {"load": os.getloadavg()[0]})
        if not as_json:
            print(row(found[-1]), flush=True)
    if as_json:
        print(json.dumps({"machine": machine(), "image": own["image"], "models": found}, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
