"""The codebook of a VQ-VAE: vectors to the nearest of K codes, and codes that follow the vectors
(van den Oord et al. 2017, section 3 and app. A.1)."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor, nn

from synthgen.ranges import Decay, Size
from synthgen.spec import Rebuildable

NOTHING = 1e-6  # vectors: what a code's average is without any, before float32 underflows


class Codebook(nn.Module, Rebuildable):
    """K vectors, each the moving average of what was assigned to it (van den Oord et al. 2017, app.
    A.1, eq. 6-8). Nothing here learns by gradient, and all that changes lies in buffers.

    Args:
        num_codes: K.
        code_dim: length of a vector, D.
        restart_below: a code that gets less than this share of a fair share, 1 / K of all vectors,
            is moved onto a vector of the batch (Dhariwal et al. 2020, section 3.1). All codes start
            that way, so the first batch places them.
    """

    vectors: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(
        self,
        num_codes: Annotated[int, Interval(ge=2, le=65_536)] = 512,
        code_dim: Size = 64,
        restart_below: Decay = 0.1,
    ) -> None:
        super().__init__()
        if num_codes < 2 or code_dim < 1:
            raise ValueError(
                f"num_codes must be at least 2 and code_dim at least 1, got {num_codes}, {code_dim}"
            )
        if not 0 <= restart_below < 1:
            raise ValueError(f"restart_below must be in [0, 1), got {restart_below}")
        self.num_codes, self.code_dim, self.restart_below = num_codes, code_dim, restart_below
        self.register_buffer("vectors", torch.randn(num_codes, code_dim))
        self.register_buffer("counts", torch.zeros(num_codes))
        self.register_buffer("sums", torch.zeros(num_codes, code_dim))

    def nearest(self, vectors: Tensor) -> Tensor:
        """float32 ``(M, D)`` -> int64 codes ``(M,)``, by Euclidean distance."""
        with torch.autocast(vectors.device.type, enabled=False):
            # |v|² is the same for every code, so it is left out.
            return (self.vectors.square().sum(1) - 2 * vectors @ self.vectors.T).argmin(1)

    def lookup(self, codes: Tensor) -> Tensor:
        """int64 ``(N, H, W)`` -> float32 ``(N, D, H, W)``."""
        return F.embedding(codes, self.vectors).movedim(-1, 1)

    def quantize(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """float32 ``(N, D, H, W)`` -> the nearest vectors, likewise, and their int64 codes
        ``(N, H, W)``. The gradient passes straight through to ``grid``."""
        count, _, height, width = grid.shape
        flat = grid.detach().movedim(1, -1).reshape(-1, self.code_dim)
        codes = self.nearest(flat).view(count, height, width)
        chosen = self.lookup(codes)
        return grid + (chosen - grid).detach(), codes

    @torch.no_grad()
    def update(self, grid: Tensor, codes: Tensor, keep: float, random: torch.Generator) -> None:
        """Move every code towards the mean of its vectors: ``grid`` as above, ``keep`` the share
        of the old average that stays; 0 is one step of k-means."""
        flat = grid.detach().movedim(1, -1).reshape(-1, self.code_dim)
        counts = torch.bincount(codes.flatten(), minlength=self.num_codes).to(flat)
        sums = torch.zeros_like(self.sums).index_add_(0, codes.flatten(), flat)
        self.counts.lerp_(counts, 1 - keep)
        self.sums.lerp_(sums, 1 - keep)
        fair = len(flat) / self.num_codes
        dead = self.counts < max(self.restart_below * fair, NOTHING)
        # Every code draws a vector, used or not: nothing waits for the device to say which died.
        index = torch.randperm(max(len(flat), self.num_codes), generator=random) % len(flat)
        fresh = flat[index[: self.num_codes].to(flat.device)]
        if self.restart_below == 0:  # no restarts: a code without vectors stays where it is
            fresh = self.vectors
        self.vectors.copy_(torch.where(dead[:, None], fresh, self.sums / self.counts[:, None]))
        # A fresh code weighs little, so that it soon moves on if nothing comes to it.
        weight = 2 * self.restart_below * fair
        self.counts.masked_fill_(dead, weight)
        self.sums.copy_(torch.where(dead[:, None], fresh * weight, self.sums))
