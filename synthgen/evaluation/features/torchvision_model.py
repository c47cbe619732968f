"""Any classification network of torchvision, up to its last layer."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse

from torch import nn

from synthgen.errors import SynthgenError
from synthgen.evaluation.features.network import NetworkExtractor
from synthgen.evaluation.features.preprocessing import Preprocessing
from synthgen.evaluation.features.weights import (
    find_weights,
    hub_folder,
    load_every_tensor,
    read_tensors,
)
from synthgen.paths import file_digest
from synthgen.ranges import BatchSize, Count, Side


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
            origin=origin(model),
        )
        if weights is None:
            require_published(path)
        network = build_network(model)
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


def origin(model: str) -> str:
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


def build_network(model: str) -> nn.Module:
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
