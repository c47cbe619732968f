"""The README and the pages of docs/, taken apart: fenced blocks, code within lines, links.

An HTML comment in front of a block says what a test does with it; readers don't see it:

    <!-- test: run -->                 really run; so is a block without a comment
    <!-- test: run; train max_images=64; codes 0 3 -->
                                       with further settings for a verb; codes it may end with
    <!-- test: compose; why -->        settings are composed and checked, nothing is done
    <!-- test: usage -->               a synopsis: its verbs and settings exist
    <!-- test: file NAME -->           the block is the file NAME for the commands after it
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:^<!-- test: (?P<mark>[^>]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LANGUAGES = {"sh", "python", "yaml", "text", "json"}
VERBS_OF_TWO_WORDS = ("data check",)


@dataclass(frozen=True)
class Block:
    page: Path
    language: str
    text: str
    mark: str  # what the comment before it says, without "test: "

    @property
    def what(self) -> str:
        return re.split("[; ]", self.mark)[0] or "run"

    @property
    def file(self) -> str:
        return self.mark.partition("file ")[2].strip()

    @property
    def codes(self) -> tuple[int, ...]:
        return tuple(int(code) for code in self._notes.get("codes", "0").split())

    def further(self, verb: str) -> list[str]:
        """Settings that make a command of ``verb`` quick."""
        return shlex.split(self._notes.get(verb, ""))

    @cached_property
    def _notes(self) -> dict[str, str]:
        if self.what != "run":
            return {}
        found = {}
        for note in self.mark.split(";")[1:]:
            words = note.strip()
            verb = next((two for two in VERBS_OF_TWO_WORDS if words.startswith(two)), None)
            verb = verb or words.split(" ")[0]
            found[verb] = words.removeprefix(verb).strip()
        return found

    @property
    def commands(self) -> list[list[str]]:
        """The words of each line, comments left out."""
        whole = self.text.replace("\\\n", " ")
        lines = (shlex.split(line, comments=True) for line in whole.splitlines())
        return [words for words in lines if words]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    return [
        Block(page, found["language"], found["text"], found["mark"] or "")
        for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def prose(page: Path) -> str:
    """The page without its blocks."""
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def spans(page: Path) -> list[str]:
    """Code within lines, and within tables (where a bar is written as one)."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def links(page: Path) -> list[str]:
    without_code = re.sub(r"`[^`\n]*`", "", prose(page))
    return re.findall(r"\]\(([^)\s]+)\)", without_code)


def anchors(page: Path) -> set[str]:
    """What GitHub, and MkDocs, call the headings."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().lower().replace(" ", "-"))
    return found
