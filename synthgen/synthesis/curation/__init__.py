"""Curation: what may stay in a set, each filter off by default and measured on real images."""

from synthgen.synthesis.curation.base import Filter, SetFilter, Verdicts
from synthgen.synthesis.curation.label_agreement import LabelAgreement
from synthgen.synthesis.curation.low_density import LowDensity
from synthgen.synthesis.curation.near_copies import NearCopies
from synthgen.synthesis.curation.near_duplicates import NearDuplicates

__all__ = [
    "Filter",
    "LabelAgreement",
    "LowDensity",
    "NearCopies",
    "NearDuplicates",
    "SetFilter",
    "Verdicts",
]
