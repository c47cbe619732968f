"""The networks of a VQ-VAE: encoder, codebook, decoder, and the prior over its codes."""

from __future__ import annotations

import math
from typing import Annotated, cast

import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor, nn

from synthgen.networks.blocks import crop_to, pad_to
from synthgen.processes import Processes
from synthgen.ranges import Decay, Depth, DepthOrNone, Side, Size, Width
from synthgen.serialization import Rebuildable
from synthgen.types import ImageSpec

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

    The codebook of a VQ-VAE: vectors to the nearest of K codes, and codes that follow the vectors
    (van den Oord et al. 2017, section 3 and app. A.1).
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
        self.processes = Processes()  # those whose vectors it follows

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
        of the old average that stays; 0 is one step of k-means. With several processes these are
        the rows of one, and the codes follow those of all."""
        flat = grid.detach().movedim(1, -1).reshape(-1, self.code_dim)
        flat, codes = self.processes.gather(flat), self.processes.gather(codes)
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


def code_grid(image: ImageSpec, largest_grid: int) -> tuple[int, tuple[int, int]]:
    """How often to halve an image (once at least), and the grid (height, width) that results: no
    side longer than ``largest_grid``, so that the codes of large images stay few."""
    if largest_grid < 1:
        raise ValueError(f"largest_grid must be at least 1, got {largest_grid}")
    longest = max(image.height, image.width)
    halvings = max(1, math.ceil(math.log2(longest / largest_grid)))
    return halvings, (
        math.ceil(image.height / 2**halvings),
        math.ceil(image.width / 2**halvings),
    )


class CodeBlock(nn.Module):
    """ReLU, 3x3 convolution, ReLU, 1x1 convolution, added to the input (section 4.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.project = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(F.relu(self.mix(F.relu(x))))


class VQEncoder(nn.Module, Rebuildable):
    """Images to a grid of vectors: strided 4x4 convolutions, then residual blocks (van den Oord et
    al. 2017, section 4.1).

    Args:
        image: shape of the images.
        code_dim: length of a vector, D.
        width: hidden units, the same at every resolution.
        blocks: residual blocks.
        largest_grid: the longest side that the grid may have; 32 pixels become 8, 28 become 7.

    Encoder and decoder of a VQ-VAE: images to a small grid of vectors and back (van den Oord et al.
    2017, section 4.1).
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        code_dim: Size = 64,
        width: Width = 256,
        blocks: DepthOrNone = 2,
        largest_grid: Side = 8,
    ) -> None:
        super().__init__()
        self.image, self.code_dim = image, code_dim
        halvings, self.grid = code_grid(image, largest_grid)
        self.full = (self.grid[0] * 2**halvings, self.grid[1] * 2**halvings)
        before = image.channels
        layers: list[nn.Module] = []
        for _ in range(halvings):
            layers += [nn.Conv2d(before, width, 4, stride=2, padding=1), nn.ReLU()]
            before = width
        layers += [nn.Conv2d(width, width, 3, padding=1)]
        layers += [CodeBlock(width) for _ in range(blocks)]
        self.layers = nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(width, code_dim, 1))
        self._initialise()

    def _initialise(self) -> None:
        """He et al. (2015, eq. 10), so that vectors start apart. With torch's own start they lie
        within 0.01 of each other: few codes tell them apart, and for many steps none is learned."""
        for layer in self.layers.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for layer in self.layers:
            if isinstance(layer, CodeBlock):  # starts as the identity
                nn.init.zeros_(layer.project.weight)

    def forward(self, images: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` in [-1, 1] -> float32 ``(N, D, *grid)``."""
        padded = pad_to(images, *self.full).contiguous(memory_format=torch.channels_last)
        return self.layers(padded).float()


class VQDecoder(nn.Module, Rebuildable):
    """A grid of vectors to an image: residual blocks, then transposed 4x4 convolutions (van den
    Oord et al. 2017, section 4.1). Arguments as in VQEncoder.

    Encoder and decoder of a VQ-VAE: images to a small grid of vectors and back (van den Oord et al.
    2017, section 4.1).
    """

    def __init__(
        self,
        image: ImageSpec,
        *,
        code_dim: Size = 64,
        width: Width = 256,
        blocks: DepthOrNone = 2,
        largest_grid: Side = 8,
    ) -> None:
        super().__init__()
        self.image, self.code_dim = image, code_dim
        halvings, self.grid = code_grid(image, largest_grid)
        layers: list[nn.Module] = [nn.Conv2d(code_dim, width, 3, padding=1)]
        layers += [CodeBlock(width) for _ in range(blocks)]
        for level in range(halvings):
            after = image.channels if level == halvings - 1 else width
            layers += [nn.ReLU(), nn.ConvTranspose2d(width, after, 4, stride=2, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, grid: Tensor) -> Tensor:
        """float32 ``(N, D, *grid)`` -> float ``(N, C, H, W)``, nominally [-1, 1]."""
        images = self.layers(grid.contiguous(memory_format=torch.channels_last))
        return crop_to(images, self.image.height, self.image.width)


Cache = tuple[Tensor, Tensor]  # keys and values of the positions so far, (N, heads, T, width/heads)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """Attention (Vaswani et al. 2017, eq. 1) with ``bias`` added to the logits. Written out: for so
    few positions torch's fused kernel is several times slower to differentiate on a CPU."""
    logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    return (logits + bias).softmax(-1).to(value.dtype) @ value


class CausalBlock(nn.Module):
    """Self-attention to earlier positions, then two linear layers; layer norm before each."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_layers = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project_in, self.project_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:  # (N, T, width) -> the same
        later = torch.full((x.shape[1], x.shape[1]), -torch.inf, device=x.device).triu(1)
        return self._finish(x, attend(*self._split(x), later))

    def advance(self, x: Tensor, cache: Cache, position: int) -> Tensor:
        """One position ``(N, 1, width)``, of which the cache keeps key and value."""
        query, key, value = self._split(x)
        keys, values = cache
        keys[:, :, position : position + 1], values[:, :, position : position + 1] = key, value
        seen = keys[:, :, : position + 1], values[:, :, : position + 1]
        return self._finish(x, F.scaled_dot_product_attention(query, *seen))

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count, length, width = x.shape
        parts = self.project_in(self.before_attention(x))
        parts = parts.view(count, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value

    def _finish(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.project_out(attended.transpose(1, 2).reshape(x.shape))
        return x + self.contract(F.gelu(self.expand(self.before_layers(x))))


class CodeTransformer(nn.Module, Rebuildable):
    """p(codes | y) = Π p(code i | codes before i, y) (van den Oord et al. 2017, section 3.3, with
    the network of Esser et al. 2021, section 3.2).

    Args:
        num_classes: labels that it knows.
        num_codes: K.
        positions: codes of one image, T.
        width: length of what is computed at a position; a multiple of ``heads``.
        layers: blocks.
        heads: of the attention.

    An autoregressive prior over a grid of codes: a causal transformer (Vaswani et al. 2017, section
    3) that reads the grid row by row, as Esser et al. (2021, section 3.2) do.
    """

    def __init__(
        self,
        num_classes: int,
        num_codes: int,
        positions: int,
        width: Width = 512,
        layers: Depth = 12,
        heads: Width = 8,
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"width {width} is no multiple of {heads} heads")
        self.num_codes, self.positions, self.heads, self.width = num_codes, positions, heads, width
        self.classes = nn.Embedding(num_classes, width)
        self.codes = nn.Embedding(num_codes, width)
        self.places = nn.Parameter(torch.empty(positions, width))
        self.blocks = nn.ModuleList(CausalBlock(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, num_codes)
        self._initialise(layers)

    def _initialise(self, layers: int) -> None:
        """Normal, 0.02; what adds to the residual stream smaller with depth (Radford et al. 2019,
        section 2.3)."""
        for name, parameter in self.named_parameters():
            if name.endswith(("project_out.weight", "contract.weight")):
                nn.init.normal_(parameter, std=0.02 / (2 * layers) ** 0.5)
            elif parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, codes: Tensor, labels: Tensor) -> Tensor:
        """int64 ``(N, T)`` and ``(N,)`` -> float32 logits ``(N, T, K)``; those at position i
        depend on the codes before i alone."""
        known = self.codes(codes[:, :-1])
        x = F.pad(known, (0, 0, 1, 0)) + self.places + self.classes(labels)[:, None]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).float()

    def empty_caches(self, count: int) -> list[Cache]:
        """Room for the keys and values of ``count`` images, one pair per block."""
        shape = (count, self.heads, self.positions, self.width // self.heads)
        return [(self.places.new_zeros(shape), self.places.new_zeros(shape)) for _ in self.blocks]

    def advance(
        self, before: Tensor | None, labels: Tensor, position: int, caches: list[Cache]
    ) -> Tensor:
        """Logits ``(N, K)`` of one position from the code ``(N,)`` before it (None: the first),
        with the work of earlier positions taken from ``caches``."""
        x = self.classes(labels) + self.places[position]
        if before is not None:
            x = x + self.codes(before)
        x = x[:, None]
        for block, cache in zip(self.blocks, caches, strict=True):
            x = cast(CausalBlock, block).advance(x, cache, position)
        return self.head(self.norm(x))[:, 0].float()
