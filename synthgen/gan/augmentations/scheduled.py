"""Operations that each hit an image with a probability that changes over the run."""

from __future__ import annotations

from synthgen.gan.augmentations.adaptive import LEAKS_ABOVE, FixedAugment, Operations
from synthgen.training.schedules import ShareSchedule


class ScheduledAugment(FixedAugment):
    """p follows a schedule, from 0 to 0.55 for example (Huang et al. 2024, appendix): the generator
    first learns what images look like, then that it must not learn few of them by heart.

    Args:
        operations: see FixedAugment.
        schedule: p by progress of the run; what lies above 0.8 counts as 0.8.
    """

    def __init__(self, operations: Operations, schedule: ShareSchedule) -> None:
        super().__init__(operations, probability=0.0)
        self.schedule = schedule

    def advance(self, progress: float) -> None:
        self.probability = min(max(self.schedule(progress), 0.0), LEAKS_ABOVE)
