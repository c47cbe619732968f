"""The public papers: what is made public points to no real image."""

import json

import pytest

from synthgen.data import Digits, prepare
from synthgen.dataset.card import Papers
from synthgen.errors import SynthgenError
from synthgen.samplers import Bootstrap, save_sampler
from synthgen.synthesis import Balanced, synthesize
from synthgen.synthesis.filters import LowDensity, NearCopies
from synthgen.synthesis.public import public_papers

SECRETS = ("5ec2e7" * 10 + "abcd", "/home/someone/patients", "digest-of-the-split")


@pytest.fixture(scope="module")
def secretive(digits, tmp_path_factory):
    """A sampler whose provenance holds what must not leave the house."""
    from synthgen.samplers import PCAGaussian

    sampler = PCAGaussian(digits.image, components=16)
    sampler.fit(digits)
    provenance = {
        "data": {
            "name": SECRETS[1],
            "digest": SECRETS[2],
            "recipe": prepare(Digits()).recipe.to_json() | {"fingerprint": SECRETS[0]},
            "class_counts": dict(zip(digits.classes, digits.counts, strict=True)),
        }
    }
    return save_sampler(sampler, tmp_path_factory.mktemp("saved") / "sampler", provenance)


@pytest.fixture(scope="module")
def curated(secretive, digits, tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "curated"
    filters = [NearCopies(), LowDensity()]
    return synthesize(secretive, Balanced(per_class=12), out, real=digits, filters=filters)


def everything(folder):
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".png")
    return "\n".join(path.read_text() for path in files)


def test_nothing_points_back(curated, secretive, tmp_path):
    private = everything(curated)
    for secret in SECRETS:
        assert secret in private  # else this test would prove nothing
    out = public_papers(curated, tmp_path / "public")
    public = everything(out)
    sampler = json.loads((secretive / "sampler.json").read_text())["sha256"]
    for secret in (*SECRETS, sampler, str(curated), "thresholds", "scores", '"seed"', "attempt"):
        assert secret not in public
    assert {path.name for path in out.iterdir()} == {
        "README.md", "contact_sheet.html", "dataset.json", "manifest.jsonl"
    }  # fmt: skip


def test_the_rows_are_those_of_the_set(curated, tmp_path):
    out = public_papers(curated, tmp_path / "public")
    before, after = (
        [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
        for folder in (curated, out)
    )
    assert len(after) == len(before) == 120
    for old, new in zip(before, after, strict=True):
        assert set(new) <= {"file", "index", "label", "class", "origin", "sha256"}
        assert new.items() <= old.items()
    shown = json.loads((out / "dataset.json").read_text())
    assert shown["count"] == 120
    assert set(shown["acceptance"]) == set("0123456789")


def test_the_card_has_what_the_person_and_the_report_say(curated, tmp_path):
    digest = json.loads((curated / "dataset.json").read_text())["digest"]
    report = {
        "provenance": {"synthetic": {"path": SECRETS[1], "dataset": {"digest": digest}}},
        "sentences": ["It helped."],
        "results": [{"name": "fidelity/kid", "scope": None, "value": 0.5}],
        "neighbours": "nearest-real-7",
    }
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text(json.dumps(report))
    papers = Papers(source="A public archive", licence="cc0-1.0")
    out = public_papers(curated, tmp_path / "p", papers=papers, report=tmp_path / "report")
    card = (out / "README.md").read_text()
    assert "license: cc0-1.0" in card
    assert "A public archive" in card
    assert "It helped." in card
    assert "| fidelity/kid | 0.5 |" in card
    assert "nearest-real-7" not in everything(out)
    assert SECRETS[1] not in everything(out)
    report["provenance"]["synthetic"]["dataset"]["digest"] = "another"
    (tmp_path / "report" / "report.json").write_text(json.dumps(report))
    with pytest.raises(SynthgenError, match="not a report on this set"):
        public_papers(curated, tmp_path / "q", report=tmp_path / "report")


def test_real_rows_and_pictures_stay_at_home(secretive, digits, tmp_path):
    real = digits.subset(range(50))
    mixed = synthesize(
        secretive, Balanced(per_class=3), tmp_path / "mixed", real=real, mode="augment"
    )
    out = public_papers(mixed, tmp_path / "public")
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert len(rows) == 30
    assert {row["origin"] for row in rows} == {"synthetic"}
    assert not (out / "contact_sheet.html").exists()  # it shows real images
    assert "contact_sheet" not in (out / "README.md").read_text()


def test_a_set_of_copies_is_refused_and_leaves_nothing(digits, tmp_path):
    copier = Bootstrap(digits.image)
    copier.fit(digits)
    saved = save_sampler(copier, tmp_path / "copier", {})
    made = synthesize(saved, Balanced(per_class=2), tmp_path / "copies")
    with pytest.raises(SynthgenError, match="nothing of it can be"):
        public_papers(made, tmp_path / "public")
    assert not (tmp_path / "public").exists()


def test_an_existing_folder_and_a_stranger_are_refused(curated, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x")
    with pytest.raises(SynthgenError, match="already exists"):
        public_papers(curated, tmp_path / "full")
    with pytest.raises(SynthgenError, match=r"dataset\.json does not exist"):
        public_papers(tmp_path, tmp_path / "public")
