"""Figures that show a set of images as a whole: typical ones, a map, spectra, copied pairs."""

from synthgen.evaluation.portraits.copies import copy_figure
from synthgen.evaluation.portraits.embedding import embedding_map
from synthgen.evaluation.portraits.spectra import spectra
from synthgen.evaluation.portraits.typical import typical_grid

__all__ = ["copy_figure", "embedding_map", "spectra", "typical_grid"]
