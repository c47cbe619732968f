"""Features kept in a folder, found again by what they were computed from."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.paths import canonical_digest, made_folder, readable_os_errors, write_bytes

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
