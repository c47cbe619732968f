"""Full float32 arithmetic for as long as features are computed, whatever the caller has set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

FULL = "ieee"  # no TF32 on CUDA, no bfloat16 behind float32's back on the CPU


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Products and convolutions in float32 on ``device``; every flag is put back afterwards.

    TF32 keeps ten bits of each factor, which moves a Fréchet distance in its third digit, and
    cuDNN's benchmark may choose another algorithm for another batch size.
    """
    backends = (
        torch.backends.cuda.matmul,
        torch.backends.cudnn.conv,  # type: ignore[attr-defined]
        torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
        torch.backends.mkldnn.conv,  # type: ignore[attr-defined]
    )
    before = [backend.fp32_precision for backend in backends]
    benchmark = torch.backends.cudnn.benchmark
    try:
        for backend in backends:
            backend.fp32_precision = FULL
        torch.backends.cudnn.benchmark = False
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
        torch.backends.cudnn.benchmark = benchmark
