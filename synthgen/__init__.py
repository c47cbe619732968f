"""Train image generators, synthesize labelled sets, and prove whether they helped."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "load_sampler"]

if TYPE_CHECKING:
    from synthgen.samplers.artifact import load_sampler


def __getattr__(name: str) -> Any:
    """Import torch only when it is needed: ``synthgen --help`` answers at once."""
    if name == "load_sampler":
        from synthgen.samplers.artifact import load_sampler

        return load_sampler
    raise AttributeError(f"module 'synthgen' has no attribute {name!r}")
