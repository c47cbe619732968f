"""What all extractors around a fixed network share: weights from files, preprocessing, naming;
and any network of the person's own."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.device import default_device
from synthgen.errors import SynthgenError
from synthgen.evaluation.features.base import Extractor
from synthgen.images import to_255
from synthgen.io import canonical_digest
from synthgen.ranges import BatchSize, Count, Positive, Real, Side
from synthgen.types import LabelledImages

# From stored pixels to what a pretrained network was trained on.

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """uint8 or uint16 ``(N, C, H, W)`` -> float32 ``(N, C', H', W')``.

    Args:
        size: height and width that the network wants; None leaves images as they are. The whole
            image is resized (antialiased bicubic, in float32, the overshoot clamped): nothing is
            cropped, so another aspect is stretched.
        channels: 3 repeats grey images, 1 takes the luma of colour images, None leaves both.
        mean, std: per channel or for all, in units of the full range 0..1.
    """

    size: tuple[int, int] | None = None
    channels: int | None = 3
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.channels not in (None, 1, 3):
            raise ValueError(f"channels must be 1, 3 or null, got {self.channels}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels or len(values)):
                raise ValueError(f"{name} has {len(values)} numbers for {self.channels} channels")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std must be more than 0, got {list(self.std)}")

    def __call__(self, images: Tensor) -> Tensor:
        pixels = to_255(images)
        if self.channels == 1 and pixels.shape[1] == 3:
            pixels = luma(pixels)
        if self.size is not None and tuple(pixels.shape[2:]) != self.size:
            pixels = F.interpolate(pixels, size=self.size, mode="bicubic", antialias=True)
            pixels = pixels.clamp_(0, 255)
        if self.channels == 3 and pixels.shape[1] == 1:
            pixels = pixels.expand(-1, 3, -1, -1)
        mean, std = (pixels.new_tensor(v).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return (pixels / 255 - mean) / std

    def to_json(self) -> dict[str, object]:
        return {
            **{name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()},
            "resizing": "antialiased bicubic of the whole image, float32",
        }


def luma(images: Tensor) -> Tensor:
    """Float ``(N, 3, H, W)`` -> ``(N, 1, H, W)`` with the weights of ITU-R BT.601."""
    weights = images.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def as_size(size: int | list[int] | None) -> tuple[int, int] | None:
    """One number or [height, width]. Raises ValueError for anything else."""
    if size is None:
        return None
    sides = [size, size] if isinstance(size, int) else list(size)
    if len(sides) != 2 or not all(side > 0 for side in sides):
        raise ValueError(f"size must be one number or [height, width] in pixels, got {size}")
    return sides[0], sides[1]


# Weights from files: found without a network, read without running code, named by their hash.

ENDINGS = (".safetensors", ".pth", ".pt", ".bin")
WRAPPERS = ("state_dict", "model", "model_state", "state_dict_ema")  # tables that hold the table
COUNTERS = "num_batches_tracked"  # older files lack it, and no feature depends on it


def hub_folder() -> Path:
    """Where torch hub keeps weights: ``TORCH_HOME`` moves it."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def find_weights(
    weights: str | None, candidates: Iterable[Path], *, option: str, what: str, origin: str = ""
) -> Path:
    """The file ``weights``, else the first of ``candidates`` that exists. Raises SynthgenError with
    the place to put it and ``origin``, where it is published: nothing is ever downloaded."""
    places = [Path(weights).expanduser()] if weights else list(candidates)
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise SynthgenError(
            f"The {what} weights are not at {places[0]}, and nothing is downloaded.\n"
            f"Put the file there{origin and f' (from {origin})'}, or name it with "
            f"{option}.weights=PATH."
        )
    return found


def in_hub_folder(name: str) -> list[Path]:
    """``name`` with each of the usual endings in torch hub's folder."""
    return [hub_folder() / f"{name}{ending}" for ending in ENDINGS]


def in_hugging_face_cache(repository: str, files: Sequence[str]) -> list[Path]:
    """Those of ``files`` of ``repository`` that an earlier download left on this machine."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return []
    found = [try_to_load_from_cache(repository, file) for file in files]
    return [Path(path) for path in found if isinstance(path, str)]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name, from safetensors or a PyTorch file of nothing but tensors. Raises
    SynthgenError for anything else; pickled code is not run."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise SynthgenError(_not_weights(path, type(error).__name__)) from error
    except Exception as error:  # safetensors' own error derives from nothing narrower
        if type(error).__name__ != "SafetensorError":
            raise
        raise SynthgenError(_not_weights(path, "SafetensorError")) from error
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise SynthgenError(_not_weights(path, "no table of tensors"))
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _not_weights(path: Path, reason: str) -> str:
    return (
        f"{path} can't be read as weights ({reason}).\n"
        "Give a .safetensors file, or a PyTorch file that holds tensors only."
    )


def load_every_tensor(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Fill the whole network; further tensors (of a head that was cut off) are left aside. Raises
    SynthgenError if one is missing or has another shape: it would stay random."""
    wanted = network.state_dict()
    missing = [n for n in wanted if n not in tensors and not n.endswith(COUNTERS)]
    unlike = [n for n, own in wanted.items() if n in tensors and tensors[n].shape != own.shape]
    wrong = missing or unlike
    if wrong:
        what = "lacks" if missing else "has another shape for"
        raise SynthgenError(
            f"{path} {what} {len(wrong)} of the network's {len(wanted)} tensors ({wrong[0]}, …).\n"
            "Give the weights of this very model."
        )
    network.load_state_dict({n: t for n, t in tensors.items() if n in wanted}, strict=False)


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over names, shapes and float32 bytes of all parameters and running statistics."""
    state = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        state.update(f"{name} {tuple(tensor.shape)}\n".encode())
        state.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return state.hexdigest()


class NetworkExtractor(Extractor):
    """Features of a network that learns nothing here.

    ``name`` ends in 8 hex digits of a hash over the weights, the preprocessing and ``facts``.

    Args:
        network: float32 images -> ``(N, D)``, or ``(N, D, H, W)``, of which the mean over the
            pixels is taken.
        facts: plain JSON that tells this network from others with the same weights.
        weights_file: the file's name, for the protocol.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        title: str,
        preprocessing: Preprocessing,
        facts: dict[str, object],
        weights_file: str | None,
        batch_size: int,
        max_images: int,
    ) -> None:
        super().__init__(batch_size, max_images)
        self.network = network.requires_grad_(False).eval()
        self.preprocessing = preprocessing
        self.facts = facts
        self.weights_file = weights_file
        self.weights_sha256 = weights_digest(network)
        identity = [self.weights_sha256, preprocessing.to_json(), facts]
        readable = re.sub(r"[^A-Za-z0-9_.]+", "_", title)
        self.name = f"{readable}-{canonical_digest(identity)[:8]}"

    def prepare(self, train: LabelledImages, seed: int) -> None:
        """Nothing is learned; moves to the GPU if there is one."""
        self.to(default_device())

    def visible(self, images: Tensor) -> Tensor:
        return images if self.preprocessing.channels is None else super().visible(images)

    def forward(self, images: Tensor) -> Tensor:
        features = self.network(self.preprocessing(images))
        if features.ndim == 4:
            features = features.mean((2, 3))
        if features.ndim != 2 or len(features) != len(images):
            raise ValueError(
                f"{self.name}: the network made {tuple(features.shape)} of {len(images)} images, "
                "not one row of numbers per image"
            )
        return features

    def describe(self) -> dict[str, object]:
        return {
            **self.facts,
            "preprocessing": self.preprocessing.to_json(),
            "weights_file": self.weights_file,
            "weights_sha256": self.weights_sha256,
            "max_images": self.max_images,
        }


class ModuleExtractor(NetworkExtractor):
    """Features of any ``nn.Module`` that turns float32 images into ``(N, D)`` or ``(N, D, H, W)``.

    Args:
        network: the module; from the command line by its dotted path, from an allowed package.
        weights: file with its tensors; None leaves it as its constructor made it.
        size: input size, one number or [height, width]; None leaves images as they are.
        channels: what it takes, 1 or 3; None: whatever the images have.
        mean, std: its normalisation in units of 0..1, per channel or for all.
        title: first part of the features' name.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str | None = None,
        size: Side | list[Side] | None = None,
        channels: Literal[1, 3] | None = None,
        mean: list[Real] | None = None,
        std: list[Positive] | None = None,
        title: str = "module",
        batch_size: BatchSize = 128,
        max_images: Count = 10_000,
    ) -> None:
        if weights is not None:
            path = find_weights(weights, [], option="extractor.module", what=title)
            load_every_tensor(network, read_tensors(path), path)
        super().__init__(
            network,
            title=title,
            preprocessing=Preprocessing(
                size=as_size(size),
                channels=channels,
                mean=tuple(mean or (0.0,)),
                std=tuple(std or (1.0,)),
            ),
            facts={
                "kind": "module",
                "network": f"{type(network).__module__}.{type(network).__qualname__}",
                # Weights alone don't tell a ReLU from a GELU.
                "layers_sha256": hashlib.sha256(repr(network).encode()).hexdigest(),
            },
            weights_file=Path(weights).name if weights else None,
            batch_size=batch_size,
            max_images=max_images,
        )
