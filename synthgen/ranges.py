"""Types of settings: what a number may be, said once, where a constructor or a stage takes it.

``width: Size`` is an ``int`` to a type checker; the command line reads the limits from the
annotation (:mod:`synthgen.cli.coerce`) and refuses what lies outside before anything is built.
Every number must be finite. Where no formula sets an upper limit, one is set by what a machine can
hold or a float32 can carry: a slip of the finger is refused at once instead of after hours.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Interval

LARGEST = 1e30  # its square root and its sum over an image are still float32
ROWS_PER_PLAN = 2**32
MAX_PLAN_SEED = 2**21 - 1  # seed * 2**32 + row stays below 2**53, exact in any JSON reader
MOST = 10**15  # images or steps: more than any run will see

# Whole numbers.
Seed = Annotated[int, Interval(ge=0, le=MAX_PLAN_SEED)]  # of a run, a set, a report: one for all
Count = Annotated[int, Interval(ge=1, le=MOST)]  # images, steps, how often
CountOrNone = Annotated[int, Interval(ge=0, le=MOST)]  # 0: none of them
Size = Annotated[int, Interval(ge=1, le=65_536)]  # numbers in a vector: latents, features, codes
Width = Annotated[int, Interval(ge=1, le=16_384)]  # channels of a layer, units
ClassifierWidth = Annotated[int, Interval(ge=1, le=1_024)]  # trained beside others, for minutes
Depth = Annotated[int, Interval(ge=1, le=1_000)]  # layers, blocks
DepthOrNone = Annotated[int, Interval(ge=0, le=1_000)]
Side = Annotated[int, Interval(ge=1, le=16_384)]  # pixels
Band = Annotated[int, Interval(ge=0, le=1023)]  # of an image, counted from 0
BatchSize = Annotated[int, Interval(ge=1, le=65_536)]  # images at a time
Mixture = Annotated[int, Interval(ge=1, le=1_000)]  # parts of a mixture, each with a covariance
Components = Annotated[int, Interval(ge=1, le=10_000)]  # of PCA; neighbours
Few = Annotated[int, Interval(ge=1, le=10_000)]  # repetitions that each cost a training or a fit
Shown = Annotated[int, Interval(ge=1, le=1_000)]  # images in a row, rows of a picture
Rows = Annotated[int, Interval(ge=0, le=ROWS_PER_PLAN)]  # images of a plan
Quality = Annotated[int, Interval(ge=1, le=100)]  # of a JPEG or WebP file
CompressLevel = Annotated[int, Interval(ge=0, le=9)]  # of zlib

# Numbers.
Real = Annotated[float, Interval(ge=-LARGEST, le=LARGEST)]
Positive = Annotated[float, Interval(gt=0, le=LARGEST)]
NonNegative = Annotated[float, Interval(ge=0, le=LARGEST)]  # weights of a loss, deviations
Share = Annotated[float, Interval(ge=0, le=1)]  # probabilities too
PositiveShare = Annotated[float, Interval(gt=0, le=1)]
Decay = Annotated[float, Interval(ge=0, lt=1)]  # what a moving average keeps
KeptShare = Annotated[float, Interval(ge=0.5, lt=1)]  # of new real images, by a filter
Spread = Annotated[float, Interval(ge=0, le=100)]  # of a change: a deviation, a strength
Degrees = Annotated[float, Interval(ge=0, le=360)]
LogScale = Annotated[float, Interval(ge=-30, le=30)]  # its exponential and the square are float32
Inner = Annotated[float, Interval(gt=0, lt=1)]  # neither none nor all


@dataclass(frozen=True)
class Values:
    """Metadata of a function of progress 0 … 1, such as a schedule: ``range_`` is the type of what
    it gives. The command line tries it at eleven points."""

    range_: Any
