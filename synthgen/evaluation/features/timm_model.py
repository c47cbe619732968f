"""Any network of timm, DINOv2 among them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from torch import nn

from synthgen.errors import SynthgenError
from synthgen.evaluation.features.network import NetworkExtractor
from synthgen.evaluation.features.preprocessing import Preprocessing
from synthgen.evaluation.features.weights import (
    find_weights,
    hub_folder,
    in_hub_folder,
    in_hugging_face_cache,
    load_every_tensor,
    read_tensors,
)
from synthgen.ranges import BatchSize, Count, Side

FILES = ("model.safetensors", "pytorch_model.bin")


class TimmExtractor(NetworkExtractor):
    """The pooled features of a timm network, before its classifier, with its own normalisation.

    Args:
        model: its name in timm, with the tag of the weights, like ``resnet50.a1_in1k``.
        weights: file with its tensors; None looks in torch hub's folder and in the Hugging Face
            cache.
        size: side of the square that images are resized to; None takes the model's own.
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
        require_model(model, option)
        path = find_weights(
            weights, usual_places(model), option=option, what=model, origin=origin(model)
        )
        network = build_network(model, size)
        load_every_tensor(network, _as_ours(network, read_tensors(path)), path)
        super().__init__(
            network,
            title=self.title(model),
            preprocessing=preprocessing_of(network, size),
            facts={"kind": self.kind, "model": model, "layer": "pooled, before the classifier"},
            weights_file=path.name,
            batch_size=batch_size,
            max_images=max_images,
        )

    def title(self, model: str) -> str:
        return f"timm_{model}"


def require_model(model: str, option: str) -> None:
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


def usual_places(model: str) -> list[Path]:
    """Torch hub's folder first: that is where a message sends people."""
    import timm

    places = in_hub_folder(model)
    config = timm.get_pretrained_cfg(model, allow_unregistered=True)
    if config is not None and isinstance(config.url, str) and config.url:
        places.append(hub_folder() / Path(urlparse(config.url).path).name)
    if repository := repository_of(model):
        places += in_hugging_face_cache(repository, FILES)
    return places


def repository_of(model: str) -> str:
    """Where Hugging Face has its weights; empty if nowhere."""
    import timm

    config = timm.get_pretrained_cfg(model, allow_unregistered=True)
    repository = str(config.hf_hub_id or "") if config is not None else ""
    # A slash at the end is timm's shorthand for its own repositories.
    return repository + model if repository.endswith("/") else repository


def origin(model: str) -> str:
    repository = repository_of(model)
    return f"https://huggingface.co/{repository}" if repository else ""


def build_network(model: str, size: int | None) -> nn.Module:
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


def preprocessing_of(network: nn.Module, size: int | None) -> Preprocessing:
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
