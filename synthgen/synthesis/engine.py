"""Draw a set exactly as planned; go on where an interrupted job stopped; append to a set."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from synthgen.dataset import DESCRIPTION
from synthgen.dataset.card import Papers
from synthgen.dataset.formats import Format
from synthgen.dataset.schema import Dataset, JobFile, described, require_dataset
from synthgen.dataset.storage import LocalStore, Store, open_store
from synthgen.errors import SynthgenError
from synthgen.launch import Launch, current_launch
from synthgen.moved import specs_today
from synthgen.progress import track
from synthgen.synthesis import job as jobs
from synthgen.synthesis.draw import draw_shard, write_shards
from synthgen.synthesis.filters.base import Filter, SetFilter
from synthgen.synthesis.finish import finish, format_record
from synthgen.synthesis.job import (
    BASE,
    FinishedMeanwhileError,
    Job,
    ShareTakenError,
    opened_job,
    require_free_or_finished,
    tidied,
)
from synthgen.synthesis.plan import Plan
from synthgen.synthesis.request import Mode, SynthesisRequest, plan_request, request_id
from synthgen.synthesis.room import require_room
from synthgen.synthesis.set_filters import apply_set_filters
from synthgen.types import ImageSpec, LabelledImages

PATIENCE = 60.0  # seconds without a sign of life before a process is taken for dead
log = logging.getLogger(__name__)


def synthesize(
    sampler: str | Path | Mapping[str, str | Path],
    plan: Plan,
    out: str | Path,
    *,
    seed: int = 0,
    shares: Mapping[str, int] | None = None,
    attributes: Mapping[str, Sequence[str]] | None = None,
    mode: Mode = "synthetic",
    real: LabelledImages | None = None,
    filters: Sequence[Filter | SetFilter] = (),
    attempts: int = 100,
    temperature: float | None = None,
    truncation: float | None = None,
    format: Format | None = None,
    shard_size: int | None = None,
    append: bool = False,
    papers: Papers | None = None,
    batch_size: int = 256,
    device: str = "cpu",
    allow: Iterable[str] = (),
) -> Path:
    """Draw the images that ``plan`` asks for into ``out``: a new folder or an fsspec URL.

    Interrupted, the same call goes on where it stopped. The same sampler, plan and seed give the
    same files on one type of machine, from one process or several (RANK and WORLD_SIZE, or SLURM's
    variables, say which this is); ``batch_size`` only says how many images are drawn at a time.

    Args:
        sampler: the folder of a run or of its sampler; or several, by name.
        shares: whole weights by which several samplers share each class; None: equal ones.
        attributes: options by attribute, for samplers that have some; the images of each class are
            divided equally among all combinations.
        mode: ``"augment"`` puts the ``real`` training images beside the synthetic ones.
        real: the training split, for ``mode="augment"`` and for fitting ``filters``.
        filters: rejected images are drawn again, each row at most ``attempts`` times.
        temperature: factor on the latents' standard deviation; None: 1.
        truncation: latents beyond so many standard deviations are not drawn; None: no limit.
        format: None: PNG files in a folder per class.
        shard_size: images per shard, the unit that is lost when the process is killed; None: as
            many as make 128 MiB, at most 960.
        append: add to the set in ``out``, numbering rows on.
        papers: what only the person knows, for the card; None: the set's own when appending.
        allow: further packages whose samplers you trust.

    Raises:
        SynthgenError: the plan can't be fulfilled or written.
    """
    if not append and current_launch().rank == 0:
        require_free_or_finished(open_store(out))  # before anything is loaded
    request = plan_request(
        sampler,
        plan,
        seed=seed,
        shares=shares,
        attributes=attributes,
        mode=mode,
        real=real,
        filters=filters,
        attempts=attempts,
        temperature=temperature,
        truncation=truncation,
        format=format,
        shard_size=shard_size,
        batch_size=batch_size,
        device=device,
        allow=allow,
    )
    return generate(request, out, append=append, papers=papers)


def generate(
    request: SynthesisRequest,
    out: str | Path,
    *,
    append: bool = False,
    papers: Papers | None = None,
) -> Path:
    """Draw ``request`` into ``out``; see :func:`synthesize`."""
    store, launch = open_store(out), current_launch()
    if launch.rank > 0:
        return _take_part(request, out, store, launch, append=append)
    finished = tidied(store)
    if finished is not None and _is_done(finished, request, append=append):
        return Path(out)
    if (
        not append
        and jobs.is_over(store)
        and _is_there(store, request, append=False, papers=papers)
    ):
        log.info("%s is already there, as this command asks for it.", store.place)
        return Path(out)
    base = read_base(store) if append else None
    request = request if base is None else continued(request, base)
    with opened_job(store, content_of(request, base), launch) as job:
        require_room(job, request)
        fit_filters(request)
        draw_missing(job, request)
        await_shards(job, request)
        with job.alone():
            before = None if base is None else base.dataset
            finish(job, request, before, apply_set_filters(job, request), papers)
            jobs.close(store)
    return Path(out)


def _take_part(
    request: SynthesisRequest, out: str | Path, store: Store, launch: Launch, *, append: bool
) -> Path:
    """Draw the share of a process that is not the first. The first begins the job and finishes it,
    perhaps before this one has started."""
    since = time.monotonic()
    while (over := jobs.is_over(store)) or not store.exists(jobs.JOB):
        late = time.monotonic() - since > PATIENCE
        # Until process 0 begins an append, the set before it can't be told from the one after it.
        known = late or not append or store.exists(jobs.JOB)
        if over and known and _is_there(store, request, append=append):
            return Path(out)
        if late:
            raise SynthgenError(
                f"Process 0 of {launch.world} has not begun {store.place}.\n"
                "See what it says, and run the same command again."
            )
        time.sleep(0.05)
    base = read_base(store) if append else None
    request = request if base is None else continued(request, base)
    try:
        with opened_job(store, content_of(request, base), launch) as job:
            require_room(job, request)
            fit_filters(request)
            draw_missing(job, request)
    except (FinishedMeanwhileError, ShareTakenError):
        log.info("The set was finished without process %d.", launch.rank)
        return Path(out)
    _await_the_end(store, job)
    return Path(out)


def _await_the_end(store: Store, job: Job) -> None:
    """Wait, with no share held, until process 0 has finished the set. Raises SynthgenError if it is
    gone before that; behind a URL nobody can say."""
    if not isinstance(store, LocalStore):
        log.info("Process %d has drawn its share; process 0 finishes the set.", job.launch.rank)
        return
    while job.is_alive(0):
        time.sleep(0.05)
    if not jobs.is_over(store):
        raise SynthgenError(
            f"Process 0 of {job.launch.world} is gone before {store.place} was finished.\n"
            "See what it says, and run the same command again: what is there is kept."
        )


def _is_there(
    store: Store, request: SynthesisRequest, *, append: bool, papers: Papers | None = None
) -> bool:
    """Whether a finished set lies in ``store`` that is the one asked for; ``papers``: with those,
    if they are given."""
    if not store.exists(DESCRIPTION):
        return False
    found = Dataset.parse(store.read(DESCRIPTION), f"{store.place}/{DESCRIPTION}")
    if found.sha256 is None:
        return False  # of an earlier synthgen
    same_papers = papers is None or Papers.stated_in(found) == papers
    return same_papers and _is_done(found, request, append=append)


def draw_missing(job: Job, request: SynthesisRequest) -> None:
    """Draw those of this process's shards that are not there yet."""
    launch, done = job.launch, job.finished()
    mine = [k for k in request.shards if k % launch.world == launch.rank]
    missing = [k for k in mine if k not in done]
    if done:
        log.info("Going on: %d of %d shards are there.", len(done), len(request.shards))
    images = sum(len(request.numbers(k)) for k in mine)
    with track(images, "Drawing", unit="images") as advance:
        advance(images - sum(len(request.numbers(k)) for k in missing))
        write_shards(job, request, missing, lambda shard: draw_shard(request, shard), advance)


def await_shards(job: Job, request: SynthesisRequest) -> None:
    """Wait for the other processes of the launch. Raises SynthgenError if one is gone."""
    seen, since = -1, time.monotonic()
    while len(done := job.finished()) < len(request.shards):
        late = min(set(request.shards) - done) % job.launch.world
        if len(done) != seen or job.is_alive(late):
            seen, since = len(done), time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            raise SynthgenError(
                f"Process {late} of {job.launch.world} is gone before its share was drawn.\n"
                "Run the same command again: what is there is kept."
            )
        time.sleep(0.05)


def fit_filters(request: SynthesisRequest) -> None:
    """On training images only; the same for the same seed, in every process."""
    if request.real is None:
        return
    for one in request.all_filters:
        one.fit(request.real, request.asked.seed)


def content_of(request: SynthesisRequest, base: Base | None) -> JobFile:
    """The job file: everything that decides a byte of the set."""
    return JobFile(
        format="synthgen-job/1",
        request=request.asked,
        first=request.rows.first,
        count=len(request.rows),
        quotas=request.quotas,
        file_format=format_record(request.format).spec,
        shard_size=request.shard_size,
        execution=request.execution(),
        base=None if base is None else base.digest,
    )


def _is_done(dataset: Dataset, request: SynthesisRequest, *, append: bool) -> bool:
    """Whether the set that was only tidied up is the one that is asked for now."""
    part = dataset.parts[-1]
    found, asked = specs_today(part.to_json()), request.asked.to_json()
    return (
        all(found.get(key) == value for key, value in asked.items())
        and specs_today(dataset.file_format.to_json()) == format_record(request.format).to_json()
        and dataset.shard_size == request.shard_size
        and part.quotas == request.quotas
        and (len(dataset.parts) > 1) == append
    )


@dataclass(frozen=True)
class Base:
    """The set that is appended to; ``digest`` is the SHA-256 of its description's file."""

    dataset: Dataset
    digest: str


def read_base(store: Store) -> Base:
    """Raises SynthgenError if there is no finished set, or none that can be appended to."""
    for path in (BASE, DESCRIPTION):
        if store.exists(path):
            content = store.read(path, Dataset.LARGEST + 1)
            place = f"{store.place}/{path}"
            dataset = require_dataset(described(content, place), store.place)
            if dataset.sha256 is None:
                raise SynthgenError(
                    f"{store.place} was written by an earlier synthgen, which could not append.\n"
                    "Draw it again, or draw the new images into another folder."
                )
            return Base(dataset, hashlib.sha256(content).hexdigest())
    raise SynthgenError(
        f"There is no finished set in {store.place} to append to.\n"
        "Give out= a set, or leave append out."
    )


def continued(request: SynthesisRequest, base: Base) -> SynthesisRequest:
    """``request`` with its rows and shards numbered on from ``base``."""
    if request.set_filters:
        raise SynthgenError(
            f"{request.set_filters[0].name!r} compares all images of a set, so it can't be "
            "appended with.\nLeave the filter out, or draw the whole set in one go."
        )
    dataset = base.dataset
    _require_same_kind(request, dataset)
    _require_same_split(request, dataset)
    last = dataset.parts[-1]
    shards = last.first_shard + -(-last.count // dataset.shard_size)
    rows = dataclasses.replace(request.rows, first=dataset.count)
    return dataclasses.replace(
        request,
        rows=rows,
        id=request_id(request.asked, rows.first),
        first_shard=shards,
        shard_size=dataset.shard_size,
    )


def _require_same_kind(request: SynthesisRequest, base: Dataset) -> None:
    """Images of one size and the same classes, in files of one format."""
    image, form = ImageSpec.from_json(base.image.to_json()), specs_today(base.file_format.to_json())
    settings = format_record(request.format).to_json()
    if (image.shape, image.bits) != (request.image.shape, request.image.bits):
        what = f"The set's images are {words_of(image)}; the sampler's {words_of(request.image)}"
    elif image.classes != request.image.classes:
        kept, drawn = (", ".join(one.classes[:20]) for one in (image, request.image))
        what = f"The set's classes are {kept}; the sampler's are {drawn}"
    elif form["name"] != request.format.name:
        what = f"The set's format is {form['name']}; {request.format.name} was asked for"
    elif form != settings:
        before, now = jobs.flatten(form["spec"]), jobs.flatten(settings["spec"])
        key = next(key for key in sorted(before | now) if before.get(key) != now.get(key))
        what = f"The set's format.{key} is {before.get(key)}; {now.get(key)} was asked for"
    else:
        return
    raise SynthgenError(
        f"{what}.\nAppend with the same format and images of the same size and classes."
    )


def words_of(image: ImageSpec) -> str:
    names = {1: "grey", 3: "colour"}
    bands = names.get(image.channels, f"{image.channels} bands")
    said = f"{image.height} x {image.width} pixels, {bands}"
    return said if image.bits == 8 else f"{said}, {image.bits} bits"


def _require_same_split(request: SynthesisRequest, base: Dataset) -> None:
    before, now = base.provenance.split_digest, request.samplers.data_digest
    if before is not None and now is not None and before != now:
        raise SynthgenError(
            f"The set's sampler was trained on another split ({before[:8]}) than this one "
            f"({now[:8]}), so no test set would be unseen by both.\n"
            "Append with a sampler of the same split, or draw into another folder."
        )


def is_complete(out: str | Path) -> bool:
    """Whether a finished set lies in ``out``."""
    store = open_store(out)
    return store.exists(DESCRIPTION) and not store.exists(jobs.JOB)
