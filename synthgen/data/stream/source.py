"""``data=stream``: sets that don't fit in memory."""

import atexit
import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import logging
import os
import secrets
import tempfile
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Interval

from synthgen.data.files import FileSource, Listing
from synthgen.data.folders.below import Paths
from synthgen.data.folders.folder import SplitFolders, looked_at, split_folders
from synthgen.data.folders.layout import read_layout
from synthgen.data.folders.walk import walk
from synthgen.data.keep import DECODERS, entries
from synthgen.data.readers import Choices
from synthgen.data.source import existing, requested_size
from synthgen.data.splits import Splits
from synthgen.data.stream.division import Rule
from synthgen.data.stream.index import FORM, Index, built_index
from synthgen.data.stream.looked import Part, TarPart, in_parts
from synthgen.data.stream.prepare import Prepared, Wishes, prepared
from synthgen.data.stream.storage import storage_of
from synthgen.data.tabular.columns import AUTO
from synthgen.dataset.origin import Recipe, SplitFile
from synthgen.errors import SynthgenError
from synthgen.images import image_hashes
from synthgen.io import canonical_digest
from synthgen.private_folders import held, remove_abandoned
from synthgen.ranges import Count, Depth
from synthgen.types import LabelledImages

OWN_CACHE = "synthgen-stream-"
log = logging.getLogger(__name__)

Workers = Annotated[int, Interval(ge=0, le=1024)]
WINDOW = 2**16
TAR = ".tar"


# No `from __future__ import annotations`: see synthgen.data.source.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageStream(FileSource):
    """WebDataset's tar shards, or a folder with one subfolder of images per class, that are decoded
    while a model is trained: memory doesn't grow with their number.

    One pass finds where each image lies, its class and a hash of its bytes; what it found is kept
    in ``cache`` for the next start. The hash decides on the split: added images move none.

    Args:
        path: a tar file or a folder, of a disk or behind an fsspec URL (``s3://…``), or several.
        image: the ending of the images in shards, where a sample has several.
        label: what says the class of a shard's images; as ``missing_label``, ``group``, ``split``
            and ``splits`` see :class:`synthgen.data.WebDataset`, and for folders
            :class:`synthgen.data.ImageFolder`.
        level: how deep class folders lie.
        window: how many images are shuffled together; every pass over the data has another order.
            None shuffles all at once, which takes 8 bytes an image and reads from everywhere.
        workers: processes that decode ahead; 0: decoding and training take turns.
        most_held: images of each split that are held in memory for what looks at them as a whole.
    """

    path: str | list[str]
    image: str | None = None
    label: str | None = None
    missing_label: list[str] | None = None
    group: str | list[str] | None = AUTO
    split: str | None = AUTO
    splits: dict[str, SplitFolders] | None = None
    level: Depth | None = None
    window: Count | None = WINDOW
    workers: Workers = 0
    most_held: Count = 10_000
    near_duplicates: Literal["ignore"] = "ignore"

    kind: ClassVar[str] = "stream"

    @property
    def name(self) -> str:
        return self.paths[0].rstrip("/").rpartition("/")[2].removesuffix(TAR) or self.kind

    @property
    def paths(self) -> list[str]:
        found = [self.path] if isinstance(self.path, str) else list(self.path)
        if not found or not all(found):
            raise SynthgenError("data.path names no place.\nGive a folder, a tar file or a URL.")
        return found

    def listing(self) -> Listing:
        raise SynthgenError(
            "data=stream is never looked at as a whole.\n"
            "Use data=webdataset or data=image_folder, on a part of it if it doesn't fit."
        )

    def as_in(self, recipe: Recipe) -> Self:
        held = {} if recipe.most_held is None else {"most_held": recipe.most_held}
        return super().as_in(recipe).with_options(**held)

    def divided(self) -> Splits:
        """Index and divide, or find both in ``cache``.

        Raises:
            SynthgenError: a file is damaged, no image or without a class; a class lacks in a split.
        """
        index = self.index()
        ready = prepared(index, self._wishes())
        train = ready.train(self.window, self.workers)
        holdout, test = (ready.held(part, train) for part in ("holdout", "test"))
        assignment = {
            image: part
            for part, held in (("holdout", holdout), ("test", test))
            for image in image_hashes(held.images)
        }
        own = tuple(index.facts["notes"])
        return Splits(
            train=train,
            holdout=holdout,
            test=test,
            digest=ready.facts["digest"],
            recipe=self._recipe(ready, train, len(index)),
            assignment=assignment,
            notes=(*own, *ready.facts["notes"]),
            name=self.name,
            test_groups=test.groups,
            dropped=ready.facts["dropped"],
            holdout_groups=holdout.groups,
            private=own,
            files=index.files,
        )

    def index(self) -> Index:
        """Built, or as ``cache`` has it.

        Raises:
            SynthgenError: a part is damaged, no image or without a class, or parts disagree.
        """
        cache = own_cache() if self.cache is None else Path(self.cache).expanduser()
        choices = Choices(self.max_pixels, self.extra_band, self.pages)
        columns = {
            name: getattr(self, name)
            for name in ("image", "label", "missing_label", "group", "split", "splits")
        }
        about = [FORM, columns, self.level, dataclasses.asdict(choices), self.paths]
        first = self.paths[0]
        if "://" not in first and holds_no_shards(existing(first, "data.path")):
            if len(self.paths) > 1:
                raise SynthgenError(
                    f"data.path={first} holds no tar files, and only shards can lie in several "
                    "places.\nGive one folder of images, or folders of shards."
                )
            return self._of_folder(Path(first).expanduser(), choices, cache, about)
        return self._of_shards(columns, choices, cache, about)

    def _of_shards(
        self, columns: dict[str, Any], choices: Choices, cache: Path, about: list[Any]
    ) -> Index:
        if isinstance(self.group, list) and len(self.group) > 1:
            raise SynthgenError(
                "data=stream keeps images together by one key: each shard is read by itself.\n"
                "Give one, data.group=KEY, or write a key into the shards that joins what belongs "
                "together."
            )
        first, *more = self.paths
        storage = storage_of(first)
        files = list(dict.fromkeys(f for path in self.paths for f in storage.find(path, TAR)))
        if not files:
            raise SynthgenError(
                f"{first} holds no tar files.\nGive the folder of the shards, or that of images "
                "in folders of classes."
            )
        files.sort(key=lambda file: file.path)
        base = os.path.commonpath([os.path.dirname(f.path) for f in files]) if more else None
        base = storage.base(first) if base is None else base
        parts: list[Part] = [TarPart(first, choices, base, file, columns) for file in files]
        facts = {
            "root": first,
            "files": [dataclasses.astuple(file) for file in files],
            "missing_label": self.missing_label,
        }
        return built_index(
            lambda: parts, cache, canonical_digest([about, facts["files"]])[:32], facts
        )

    def _of_folder(self, root: Path, choices: Choices, cache: Path, about: list[Any]) -> Index:
        state = hashlib.sha256(repr(about).encode())
        for entry in entries(root):
            state.update(repr(entry).encode("utf-8", "surrogatepass"))
        key, facts = state.hexdigest()[:32], {"root": str(root.absolute()), "files": []}
        return built_index(lambda: self._parts(root, choices), cache, key, facts)

    def _parts(self, root: Path, choices: Choices) -> list[Part]:
        """The files of a folder. Raises SynthgenError for what its layout gets wrong."""
        layout = read_layout(walk(root), split_folders(self.splits), self.level)
        _, problems = looked_at(layout)
        if problems:
            raise problems[0]
        top = str(root.absolute())
        return [
            part
            for place in layout.places
            for part in in_parts(top, choices, place.name, place.split, Paths(place.folder.files()))
        ]

    def _wishes(self) -> Wishes:
        return Wishes(
            rule=Rule(self.holdout, self.test, self.split_seed),
            at_most=self.at_most,
            most_held=self.most_held,
            size=requested_size(self.size),
            fit=self.fit,
            choices=Choices(self.max_pixels, self.extra_band, self.pages),
            range=self.range,
            bits=self.bits,
            view=None if self.view is None else tuple(self.view),
            decoders=tuple(importlib.metadata.version(name) for name in DECODERS),
        )

    def _recipe(self, ready: Prepared, train: LabelledImages, images: int) -> Recipe:
        image = train.image
        content = {
            "format": SplitFile.FORM,
            "source": self.kind,
            "name": self.name,
            "fingerprint": ready.facts["fingerprint"],
            "images": images,
            "channels": image.channels,
            "size": [image.height, image.width],
            "classes": list(image.classes),
            "fit": self.fit,
            "holdout": self.holdout,
            "test": self.test,
            "split_seed": self.split_seed,
            "at_most": self.at_most,
            "near_duplicates": self.near_duplicates,
            "official": ready.facts["official"],
            "grouped": ready.facts["grouped"],
            "most_held": self.most_held,
        }
        unusual = {"range": self.range, "bits": self.bits, "view": self.view}
        usual = {"range": None, "bits": 8, "view": None}
        content |= {key: value for key, value in unusual.items() if value != usual[key]}
        return Recipe.from_json(content, f"The recipe of the split of {self.name}")


def holds_no_shards(path: Path) -> bool:
    """Whether a place is a folder without tar files in it or in its folders."""
    return path.is_dir() and not any(
        next(path.glob(pattern), None) for pattern in (f"*{TAR}", f"*/*{TAR}")
    )


@functools.cache
def own_cache() -> Path:
    """A folder of this process, which goes when it ends, or else at the next start of another one:
    images that are held back lie in it."""
    place = Path(tempfile.gettempdir())
    remove_abandoned(place.glob(f"{OWN_CACHE}*"))
    folder = place / f"{OWN_CACHE}{secrets.token_hex(8)}"
    with contextlib.ExitStack() as stack:
        stack.enter_context(held(folder))
        kept, maker = stack.pop_all(), os.getpid()

    def remove() -> None:
        if os.getpid() == maker:  # not at the end of a forked worker
            kept.close()

    atexit.register(remove)
    log.info("The index of the images is not kept; data.cache=FOLDER keeps it for the next start.")
    return folder
