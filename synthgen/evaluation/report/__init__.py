"""The page that people read."""

from synthgen.evaluation.report.page import write_page

__all__ = [
    "write_page",
]
