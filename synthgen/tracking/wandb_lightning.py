"""Lightning's W&B logger on our clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from synthgen.tracking.metrics_csv import CLOCK


class ImagesSeenWandbLogger(WandbLogger):
    """Logs against ``images_seen``. It is given a run and leaves ending it to the tracker; it
    never uploads checkpoints."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        moment = metrics.get(CLOCK, step)
        self.experiment.log({**metrics, **({} if moment is None else {CLOCK: moment})})

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The tracker has already logged the masked config."""
