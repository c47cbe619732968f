"""DINOv2 (Oquab et al. 2023), whose Fréchet distance follows people's judgement best (Stein et al.
2023)."""

from __future__ import annotations

from synthgen.evaluation.features.timm_model import TimmExtractor
from synthgen.ranges import BatchSize, Count, Side

PATCH = 14  # pixels; what a patch cuts off at the border would be lost


class DINOv2Extractor(TimmExtractor):
    """The class token of a DINOv2 vision transformer after its last normalisation.

    Args:
        model: its name in timm. Published FD-DINOv2 is ``vit_large_patch14_dinov2.lvd142m``.
        weights: file with its tensors, timm's or the original; None looks in torch hub's folder and
            in the Hugging Face cache.
        size: side of the square that images are resized to, a multiple of 14.
    """

    kind = "dinov2"

    def __init__(
        self,
        model: str = "vit_small_patch14_dinov2.lvd142m",
        weights: str | None = None,
        size: Side = 224,
        batch_size: BatchSize = 50,
        max_images: Count = 10_000,
    ) -> None:
        if size < PATCH or size % PATCH:
            raise ValueError(f"size must be a multiple of {PATCH}, the patch's side, got {size}")
        super().__init__(model, weights, size, batch_size, max_images)

    def title(self, model: str) -> str:
        return "dinov2"
