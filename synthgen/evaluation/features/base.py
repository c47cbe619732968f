"""What turns images into rows of numbers, in full float32, kept in a folder; and the plain
pixels."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.errors import SynthgenError
from synthgen.images import as_pictures, top_of
from synthgen.io import canonical_digest, made_folder, readable_os_errors, write_bytes
from synthgen.progress import track
from synthgen.ranges import BatchSize, Count, Side
from synthgen.types import LabelledImages

# Full float32 arithmetic for as long as features are computed, whatever the caller has set.

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


# Features kept in a folder, found again by what they were computed from.

log = logging.getLogger(__name__)

VERSION = 1  # of the way from stored pixels to features; another one makes older files useless
HASHED_AT_ONCE = 1024  # images


def feature_key(extractor: str, images: Tensor) -> str:
    """SHA-256 of the extractor's name, the images' pixels in their order, and our version. A name
    stands for one network, one set of weights and one way of preparing images."""
    return canonical_digest([VERSION, extractor, content_digest(images)])


def content_digest(images: Tensor) -> str:
    """SHA-256 of shape and pixels of uint8 ``(N, C, H, W)``; the order of the images counts."""
    state = hashlib.sha256(f"{tuple(images.shape)}".encode())
    for chunk in images.split(HASHED_AT_ONCE):
        state.update(chunk.contiguous().cpu().numpy().tobytes())
    return state.hexdigest()


def cached_features(
    folder: Path, extractor: str, images: Tensor, compute: Callable[[], Tensor]
) -> Tensor:
    """The features ``(N, D)`` kept for these images, else those of ``compute()``, kept from now on.

    A file that is damaged, or that holds something else, is computed again and replaced. Raises
    SynthgenError if ``folder`` can't be written.
    """
    key = feature_key(extractor, images)
    path = Path(folder) / f"{key}.safetensors"
    kept = _read(path, len(images))
    if kept is not None:
        return kept
    require_writable(Path(folder))  # before minutes of work
    features = compute()
    with readable_os_errors(Path(folder), option="cache"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        _write(path, features, extractor)
    return features


def require_writable(folder: Path) -> None:
    """Raises SynthgenError if no features can be kept in ``folder``, which needn't be there yet and
    isn't made: what is found out later has cost the work of an extractor."""
    if folder.exists() and not folder.is_dir():
        raise SynthgenError(f"cache={folder} is a file.\nName a folder, or leave cache out.")
    with (
        readable_os_errors(folder, option="cache"),
        made_folder(folder),
        tempfile.TemporaryFile(dir=folder) as file,
    ):
        file.write(b"x")


def _write(path: Path, features: Tensor, extractor: str) -> None:
    from safetensors.torch import save

    features = features.contiguous()
    facts = {"extractor": extractor, "sha256": _checksum(features)}
    write_bytes(path, save({"features": features}, metadata=facts))


def _read(path: Path, count: int) -> Tensor | None:
    """The features in ``path``; None if there are none, or not those that were written."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            features, facts = file.get_tensor("features"), file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        log.warning("%s is damaged (%s); its features are computed again.", path, error)
        return None
    if len(features) != count or facts.get("sha256") != _checksum(features):
        log.warning("%s is damaged; its features are computed again.", path)
        return None
    return features


def _checksum(features: Tensor) -> str:
    return hashlib.sha256(features.numpy().tobytes()).hexdigest()


# What turns images into rows of numbers, and gives its name to every metric computed from them.


class Extractor(nn.Module, ABC):
    """uint8 ``(N, C, H, W)`` -> float32 ``(N, D)``.

    Args:
        batch_size: images in one forward pass; no feature depends on it.
        max_images: fidelity is measured on at most so many images of each set.

    Attributes:
        name: goes beside every metric; different features must have different names.
        cache: folder where features are kept and found again; None: nowhere.
        view: the channels that :meth:`visible` chooses, see :class:`synthgen.types.ImageSpec`.
    """

    name: str
    cache: Path | None = None
    view: tuple[int, ...] | None = None

    def __init__(self, batch_size: int, max_images: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.max_images = max_images
        self.max_searched = max_images  # training images among which nearest ones are looked for

    def prepare(self, train: LabelledImages, seed: int) -> None:
        """Get ready, from the real training split alone. Only after this ``name`` is final."""

    def visible(self, images: Tensor) -> Tensor:
        """What :meth:`forward` gets of a batch of any bits and bands: uint8 with one or three
        channels, as networks of photographs take it. Overridden where all is taken."""
        return as_pictures(images, self.view)

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """One batch of images on the extractor's device -> float32 ``(N, D)``."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """Plain JSON for the report's protocol: what the features are and where they came from."""

    def extract(self, images: Tensor, description: str = "features") -> Tensor:
        """All images in batches, with progress; float32 ``(N, D)`` on the CPU. With ``cache`` set,
        only images that were never seen in this order are computed."""
        if self.cache is None:
            return self.compute(images, description)
        return cached_features(
            self.cache, self.name, images, lambda: self.compute(images, description)
        )

    @torch.inference_mode()
    def compute(self, images: Tensor, description: str = "features") -> Tensor:
        """:meth:`extract` without the cache. Beside the result it holds one batch at a time."""
        self.eval()
        tensors = [*self.parameters(), *self.buffers()]
        device = tensors[0].device if tensors else torch.device("cpu")
        features = torch.empty(0)
        with track(len(images), description) as advance, full_float32(device):
            for start in range(0, len(images), self.batch_size):
                batch = images[start : start + self.batch_size]
                found = self(self.visible(batch).to(device)).float().cpu()
                if start == 0:
                    features = torch.empty(len(images), found.shape[1])
                features[start : start + len(batch)] = found
                advance(len(batch))
        return features


# The pixels themselves: no network, nothing learned, right for small aligned images only.

MAX_SEARCHED = 100_000


class PixelExtractor(Extractor):
    """All pixels of an image as one row, 0..1, neither centred nor whitened.

    A shift by one pixel counts as a large difference here, so this is a second opinion for small
    aligned images (digits, spectra), not for photographs.

    Args:
        size: longer side of the image that is flattened; larger ones are scaled down (by
            area), smaller ones stay.
    """

    def __init__(
        self, size: Side = 32, batch_size: BatchSize = 500, max_images: Count = 10_000
    ) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        super().__init__(batch_size, max_images)
        self.max_searched = MAX_SEARCHED  # pixels cost nothing, and a copy may be of any image
        self.size = size
        self.name = f"pixels-{size}"

    def prepare(self, train: LabelledImages, seed: int) -> None:
        """Nothing is learned; the name gets the shape that is compared."""
        channels, height, width = train.image.shape
        self.name = f"pixels-{channels}x{'x'.join(map(str, self.scaled(height, width)))}"

    def visible(self, images: Tensor) -> Tensor:
        return images

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """The shape that a ``height`` × ``width`` image is scaled down to."""
        factor = min(1.0, self.size / max(height, width))
        return max(1, round(height * factor)), max(1, round(width * factor))

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.float() / top_of(images)
        size = self.scaled(*images.shape[2:])
        if size != tuple(images.shape[2:]):
            pixels = F.interpolate(pixels, size=size, mode="area")
        return pixels.flatten(1)

    def describe(self) -> dict[str, object]:
        return {
            "kind": "pixels",
            "features": self.name.removeprefix("pixels-"),
            "preprocessing": f"divided by the highest level; longer side at most {self.size}",
            "max_images": self.max_images,
        }
