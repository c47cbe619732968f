import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image

from synthgen.data import check, prepare
from synthgen.dataset.source import Synthetic, read_synthetic
from synthgen.errors import SynthgenError
from synthgen.types import ImageSpec

CLASSES = ("1", "0")  # not alphabetical


@pytest.fixture
def ours(tmp_path, write_classes, description):
    """A set as synthgen writes it: 8 images of "0", 9 of "1", class order 1, 0."""
    root = write_classes(tmp_path / "set", {"0": 8, "1": 9})
    rows = [
        {"file": f"{name}/{i:03d}.png", "label": CLASSES.index(name), "class": name, "seed": i}
        for name, count in (("0", 8), ("1", 9))
        for i in range(count)
    ]
    for row in rows:
        row["sha256"] = hashlib.sha256((root / row["file"]).read_bytes()).hexdigest()
    (root / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    content = description({"1": 9, "0": 8}, provenance={"model": "gan"})
    (root / "dataset.json").write_text(json.dumps(content))
    (root / "contact_sheet.png").write_bytes(b"")
    return root


def test_our_set_keeps_its_class_order(ours):
    records = Synthetic(root=str(ours)).read()
    assert records.images.classes == CLASSES
    assert records.images.counts == [9, 8]
    assert len(prepare(Synthetic(root=str(ours))).test) == 4


def test_files_outside_the_manifest_do_not_belong_to_our_set(ours):
    Image.new("L", (8, 8)).save(ours / "0" / "extra.png")
    assert len(Synthetic(root=str(ours)).read().images) == 17
    assert len(read_synthetic(ours, CLASSES).images) == 17


def test_other_folders_are_not_ours(tmp_path, write_classes):
    root = write_classes(tmp_path, {"0": 5})
    with pytest.raises(SynthgenError, match="data=image_folder"):
        Synthetic(root=str(root)).read()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{broken", "damaged: line 18: it is not valid JSON"),
        ({"file": "../x.png"}, "names ../x.png"),
        ({"class": "7"}, "of class '7'"),
        ({"label": 0}, "of class '0', label 0"),
        ({"label": "1"}, "line 18: label should be a whole number"),
        ({"sha256": None}, "line 18: sha256 should be text"),
        ({}, "x.png does not exist"),
    ],
)
def test_damaged_manifest(ours, row, message):
    sound = {"file": "0/x.png", "class": "0", "label": 1, "sha256": "0" * 64}
    with (ours / "manifest.jsonl").open("a") as file:
        file.write((row if isinstance(row, str) else json.dumps(sound | row)) + "\n")
    with pytest.raises(SynthgenError, match=message):
        Synthetic(root=str(ours)).read()


def test_missing_manifest_and_damaged_description(ours):
    (ours / "manifest.jsonl").unlink()
    with pytest.raises(SynthgenError, match="is missing"):
        Synthetic(root=str(ours)).read()
    (ours / "manifest.jsonl").write_text("")
    (ours / "dataset.json").write_text("[]")
    with pytest.raises(SynthgenError, match="holds no table"):
        Synthetic(root=str(ours)).read()
    (ours / "dataset.json").write_text("{")
    with pytest.raises(SynthgenError, match="damaged"):
        read_synthetic(ours, CLASSES)


def test_labels_follow_the_real_classes(ours, digits):
    one = read_synthetic(ours, ("0", "1"))
    other = read_synthetic(ours, ("1", "0"))
    assert one.images.counts == [8, 9]
    assert other.images.counts == [9, 8]
    assert torch.equal(one.images.images, other.images.images)
    assert one.digest == other.digest
    assert one.described.provenance.model == "gan"
    pixels, labels = digits
    zeros = one.images.of_class(0).images[:, 0].numpy()
    assert np.array_equal(zeros, pixels[labels == 0][:8])


def test_strangers_folder_has_no_provenance_and_the_same_digest(ours, tmp_path, write_classes):
    theirs = write_classes(tmp_path / "theirs", {"0": 8, "1": 9})
    read = read_synthetic(str(theirs), ("0", "1"))
    assert read.described is None
    assert read.digest == read_synthetic(ours, ("0", "1")).digest
    (theirs / "0" / "000.png").unlink()
    assert read_synthetic(theirs, ("0", "1")).digest != read.digest


def test_npz_equals_the_folder(ours, tmp_path):
    folder = read_synthetic(ours, ("0", "1"))
    arrays = {"images": folder.images.images.numpy(), "labels": folder.images.labels.numpy()}
    np.savez(tmp_path / "a.npz", **arrays)
    npz = read_synthetic(tmp_path / "a.npz", ("0", "1"))
    assert npz.digest == folder.digest
    assert npz.described is None
    # numbers that are no names are positions …
    assert read_synthetic(tmp_path / "a.npz", ("cat", "dog")).images.counts == [8, 9]
    # … and numbers that are names are names
    assert read_synthetic(tmp_path / "a.npz", ("1", "0")).images.counts == [9, 8]
    np.savez(tmp_path / "b.npz", **arrays, classes=["dog", "cat"])
    assert read_synthetic(tmp_path / "b.npz", ("cat", "dog")).images.counts == [9, 8]


def test_unknown_and_missing_classes(ours, tmp_path):
    with pytest.raises(SynthgenError, match="class '0' that the real data doesn't have"):
        read_synthetic(ours, ("1", "2"))
    some = read_synthetic(ours, ("0", "1", "2", "3"))  # a plan may fill a few classes only
    assert some.images.counts == [8, 9, 0, 0]
    np.savez(tmp_path / "a.npz", images=np.zeros((3, 8, 8), "u1"), labels=[0, 1, 7])
    with pytest.raises(SynthgenError, match="from 0 to 7"):
        read_synthetic(tmp_path / "a.npz", ("cat", "dog"))


def test_unreadable_sets(tmp_path, write_classes):
    with pytest.raises(SynthgenError, match="does not exist"):
        read_synthetic(tmp_path / "nowhere", ("0",))
    np.savez(tmp_path / "a.npz", images=np.array([{}, {}]), labels=[0, 1])
    with pytest.raises(SynthgenError, match="never opened"):
        read_synthetic(tmp_path / "a.npz", ("0",))
    root = write_classes(tmp_path / "set", {"0": 5})
    (root / "0" / "notes.bin").write_text("notes")
    with pytest.raises(SynthgenError, match=r"notes\.bin is not an image"):
        read_synthetic(root, ("0",))


def test_size_is_kept_however_large(tmp_path, colour_noise):
    (tmp_path / "0").mkdir()
    for i in range(3):
        Image.fromarray(colour_noise(100, 80, i)).save(tmp_path / "0" / f"{i}.png")
    assert read_synthetic(tmp_path, ("0",)).images.images.shape == (3, 3, 100, 80)


def test_colour_sets_that_came_out_grey_keep_three_channels(ours):
    grey = read_synthetic(ours, CLASSES)
    assert grey.images.images.shape[1] == 1
    assert grey.notes == ()
    made = read_synthetic(ours, CLASSES, like=ImageSpec(3, 8, 8, CLASSES))
    assert made.notes == ("The synthetic images are grey; each was given three equal channels.",)
    three = made.images.images
    assert three.shape[1] == 3
    assert torch.equal(three[:, 0], three[:, 2])
    description = json.loads((ours / "dataset.json").read_text())
    description["image"]["channels"] = 3
    (ours / "dataset.json").write_text(json.dumps(description))
    assert torch.equal(read_synthetic(ours, CLASSES).images.images, three)


def with_rows(folder, change):
    """The set again, each row of its manifest changed."""
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    changed = [{**row, **change(row)} for row in rows]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))


def test_an_image_that_is_not_the_one_written_is_refused(ours):
    assert len(read_synthetic(ours, CLASSES).images) == 17
    Image.new("L", (8, 8)).save(ours / "1" / "003.png")
    for read in (lambda: read_synthetic(ours, CLASSES), Synthetic(root=str(ours)).read):
        with pytest.raises(SynthgenError, match=r"1/003\.png was changed.*\n.*synthgen verify"):
            read()


def test_real_images_in_a_set_are_trained_on_but_not_judged(ours):
    with_rows(ours, lambda row: {"origin": "real" if row["seed"] < 3 else "synthetic"})
    assert read_synthetic(ours, CLASSES).images.counts == [6, 5]
    assert Synthetic(root=str(ours)).read().images.counts == [9, 8]


def test_an_unfinished_set_is_refused(ours):
    (ours / ".synthgen").mkdir()
    (ours / ".synthgen" / "job.json").write_text("{}")
    assert len(read_synthetic(ours, CLASSES).images) == 17  # killed in its very last moment
    (ours / "dataset.json").unlink()
    for read in (lambda: read_synthetic(ours, CLASSES), Synthetic(root=str(ours)).read):
        with pytest.raises(SynthgenError, match="unfinished"):
            read()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": 0}, "names 0/000.png"),
        ({"index": 0, "file": "shards/0.xyz"}, r"0\.xyz"),
        ({"index": -1, "file": "shards/0.npz"}, "index should be greater than or equal to 0"),
        ({"index": 0, "file": "shards/../0.npz"}, "names shards"),
        ({"index": 0, "file": "shards/0.npz"}, "does not exist"),
    ],
)
def test_rows_in_shards_that_can_not_be(ours, change, message):
    with_rows(ours, lambda row: change)
    with pytest.raises(SynthgenError, match=message):
        read_synthetic(ours, CLASSES)


@pytest.mark.parametrize(
    "stored",
    [np.uint8(3), np.zeros((9, 8)), np.zeros((2, 8), np.uint8)],
    ids=["one", "float", "2-D"],
)
def test_a_shard_that_holds_no_images(ours, stored):
    (ours / "shards").mkdir()
    np.save(ours / "shards/0.npy", stored)
    with_rows(ours, lambda row: {"index": 0, "file": "shards/0.npy"})
    with pytest.raises(SynthgenError, match="no images"):
        read_synthetic(ours, CLASSES)


def test_a_table_that_holds_numbers_for_images(ours):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (ours / "shards").mkdir()
    parquet.write_table(pa.table({"image": [1, 2]}), ours / "shards/0.parquet")
    with_rows(ours, lambda row: {"index": 0, "file": "shards/0.parquet"})
    with pytest.raises(SynthgenError, match="damaged"):
        read_synthetic(ours, CLASSES)


def test_sixteen_bits_keep_their_scale_in_training_and_in_the_check(ours):
    """A dark set, of levels up to 4,000 of 65,535, is as dark to whoever reads it."""
    pixels = np.random.default_rng(0).integers(0, 4_000, (17, 8, 8)).astype(np.uint16)
    rows = [json.loads(line) for line in (ours / "manifest.jsonl").read_text().splitlines()]
    for row, levels in zip(rows, pixels, strict=True):
        path = ours / row["file"]
        Image.fromarray(levels).save(path)
        row["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (ours / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    about = json.loads((ours / "dataset.json").read_text())
    about["image"] |= {"bits": 16, "levels": [-1000.0, 3000.0]}
    (ours / "dataset.json").write_text(json.dumps(about))
    source = Synthetic(root=str(ours), bits=16)
    splits, result = prepare(source), check(source)
    assert int(splits.train.images.to(torch.int32).max()) < 4_000
    assert result.splits.digest == splits.digest
    assert result.notes == splits.notes
    said = " ".join(splits.notes)
    assert "level 0 stands for -1000, and 65,535 for 3000, of the images" in said
    assert "Levels 0 to 65535 (black and white as the files say) become 0 to 65,535" in said
