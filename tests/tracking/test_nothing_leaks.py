"""What W&B keeps of a whole offline line, and what is meant to be handed on, say nothing about the
machine, its user or its folders."""

import re
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from synthgen.evaluation.figures import synthetic_half, synthetic_rows
from synthgen.evaluation.report.schema import Report
from synthgen.tracking.records import payloads

# What a sync would upload of each stage: the files of its artifacts, by kind, and its media.
UPLOADED = {
    "train": {"data": {"data.json"}, "sampler": {"sampler.json", "weights.safetensors"}},
    "synthesize": {
        "sampler": {"sampler.json", "weights.safetensors"},
        "dataset": {"dataset.json", "manifest.jsonl"},
    },
    "evaluate": {
        "data": {"data.json"},
        "dataset": {"dataset.json", "manifest.jsonl"},
        "report": {"report.public.json"},
        "run_table": {"results.table.json", "classes.table.json", "PICTURE"},
    },
    "compare": {
        "report": {"report.public.json"},
        "run_table": {"comparison.table.json"},
        "comparison": {"comparison.csv"},
    },
}
MEDIA = {
    "train": set(),
    "synthesize": {"contact_sheet.png"},
    "evaluate": {"results", "classes"},
    "compare": {"comparison"},
}
HOST, USER, SECRET = "ward-seven-gpu", "annemarie", "hunter2-in-a-variable"
PATIENT, KEY = "ellen-ripley-1979", "0123456789abcdef0123456789abcdef01234567"
FOLDER = "patients-of-doctor-no"  # the set itself, photos/, gives its name to what is made from it
TO_HAND_ON = (
    "run/report/report.public.json",
    "run/sampler/sampler.json",
    "run/synthetic/README.md",
    "run/synthetic/dataset.json",
    "run/synthetic/manifest.jsonl",
)


@pytest.fixture
def line(synthgen, tmp_path, monkeypatch):
    """The stages of ``synthgen run`` and a comparison, tracked offline; data by a relative path and
    a cache by an absolute one."""
    digits = load_digits()
    for name, number in (("cat", 0), ("dog", 1)):
        folder = tmp_path / FOLDER / "photos" / name
        folder.mkdir(parents=True)
        for i, image in enumerate(digits.images[digits.target == number][:40]):
            picture = Image.fromarray((image * 15).astype(np.uint8))
            picture.save(folder / f"{PATIENT}-{i}.png")
    home = tmp_path / "homes" / USER
    home.mkdir(parents=True)
    for name, value in {
        "HOME": home,
        "USER": USER,
        "LOGNAME": USER,
        "A_SECRET": SECRET,
        "WANDB_API_KEY": KEY,
    }.items():
        monkeypatch.setenv(name, str(value))
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    done = synthgen(
        "run", "data=image_folder", f"data.root={FOLDER}/photos", "model=pca_gaussian",
        "plan.per_class=4", "judge=logistic_regression", "extractor=pixels", "seeds=1", "out=run",
        f"cache={home}/features",
    )  # fmt: skip
    assert done.code == 0, done.err
    compared = synthgen("compare", "run", "run/report", "out=beside/comparison", "logger=wandb")
    assert compared.code == 0, compared.err
    return done


def test_neither_records_nor_what_is_handed_on_name_machine_user_or_folders(line, tmp_path):
    written = [*Path("run/wandb").rglob("*"), *Path("beside/wandb").rglob("*")]
    files = [path for path in written if path.is_file()] + [Path(name) for name in TO_HAND_ON]
    assert len([path for path in files if path.suffix == ".wandb"]) == 4
    assert not [path for path in written if path.is_symlink()]
    words = [
        HOST,
        USER,
        SECRET,
        PATIENT,
        KEY,
        FOLDER,
        str(tmp_path),
        str(Path.cwd()),
        sys.executable,
    ]
    found = [
        (word, str(path)) for path in files for word in words if word.encode() in path.read_bytes()
    ]
    assert found == []
    everything = b"".join(path.read_bytes() for path in files)
    assert b"photos" in everything  # the reader isn't blind, and a name is kept
    assert b"pca_gaussian" in everything or b"PCAGaussian" in everything


def test_a_record_and_its_artifacts_lie_together(line, tmp_path):
    """``wandb sync``, run in the folder of the run, finds each file that the record names."""
    records = b"".join(path.read_bytes() for path in Path("run/wandb").rglob("*.wandb"))
    named = {name.decode() for name in re.findall(rb"wandb/artifacts/staging/tmp\w{8}", records)}
    assert len(named) >= 5
    assert all(("run" / Path(name)).is_file() for name in named)
    assert not list((tmp_path / "homes").rglob("artifacts"))


def test_what_a_sync_would_upload_is_this_and_nothing_else(line, written_runs):
    from wandb.proto import wandb_internal_pb2

    artifacts, media = {}, {}
    for folder in (Path("run/wandb"), Path("beside/wandb")):
        written_runs(folder)
        for path in folder.rglob("*.wandb"):
            job = ""
            for payload in payloads(path):
                record = wandb_internal_pb2.Record.FromString(payload)
                job = record.run.job_type or job
                if record.WhichOneof("record_type") == "artifact":
                    files = artifacts.setdefault(job, {}).setdefault(record.artifact.type, set())
                    files |= {kind_of(one.path) for one in record.artifact.manifest.contents}
            found = {p.name.split("_")[0] for p in path.parent.glob("files/media/table/*")}
            found |= {"contact_sheet.png" for p in path.parent.glob("files/media/images/contact_*")}
            media[job] = found
            others = [p for p in path.parent.glob("files/**/*") if p.is_file()]
            assert len(others) == len(found)
    assert artifacts == UPLOADED
    assert media == MEDIA


def kind_of(name):
    return "PICTURE" if re.fullmatch(r"media/images/\w+/\d+\.png", name) else name


def test_pictures_of_classes_are_the_synthetic_half(line, tmp_path):
    """Each is what stands right of the real images in the report's grid, to the pixel."""
    report = Report.read(Path("run/report/report.json"))
    rows = synthetic_rows(report, Path("run/report"), tmp_path)
    assert list(rows) == ["cat", "dog"]
    with Image.open("run/report/figures/class_grid.png") as opened:
        grid = np.asarray(opened.convert("RGB"))
    left, top = synthetic_half(grid.shape[1], grid.shape[0], report.provenance.data.recipe.size)
    joined = np.concatenate([np.asarray(Image.open(path).convert("RGB")) for path in rows.values()])
    assert (joined == grid[top : top + len(joined), left:]).all()
    staged = {path.read_bytes() for path in Path("run/wandb/artifacts/staging").iterdir()}
    assert {path.read_bytes() for path in rows.values()} <= staged
