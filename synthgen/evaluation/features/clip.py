"""CLIP's image encoder (Radford et al. 2021), the space of CMMD (Jayasumana et al. 2024)."""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.errors import SynthgenError
from synthgen.evaluation.features.network import NetworkExtractor
from synthgen.evaluation.features.preprocessing import Preprocessing
from synthgen.evaluation.features.weights import (
    find_weights,
    in_hub_folder,
    in_hugging_face_cache,
    load_every_tensor,
    read_tensors,
)
from synthgen.ranges import BatchSize, Count

OPTION = "extractor.clip"
FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
TOWER = "visual."


class CLIPExtractor(NetworkExtractor):
    """The image embedding of a CLIP network, scaled to unit length as CLIP compares it.

    Args:
        model: its name in open_clip. OpenAI's weights need a ``-quickgelu`` model.
        weights: file in open_clip's layout; None looks in torch hub's folder for
            ``open_clip-<model>.safetensors`` and in the Hugging Face cache.
    """

    def __init__(
        self,
        model: str = "ViT-B-32-quickgelu",
        weights: str | None = None,
        batch_size: BatchSize = 50,
        max_images: Count = 10_000,
    ) -> None:
        require_model(model)
        path = find_weights(
            weights,
            usual_places(model),
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
            preprocessing=preprocessing_of(tower),
            facts={"kind": "clip", "model": model, "layer": "image embedding of unit length"},
            weights_file=path.name,
            batch_size=batch_size,
            max_images=max_images,
        )

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(super().forward(images), dim=1)


def require_model(model: str) -> None:
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


def usual_places(model: str) -> list[Path]:
    places = in_hub_folder(f"open_clip-{model}")
    for repository in repositories(model):
        places += in_hugging_face_cache(repository, FILES)
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


def preprocessing_of(tower: nn.Module) -> Preprocessing:
    from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    size = getattr(tower, "image_size", 224)
    height, width = (size, size) if isinstance(size, int) else size
    return Preprocessing(
        size=(height, width),
        mean=tuple(getattr(tower, "image_mean", None) or OPENAI_DATASET_MEAN),
        std=tuple(getattr(tower, "image_std", None) or OPENAI_DATASET_STD),
    )
