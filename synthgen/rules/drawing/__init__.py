"""Drawing images from nothing: shapes, paints, placement and constraints, stated per class."""

from synthgen.rules.drawing.distributions import Choice, Distribution, Normal, Uniform
from synthgen.rules.drawing.paints import Gradient, Paint, Plain, Texture
from synthgen.rules.drawing.placement import (
    Anywhere,
    Apart,
    Constraint,
    FitToBox,
    Inside,
    Placement,
    Within,
)
from synthgen.rules.drawing.scene import Part, Scene, Thing
from synthgen.rules.drawing.shapes import (
    Disc,
    Polygon,
    Rectangle,
    RegularPolygon,
    Shape,
    Strokes,
)

__all__ = [
    "Anywhere",
    "Apart",
    "Choice",
    "Constraint",
    "Disc",
    "Distribution",
    "FitToBox",
    "Gradient",
    "Inside",
    "Normal",
    "Paint",
    "Part",
    "Placement",
    "Plain",
    "Polygon",
    "Rectangle",
    "RegularPolygon",
    "Scene",
    "Shape",
    "Strokes",
    "Texture",
    "Thing",
    "Uniform",
    "Within",
]
