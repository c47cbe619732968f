"""The zoo table: every kind of generator after the same minutes of training, by one command that
goes on where it was stopped.

    python scripts/zoo.py --data-mnist FOLDER --data-cifar FOLDER --out FOLDER
    python scripts/zoo.py --out FOLDER --published
    python scripts/zoo.py --out FOLDER --table > table.md

Leave the machine alone meanwhile: rows are compared at equal time. Each row trains with `synthgen
train` for --minutes, draws 20,000 images, and is measured as zoo_measure.py says; its result is
OUT/<data>/<row>.json, its samples are beside it and in OUT/<data>.png, its run is in OUT/runs. A
finished row is skipped, a failed one too (its JSON says why); --again NAME repeats it. Ctrl-C and
SIGTERM keep a training's last state, and the same command goes on from there. --published adds the
networks of published size with their speed only, as benchmark_training.py measures it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmark_training import apart
from machine import machine
from zoo_measure import Bench, sheet
from zoo_picture import overview, sheets_of
from zoo_rows import Row, published_sizes, rows_of
from zoo_table import markdown, speeds

from synthgen.data import CIFAR10, MNIST, Digits
from synthgen.data.divide import prepare
from synthgen.data.source import Source
from synthgen.errors import SynthgenError
from synthgen.io import read_json, write_bytes, write_json

FORMAT = "synthgen-zoo/1"
IMAGES = 20_000  # synthetic, of each row
JUDGE_STEPS = 2000  # what `synthgen evaluate` takes for sets of this size
SECONDS = 10.0  # of each network of published size
GRACE = 600  # seconds that a training may need beside its minutes: start, fitting, saving


@dataclass(frozen=True)
class Options:
    """What is equal for all rows."""

    out: Path
    sources: dict[str, Source]
    minutes: float
    images: int
    judge_steps: int


def result_file(out: Path, row: Row) -> Path:
    return out / row.data / f"{row.name}.json"


def do(row: Row, bench: Bench, options: Options) -> dict[str, Any]:
    """Train, draw and measure; a failure becomes a sentence in the record."""
    started = time.perf_counter()
    record: dict[str, Any] = {
        "format": FORMAT,
        "data": row.data,
        "row": row.name,
        "kind": row.kind,
        "settings": list(row.settings or ()),
        "minutes": options.minutes,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
    }
    try:
        run = None if row.settings is None else trained(row, options)
        record |= measured(row, run, bench, options)
    except Exception as error:  # whatever is wrong with one model, the others go on
        record["error"] = f"{type(error).__name__}: {error}".strip()
    record["seconds"] = round(time.perf_counter() - started, 1)
    return record


def measured(row: Row, run: Path | None, bench: Bench, options: Options) -> dict[str, Any]:
    images, drawing = bench.real(options.images) if run is None else bench.draw(run, options.images)
    found = bench.measure(images, options.judge_steps)
    folder = options.out / row.data
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / f"{row.name}.png", sheet(images))
    training = read_json(run / "training.json") if run else {}
    return {"images": len(images), "training": training, "drawing": drawing, **found}


def trained(row: Row, options: Options) -> Path:
    """The finished run of a row; a run that was stopped goes on. Raises SynthgenError with the last
    lines of a training that failed."""
    run = options.out / "runs" / row.data / row.name
    if (run / "training.json").is_file():
        return run
    if (run / "checkpoints" / "last.ckpt").is_file():
        arguments = [f"resume={run}"]
    else:
        shutil.rmtree(run, ignore_errors=True)
        data = source_settings(row.data, options.sources[row.data])
        own = ["seed=0", f"max_time={options.minutes:g}", "logger=csv"]
        arguments = [*data, *(row.settings or ()), *own, f"out={run}"]
    log = options.out / row.data / f"{row.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    code = run_process(
        [sys.executable, "-m", "synthgen.cli.main", "train", *arguments],
        log,
        options.minutes * 60 + GRACE,
    )
    if code:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise SynthgenError(f"Training ended with code {code}: {' '.join(last)}")
    return run


def source_settings(data: str, source: Source) -> list[str]:
    root = getattr(source, "root", None)
    return [f"data={data}", *([f"data.root={Path(root).absolute()}"] if root else [])]


def run_process(command: Sequence[str], log: Path, limit: float) -> int:
    """The exit code. A process that takes longer than ``limit`` seconds is ended. On Ctrl-C it is
    told once and left to save its state: in a session of its own, since the terminal would tell it
    too, and twice means at once and unsaved."""
    with (
        log.open("wb") as file,
        subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True) as process,
    ):
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise SynthgenError(f"Training was ended after {limit:.0f} seconds.") from None
        except KeyboardInterrupt:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(120)
            raise


def pending(options: Options, names: Sequence[str], again: Sequence[str]) -> Iterator[Row]:
    """The rows to do; says of the others why not. ``--again`` forgets a row's result and run."""
    for data in options.sources:
        for row in rows_of(data):
            if names and row.name not in names and row.name not in again:
                continue
            if not row.available:
                tell(f"{data}/{row.name}: skipped, its options don't exist in this version")
                continue
            if row.name in again:
                result_file(options.out, row).unlink(missing_ok=True)
                shutil.rmtree(options.out / "runs" / data / row.name, ignore_errors=True)
            if result_file(options.out, row).is_file():
                tell(f"{data}/{row.name}: done before")
                continue
            yield row


def refuse_mixture(options: Options) -> None:
    """Rows are compared: all of a folder are measured alike, also after a restart."""
    asked = (options.minutes, options.images, options.judge_steps)
    for data in options.sources:
        for file in sorted((options.out / data).glob("*.json")):
            row = read_json(file)
            if "error" in row or row["kind"] == "reference":  # real images are as many as there are
                continue
            found = (row["minutes"], row["images"], row["judge"]["steps"])
            if found != asked:
                titles = "minutes, images and judge steps"
                raise SystemExit(
                    f"{file} has {titles} {found}, but {asked} were asked for.\n"
                    "Give the same, or another --out."
                )


def refuse_unreadable(sources: dict[str, Source]) -> None:
    """Before the first row, not hours after it, and before --again forgets one."""
    for data, source in sources.items():
        try:
            prepare(source)
        except SynthgenError as error:
            raise SystemExit(f"{data} can't be read. {error}") from None


def published(out: Path) -> None:
    """Time the networks of published size; a finished one is skipped."""
    (out / "published").mkdir(parents=True, exist_ok=True)
    for name, (image, settings) in published_sizes().items():
        file = out / "published" / f"{name}.json"
        if file.is_file():
            tell(f"published/{name}: done before")
            continue
        tell(f"published/{name}, load {os.getloadavg()[0]:.1f}")
        found = apart(settings, image, SECONDS)
        write_json(file, found | {"name": name, "image": image, "machine": machine()})
        tell(f"    {found['note'] or 'done'}")


def tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def work(options: Options, names: Sequence[str], again: Sequence[str]) -> None:
    known = {row.name for data in options.sources for row in rows_of(data)}
    if unknown := [name for name in (*names, *again) if name not in known]:
        raise SystemExit(f"There is no row {', '.join(unknown)}. See --list.")
    refuse_mixture(options)
    refuse_unreadable(options.sources)
    todo = list(pending(options, names, again))
    benches: dict[str, Bench] = {}
    for number, row in enumerate(todo, 1):
        tell(f"[{number}/{len(todo)}] {row.data}/{row.name}, load {os.getloadavg()[0]:.1f}")
        if row.data not in benches:
            benches.clear()  # one data set in memory at a time
            kept = options.out / row.data / "extractor"
            benches[row.data] = Bench.prepare(options.sources[row.data], kept)
        record = do(row, benches[row.data], options)
        write_json(result_file(options.out, row), record)
        tell(f"    {record.get('error') or 'done'} ({record['seconds']:.0f} s)")


def sources_of(arguments: argparse.Namespace) -> dict[str, Source]:
    found: dict[str, Source] = {}
    if arguments.data_mnist:
        found["mnist"] = MNIST(root=str(arguments.data_mnist))
    if arguments.data_cifar:
        found["cifar10"] = CIFAR10(root=str(arguments.data_cifar))
    if arguments.digits:
        found["digits"] = Digits()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-mnist", type=Path, help="folder that holds MNIST/raw")
    parser.add_argument("--data-cifar", type=Path, help="folder that holds CIFAR-10")
    parser.add_argument("--digits", action="store_true", help="MNIST's rows on 1,797 small digits")
    parser.add_argument("--out", type=Path, help="folder of finished rows")
    parser.add_argument("--minutes", type=float, default=5.0, help="of training, each row")
    parser.add_argument("--images", type=int, default=IMAGES, help="synthetic, each row")
    parser.add_argument("--judge-steps", type=int, default=JUDGE_STEPS)
    parser.add_argument("--rows", nargs="*", default=[], metavar="NAME", help="only these")
    parser.add_argument("--again", nargs="*", default=[], metavar="NAME", help="repeat these")
    parser.add_argument("--published", action="store_true", help="time the published sizes too")
    parser.add_argument("--list", action="store_true", help="say which rows there are, and stop")
    parser.add_argument("--table", action="store_true", help="print the finished rows, and stop")
    arguments = parser.parse_args()
    if arguments.list:
        for row in (*rows_of("mnist"), *rows_of("cifar10")):
            print(f"{row.data:<8} {row.name:<20} {row.kind:<10} {' '.join(row.settings or ())}")
        return
    if arguments.out is None:
        parser.error("--out is needed")
    sources = sources_of(arguments)
    options = Options(
        arguments.out.absolute(),
        sources,
        arguments.minutes,
        arguments.images,
        arguments.judge_steps,
    )
    if not arguments.table:
        if not sources and not arguments.published:
            parser.error("give --data-mnist FOLDER, --data-cifar FOLDER, --digits, or --published")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            work(options, arguments.rows, arguments.again)
            if arguments.published:
                published(options.out)
        except KeyboardInterrupt:
            tell("Stopped. The same command goes on from here.")
            raise SystemExit(130) from None
    show(options.out)


def show(out: Path) -> None:
    """Print the tables of all finished rows, and write a picture of their samples."""
    for data in ("mnist", "cifar10", "digits"):
        found = {file.stem: read_json(file) for file in (out / data).glob("*.json")}
        rows = [found[row.name] for row in rows_of(data) if row.name in found]
        if rows:
            print(markdown(rows), "\n")
        if sheets := sheets_of(out / data, [row["row"] for row in rows]):
            write_bytes(out / f"{data}.png", overview(sheets))
    sizes = [read_json(file) for file in sorted((out / "published").glob("*.json"))]
    if sizes:
        print(speeds(sizes), "\n")


if __name__ == "__main__":
    main()
