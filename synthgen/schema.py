"""What our JSON files hold is said once, by a pydantic model: written and read through it.

A model takes values of its own types and nothing that could be made into them, and numbers that are
finite. Keys that it doesn't know are kept: a later synthgen may write more under the same format.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self

from annotated_types import Interval, Len
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from synthgen.errors import SynthgenError, printable
from synthgen.io import LONGEST_LINE, parse_json, require_plain_file
from synthgen.ranges import MOST, Side

DEEPEST = 64  # tables within tables
MOST_PIXELS = 2**30  # of an image, over all channels
SHOWN = 80  # characters of a field's path
BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[][{}]', re.DOTALL)  # strings hold none
BRANCHES = {"int", "float", "bool", "str", "constrained-int", "constrained-float"}  # of a union

EXPECTED = {
    "missing": "is missing",
    "json_invalid": "is not valid JSON",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "string_type": "should be text",
    "bool_type": "should be true or false",
    "tuple_type": "should be a list",
    "dict_type": "should be a table",
    "model_type": "should be a table",
    "finite_number": "should be a finite number",
    "string_pattern_mismatch": "should have another form, without control characters",
}  # by pydantic's kind of error; the others are worded well enough

# No control characters: a terminal would obey them.
Word = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f-\x9f]*$", max_length=1000)]
ClassName = Annotated[str, Field(max_length=1000)]  # a set asks more: require_safe_names
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Digest = Annotated[Word, Len(1, 128)]  # of a split; whoever saves a sampler may make up another
ClassNames = Annotated[tuple[ClassName, ...], Len(1, 65_536)]
Counts = dict[ClassName, Annotated[int, Interval(ge=0, le=MOST)]]  # images by class


class Schema(BaseModel):
    """A table of a JSON file."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="allow",
        allow_inf_nan=False,
        protected_namespaces=(),
        defer_build=True,
        validate_by_name=True,  # in code; files say the alias
        validate_by_alias=True,
    )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, with the fields in the order of the model and those that were given only."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @classmethod
    def from_json(cls, value: Any, place: str = "What was given", advice: str = "") -> Self:
        """Raises SynthgenError, which names ``place`` and the field, for another value."""
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
            return cls.model_validate_json(text, by_alias=True, by_name=False)
        except ValidationError as error:
            raise SynthgenError(sentence(error, place, advice)) from None
        except (ValueError, TypeError, RecursionError) as error:
            raise damaged(place, str(error), advice) from None


class Document(Schema):
    """A whole file. ``FORM`` is what it says under ``format``; the form's number goes up when older
    code would misread it. ``ADVICE`` is what to do about a damaged one."""

    FORM: ClassVar[str]
    OLDER: ClassVar[tuple[str, ...]] = ()  # forms that are read as they are
    ADVICE: ClassVar[str]
    LARGEST: ClassVar[int] = 2**26  # bytes
    UPGRADES: ClassVar[tuple[Callable[[dict[str, object]], dict[str, object]], ...]] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises SynthgenError if the file is missing, damaged or of a newer form."""
        return cls.parse(read_bytes(path, cls.LARGEST), str(path))

    @classmethod
    def parse(cls, content: bytes, place: str) -> Self:
        return cls.of_table(table_of(content, place, cls.ADVICE, cls.LARGEST), place)

    @classmethod
    def of_table(cls, table: dict[str, object], place: str) -> Self:
        """The same for what was parsed already. Older forms are brought up to date here."""
        cls.require_known(table, place)
        for upgrade in cls.UPGRADES:
            table = upgrade(table)
        return cls.from_json(table, place, cls.ADVICE)

    @classmethod
    def require_known(cls, table: dict[str, object], place: str) -> None:
        """Raises SynthgenError for a form that is neither today's nor read as it is."""
        if table.get("format") not in cls.OLDER:
            require_form(table, cls.FORM, place)


class Row(Schema):
    """A line of a file with one table per line. Keys that it doesn't know are passed over: there
    may be millions of rows, and none is written again."""

    model_config = ConfigDict(extra="ignore")

    @classmethod
    def read_lines(cls, lines: Iterable[bytes], place: str, advice: str) -> Iterator[Self]:
        """The rows, one at a time. Raises SynthgenError at the first damaged one."""
        cls.model_rebuild()  # building was put off
        validate = cls.__pydantic_validator__.validate_json  # a third faster than by the class
        number = 0
        try:
            for number, line in enumerate(lines, start=1):
                if len(line) >= LONGEST_LINE:
                    raise damaged(place, f"line {number} is longer than a row can be", advice)
                yield validate(line, by_alias=True, by_name=False)
        except ValidationError as error:
            raise SynthgenError(sentence(error, place, advice, f"line {number}: ")) from None


Level = Annotated[int, Interval(ge=0, le=65_535)]


class Image(Schema):
    """Shape of one image and the names of the classes; label ``i`` means ``classes[i]``. For the
    rest see :class:`synthgen.types.ImageSpec`."""

    channels: Annotated[int, Interval(ge=1, le=1024)]
    height: Side
    width: Side
    classes: ClassNames
    bits: Literal[8, 16] = 8
    levels: tuple[float, float] | None = None
    view: Annotated[tuple[Annotated[int, Interval(ge=0, le=1023)], ...], Len(1, 3)] | None = None
    shown: tuple[Level, Level] | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.channels * self.height * self.width > MOST_PIXELS:
            raise ValueError(f"has more than {MOST_PIXELS:,} pixels")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("names a class twice")
        if self.view is not None and (len(self.view) == 2 or max(self.view) >= self.channels):
            raise ValueError("has a view that names one or three of its channels")
        if self.levels is not None and not self.levels[0] < self.levels[1]:
            raise ValueError("has levels whose lowest is not below their highest")
        if self.shown is not None and not self.shown[0] < self.shown[1] < 2**self.bits:
            raise ValueError("shows levels that don't go from a lower to a higher one of its bits")
        return self


class Spec(Schema):
    """A class and the arguments that it is rebuilt with, see :mod:`synthgen.serialization`."""

    target: Word = Field(alias="_target_")


def read_bytes(path: Path, largest: int) -> bytes:
    """The content of a file of at most ``largest`` bytes. Raises SynthgenError."""
    require_plain_file(path)
    try:
        if Path(path).stat().st_size > largest:
            size = f"{largest // 2**20} MiB"
            raise SynthgenError(f"{path} is larger than {size}, so it was not read.")
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise SynthgenError(f"{path} does not exist.") from None


def table_of(content: bytes, place: str, advice: str, largest: int = 2**26) -> dict[str, object]:
    """The table in ``content``: bounded in size and depth before it is parsed, all numbers finite.
    Raises SynthgenError."""
    if len(content) > largest:
        raise damaged(place, f"it is larger than {largest // 2**20} MiB", advice)
    if _depth(content) > DEEPEST:
        raise damaged(place, "it is nested too deep", advice)
    try:
        value = parse_json(content, parse_constant=_refused, parse_float=_finite)
    except ValueError as error:
        raise damaged(place, f"it is not valid JSON ({error})", advice) from None
    if not isinstance(value, dict):
        raise damaged(place, "it holds no table", advice)
    return value


def require_form(table: dict[str, object], form: str, place: str) -> None:
    """Raises SynthgenError for another format than ``form``, or a later number of it."""
    found = table.get("format")
    if found == form:
        return
    kind, _, number = form.rpartition("/")
    there, _, later = found.rpartition("/") if isinstance(found, str) else ("", "", "")
    if there == kind and re.fullmatch(r"[0-9]{1,6}", later) and int(later) > int(number):
        raise SynthgenError(
            f"{place} was written by a newer synthgen: it is {found}, this one reads {form}.\n"
            "Update synthgen."
        )
    raise SynthgenError(
        f"{place} is not of the form {form}, so this synthgen can't read it.\n"
        "Give a file that synthgen wrote."
    )


def sentence(error: ValidationError, place: str, advice: str, where: str = "") -> str:
    """The first thing that is wrong: file, field and what was expected."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = list(first["loc"])
    if path and path[-1] in BRANCHES:
        path.pop()
    field = shown(".".join(str(key) for key in path))
    said = first["msg"].removeprefix("Input ").removeprefix("Value error, ")
    said = EXPECTED.get(first["type"], said[:1].lower() + said[1:])
    return f"{place} is damaged: {where}{field + ' ' if field else 'it '}{said}.\n{advice}".rstrip()


def damaged(place: str, reason: str, advice: str) -> SynthgenError:
    return SynthgenError(f"{place} is damaged: {reason}.\n{advice}".rstrip())


def shown(name: str) -> str:
    """A name out of a file, for one line of a message."""
    name = printable(name).replace("\n", "\\n").replace("\t", "\\t")
    return name if len(name) <= SHOWN else f"{name[: SHOWN - 1]}…"


def _depth(content: bytes) -> int:
    """How deep the brackets go, counted no further than is allowed."""
    depth = deepest = 0
    for match in BRACKETS.finditer(content):
        mark = content[match.start()]
        if mark in b"[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > DEEPEST:
                break
        elif mark in b"]}":
            depth -= 1
    return deepest


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large")
    return number
