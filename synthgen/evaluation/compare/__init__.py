"""Reports side by side."""

from synthgen.evaluation.compare.comparison import Comparison, Line
from synthgen.evaluation.compare.output import render
from synthgen.evaluation.compare.stage import compare

__all__ = ["Comparison", "Line", "compare", "render"]
