"""The networks of reference implementations, built from clones of their repositories."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 10
Call = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Pair:
    """A generator of latents ``(N, z_dim)`` and labels, a discriminator of images and labels; both
    32 x 32 in colour, ten classes. ``generate`` and ``judge`` call them."""

    generator: nn.Module
    discriminator: nn.Module
    z_dim: int
    generate: Call
    judge: Call


def of_one_hot(generator: nn.Module, discriminator: nn.Module, z_dim: int) -> Pair:
    """Networks that take labels as rows of zeros and a one."""

    def with_labels(network: nn.Module) -> Call:
        return lambda x, labels: network(x, F.one_hot(labels, CLASSES).float())

    return Pair(generator, discriminator, z_dim, with_labels(generator), with_labels(discriminator))


def r3gan(clone: Path) -> Pair:
    """github.com/brownvc/R3GAN with the settings of its preset CIFAR10."""
    sys.path.insert(0, str(clone))
    networks = importlib.import_module("R3GAN.Networks")
    stages = ([768] * 4, [96] * 4, [2] * 4, 2)
    generator = networks.Generator(64, *stages, CLASSES, 64)
    discriminator = networks.Discriminator(*stages, CLASSES, 768)
    return of_one_hot(generator, discriminator, 64)


def stylegan2(clone: Path) -> Pair:
    """github.com/NVlabs/stylegan2-ada-pytorch with the settings of its configuration "cifar", in
    float32."""
    sys.path.insert(0, str(clone))
    networks = importlib.import_module("training.networks")
    common = {"c_dim": CLASSES, "img_resolution": 32, "img_channels": 3}
    sizes = {"channel_base": 32768, "channel_max": 512, "num_fp16_res": 0}
    generator = networks.Generator(
        z_dim=512,
        w_dim=512,
        mapping_kwargs={"num_layers": 2},
        synthesis_kwargs=dict(sizes),
        **common,
    )
    discriminator = networks.Discriminator(
        architecture="orig", epilogue_kwargs={"mbstd_group_size": 32}, **common, **sizes
    )
    return of_one_hot(generator, discriminator, 512)


def studiogan(backbone: str, settings: dict[str, Any], clone: Path) -> Pair:
    """github.com/POSTECH-CVLab/PyTorch-StudioGAN with the settings of its configs/CIFAR10."""
    sys.path.insert(0, str(clone / "src"))
    # Its utils.misc imports all of its metrics; the networks need one name of it.
    misc = ModuleType("utils.misc")
    misc.dummy_context_mgr = nullcontext  # type: ignore[attr-defined]
    sys.modules["utils.misc"] = misc
    ops, networks = (importlib.import_module(name) for name in ("utils.ops", f"models.{backbone}"))
    normed = (ops.snconv2d, ops.snlinear, ops.sn_embedding)
    plain = (ops.conv2d, ops.linear, ops.embedding)
    kinds = ("conv2d", "linear", "embedding")
    of_generator = zip(kinds, normed if settings["g_sn"] else plain, strict=True)
    layers = SimpleNamespace(
        **{f"g_{kind}": layer for kind, layer in of_generator},
        **{f"d_{kind}": layer for kind, layer in zip(kinds, normed, strict=True)},
        g_bn=ops.ConditionalBatchNorm2d,
        g_act_fn=nn.ReLU(inplace=True),
        d_act_fn=nn.ReLU(inplace=True),
    )
    model = SimpleNamespace(info_type="N/A", g_info_injection="N/A")
    generator = networks.Generator(
        settings["z_dim"], settings["shared"], 32, settings["g_width"], settings["attention"],
        [2], "cBN", CLASSES, "ortho", None, False, layers, model,
    )  # fmt: skip
    discriminator = networks.Discriminator(
        32, settings["d_width"], True, settings["attention"], [1], "PD", "W/O", "N/A", False,
        CLASSES, "ortho", None, False, layers, model,
    )  # fmt: skip
    return Pair(
        generator,
        discriminator,
        settings["z_dim"],
        generator,
        lambda images, labels: discriminator(images, labels)["adv_output"],
    )


SNGAN = {"z_dim": 128, "shared": None, "g_width": 64, "d_width": 64, "attention": False}
BIGGAN = {"z_dim": 80, "shared": 128, "g_width": 96, "d_width": 96, "attention": True}

# Name of ours -> (which clone, how to build theirs).
REFERENCES: dict[str, tuple[str, Callable[[Path], Pair]]] = {
    "r3gan": ("r3gan", r3gan),
    "sngan": ("studiogan", partial(studiogan, "resnet", SNGAN | {"g_sn": False})),
    "biggan": ("studiogan", partial(studiogan, "big_resnet", BIGGAN | {"g_sn": True})),
    "stylegan2": ("stylegan2", stylegan2),
}
