"""Networks that others trained: torchvision's, timm's with DINOv2, and CLIP's image encoder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.errors import SynthgenError
from synthgen.evaluation.features.network import (
    NetworkExtractor,
    Preprocessing,
    find_weights,
    hub_folder,
    in_hub_folder,
    in_hugging_face_cache,
    load_every_tensor,
    read_tensors,
)
from synthgen.io import file_digest
from synthgen.ranges import BatchSize, Count, Side

# Any classification network of torchvision, up to its last layer.


class TorchvisionExtractor(NetworkExtractor):
    """The input of the last linear layer of a torchvision classifier, ImageNet's normalisation.

    Args:
        model: its name in torchvision.models, like ``resnet50``.
        weights: file with its tensors; None looks for torchvision's own file in torch hub's folder.
        size: side of the square that images are resized to.
    """

    def __init__(
        self,
        model: str = "resnet50",
        weights: str | None = None,
        size: Side = 224,
        batch_size: BatchSize = 50,
        max_images: Count = 10_000,
    ) -> None:
        path = find_weights(
            weights,
            published_files(model),
            option="extractor.torchvision",
            what=model,
            origin=torchvision_origin(model),
        )
        if weights is None:
            require_published(path)
        network = torchvision_network(model)
        load_every_tensor(network, read_tensors(path), path)
        cut_off_head(network, model)
        super().__init__(
            network,
            title=f"torchvision_{model}",
            preprocessing=Preprocessing(size=(size, size)),
            facts={"kind": "torchvision", "model": model, "layer": "input of the last linear one"},
            weights_file=path.name,
            batch_size=batch_size,
            max_images=max_images,
        )


def published_files(model: str) -> list[Path]:
    """Where torch hub keeps torchvision's weights of ``model``, the recommended ones first."""
    from torchvision.models import get_model_weights, list_models

    names = list_models()
    if model not in names:
        raise SynthgenError(
            f"torchvision has no model {model!r}.\nIts models are listed by "
            "torchvision.models.list_models(), for example resnet50."
        )
    published = get_model_weights(model)
    if not len(published):
        return [hub_folder() / f"{model}.pth"]
    default = published.DEFAULT
    entries = [default, *(one for one in published if one is not default)]
    return [hub_folder() / Path(urlparse(entry.url).path).name for entry in entries]


def torchvision_origin(model: str) -> str:
    """Address of torchvision's recommended weights of ``model``; empty if it publishes none."""
    from torchvision.models import get_model_weights

    published = get_model_weights(model)
    return str(published.DEFAULT.url) if len(published) else ""


def require_published(path: Path) -> None:
    """Torch hub's convention: a file's name ends in the first 8 hex digits of its SHA-256."""
    expected = path.stem.rpartition("-")[2]
    if len(expected) == 8 and not file_digest(path).startswith(expected):
        raise SynthgenError(
            f"{path} is damaged: its SHA-256 does not start with {expected}.\nDelete it and "
            "put torchvision's file there again."
        )


def torchvision_network(model: str) -> nn.Module:
    from torchvision.models import get_model

    # Some default to backbone weights that they would download.
    return get_model(model, weights=None)


def cut_off_head(network: nn.Module, model: str) -> None:
    """Replace the last linear layer by nothing, so that its input comes out."""
    names = [name for name, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not names:
        raise SynthgenError(
            f"torchvision's {model} has no linear last layer to take features before.\n"
            "Choose another, for example extractor.torchvision.model=resnet50."
        )
    parent, _, last = names[-1].rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())


# Any network of timm, DINOv2 among them.

TIMM_FILES = ("model.safetensors", "pytorch_model.bin")


class TimmExtractor(NetworkExtractor):
    """The pooled features of a timm network, before its classifier, with its own normalisation.

    Args:
        model: its name in timm, with the tag of the weights, like ``resnet50.a1_in1k``.
        weights: file with its tensors; None looks in torch hub's folder and in the Hugging Face
            cache.
        size: side of the square that images are resized to; None takes the model's own.

    Needs timm: pip install timm.
    """

    kind = "timm"

    def __init__(
        self,
        model: str = "resnet50.a1_in1k",
        weights: str | None = None,
        size: Side | None = None,
        batch_size: BatchSize = 50,
        max_images: Count = 10_000,
    ) -> None:
        option = f"extractor.{self.kind}"
        require_timm_model(model, option)
        path = find_weights(
            weights, places_of_timm(model), option=option, what=model, origin=timm_origin(model)
        )
        network = timm_network(model, size)
        load_every_tensor(network, _as_ours(network, read_tensors(path)), path)
        super().__init__(
            network,
            title=self.title(model),
            preprocessing=timm_preprocessing(network, size),
            facts={"kind": self.kind, "model": model, "layer": "pooled, before the classifier"},
            weights_file=path.name,
            batch_size=batch_size,
            max_images=max_images,
        )

    def title(self, model: str) -> str:
        return f"timm_{model}"


def require_timm_model(model: str, option: str) -> None:
    """Raises SynthgenError if timm, or the model, is missing."""
    try:
        import timm
    except ImportError:
        raise SynthgenError(
            f"{option} needs timm.\nInstall it with pip install timm, or use extractor=classifier."
        ) from None
    if not timm.is_model(model):
        raise SynthgenError(
            f"timm has no model {model!r}.\nList some with timm.list_models('*resnet*') and set "
            f"{option}.model=NAME."
        )


def places_of_timm(model: str) -> list[Path]:
    """Torch hub's folder first: that is where a message sends people."""
    import timm

    places = in_hub_folder(model)
    config = timm.get_pretrained_cfg(model, allow_unregistered=True)
    if config is not None and isinstance(config.url, str) and config.url:
        places.append(hub_folder() / Path(urlparse(config.url).path).name)
    if repository := repository_of(model):
        places += in_hugging_face_cache(repository, TIMM_FILES)
    return places


def repository_of(model: str) -> str:
    """Where Hugging Face has its weights; empty if nowhere."""
    import timm

    config = timm.get_pretrained_cfg(model, allow_unregistered=True)
    repository = str(config.hf_hub_id or "") if config is not None else ""
    # A slash at the end is timm's shorthand for its own repositories.
    return repository + model if repository.endswith("/") else repository


def timm_origin(model: str) -> str:
    repository = repository_of(model)
    return f"https://huggingface.co/{repository}" if repository else ""


def timm_network(model: str, size: int | None) -> nn.Module:
    """With random weights and without a classifier. Vision transformers are built for ``size``."""
    import timm

    config = timm.get_pretrained_cfg(model, allow_unregistered=True)
    options: dict[str, Any] = {}
    if size is not None and config is not None and config.fixed_input_size:
        options["img_size"] = size
    try:
        return timm.create_model(model, pretrained=False, num_classes=0, **options)
    except (AssertionError, ValueError, TypeError) as error:
        raise SynthgenError(
            f"{model} can't take {size} × {size} pixels ({error}).\nLeave the size out, or give a "
            "multiple of its patch."
        ) from error


def timm_preprocessing(network: nn.Module, size: int | None) -> Preprocessing:
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(network)
    channels, height, width = config["input_size"]
    return Preprocessing(
        size=(height, width) if size is None else (size, size),
        channels=channels,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def _as_ours(network: nn.Module, tensors: dict[str, Any]) -> dict[str, Any]:
    """Published files of older layouts, and position embeddings of another size, as this network
    has them. timm keeps what does that beside the network's class."""
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    return tensors if convert is None else dict(convert(dict(tensors), network))


PATCH = 14  # pixels; what a patch cuts off at the border would be lost


class DINOv2Extractor(TimmExtractor):
    """The class token of a DINOv2 vision transformer after its last normalisation.

    Args:
        model: its name in timm. Published FD-DINOv2 is ``vit_large_patch14_dinov2.lvd142m``.
        weights: file with its tensors, timm's or the original; None looks in torch hub's folder and
            in the Hugging Face cache.
        size: side of the square that images are resized to, a multiple of 14.

    DINOv2 (Oquab et al. 2023), whose Fréchet distance follows people's judgement best (Stein et al.
    2023).

    Needs timm: pip install timm.
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


OPTION = "extractor.clip"
CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
TOWER = "visual."


class CLIPExtractor(NetworkExtractor):
    """The image embedding of a CLIP network, scaled to unit length as CLIP compares it.

    Args:
        model: its name in open_clip. OpenAI's weights need a ``-quickgelu`` model.
        weights: file in open_clip's layout; None looks in torch hub's folder for
            ``open_clip-<model>.safetensors`` and in the Hugging Face cache.

    CLIP's image encoder (Radford et al. 2021), the space of CMMD (Jayasumana et al. 2024).

    Needs open_clip_torch: pip install open_clip_torch.
    """

    def __init__(
        self,
        model: str = "ViT-B-32-quickgelu",
        weights: str | None = None,
        batch_size: BatchSize = 50,
        max_images: Count = 10_000,
    ) -> None:
        require_clip_model(model)
        path = find_weights(
            weights,
            places_of_clip(model),
            option=OPTION,
            what=f"CLIP {model}",
            origin=", ".join(f"https://huggingface.co/{one}" for one in repositories(model)[:1]),
        )
        tower = image_tower(model)
        tensors = read_tensors(path)
        own = {n.removeprefix(TOWER): t for n, t in tensors.items() if n.startswith(TOWER)}
        load_every_tensor(tower, own, path)
        super().__init__(
            tower,
            title="clip",
            preprocessing=clip_preprocessing(tower),
            facts={"kind": "clip", "model": model, "layer": "image embedding of unit length"},
            weights_file=path.name,
            batch_size=batch_size,
            max_images=max_images,
        )

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(super().forward(images), dim=1)


def require_clip_model(model: str) -> None:
    """Raises SynthgenError if open_clip, or the model, is missing."""
    try:
        import open_clip
    except ImportError:
        raise SynthgenError(
            f"{OPTION} needs open_clip.\nInstall it with pip install open_clip_torch, or use "
            "extractor=classifier."
        ) from None
    if model not in open_clip.list_models():
        raise SynthgenError(
            f"open_clip has no model {model!r}.\nIts models are listed by open_clip.list_models(), "
            "for example ViT-B-32."
        )


def places_of_clip(model: str) -> list[Path]:
    places = in_hub_folder(f"open_clip-{model}")
    for repository in repositories(model):
        places += in_hugging_face_cache(repository, CLIP_FILES)
    return places


def repositories(model: str) -> list[str]:
    """Where Hugging Face has weights of ``model``."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    tags = open_clip.list_pretrained_tags_by_model(model)
    found = (str(get_pretrained_cfg(model, tag).get("hf_hub", "")).strip("/") for tag in tags)
    return [repository for repository in found if repository]


def image_tower(model: str) -> nn.Module:
    """The image encoder with random weights; the text encoder is thrown away."""
    import open_clip

    return open_clip.create_model(model, pretrained=None, load_weights=False).visual


def clip_preprocessing(tower: nn.Module) -> Preprocessing:
    from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    size = getattr(tower, "image_size", 224)
    height, width = (size, size) if isinstance(size, int) else size
    return Preprocessing(
        size=(height, width),
        mean=tuple(getattr(tower, "image_mean", None) or OPENAI_DATASET_MEAN),
        std=tuple(getattr(tower, "image_std", None) or OPENAI_DATASET_STD),
    )
