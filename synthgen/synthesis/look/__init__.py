"""Looking: pictures of what a sampler draws, and of what lies between its images."""

from synthgen.synthesis.look.base import Look, look
from synthgen.synthesis.look.class_morph import ClassMorph
from synthgen.synthesis.look.interpolation import Interpolation
from synthgen.synthesis.look.sheet import Sheet
from synthgen.synthesis.look.variations import Variations
from synthgen.synthesis.look.walk import Walk

__all__ = [
    "ClassMorph",
    "Interpolation",
    "Look",
    "Sheet",
    "Variations",
    "Walk",
    "look",
]
