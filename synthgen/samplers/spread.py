"""How far latents may lie from their mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.seeds import normal_latents, truncated


@dataclass(frozen=True)
class Spread:
    """Normal numbers in place of standard ones (truncation: Brock et al. 2019, section 3.1; values
    outside keep their quantile here instead of being drawn again)."""

    temperature: float | None = None  # factor on the standard deviation; None: 1
    truncation: float | None = None  # in standard deviations, before the factor; None: no limit

    def __post_init__(self) -> None:
        for name in ("temperature", "truncation"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise SynthgenError(f"{name} is {value}, but must be more than 0, or null.")

    def normal(self, seeds: Tensor, size: int) -> Tensor:
        """float32 ``(N, size)``; row ``i`` depends on ``seeds[i]`` alone."""
        z = normal_latents(seeds, size)
        if self.truncation is not None:
            z = truncated(z, self.truncation)
        return z if self.temperature is None else z * self.temperature
