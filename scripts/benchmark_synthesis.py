"""What writing a set costs beside drawing it: each format against the generator and the encoder.

    python scripts/benchmark_synthesis.py --images 100000 --memory 10000 100000

Prints a Markdown table: seconds and CPU seconds for 28 × 28 images, the cost on top of the
generator alone and of generator + encoder alone (encode and plain file writes, no manifest), peak
memory at two sizes, and the plain loop (torchvision.utils.save_image) for comparison. Every
measurement is a process of its own. The generator alone is measured before and after each set, and
the mean of both is what the set is compared with: a machine's clock drifts by more than writing
costs. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the package is imported in the measuring processes only
    from synthgen.dataset.formats import Format, Shard

FORMATS = ("npz", "npy", "hdf5", "png", "webdataset", "parquet", "webp", "jpeg")
SHARD = 960


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--memory", type=int, nargs=2, default=(10_000, 100_000))
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS)
    parser.add_argument("--generator", choices=("gan", "noise"), default="gan")
    parser.add_argument("--repeat", type=int, default=3, help="the fastest counts")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure.split(","))))
        return
    with tempfile.TemporaryDirectory(prefix="synthgen-benchmark-") as folder:
        save_generator(Path(folder) / "sampler", options.generator)
        report(folder, options)


def report(folder: str, options: argparse.Namespace) -> None:
    """The table, line by line as it is measured."""

    def run(what: str, count: int, repeat: int = options.repeat) -> dict[str, float]:
        return min((child(f"{what},{count},{folder}") for _ in range(repeat)),
                   key=lambda found: found["cpu"])  # fmt: skip

    count = options.images
    before = run("generator", count)
    print(f"{count:,} images; generator alone: {line(before, count)}")
    loop = run("loop", min(count, 20_000), 1)
    rate = min(count, 20_000) / loop["wall"]
    print(f"plain loop (save_image): {rate:,.0f} images/s, writing only\n")
    heads = [
        "format",
        "images/s",
        "wall s",
        "CPU s",
        "generator alone CPU s",
        "encoder alone CPU s",
        "on top of the generator",
        "on top of both",
        "encoder alone images/s",
        *(f"peak MB at {n:,}" for n in options.memory),
    ]
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * 11)
    for name in options.formats:
        whole = run(f"set:{name}", count)
        after = run("generator", count)
        alone, before = (before["cpu"] + after["cpu"]) / 2, after
        encoder = run(f"encoder:{name}", count)
        peaks = [
            whole["peak"] if size == count else run(f"set:{name}", size, 1)["peak"]
            for size in options.memory
        ]
        both = alone + encoder["cpu"]
        cells = [
            name,
            f"{count / whole['wall']:,.0f}",
            f"{whole['wall']:.1f}",
            f"{whole['cpu']:.1f}",
            f"{alone:.1f}",
            f"{encoder['cpu']:.1f}",
            f"{100 * (whole['cpu'] / alone - 1):+.1f} %",
            f"{100 * (whole['cpu'] / both - 1):+.1f} %",
            f"{count / encoder['wall']:,.0f}",
            *(f"{peak:.0f}" for peak in peaks),
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


def line(found: dict[str, float], count: int) -> str:
    return f"{count / found['wall']:,.0f} images/s, {found['cpu']:.1f} CPU s"


def child(what: str) -> dict[str, float]:
    """One measurement in a fresh process."""
    command = [sys.executable, __file__, "--measure", what]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def save_generator(folder: Path, kind: str) -> None:
    """An untrained GAN generator of the default size: what it draws does not matter here."""
    import torch

    from synthgen.networks.r3gan import R3Generator
    from synthgen.samplers import Noise, save_sampler
    from synthgen.samplers.neural import GeneratorSampler
    from synthgen.types import ImageSpec

    torch.manual_seed(0)
    torch.set_num_threads(1)
    image = ImageSpec(1, 28, 28, tuple("0123456789"))
    sampler = GeneratorSampler(R3Generator(image)) if kind == "gan" else Noise(image)
    save_sampler(sampler.eval(), folder, {})


def measure(what: str, count: str, folder: str) -> dict[str, float]:
    """Wall and CPU seconds (user + system) of the work without imports, and peak memory in MB."""
    kind, _, name = what.partition(":")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        work = WORK[kind](int(count), Path(folder), Path(scratch), name)
        os.sync()  # what others wrote must not be flushed on this measurement's account
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": cpu, "wall": wall, "peak": peak}


def set_work(count: int, folder: Path, scratch: Path, name: str) -> Callable[[], object]:
    from synthgen.synthesis import Balanced, synthesize

    form = form_of(name)
    return lambda: synthesize(
        folder / "sampler", Balanced(count // 10), scratch / "set", format=form
    )


def generator_work(count: int, folder: Path, scratch: Path, name: str) -> Callable[[], object]:
    import torch

    from synthgen.samplers import load_sampler

    sampler = load_sampler(folder / "sampler")

    def work() -> None:
        for first in range(0, count, SHARD):
            numbers = torch.arange(first, min(first + SHARD, count))
            sampler.sample(numbers * 10 // count, numbers)

    return work


def encoder_work(count: int, folder: Path, scratch: Path, name: str) -> Callable[[], object]:
    """Encode the same shard again and again and write each file plainly."""
    form, shard = form_of(name), drawn_shard(folder)
    for label in shard.classes:
        (scratch / label).mkdir()
    (scratch / "shards").mkdir()
    form.encode(shard)  # imports what it needs

    def work() -> None:
        for number in range(-(-count // SHARD)):
            for path, content in form.encode(shard).files:
                stem, _, ending = path.partition(".")
                (scratch / f"{stem}-{number}.{ending}").write_bytes(content)

    return work


def loop_work(count: int, folder: Path, scratch: Path, name: str) -> Callable[[], object]:
    from torchvision.utils import save_image

    images = drawn_shard(folder).images.float() / 255

    def work() -> None:
        for row in range(count):
            save_image(images[row % SHARD], scratch / f"{row}.png")

    return work


WORK = {
    "set": set_work,
    "generator": generator_work,
    "encoder": encoder_work,
    "loop": loop_work,
}


def form_of(name: str) -> Format:
    from synthgen.dataset.formats import (
        HDF5,
        JPEG,
        NPY,
        NPZ,
        PNG,
        Parquet,
        WebDataset,
        WebP,
    )  # fmt: skip

    kinds = (HDF5, JPEG, NPY, NPZ, PNG, Parquet, WebDataset, WebP)
    form = {kind.name: kind for kind in kinds}[name]()
    form.prepare(None)  # type: ignore[arg-type] # imports what it needs
    return form


def drawn_shard(folder: Path) -> Shard:
    import torch

    from synthgen.dataset.formats import Shard
    from synthgen.samplers import load_sampler

    numbers = torch.arange(SHARD)
    images = load_sampler(folder / "sampler").sample(numbers % 10, numbers).images
    return Shard(
        number=0,
        images=images,
        labels=(numbers % 10).tolist(),
        seeds=numbers.tolist(),
        origins=["synthetic"] * SHARD,
        names=[f"{row:06d}" for row in range(SHARD)],
        marks=[f"synthetic; synthgen set 0123456789abcdef row {row}" for row in range(SHARD)],
        classes=tuple("0123456789"),
    )


if __name__ == "__main__":
    main()
