"""The card: YAML that a hub can read, and what a person must be told."""

import json

import pytest
import yaml

from synthgen.dataset.card import Papers, card_text, size_category
from synthgen.dataset.schema import Dataset
from synthgen.errors import SynthgenError
from synthgen.synthesis.finish import write_readme


@pytest.fixture
def cats(description):
    """A curated set of cats and dogs, as a function of what differs."""

    def described(quotas=(1200, 30), **changes):
        counts = dict(zip(("cat", "dog|big"), quotas, strict=True))
        part = {
            "latents": {"temperature": 0.8, "truncation": None},
            "facts": {"near_copies": {"keeps_of_real": 0.9876}},
        } | changes.pop("part", {})
        cat = {"drawn": 1250, "kept": 1200, "share": 0.96, "rejected": {"near_copies": 50}}
        changes = {"acceptance": {"cat": cat}, "seed": 7} | changes
        changes.setdefault("provenance", {"data": {"name": "zoo"}})
        changes["image"] = {"channels": 1, "height": 8, "width": 6, "classes": list(counts)}
        return Dataset.from_json(description(counts, part=part, **changes))

    return described


def parsed(text):
    assert text.startswith("---\n")
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_front_matter_is_what_a_hub_reads(cats):
    papers = Papers(title='Cats: "drawn"', licence="CC-BY-4.0")
    front, _ = parsed(card_text(cats(), papers))
    assert front["license"] == "cc-by-4.0"
    assert front["pretty_name"] == 'Cats: "drawn"'
    assert front["task_categories"] == ["image-classification"]
    assert front["size_categories"] == ["1K<n<10K"]
    assert "synthetic" in front["tags"]


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        (None, {"license": "unknown"}),
        ("  ", {"license": "unknown"}),
        ("mit", {"license": "mit"}),
        ("Our hospital: research only", {"license_name": "Our hospital: research only"}),
    ],
)
def test_a_licence_is_known_named_or_unknown(licence, expected, cats):
    front, _ = parsed(card_text(cats(), Papers(licence=licence)))
    assert expected.items() <= front.items()
    assert ("license_name" in front) == (front["license"] == "other")


def test_a_class_without_a_folder_is_named(cats):
    """`plan=fill` draws nothing of the largest class, and `ImageFolder` numbers without it."""
    npz = {"name": "npz", "spec": {"_target_": "synthgen.dataset.formats.NPZ"}}
    assert "No folder for cat (0 images)" in card_text(cats((0, 30)), Papers())
    real = {"real_count": 5, "count": 35, "part": {"real_counts": {"cat": 5}, "count": 35}}
    assert "No folder" not in card_text(cats((0, 30), **real), Papers())
    assert "No folder" not in card_text(cats((0, 30), file_format=npz), Papers())
    assert "No folder" not in card_text(cats(), Papers())


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (100_000, "100K<n<1M"),
        (9_999_999, "1M<n<10M"),
        (10_000_000, "n>10M"),
    ],
)
def test_sizes_have_the_names_of_the_hub(count, expected):
    assert size_category(count) == expected


def test_what_was_not_answered_is_not_stated(cats):
    _, body = parsed(card_text(cats(), Papers()))
    for question in ("Source of the real images", "Licence", "Consent or legal basis"):
        (line,) = [line for line in body.splitlines() if line.startswith(f"- {question}")]
        assert line.endswith(": not stated")
    assert "## Intended use\n\nnot stated" in body


def test_answers_are_shown(cats):
    papers = Papers(source="Our zoo", legal_basis="consent form 12", intended_use="Counting cats")
    _, body = parsed(card_text(cats(), papers))
    assert "Source of the real images: Our zoo" in body
    assert "consent form 12" in body
    assert "## Intended use\n\nCounting cats" in body


def test_how_it_was_made_and_counted(cats):
    _, body = parsed(card_text(cats(), Papers()))
    assert "8 × 6 pixels" in body
    assert "Temperature of the latents: 0.8" in body
    assert "Truncation" not in body
    assert "`near_copies`, which would keep 98.8 % of new real images: 50 draws rejected" in body
    assert "| cat | 1,200 | 1,250 | 96.0 % |" in body
    assert "| dog\\|big | 30 |  |  |" in body
    assert "[First images of each class](contact_sheet.html)" in body


def test_copies_and_real_images_are_warned_of(cats):
    assert "drawn by a program" in card_text(cats(), Papers())
    assert "copies of real ones" in card_text(cats(exposes_real=True), Papers())
    real = {"real_count": 230, "count": 1230, "part": {"real_counts": {"cat": 230}, "count": 1230}}
    text = card_text(cats((970, 30), exposes_real=True, **real), Papers())
    assert "Some images here are real ones" in text
    assert "1,000 synthetic and 230 real images" in text


def test_a_report_gives_its_sentences_and_numbers(cats):
    report = {
        "sentences": ["It helped."],
        "results": [
            {"name": "fidelity/frechet_distance", "scope": None, "extractor": "inception",
             "value": 12.345678, "ci_low": 11.0, "ci_high": 13.5},
            {"name": "fidelity/recall", "scope": None, "extractor": "inception", "value": 0.5,
             "ci_low": None, "ci_high": None},
            {"name": "fidelity/recall", "scope": "cat", "extractor": "inception", "value": 0.25},
        ],
    }  # fmt: skip
    _, body = parsed(card_text(cats(), Papers(), report))
    assert "- It helped." in body
    assert "| fidelity/frechet_distance | 12.35 | 11 – 13.5 | inception |" in body
    assert "| fidelity/recall | 0.5 |  | inception |" in body
    assert "0.25" not in body
    assert "## Metrics" not in card_text(cats(), Papers())


def test_a_set_of_the_first_version_still_gets_a_card(description):
    first = description({"cat": 1200, "dog|big": 30})
    for key in (
        "mode", "real_count", "file_format", "shard_size", "parts", "index_lines", "papers",
        "files", "sha256",
    ):  # fmt: skip
        del first[key]
    _, body = parsed(card_text(Dataset.of_table(first, "dataset.json"), Papers()))
    assert "Not curated" in body
    assert "Format: png" in body
    assert "| cat | 1,200 |" in body


def test_the_card_is_written_with_what_the_set_says(tmp_path, cats):
    write_readme(tmp_path, cats(papers={"source": "Our zoo", "licence": "mit"}))
    front, body = parsed((tmp_path / "README.md").read_text())
    assert front["license"] == "mit"
    assert "Our zoo" in body


def test_papers_travel_as_json_and_refuse_other_questions():
    papers = Papers(source="x", licence="mit")
    assert Papers.from_json(json.loads(json.dumps(papers.to_json()))) == papers
    with pytest.raises(SynthgenError, match="no entry 'license'"):
        Papers.from_json({"license": "mit"})
