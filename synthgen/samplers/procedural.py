"""Images by rules alone: drawn from a description, or real ones changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from synthgen.errors import SynthgenError
from synthgen.images import to_float, to_levels
from synthgen.samplers.base import FittedSampler, one_of_class
from synthgen.samplers.controls import Bootstrap
from synthgen.seeds import Stream
from synthgen.transforms.attributes import Attribute
from synthgen.transforms.base import ImageRandom, Transform
from synthgen.transforms.drawing.scene import Scene
from synthgen.types import ImageSpec, LabelledImages

# Images drawn from a description of each class, with no real image seen.

ATTRIBUTE_STREAM = 2**12  # far above those that a scene uses
RULE_STREAM = 2**13


class Drawn(FittedSampler):
    """One scene per class, then attributes, then rules for all.

    Nothing is learned from real images; fitting only checks that every class has a scene.

    Args:
        scenes: by the name of the class; further ones are ignored.
        attributes: by name; each changes the finished scene.
        rules: applied last, to all classes; an entry that is None is skipped.
    """

    def __init__(
        self,
        image: ImageSpec,
        scenes: Mapping[str, Scene],
        attributes: Mapping[str, Attribute] | None = None,
        rules: Mapping[str, Transform | None] | None = None,
    ) -> None:
        super().__init__(image)
        self.scenes = {str(name): scene for name, scene in scenes.items()}
        self.attributes, self.rules = dict(attributes or {}), dict(rules or {})

    def fit(self, real: LabelledImages) -> None:
        """Check that every class of the real images can be drawn."""
        for name in self.image.classes:
            self._scene(name)

    def _scene(self, name: str) -> Scene:
        if name not in self.scenes:
            raise SynthgenError(
                f"There is no scene for the class {name!r}; this model draws "
                f"{', '.join(self.scenes)}.\nAdd one to its scenes, or choose other data."
            )
        return self.scenes[name]

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        images = torch.empty(len(labels), *self.image.shape)
        for label in labels.unique().tolist():
            rows = (labels == label).nonzero()[:, 0]
            images[rows] = self._scene(self.image.classes[label]).draw(
                self.image.shape, seeds[rows]
            )
        for position, attribute in enumerate(self.attributes.values()):
            images = attribute.apply(images, seeds, ATTRIBUTE_STREAM + 2 * position)
        for position, rule in enumerate(self.rules.values()):
            if rule is not None:
                images = rule.apply(images, ImageRandom(seeds, RULE_STREAM + position), images)
        return to_levels(images, self.image.bits)

    def with_attributes(self, options: Mapping[str, str]) -> Drawn:
        clone, attributes = copy.copy(self), dict(self.attributes)
        for name, option in options.items():
            if name not in attributes:
                raise SynthgenError(
                    f"The sampler has no attribute {name!r}; it has "
                    f"{', '.join(attributes) or 'none'}."
                )
            attributes[name] = attributes[name].fixed(option)
        clone.attributes = attributes
        return clone

    def attributes_of(self, seeds: Tensor) -> list[dict[str, str]]:
        """Which option of each attribute the images with these int64 ``(N,)`` seeds show."""
        described: list[dict[str, str]] = [{} for _ in seeds]
        for position, (name, attribute) in enumerate(self.attributes.items()):
            options = attribute.choose(seeds, ATTRIBUTE_STREAM + 2 * position)
            for row, option in zip(described, options.tolist(), strict=True):
                row[name] = attribute.names[option]
        return described


# Real images changed by rules that keep their class.


class RuleAugmented(Bootstrap):
    """Draws a training image of the class, and a partner, and applies each rule in its order.

    Changed or not, every draw shows a real image, and the artifact holds them all. Rules work on
    the CPU, wherever the images are kept.

    Args:
        rules: by a name of their own, so that one of them can be changed or left out; an entry that
            is None is skipped.
    """

    def __init__(self, image: ImageSpec, rules: Mapping[str, Transform | None]) -> None:
        super().__init__(image)
        self.rules = dict(rules)

    def draw(self, labels: Tensor, seeds: Tensor) -> Tensor:
        images = to_float(super().draw(labels, seeds).cpu())
        others = one_of_class(self.first, labels, seeds, Stream.PARTNER)
        partners = to_float(self.images[others].cpu())
        for position, rule in enumerate(self.rules.values()):
            if rule is not None:
                random = ImageRandom(seeds, stream=1 + position)
                images = rule.apply(images, random, partners)
        return to_levels(images, self.image.bits)
