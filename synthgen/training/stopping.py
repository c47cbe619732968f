"""When a training ends, saves and logs: its processes agree once after every batch, so that none
waits for another that has ended."""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from synthgen.errors import TIME_IS_UP, TO_STOP, listened_to
from synthgen.training.module import GenerativeModule

# A launcher hands on what the terminal or the scheduler has told the process already.
SAME_SIGNAL = 1.0  # seconds
log = logging.getLogger(__name__)


class BetweenBatches(Callback):
    """Lightning's callback with the hooks that are used here, typed for our modules.

    Attributes:
        agreed: after a batch, whether ``due`` was true in any process.
    """

    agreed = False

    def start(self, trainer: Trainer, module: GenerativeModule) -> None:
        """Before the first batch, also of a resumed run."""

    def due(self, module: GenerativeModule) -> bool:
        """Whether this process finds it time. What depends on a clock of the machine or on a signal
        must be asked here, and be done only if ``agreed``."""
        return False

    def after_batch(self, trainer: Trainer, module: GenerativeModule) -> None:
        """After every batch, when the clock has moved on."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start(trainer, ours(pl_module))

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self.after_batch(trainer, ours(pl_module))


def ours(module: LightningModule) -> GenerativeModule:
    assert isinstance(module, GenerativeModule)
    return module


class StopWhenDone(BetweenBatches):
    """Ends the run at its limit, or after the batch during which a signal arrived in any process.

    Signals only set a flag. After the batch all processes learn of it in one exchange, together
    with what else is due; with one process nothing is exchanged.

    Args:
        asking: those that go by ``agreed``, the same in all processes; Lightning must call them
            after this one.

    Attributes:
        interrupted: whether Ctrl-C, SIGTERM or a closed terminal ended the run.
        out_of_time: whether SIGUSR1 or SIGUSR2 did, with which schedulers say that time is up.
    """

    def __init__(self, *asking: BetweenBatches) -> None:
        self.asking = asking
        self.interrupted = self.out_of_time = False
        self._arrived: dict[int, float] = {}  # signal -> when
        self._previous: dict[int, Any] = {}

    def start(self, trainer: Trainer, module: GenerativeModule) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in filter(listened_to, (*TO_STOP, *TIME_IS_UP)):
                self._previous[number] = signal.signal(number, self._note)
        if module.clock.finished:
            trainer.should_stop = True

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Note the signal. One of those that stop, come again later, ends the process at once."""
        now = time.monotonic()
        first = self._arrived.setdefault(number, now)
        if first == now and len(self._arrived) == 1:
            log.warning("Stopping after this batch (once more to stop at once) …")
        if number in TO_STOP and now - first > SAME_SIGNAL:
            self._restore()
            signal.raise_signal(number)

    def after_batch(self, trainer: Trainer, module: GenerativeModule) -> None:
        told = [any(one in self._arrived for one in kind) for kind in (TO_STOP, TIME_IS_UP)]
        flags = (*told, module.clock.finished, *(one.due(module) for one in self.asking))
        stop, time_up, finished, *due = module.processes.agree(*flags)
        for one, is_due in zip(self.asking, due, strict=True):
            one.agreed = is_due
        self.interrupted, self.out_of_time = stop, time_up
        if stop or time_up or finished:
            trainer.should_stop = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
