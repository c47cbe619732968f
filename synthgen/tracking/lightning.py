"""Lightning's W&B logger on our clock, which also shows what the run folder shows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from synthgen.tracking.metrics_csv import CLOCK

if TYPE_CHECKING:
    from torch.nn import Module

PREVIEWS, BEST = "samples", "best.json"  # what a training leaves in its folder
PICTURE, DISTANCE = "samples", "holdout_distance"  # and how they are called in W&B


class ImagesSeenWandbLogger(WandbLogger):
    """Logs against ``images_seen``, which is W&B's step, too: a resumed run goes on where its
    curve is, and what it repeats is there already. It is given a run and leaves ending it to the
    tracker; it never uploads checkpoints. Numbers that are not finite stay in metrics.csv: one NaN
    would stay in W&B's summary for good.

    Previews and the comparisons with the holdout are taken from ``folder`` as they appear, so
    that whoever writes them knows nothing of W&B; previews only of models that draw no copies of
    real images.
    """

    def __init__(self, experiment: Any, folder: Path) -> None:
        super().__init__(experiment=experiment)
        self.folder = Path(folder)
        self.shows_pictures = False  # until the model is known
        self._told = {moment for moment, _ in self._previews()}  # by the run that is resumed
        self._compared = {moment for moment, _ in self._distances()}

    @rank_zero_only
    def log_graph(self, model: Module, input_array: Any = None) -> None:
        """Lightning's way to hand a logger the model, before the first batch."""
        sampler = getattr(model, "sampler", None)
        self.shows_pictures = callable(sampler) and not sampler().exposes_real

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.catch_up()
        moment = int(metrics.get(CLOCK, 0 if step is None else step))
        values = {name: float(value) for name, value in metrics.items()}
        self._log(moment, {name: value for name, value in values.items() if math.isfinite(value)})

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The tracker has already logged the masked config."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.catch_up()
        super().finalize(status)

    def catch_up(self) -> None:
        """Log what has appeared in the folder since the last time, in order."""
        for moment, path in self._previews() if self.shows_pictures else ():
            if moment not in self._told:
                self._told.add(moment)
                self._log(moment, {PICTURE: self._picture(path, moment)})
        for moment, distance in self._distances():
            if moment not in self._compared:
                self._compared.add(moment)
                self._log(moment, {DISTANCE: distance})

    def _log(self, moment: int, values: Mapping[str, Any]) -> None:
        self.experiment.log({**values, CLOCK: moment}, step=moment)

    def _picture(self, path: Path, moment: int) -> Any:
        import wandb

        caption = f"{moment:,} images seen; the same latents each time, a column per class"
        return wandb.Image(str(path), caption=caption)

    def _previews(self) -> list[tuple[int, Path]]:
        return previews_in(self.folder / PREVIEWS)

    def _distances(self) -> Iterator[tuple[int, float]]:
        """What the generator's comparisons with the holdout found."""
        for row in comparisons_in(self.folder / BEST):
            moment, distance = row.get("images_seen"), row.get("distance")
            if isinstance(moment, int) and isinstance(distance, float | int):
                yield moment, float(distance)


def previews_in(folder: Path) -> list[tuple[int, Path]]:
    """The previews that a training left, with the images seen at the time, in order."""
    found = [(int(path.stem), path) for path in folder.glob("*.png") if path.stem.isdecimal()]
    return sorted(found)


def comparisons_in(path: Path) -> list[dict[str, Any]]:
    """The rows of ``best.json``; none where there is no such file or a damaged one."""
    try:
        rows = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
