"""The pages name every setting, and no setting that there isn't."""

import re
import sys

import pytest
import yaml
from docs_pages import PAGES, ROOT, blocks, name, spans

from synthgen.cli.main import VERBS

sys.path.insert(0, str(ROOT / "scripts"))
import settings_page

sys.path.pop(0)

CONFIGS = ROOT / "configs"
EVERYWHERE = ("out", "allow", "logger")  # told once, in guide/index.md
SETTING = re.compile(r"([a-z_]+)((?:[./@][\w/@.]+)?)=(.*)")


def test_the_page_of_all_settings_is_that_of_the_configs():
    told = "Run python scripts/settings_page.py"
    assert settings_page.PAGE.read_text() == settings_page.page(), told


def root_settings(verb: str) -> set[str]:
    node = yaml.safe_load((CONFIGS / f"{verb.replace(' ', '_')}.yaml").read_text())
    chosen = {key for one in node.pop("defaults") if isinstance(one, dict) for key in one}
    return {key for key in (*node, *chosen) if not key.startswith("override")}


@pytest.mark.parametrize("verb", VERBS)
def test_the_page_of_a_verb_names_each_of_its_settings(verb):
    page = ROOT / "docs" / "guide" / f"{verb.replace(' ', '-')}.md"
    told = {span.partition("=")[0] for span in spans(page)}
    assert root_settings(verb) - set(EVERYWHERE) - told == set()


def test_settings_of_all_verbs_are_told_where_they_are_explained():
    told = spans(ROOT / "docs" / "guide" / "index.md")
    assert set(EVERYWHERE) <= set(told)


def unknown(span: str) -> str | None:
    """What of ``setting=value`` there isn't: the setting, or the option of a group."""
    found = SETTING.fullmatch(span)
    if found is None:
        return None
    groups = {name: [one.stem for one in files] for name, files in settings_page.options().items()}
    groups["experiment"] = [path.stem for path in (CONFIGS / "experiment").glob("*.yaml")]
    head, rest, value = found.groups()
    group = (head + rest).partition("@")[0]
    roots = set().union(*map(root_settings, VERBS)) | {one.partition("/")[0] for one in groups}
    if group not in groups and ("/" in rest or head not in roots):
        return head + rest
    plain = re.fullmatch(r"[\w|]+", value)
    known = {*groups.get(group, []), "mine", "null"}
    if group in groups and plain and not value.isupper():
        return next((one for one in value.split("|") if one not in known), None)
    return None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_settings_and_options_in_the_text_exist(page):
    told = [word for span in spans(page) for word in span.split() if "=" in word]
    wrong = [word for word in told if unknown(word.strip("'+"))]
    assert wrong == []


def test_a_setting_or_option_that_there_is_not_is_noticed():
    assert unknown("judge=small_cnn|mlp") is None
    assert unknown("judge=small_cnn|gone") == "gone"
    assert unknown("sede=1") == "sede"
    assert unknown("gan/los@model.loss=hinge") == "gan/los@model.loss"
    assert unknown("gan/loss@model.loss=hing") == "hing"
    assert unknown("model.anything.deep=1") is None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_synopsis_names_verbs_and_settings_that_there_are(page):
    for block in blocks(page):
        if block.what != "usage":
            continue
        for line in block.text.splitlines():
            words = line.split()
            verb = next(one for one in VERBS if " ".join(words[1:]).startswith(one))
            named = re.findall(r"([a-z_]+)(?:\.\w+)*=", line)
            known = root_settings(verb) | {"experiment"}
            assert [one for one in named if one not in known] == [], line
