"""What a training takes on 1, 8 and 64 GPUs, in time and money: a model, not a measurement.

    python scripts/cluster_model.py                                # the table in docs/clusters.md
    python scripts/cluster_model.py images_per_second=900 parameters=25e6 price=2.5

A step of N GPUs shows ``N b`` images. Each computes on ``b`` of them, at the rate ``r`` that one
GPU was measured at; then all average their gradients, and nothing hides how long that takes:

    t(N) = b / r + a(N)        a(N) = 2 (N - 1) / N * 4 P / w(N) + 2 (N - 1) * l(N)

``P`` parameters of 4 bytes travel around a ring (Patarasuk and Yuan 2009, Bandwidth optimal
all-reduce algorithms for clusters of workstations), at ``w`` bytes per second, with ``l`` seconds
per hop: those of one machine for N <= 8, of the network between machines above. A run takes

    hours = (start + images / (N b) * t(N)) / 3600        cost = N * hours * price

where ``images`` counts repetitions, and ``start`` is what starting and reading data take. The batch
``N b`` grows with N. A run of the same batch on more GPUs is the same formula with a smaller ``b``
(``batch_per_gpu=``), at the rate measured for that. Measure ``r`` with
scripts/benchmark_training.py or the progress line of a run on your own GPU: the table is worth what
this number is.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields, replace

GPUS = (1, 8, 64)
IMAGES = (10**5, 10**7, 10**9)
PER_MACHINE = 8


@dataclass(frozen=True)
class Cluster:
    """Assumptions; every one can be given as ``name=value``."""

    images_per_second: float = 2000.0  # of one GPU
    batch_per_gpu: float = 64.0
    parameters: float = 10e6  # of all networks that are trained
    within: float = 100e9  # bytes per second between GPUs of one machine
    between: float = 10e9  # and between machines, per GPU
    hop_within: float = 5e-6  # seconds
    hop_between: float = 20e-6
    start: float = 60.0  # seconds until the first step
    price: float = 3.0  # of a GPU for an hour, in dollars

    def averaging(self, gpus: int) -> float:
        """Seconds in which ``gpus`` average their gradients."""
        near = gpus <= PER_MACHINE
        width, hop = (self.within, self.hop_within) if near else (self.between, self.hop_between)
        return 2 * (gpus - 1) / gpus * 4 * self.parameters / width + 2 * (gpus - 1) * hop

    def step(self, gpus: int) -> float:
        """Seconds of a step."""
        return self.batch_per_gpu / self.images_per_second + self.averaging(gpus)

    def efficiency(self, gpus: int) -> float:
        """Images per second and GPU, as a share of one GPU's."""
        return self.step(1) / self.step(gpus)

    def hours(self, gpus: int, images: float) -> float:
        steps = images / (gpus * self.batch_per_gpu)
        return (self.start + steps * self.step(gpus)) / 3600

    def cost(self, gpus: int, images: float) -> float:
        return gpus * self.hours(gpus, images) * self.price


def table(cluster: Cluster) -> str:
    """Markdown: a row per number of images, a column per number of GPUs."""
    titles = ("1 GPU" if n == 1 else f"{n} GPUs" for n in GPUS)
    lines = [f"| images shown | {' | '.join(titles)} |", f"|---|{'---|' * len(GPUS)}"]
    for images in IMAGES:
        cells = (
            f"{duration(cluster.hours(n, images))}, ${cluster.cost(n, images):,.2f}" for n in GPUS
        )
        lines.append(f"| {images:,} | {' | '.join(cells)} |")
    shares = (f"{cluster.efficiency(n):.0%}" for n in GPUS)
    lines.append(f"| images/s per GPU, of one's | {' | '.join(shares)} |")
    return "\n".join(lines)


def duration(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.1f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"


def main(arguments: list[str]) -> int:
    known = {one.name for one in fields(Cluster)}
    given = dict(one.split("=", 1) for one in arguments if "=" in one)
    if len(given) != len(arguments) or not given.keys() <= known:
        print(f"Give name=value, of {', '.join(sorted(known))}.", file=sys.stderr)
        return 2
    print(table(replace(Cluster(), **{name: float(value) for name, value in given.items()})))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
