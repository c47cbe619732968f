"""Links of the README and of docs/ lead somewhere, and every page can be reached."""

from pathlib import Path

import pytest
import yaml
from docs_pages import LANGUAGES, PAGES, ROOT, anchors, blocks, links, name

DOCS = ROOT / "docs"


def broken(page: Path) -> list[str]:
    """Links of ``page`` that lead nowhere, or out of docs/, where the site can't follow."""
    found = []
    for link in links(page):
        if link.startswith(("https://", "http://")):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        outside = page.is_relative_to(DOCS) and not target.is_relative_to(DOCS)
        lost = anchor and target.suffix == ".md" and anchor not in anchors(target)
        if not target.exists() or outside or lost:
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_anchors_lead_somewhere(page):
    assert broken(page) == []


def test_a_lost_page_anchor_or_file_outside_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("test_docs_links.DOCS", tmp_path)
    (tmp_path / "other.md").write_text("# Its heading\n")
    page = tmp_path / "page.md"
    wrong = ("gone.md", "other.md#its-headings", "#nowhere", f"../{tmp_path.name}/../x.md", "..")
    right = ("other.md", "other.md#its-heading", "#here", "https://hydra.cc")
    page.write_text("# Here\n" + "".join(f"[a]({link})\n" for link in (*wrong, *right)))
    assert broken(page) == list(wrong)


def in_navigation(entry) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    inside = entry if isinstance(entry, list) else entry.values()
    return [page for one in inside for page in in_navigation(one)]


def test_every_page_is_in_the_navigation_and_every_picture_is_shown():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    pages = {page.relative_to(DOCS).as_posix() for page in PAGES if page.is_relative_to(DOCS)}
    assert set(in_navigation(site["nav"])) == pages
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page)}
    pictures = set(DOCS.rglob("*.png"))
    assert pictures
    assert pictures <= shown


def test_every_schema_is_listed():
    listed = {(DOCS / link).resolve() for link in links(DOCS / "schemas.md")}
    schemas = set((DOCS / "schemas").glob("*.json"))
    assert schemas
    assert schemas <= listed


def test_from_the_first_page_every_page_is_one_or_two_clicks_away():
    first = DOCS / "index.md"

    def reached(pages: set[Path]) -> set[Path]:
        ways = ((page, link.partition("#")[0]) for page in pages for link in links(page))
        return pages | {
            target
            for page, place in ways
            if (target := (page.parent / place).resolve()).suffix == ".md" and target.is_file()
        }

    assert {page for page in PAGES if page.is_relative_to(DOCS)} <= reached(reached({first}))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_its_language(page):
    text = page.read_text()
    assert text.count("\n```") % 2 == 0
    assert 2 * len(blocks(page)) == text.count("\n```")
    assert {block.language for block in blocks(page)} <= LANGUAGES


def test_the_readme_fits_two_screens():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 110
    assert sum(map(len, lines)) < 8000
