"""Looking: pictures of what a sampler draws, and of what lies between its images."""

from synthgen.visualize.base import Look, look
from synthgen.visualize.latent import ClassMorph, Interpolation, Sheet, Walk
from synthgen.visualize.variations import Variations

__all__ = [
    "ClassMorph",
    "Interpolation",
    "Look",
    "Sheet",
    "Variations",
    "Walk",
    "look",
]
