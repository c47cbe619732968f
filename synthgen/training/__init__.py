"""What every trained family shares: the clock, EMA, schedules, callbacks and the loop."""

from synthgen.training.data import ClassBalanced, Shuffled
from synthgen.training.schedules import Constant, Cosine, Linear

__all__ = [
    "ClassBalanced",
    "Constant",
    "Cosine",
    "Linear",
    "Shuffled",
]
