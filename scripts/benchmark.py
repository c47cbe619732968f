"""How fast a model trains here, what its settings gain, and how a step's time divides.

    python scripts/benchmark.py model=gan seconds=10
    python scripts/benchmark.py model=vae image=[3,32,32] batch_size=128

Each variant trains on random images for ``seconds``; ratios within one run are worth more than
absolute numbers, because machines are shared and clocks drift.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

from synthgen.cli.build import build
from synthgen.device import Precision, default_device, to_device
from synthgen.io import config_dir
from synthgen.training.module import GenerativeModule
from synthgen.types import ImageSpec

RUN = 10**9  # images of the run whose steps are timed
LOOK = 8  # steps between looks at the clock that wait for the GPU
PARTS = ("noise", "_train_discriminator", "_train_generator")
TITLES = {
    "noise": "latents",
    "_train_discriminator": "discriminator: forward, backward, Adam",
    "penalties": "penalties, averaged over their interval",
    "_train_generator": "generator's loss through D, backward, Adam",
    "update": "EMA",
    "rest": "everything else (GAN: generator forward; VAE: all)",
}
VARIANTS: tuple[tuple[str, Precision, torch.memory_format, bool], ...] = (
    ("float32", "float32", torch.contiguous_format, False),
    ("+ fused optimizer", "float32", torch.contiguous_format, True),
    ("+ channels_last", "float32", torch.channels_last, True),
    ("+ bfloat16 (where native: the default)", "bfloat16", torch.channels_last, True),
)


def build_module(model: str, shape: list[int], overrides: list[str]) -> GenerativeModule:
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        settings = compose("train", [f"model={model}", *overrides])
    channels, height, width = shape
    image = ImageSpec(channels, height, width, tuple("0123456789"))
    node = OmegaConf.to_container(settings.model, resolve=True)
    torch.manual_seed(0)
    module = build(node, key="model", facts={"image": image})
    module.clock.start(RUN, None)
    return module


class Alone:
    """Stands in for Lightning: on the GPU if there is one, optimizers without a trainer."""

    def __init__(self, module: GenerativeModule, *, fused: bool) -> None:
        module.to(default_device())
        found: Any = module.configure_optimizers()  # our modules return optimizers alone
        self.optimizers = found if isinstance(found, list) else [found]
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["fused"], group["foreach"] = fused, False
        module.optimizer_list = lambda: self.optimizers  # type: ignore[method-assign]
        module.manual_backward = Tensor.backward  # type: ignore[method-assign]


def synchronise(device: torch.device) -> None:
    """Wait until the work that was handed to ``device`` is done: before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def images_per_second(module: GenerativeModule, seconds: float, warm_up: int = 8) -> float:
    image, batch = module.image, module.batch_size
    images = torch.randint(0, 256, (batch, *image.shape), dtype=torch.uint8)
    labels = torch.arange(batch) % image.num_classes
    device = module.device
    for _ in range(warm_up):  # allocator, kernels, lazy penalties
        module.training_step((to_device(images, device), to_device(labels, device)), 0)
    synchronise(device)
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        module.training_step((to_device(images, device), to_device(labels, device)), 0)
        steps += 1
        if steps % LOOK == 0:
            synchronise(device)  # a GPU works on while the clock is read
    synchronise(device)
    return steps * batch / (time.perf_counter() - start)


def shares(module: GenerativeModule, seconds: float) -> dict[str, float]:
    """Seconds per image inside each part of a step; parts don't overlap, "rest" is what is left."""
    spent: dict[str, float] = {}

    def watch(owner: Any, name: str) -> None:
        inner: Callable[..., Any] = getattr(owner, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = inner(*args, **kwargs)
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
            return result

        object.__setattr__(owner, name, wrapper)

    for name in PARTS:
        if hasattr(module, name):
            watch(module, name)
    watch(module.ema, "update")
    rate = images_per_second(module, seconds)
    before = module.clock.images_seen
    found = {name: value / before for name, value in spent.items()}
    return found | {"rest": 1 / rate - sum(found.values())}


def divide(prepare: Callable[[], GenerativeModule], seconds: float) -> None:
    parts = shares(prepare(), seconds)
    if "_train_discriminator" in parts:
        bare = prepare()
        bare.critic.penalties = {}  # type: ignore[union-attr]
        without = shares(bare, seconds)["_train_discriminator"]
        parts["penalties"] = parts["_train_discriminator"] - without
        parts["_train_discriminator"] = without
    total = sum(parts.values())
    print("How a step divides:")
    for name, value in parts.items():
        print(f"  {TITLES.get(name, name):<56} {100 * value / total:5.1f} %")


def main(arguments: list[str]) -> None:
    own = dict(one.split("=", 1) for one in arguments)
    model, seconds = own.pop("model", "gan"), float(own.pop("seconds", 5))
    shape = [int(size) for size in own.pop("image", "[1,28,28]").strip("[]").split(",")]
    overrides = [f"{key}={value}" for key, value in own.items()]
    print(f"{model} at {shape}, {torch.get_num_threads()} threads, {seconds:g} s each")

    def prepare(
        precision: Precision, layout: torch.memory_format, *, fused: bool
    ) -> GenerativeModule:
        module = build_module(model, shape, overrides).to(memory_format=layout)
        module.precision = precision
        Alone(module, fused=fused)
        return module

    first = None
    for title, precision, layout, fused in VARIANTS:
        rate = images_per_second(prepare(precision, layout, fused=fused), seconds)
        first = first or rate
        print(f"  {title:<40} {rate:8.0f} images/s   x {rate / first:.2f}")
    divide(lambda: prepare("auto", torch.channels_last, fused=True), seconds)


if __name__ == "__main__":
    main(sys.argv[1:])
