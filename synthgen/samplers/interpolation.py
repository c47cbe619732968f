"""Points between a training image and one of its neighbours, in a linear latent space."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.ranges import Components
from synthgen.samplers.principal import PrincipalSpace
from synthgen.seeds import image_rng
from synthgen.types import ImageSpec, LabelledImages


class Interpolation(PrincipalSpace):
    """SMOTE (Chawla et al. 2002, section 4.2) on principal components instead of raw features.

    A draw lies uniformly on the line from a training image to one of its ``neighbours`` nearest
    of the same class. Where it lies close to an end it shows that image, up to what the components
    leave out, so it counts as exposing real images; the artifact holds them all.

    Args:
        neighbours: of how many nearest the other end is one.
        components: dimensions of the latent space.
    """

    exposes_real: ClassVar[bool] = True

    def __init__(
        self, image: ImageSpec, neighbours: Components = 5, components: Components = 128
    ) -> None:
        super().__init__(image, components)
        if neighbours < 1:
            raise SynthgenError(f"neighbours must be at least 1, got {neighbours}.\nTry 5.")
        self.max_neighbours = neighbours
        for name in ("latents", "first", "neighbours"):
            self.register_buffer(name, torch.empty(0))

    latents: Tensor  # (N, K), sorted by class
    first: Tensor  # int64 (classes + 1,): class i is latents[first[i]:first[i + 1]]
    neighbours: Tensor  # int32 (N, neighbours), positions in latents; -1 where a class has fewer

    def fit(self, real: LabelledImages) -> None:
        from sklearn.neighbors import NearestNeighbors
        from threadpoolctl import threadpool_limits

        latents = self.fit_space(real)
        self.latents = latents[real.labels.argsort(stable=True)]
        self.first = torch.tensor([0, *real.counts]).cumsum(0)
        self.neighbours = torch.full((len(real), self.max_neighbours), -1, dtype=torch.int32)
        for label, count in enumerate(real.counts):
            start = int(self.first[label])
            mine = self.latents[start : start + count].numpy()
            wanted = min(self.max_neighbours, count - 1)
            with threadpool_limits(1):  # the result doesn't depend on the machine's cores then
                search = NearestNeighbors(n_neighbors=wanted, algorithm="brute").fit(mine)
                index = search.kneighbors(return_distance=False)  # of others than the point itself
            self.neighbours[start : start + count, :wanted] = torch.from_numpy(index + start)

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        latents = torch.empty(len(labels), self.latents.shape[1], device=self.device)
        first = self.first.tolist()
        for row, (label, seed) in enumerate(zip(labels.tolist(), seeds.tolist(), strict=True)):
            random = image_rng(seed)
            here = int(random.integers(first[label], first[label + 1]))
            known = int((self.neighbours[here] >= 0).sum())
            there = int(self.neighbours[here, int(random.integers(known))])
            share = float(random.random())
            latents[row] = self.latents[here] + share * (self.latents[there] - self.latents[here])
        return self.decode(latents)
