"""The card: YAML that a hub can read, and what a person must be told."""

import json
from copy import deepcopy

import pytest
import yaml

from synthgen.errors import SynthgenError
from synthgen.synthesis.card import write_readme
from synthgen.synthesis.card_text import card_text, size_category
from synthgen.synthesis.papers import Papers

DATASET = {
    "format": "synthgen-dataset/1",
    "classes": ["cat", "dog|big"],
    "image": {"channels": 1, "height": 8, "width": 6, "classes": ["cat", "dog|big"]},
    "seed": 7,
    "quotas": {"cat": 1200, "dog|big": 30},
    "count": 1230,
    "sampler": {"sha256": "ab12", "target": "synthgen.samplers.PCAGaussian"},
    "exposes_real": False,
    "provenance": {"data": {"name": "zoo"}},
    "file_format": {"name": "png"},
    "parts": [
        {
            "latents": {"temperature": 0.8, "truncation": None},
            "facts": {"near_copies": {"keeps_of_real": 0.9876}},
        }
    ],
    "acceptance": {
        "cat": {"drawn": 1250, "kept": 1200, "share": 0.96, "rejected": {"near_copies": 50}}
    },
}


def parsed(text):
    assert text.startswith("---\n")
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_front_matter_is_what_a_hub_reads():
    papers = Papers(title='Cats: "drawn"', licence="CC-BY-4.0")
    front, _ = parsed(card_text(DATASET, papers))
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
def test_a_licence_is_known_named_or_unknown(licence, expected):
    front, _ = parsed(card_text(DATASET, Papers(licence=licence)))
    assert expected.items() <= front.items()
    assert ("license_name" in front) == (front["license"] == "other")


def test_a_class_without_a_folder_is_named():
    """`plan=fill` draws nothing of the largest class, and `ImageFolder` numbers without it."""
    filled = DATASET | {"quotas": {"cat": 0, "dog|big": 30}}
    assert "No folder for cat (0 images)" in card_text(filled, Papers())
    assert "No folder" not in card_text(filled | {"real_count": 5}, Papers())
    assert "No folder" not in card_text(filled | {"file_format": {"name": "npz"}}, Papers())
    assert "No folder" not in card_text(DATASET, Papers())


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


def test_what_was_not_answered_is_not_stated():
    _, body = parsed(card_text(DATASET, Papers()))
    for question in ("Source of the real images", "Licence", "Consent or legal basis"):
        (line,) = [line for line in body.splitlines() if line.startswith(f"- {question}")]
        assert line.endswith(": not stated")
    assert "## Intended use\n\nnot stated" in body


def test_answers_are_shown():
    papers = Papers(source="Our zoo", legal_basis="consent form 12", intended_use="Counting cats")
    _, body = parsed(card_text(DATASET, papers))
    assert "Source of the real images: Our zoo" in body
    assert "consent form 12" in body
    assert "## Intended use\n\nCounting cats" in body


def test_how_it_was_made_and_counted():
    _, body = parsed(card_text(DATASET, Papers()))
    assert "8 × 6 pixels" in body
    assert "Temperature of the latents: 0.8" in body
    assert "Truncation" not in body
    assert "`near_copies`, which would keep 98.8 % of new real images: 50 draws rejected" in body
    assert "| cat | 1,200 | 1,250 | 96.0 % |" in body
    assert "| dog\\|big | 30 |  |  |" in body
    assert "[First images of each class](contact_sheet.html)" in body


def test_copies_and_real_images_are_warned_of():
    assert "drawn by a program" in card_text(DATASET, Papers())
    assert "copies of real ones" in card_text({**DATASET, "exposes_real": True}, Papers())
    augmented = {**DATASET, "exposes_real": True, "real_count": 230}
    text = card_text(augmented, Papers())
    assert "Some images here are real ones" in text
    assert "1,000 synthetic and 230 real images" in text


def test_a_report_gives_its_sentences_and_numbers():
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
    _, body = parsed(card_text(DATASET, Papers(), report))
    assert "- It helped." in body
    assert "| fidelity/frechet_distance | 12.35 | 11 – 13.5 | inception |" in body
    assert "| fidelity/recall | 0.5 |  | inception |" in body
    assert "0.25" not in body
    assert "## Metrics" not in card_text(DATASET, Papers())


def test_a_set_of_an_older_version_still_gets_a_card():
    old = deepcopy(DATASET)
    for key in ("file_format", "parts", "acceptance"):
        del old[key]
    _, body = parsed(card_text(old, Papers()))
    assert "Not curated" in body
    assert "| cat | 1,200 |" in body


def test_the_card_is_written_with_what_the_set_says(tmp_path):
    write_readme(tmp_path, {**DATASET, "papers": {"source": "Our zoo", "licence": "mit"}})
    front, body = parsed((tmp_path / "README.md").read_text())
    assert front["license"] == "mit"
    assert "Our zoo" in body


def test_papers_travel_as_json_and_refuse_other_questions():
    papers = Papers(source="x", licence="mit")
    assert Papers.from_json(json.loads(json.dumps(papers.to_json()))) == papers
    with pytest.raises(SynthgenError, match="no entry 'license'"):
        Papers.from_json({"license": "mit"})
