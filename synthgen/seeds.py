"""Randomness that belongs to an image or to a training step, never to a batch or a process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from synthgen.ranges import MAX_PLAN_SEED, ROWS_PER_PLAN


class Stream(IntEnum):
    """What random numbers are for. Each is a position behind the seed, so that no two purposes of
    one run share numbers; equal values belong to purposes that never meet."""

    SUBSET = 2  # which images of a folder a repetition of a trial gets
    FRACTION = 3  # which real images a point of a learning curve is made of
    FOLDS = 7  # in which the holdout's thresholds are tuned
    COPIES = 24  # which real images are copied
    WEIGHTS = 0  # a stacked classifier's initial ones
    DATA = 1  # the order in which a classifier sees its images
    PRETRAIN = 2  # the same of the images that it sees first
    AUGMENT = 3  # augmentation of a classifier's batches
    MIX = 4  # partners and shares of mixup
    COMPONENT = 1  # which component of a mixture an image is from, beside its latents
    PARTNER = 1  # which real image a sampler changes or mixes in, beside its latents
    RESIDUAL = 1  # what the principal components of pixels leave over
    REST = 2  # what the principal components of latents leave over
    AROUND = 2  # latents around what a second decoder says
    ORDER = 1  # in which real images are shown
    NOISE = 2  # latents of a training step
    CRITIC = 3  # augmentations and penalties of a discriminator
    RESTARTS = 3  # new places for unused codes of a VQ-VAE
    CODES = 4  # new places for codes of an autoencoder that nothing is near to
    DRAWS = 4  # latents from the prior of a VAE-GAN
    STATISTICS = 4  # latents and labels for an averaged generator's statistics
    OBJECTIVE = 4  # what an objective draws beside the latents
    FIT = 5  # fitting of densities over latents
    ENCODED = 6  # latents of the training images
    PIXEL_SPACE = 51
    HELD_OUT = 52
    CURATOR = 53
    NEAR_DUPLICATES = 54
    PLANTED = 71
    TWO_SAMPLE = 211
    REVIEW = 307
    HALVES = 20_080


def row_seeds(plan_seed: int, first: int, count: int) -> Tensor:
    """Seeds of rows ``first`` … ``first + count - 1`` of a plan: distinct for every (plan, row)."""
    if not 0 <= plan_seed <= MAX_PLAN_SEED:
        raise ValueError(f"seed must be between 0 and {MAX_PLAN_SEED}, got {plan_seed}")
    return torch.arange(first, first + count, dtype=torch.int64) + plan_seed * ROWS_PER_PLAN


def redraw_seed(plan_seed: int, row: int, attempt: int) -> int:
    """The seed of a row's first draw (``attempt`` 0) or of a later one.

    Later seeds are multiples of 2**10 from 2**62 up, picked by a hash: never a first draw's, and
    exact in any JSON reader too.
    """
    if attempt == 0:
        return plan_seed * ROWS_PER_PLAN + row
    text = f"{plan_seed}/{row}/{attempt}".encode()
    number = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
    return 2**62 + (number >> 12) * 2**10  # 52 bits of it: below 2**63


def image_rng(seed: int, stream: int = 0) -> np.random.Generator:
    """The random numbers of one image. Philox is keyed by all 64 bits, so neighbouring seeds are
    unrelated; ``torch.Generator`` keeps 32 bits only and would repeat images in large sets."""
    return np.random.Generator(np.random.Philox(key=[seed, stream]))


def normal_latents(seeds: Tensor | Iterable[int], size: int, stream: int = 0) -> Tensor:
    """float32 ``(N, size)`` from N(0, I); row ``i`` depends on ``seeds[i]`` alone."""
    values = [int(seed) for seed in seeds]
    out = np.empty((len(values), size), dtype=np.float32)
    random = image_rng(0, stream)
    state = random.bit_generator.state
    for row, seed in enumerate(values):
        # The same numbers as image_rng(seed, stream), without building a generator per image.
        state["state"]["key"][0] = seed % 2**64
        random.bit_generator.state = state
        random.standard_normal(size, dtype=np.float32, out=out[row])
    return torch.from_numpy(out)


def truncated(latents: Tensor, limit: float) -> Tensor:
    """Standard normal ``latents`` -> the normal distribution cut off at ± ``limit``. Each value
    keeps its quantile, so nothing is drawn again."""
    low, high = torch.special.ndtr(torch.tensor([-limit, limit], dtype=torch.float64))
    quantiles = torch.special.ndtr(latents.double())
    cut = torch.special.ndtri(low + quantiles * (high - low))
    return cut.clamp(-limit, limit).to(latents.dtype)


class BatchGenerator(torch.Generator):
    """A CPU generator for a step of which this process computes some rows.

    Its own ``rand``, ``randn`` and ``randint`` draw for the whole batch and return the rows of this
    process, so that several processes together draw what one would. Where one alone trains, they
    are torch's. Made by :func:`batch_generator`.
    """

    rank, world, blocks = 0, 1, 1

    def rand(self, count: int, *size: int) -> Tensor:
        """float32 ``(count, *size)`` from U[0, 1)."""
        return self._own(torch.rand(count * self.world, *size, generator=self))

    def randn(self, count: int, *size: int) -> Tensor:
        """float32 ``(count, *size)`` from N(0, 1)."""
        return self._own(torch.randn(count * self.world, *size, generator=self))

    def randint(self, low: int, high: int, count: int, *size: int) -> Tensor:
        """int64 ``(count, *size)`` from ``low`` to ``high - 1``."""
        return self._own(torch.randint(low, high, (count * self.world, *size), generator=self))

    @contextmanager
    def in_blocks(self, blocks: int) -> Iterator[None]:
        """While rows are drawn for ``blocks`` batches laid one after another, as of real images
        followed by generated ones: each process has its rows of each."""
        before, self.blocks = self.blocks, blocks
        try:
            yield
        finally:
            self.blocks = before

    def _own(self, rows: Tensor) -> Tensor:
        if self.world == 1:
            return rows
        by_process = rows.unflatten(0, (self.blocks, self.world, -1))
        return by_process[:, self.rank].flatten(0, 1)


def step_generator(seed: int, *position: int) -> BatchGenerator:
    """A CPU generator that is a pure function of the run's seed and a position (for example the
    images seen so far). Training draws all its noise from such generators, so a resumed run needs
    no stored random state to continue exactly."""
    entropy = np.random.SeedSequence([seed, *position]).generate_state(1, dtype=np.uint32)
    generator = BatchGenerator()
    generator.manual_seed(int(entropy[0]))
    return generator


def batch_generator(rank: int, world: int, seed: int, *position: int) -> BatchGenerator:
    """:func:`step_generator` for process ``rank`` of ``world``."""
    generator = step_generator(seed, *position)
    generator.rank, generator.world = rank, world
    return generator
