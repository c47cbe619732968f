"""Several processes of one command line on this machine, watched until all have ended.

The command becomes a small process (without torch) that starts the others: rank 0 speaks for all,
signals reach every one of them once, and where one dies the others don't stay.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from synthgen.cli.coerce import coerce
from synthgen.cli.overrides import flags_and_settings, quote
from synthgen.cli.resume import resumed
from synthgen.cli.settings import TrainSettings
from synthgen.cli.sweep.command import FLAGS
from synthgen.errors import (
    LOST,
    TIME_IS_UP,
    TO_STOP,
    StoppedByUserError,
    SynthgenError,
    listened_to,
    printable,
)
from synthgen.launch import FOLDER, current_launch, require_devices, require_strategy
from synthgen.ranges import Count

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation

GRACE = 20.0  # seconds that processes have to end by themselves once one of them is gone
PATIENCE = 5.0  # seconds for the others to say what they know: the same fault, or how to go on
FAREWELL = 600.0  # seconds that rank 0 has to hand the run to a tracker, once it says that it ends
LEAVING = "leaving"  # a file of the launch's folder, with which it says so
SAME_SIGNAL = 1.0  # seconds: a terminal and a launcher may both tell of one wish
GLANCE = 0.05  # seconds between looks at the processes
LIFELINE = "SYNTHGEN_LIFELINE"  # file descriptor that closes when the watching process dies
FORWARDED = (*TO_STOP, *TIME_IS_UP)
MOST = 20_000  # characters of what a failed process wrote
log = logging.getLogger(__name__)


def processes_to_start(settings: TrainSettings, invocation: Invocation) -> int:
    """How many processes this command has to start: 1, itself, where that is all, or where a
    launcher did it already. Raises SynthgenError if launcher and settings disagree."""
    if settings.resume is not None:
        settings = resumed(settings, invocation)
    devices, nodes = (
        coerce(settings.trainer.get(name, 1), Count, f"trainer.{name}")
        for name in ("devices", "num_nodes")
    )
    require_strategy(coerce(settings.trainer.get("strategy", "auto"), str, "trainer.strategy"))
    launch = current_launch()
    require_devices(launch, devices, nodes)
    if launch.world > 1:
        return 1
    if devices > 1 and sys.platform == "win32":  # pragma: no cover - pipes and signals differ
        raise SynthgenError(
            f"trainer.devices={devices}: on Windows training uses one device.\n"
            "Use trainer.devices=1, or the Windows Subsystem for Linux."
        )
    return int(devices)


def own_command(
    verb: str,
    arguments: Sequence[str],
    invocation: Invocation,
    place: Path | None = None,
    word: str = "out",
) -> list[str]:
    """The command line of this job alone: of a sweep, with the values that are its own, and its
    ``place``, said as ``out=`` or ``resume=``."""
    start = [sys.executable, "-m", "synthgen.cli.main", *verb.split()]
    if invocation.sweep is None:
        return [*start, *arguments]
    flags, _ = flags_and_settings(arguments)
    kept = [one for one in flags if one not in FLAGS]
    places = [one for one in invocation.hydra if one.lstrip("+~").startswith("hydra.searchpath=")]
    mine = [one for one in invocation.overrides if not one.startswith(("out=", "objective="))]
    chosen = mine if word == "out" else [one for one in mine if one.startswith("allow=")]
    return [*start, *kept, *places, *chosen, f"{word}={quote(str(place))}"]


def start_together(command: Sequence[str], count: int, stdout: int | None = None) -> int:
    """Run ``count`` processes of ``command`` until all have ended; returns the exit code of the
    first that failed, 0 if none did. ``stdout`` is that of rank 0; None: that of this process."""
    folder = Path(tempfile.mkdtemp(prefix="synthgen-launch-"))
    hand, lifeline = os.pipe()  # nobody writes: reading ends with this process, however it ends
    team = Team(folder)
    try:
        with team.forwarding():
            for rank in range(count):
                output = subprocess.DEVNULL if rank else stdout
                team.members.append(started(command, rank, count, folder, hand, output))
            team.watch()
        team.tell()
    finally:
        for member in team.members:
            with contextlib.suppress(ProcessLookupError):
                member.process.kill()
            member.process.wait()
        os.close(hand)
        os.close(lifeline)
        shutil.rmtree(folder, ignore_errors=True)
    return team.code


@dataclass
class Member:
    """One of the processes; ``told`` once it was asked to end because another one had failed."""

    process: subprocess.Popen[bytes]
    rank: int
    words: Path  # what it writes to stderr, unless it is rank 0
    told: bool = False

    @property
    def code(self) -> int | None:
        """Exit code as shells have it; None while it runs."""
        found = self.process.poll()
        return found if found is None or found >= 0 else 128 - found

    @property
    def failed(self) -> bool:
        return bool(self.code) and not self.told

    @property
    def end(self) -> str:
        """How it ended, in words."""
        found = self.process.returncode
        if found < 0:
            return f"was ended by {signal.Signals(-found).name}"
        return f"ended with code {found}"


def started(
    command: Sequence[str], rank: int, world: int, folder: Path, hand: int, stdout: int | None
) -> Member:
    """Rank 0 writes where this process does, the others to a file. All are out of the terminal's
    reach: Ctrl-C comes from here, once."""
    words = folder / f"rank-{rank}.txt"
    threads = max(1, (os.cpu_count() or 1) // world)
    own = {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world), FOLDER: str(folder), LIFELINE: str(hand),
    }  # fmt: skip
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ, **own}
    with words.open("wb") as hidden:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=None if rank == 0 else hidden,
            env=environment,
            pass_fds=[hand],
            process_group=0,
        )
    return Member(process, rank, words)


@dataclass
class Team:
    """All processes of one command."""

    folder: Path
    members: list[Member] = field(default_factory=list)
    first: Member | None = None  # that failed
    asked: list[float] = field(default_factory=list)  # when the person wanted all to stop
    deaf: list[int] = field(default_factory=list)  # ranks that did not end, asked twice

    @property
    def code(self) -> int:
        if self.first is None:
            return StoppedByUserError.exit_code if self.deaf else 0
        return self.first.code or 0

    @contextlib.contextmanager
    def forwarding(self) -> Iterator[None]:
        """Each signal that comes here goes to all, once; one that is ignored stays so."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals
            return

        def forward(number: int, frame: FrameType | None) -> None:
            now = time.monotonic()
            if number in TO_STOP and (not self.asked or now - self.asked[-1] > SAME_SIGNAL):
                self.asked.append(now)
            for member in self.members:
                member.process.send_signal(number)

        before: dict[int, Any] = {
            one: signal.signal(one, forward) for one in FORWARDED if listened_to(one)
        }
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def watch(self) -> None:
        """Until all have ended. Once one has failed, the others are asked to end as well, and
        ended if they don't; so are those that don't end although the person asked twice."""
        failed_at: float | None = None
        while any(member.code is None for member in self.members):
            time.sleep(GLANCE)
            if len(self.asked) > 1 and time.monotonic() - self.asked[1] > GRACE:
                self.deaf = self.deaf or [m.rank for m in self.members if m.code is None]
                self._end(signal.SIGKILL)
            if self.first is None or self.first.code == LOST:  # who was lost may take longer to go
                self.first = self._first_failed()
            if self.first is None:
                continue
            now = time.monotonic()
            failed_at = failed_at or now
            if now - failed_at > self._patience + GRACE:
                self._end(signal.SIGKILL)
            elif now - failed_at > self._patience and not any(one.told for one in self.members):
                self._end(signal.SIGTERM)
        self.first = self.first or self._first_failed()

    @property
    def _patience(self) -> float:
        if self._rank_0_spoke:
            return 0.0
        return FAREWELL if (self.folder / LEAVING).exists() else PATIENCE

    @property
    def _rank_0_spoke(self) -> bool:
        """Whether rank 0, which everybody reads, has ended by a fault of its own and said so."""
        one = self.members[0]
        return one.failed and one.code != LOST and one.process.returncode > 0

    def _first_failed(self) -> Member | None:
        """Of several at once, the one that knows why."""
        failed = [member for member in self.members if member.failed]
        return min(failed, key=lambda one: (one.code == LOST, one.rank), default=None)

    def _end(self, number: int) -> None:
        for member in self.members:
            if member.code is None:
                member.told = True
                member.process.send_signal(number)

    def tell(self) -> None:
        """Why it ended, if rank 0 didn't say so itself."""
        first = self.first
        for rank in self.deaf:
            _say(f"Process {rank} of {len(self.members)} did not answer, and was ended.")
        if first is None or self._rank_0_spoke:
            return
        if first.process.returncode < 0:
            _say(f"Process {first.rank} of {len(self.members)} {first.end}.")
        speakers = [first, *(one for one in self.members if one.code == LOST)]
        spoken = (_words(one) for one in speakers if one.rank)
        if first.rank and first.process.returncode > 0:
            _say(next(spoken) or f"Process {first.rank} of {len(self.members)} {first.end}.")
        elif first.rank == 0:
            _say(next((one for one in spoken if one), ""))


def _words(member: Member) -> str:
    return member.words.read_text("utf-8", "replace")[-MOST:].strip()


def _say(text: str) -> None:
    if text:
        print(printable(text), file=sys.stderr, flush=True)


# In the processes that are watched.


def take_leave() -> None:
    """Say that training has ended here, by whatever all know of, and that a tracker may need a
    while: the others, who have nothing to hand over, end before."""
    if (folder := os.environ.get(FOLDER)) is not None and Path(folder).is_dir():
        (Path(folder) / LEAVING).touch()


def hold_lifeline() -> None:
    """End this process if the one that started it dies: as with SIGTERM, and after a while for
    good. What the other one would have removed is removed."""
    hand = os.environ.pop(LIFELINE, None)
    if hand is not None:
        threading.Thread(target=_end_with, args=(int(hand),), daemon=True).start()


def _end_with(hand: int) -> None:
    while os.read(hand, 1):
        pass
    if (folder := os.environ.get(FOLDER)) is not None:  # by now all have met there
        shutil.rmtree(folder, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)
