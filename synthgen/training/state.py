"""The saved state of a training: written whole or not at all, checked before it is gone on with.

``last.ckpt`` is what torch.save writes, a ZIP archive, with the SHA-256 of itself as the archive's
comment: torch.load checks no checksum. The state before it stays as ``previous.ckpt``.
"""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor
from torch.optim import Optimizer

from synthgen.errors import SynthgenError
from synthgen.io import readable_os_errors, write_partial

LAST, PREVIOUS, DAMAGED = "last.ckpt", "previous.ckpt", "damaged.ckpt"
DIGITS = 12  # of a number of images in a file's name
DIGEST = 64  # hexadecimal digits of a SHA-256
State = dict[str, Any]  # Lightning's, and whatever modules and optimizers put into it
NO_COMMENT = b"\0\0"  # the last two bytes of a ZIP archive say how long its comment is
log = logging.getLogger(__name__)


class CheckedStates(CheckpointIO):
    """How Lightning is to write and read states."""

    def save_checkpoint(self, checkpoint: State, path: Any, storage_options: Any = None) -> None:
        write_state(checkpoint, Path(path))

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> State:
        return read_state(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


class Restored(Callback):
    """``complete`` once Lightning has restored a state, and it fits the networks.

    Lightning hands optimizers what the file holds; what doesn't fit would fail in a later step.
    """

    complete = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for optimizer in trainer.optimizers:
            if type(optimizer).__module__.startswith("torch.optim"):
                _require_fitting(optimizer)
        self.complete = True


def _require_fitting(optimizer: Optimizer) -> None:
    """Raises ValueError for memories of other shapes than the parameters' (torch's own optimizers
    keep such and single numbers)."""
    for group in optimizer.param_groups:
        kept = [optimizer.state[one].keys() for one in group["params"] if one in optimizer.state]
        if any(names != kept[0] for names in kept):
            raise ValueError("an optimizer keeps less of some parameters than of others")
    for parameter, memory in optimizer.state.items():
        for name, value in memory.items():
            if value is None or isinstance(value, bool | int | float):
                continue
            if not isinstance(value, Tensor) or value.shape not in ((), parameter.shape):
                raise ValueError(f"{name} of an optimizer belongs to another network")


def write_state(state: State, path: Path) -> None:
    """Write ``path``, in its own folder from the first byte on; one that is there already becomes
    ``previous.ckpt`` once the new one is on the disk."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
    buffer.seek(-len(NO_COMMENT), io.SEEK_END)
    buffer.write(DIGEST.to_bytes(2, "little") + digest.encode())
    with readable_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = write_partial(path, buffer.getbuffer())
        if path.exists():
            path.replace(path.with_name(PREVIOUS))
        temporary.replace(path)


def read_state(path: Path) -> State:
    """The state, on the CPU. Only tensors and plain values are read, never code.

    Raises SynthgenError if the file is damaged, or holds anything else.
    """
    if not is_whole(path):
        raise _damaged(path)
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise SynthgenError(
            f"{path} is no state of a training, or holds more than tensors and plain values, which "
            f"are all that is read ({reason}).\nGive a run that synthgen train wrote."
        ) from error
    return state


def is_whole(path: Path) -> bool:
    """Whether the file is as it was written: by its SHA-256, or by the archive's own CRC-32 if an
    earlier synthgen wrote it."""
    try:
        with zipfile.ZipFile(path) as archive:
            comment = archive.comment
            if not comment:
                return archive.testzip() is None
        with path.open("rb") as file:
            content = file.read()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        return False
    archived, end = content[: -DIGEST - len(NO_COMMENT)], content[-DIGEST:]
    digest = hashlib.sha256(archived)
    digest.update(NO_COMMENT)
    return digest.hexdigest().encode() == end == comment


def newest_state(folder: Path) -> Path | None:
    """The newest undamaged state in ``folder``; None if none was ever saved. A damaged
    ``last.ckpt`` with a good one before it is put aside as ``damaged.ckpt``.

    Raises SynthgenError if there are states, all of them damaged.
    """
    last, previous = folder / LAST, folder / PREVIOUS
    if is_whole(last):
        return last
    if is_whole(previous):
        if last.exists():
            last.replace(folder / DAMAGED)
            log.warning(
                "%s is damaged: it is now called %s, and the run goes on from the state before it.",
                last, DAMAGED,
            )  # fmt: skip
        return previous
    if last.exists() or previous.exists():
        raise _damaged(last if last.exists() else previous)
    return None


# Earlier states, each under the number of images that the run had seen: of those kept by request.


def numbered_states(folder: Path) -> dict[int, Path]:
    """images seen -> state, in that order."""
    found = {int(one.stem): one for one in folder.glob("*.ckpt") if one.stem.isdecimal()}
    return dict(sorted(found.items()))


def keep_numbered(last: Path, images: int, keep: int, best: int | None) -> None:
    """Keep the state ``last`` under its number, too: a second name of the same bytes where the
    disk has such. Of the others stay the ``keep`` newest and that of the ``best`` moment; those
    of later moments are of a part that is being trained anew."""
    own = last.with_name(f"{images:0{DIGITS}d}.ckpt")
    with readable_os_errors(own):
        temporary = own.with_name(f".{own.name}")
        temporary.unlink(missing_ok=True)
        try:
            temporary.hardlink_to(last)
        except OSError:
            shutil.copyfile(last, temporary)
        temporary.replace(own)
        there = numbered_states(last.parent)
        newest = [one for one in there if one <= images][-keep:]
        for moment, path in there.items():
            if moment not in newest and (moment != best or moment > images):
                path.unlink()


def state_at(folder: Path, images: int | None) -> Path:
    """The state that was kept at this moment, None: of a best that nobody knows. Raises
    SynthgenError if there is none, or if it is damaged."""
    there = numbered_states(folder)
    if images is None or images not in there:
        what = "the best moment" if images is None else f"{images} images"
        kept = ", ".join(map(str, there)) or "none"
        raise SynthgenError(
            f"{folder} holds no state of {what}.\nKept under their images seen: {kept}; a run "
            "with trainer.keep_states=3 keeps three, and with trainer.best_every= the best."
        )
    if not is_whole(there[images]):
        raise _damaged(there[images])
    return there[images]


def _damaged(path: Path) -> SynthgenError:
    return SynthgenError(
        f"{path} is damaged or cut short, so the run can't go on from it.\n"
        "Restore it from a copy, or train again into a new out=."
    )
