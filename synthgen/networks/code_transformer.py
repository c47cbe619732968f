"""An autoregressive prior over a grid of codes: a causal transformer (Vaswani et al. 2017, section
3) that reads the grid row by row, as Esser et al. (2021, section 3.2) do."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.ranges import Depth, Width
from synthgen.spec import Rebuildable

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
