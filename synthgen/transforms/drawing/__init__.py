"""Drawing images from nothing: shapes, paints, placement and constraints, stated per class."""

from synthgen.transforms.drawing.distributions import (
    Choice,
    Distribution,
    Gradient,
    Normal,
    Paint,
    Plain,
    Texture,
    Uniform,
)
from synthgen.transforms.drawing.placement import (
    Anywhere,
    Apart,
    Constraint,
    FitToBox,
    Inside,
    Placement,
    Surroundings,
    Within,
)
from synthgen.transforms.drawing.scene import Part, Scene, Thing
from synthgen.transforms.drawing.shapes import (
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
    "Surroundings",
    "Texture",
    "Thing",
    "Uniform",
    "Within",
]
