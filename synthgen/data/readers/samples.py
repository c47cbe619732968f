"""From the samples of a pixel, as a file holds them, to bands: colours, transparency, and more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from synthgen.data.readers.base import ExtraBand, Sample, UnreadError, on_white

PREMULTIPLIED, ALPHA = 1, 2  # kinds of further samples, as TIFF 6.0 numbers them; 0: not specified


@dataclass(frozen=True)
class Meaning:
    """How the samples of a pixel become bands.

    Attributes:
        sample: of what kind they are; ``bits`` as many in each of the bands.
        colours: samples that the photometric interpretation takes; ``bands`` that it gives.
        convert: from the first to the second, ``(H, W, samples)`` -> ``(H, W, bands)``.
        alpha: which sample is transparency, and whether colours are multiplied by it already.
        kept: further samples that become bands.
    """

    sample: Sample
    bits: int
    colours: int
    bands: int
    convert: Callable[[np.ndarray], np.ndarray]
    alpha: int | None = None
    premultiplied: bool = False
    kept: tuple[int, ...] = ()
    remarks: tuple[str, ...] = ()

    def levels(self, samples: np.ndarray) -> np.ndarray:
        """``(H, W, samples)`` -> ``(H, W, bands)``."""
        levels = self.convert(samples[..., : self.colours])
        if self.alpha is not None:
            levels = on_white(levels, samples[..., self.alpha], self.bits, self.premultiplied)
        if self.kept:
            levels = np.concatenate([levels, samples[..., list(self.kept)]], axis=-1)
        return levels


def as_stored(samples: np.ndarray) -> np.ndarray:
    return samples


def with_extra(
    meaning: Meaning, samples: int, kinds: Mapping[int, int], extra_band: ExtraBand
) -> Meaning:
    """What becomes of those of ``samples`` that are no colours: bands, transparency, or nothing.

    Args:
        kinds: which of them, counted from 0, the file calls ``PREMULTIPLIED`` or ``ALPHA``.

    Raises:
        UnreadError: transparency is wanted of levels without a white.
    """
    extra = tuple(range(meaning.colours, samples))
    called = [at for at in extra if kinds.get(at) in (PREMULTIPLIED, ALPHA)]
    if extra and extra_band == "drop":
        said = "have bands beside their colours, which were left out as data.extra_band says"
        return replace(meaning, remarks=(*meaning.remarks, said))
    if extra and extra_band == "alpha":
        if meaning.sample != "unsigned":
            raise UnreadError(f"has transparency and {meaning.sample} levels, which have no white")
        alpha = called[0] if called else extra[0]
        kept = tuple(at for at in extra if at != alpha)
        return replace(
            meaning,
            bands=meaning.bands + len(kept),
            alpha=alpha,
            premultiplied=kinds.get(alpha) == PREMULTIPLIED,
            kept=kept,
        )
    said = (
        "have a band that the file calls transparency, and that was kept as a band "
        "(data.extra_band=alpha lays them on white, drop leaves it out)"
    )
    return replace(
        meaning,
        bands=meaning.bands + len(extra),
        kept=extra,
        remarks=(*meaning.remarks, *((said,) if called else ())),
    )
