"""Filters: what may stay in a set, each off by default and measured on real images."""

from synthgen.synthesis.filters.base import Filter, SetFilter, Verdicts
from synthgen.synthesis.filters.distances import LowDensity, NearCopies
from synthgen.synthesis.filters.label_agreement import LabelAgreement
from synthgen.synthesis.filters.near_duplicates import NearDuplicates

__all__ = [
    "Filter",
    "LabelAgreement",
    "LowDensity",
    "NearCopies",
    "NearDuplicates",
    "SetFilter",
    "Verdicts",
]
