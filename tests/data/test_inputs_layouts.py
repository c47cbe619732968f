"""Folders as people have them: what is read, what is said, what is refused; ``data check`` and
training agree. A layout is ``{folder: number of images}``."""

import html
import os
import re
import unicodedata

import numpy as np
import pytest
from PIL import Image

from synthgen.data import CIFAR10, CSV, NPZ, ImageFolder, check, prepare
from synthgen.data.checks.readings import readings_of
from synthgen.data.folders.ways import UnclearLayoutError
from synthgen.data.source import label_names
from synthgen.dataset.source import read_synthetic
from synthgen.errors import SynthgenError


def make(root, folders):
    """Write that many pictures into each folder, all different."""
    pictures = np.random.default_rng(0).integers(0, 256, (600, 6, 6), dtype=np.uint8)
    number = iter(range(len(pictures)))
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            one = next(number)
            Image.fromarray(pictures[one]).save(root / folder / f"{one}.png")
    return root


def under(*parents, a=6, b=7):
    """Two classes in each of some folders."""
    return {f"{parent}/{name}": n for parent in parents for name, n in (("cat", a), ("dog", b))}


def counts(records):
    """Images by split and class."""
    found = {}
    images = records.images
    for label, split in zip(images.labels.tolist(), records.split, strict=True):
        part = found.setdefault(split or "all", dict.fromkeys(images.classes, 0))
        part[images.classes[label]] += 1
    return found


BOTH = {"cat": 6, "dog": 7}
TWO = {"train": BOTH, "test": BOTH}
THREE = {**TWO, "holdout": BOTH}

READ = {  # name: (folders, options, what is read, words of a note)
    "class folders": ({"cat": 6, "dog": 7}, {}, {"all": BOTH}, ""),
    "train and test": (under("train", "test"), {}, TWO, ""),
    "training_set, test_set": (under("training_set", "test_set"), {}, TWO, "training_set/ was"),
    "Kaggle cats and dogs: each set inside itself": (
        under("training_set/training_set", "test_set/test_set"), {}, TWO, "test_set/ was",
    ),
    "Intel scenes: nested, and seg_pred unlabelled": (
        under("seg_train/seg_train", "seg_test/seg_test") | {"seg_pred/seg_pred": 3},
        {}, TWO, "Left out seg_pred/ (3 images)",
    ),
    "COCO's names with class folders": (
        under("train2017", "val2017"), {}, {"train": BOTH, "holdout": BOTH}, "val2017/ was",
    ),
    "Train_images, Test_images": (under("Train_images", "Test_images"), {}, TWO, ""),
    "TrainSet, ValSet, TestSet": (under("TrainSet", "ValSet", "TestSet"), {}, THREE, ""),
    "Training, Testing (brain tumours)": (under("Training", "Testing"), {}, TWO, ""),
    "train, valid, test": (under("train", "valid", "test"), {}, THREE, ""),
    "train, validation": (under("train", "validation"), {}, {"train": BOTH, "holdout": BOTH}, ""),
    "train, dev, eval": (under("train", "dev", "eval"), {}, THREE, ""),
    "train, eval, test": (under("train", "eval", "test"), {}, THREE, ""),
    "chest x-rays: a wrapping folder": (
        under("chest_xray/train", "chest_xray/val", "chest_xray/test"),
        {}, THREE, "chest_xray/ was taken for the data",
    ),
    "root/images/class, labels beside (DTD)": (
        under("images"), {}, {"all": BOTH}, "data.level=1 takes images for a class",
    ),
    "root/dataset/train/class": (under("dataset/train"), {}, {"train": BOTH}, "dataset/ was"),
    "two wrapping folders (UC Merced)": (
        under("UCMerced/Images"), {}, {"all": BOTH}, "UCMerced/Images/",
    ),
    "train alone": (under("train"), {}, {"train": BOTH}, ""),
    "Kaggle: test holds loose images": (
        under("train") | {"test": 4}, {}, {"train": BOTH}, "Left out test/ (4 images)",
    ),
    "Tiny ImageNet: images/ in each class, none in val": (
        {"train/n01/images": 6, "train/n02/images": 7, "val/images": 4, "test/images": 4},
        {}, {"train": {"n01": 6, "n02": 7}}, "Left out val/ (4 images)",
    ),
    "ImageNet: n01440764": (
        {"train/n01440764": 6, "train/n01443537": 6, "val/n01440764": 3, "val/n01443537": 3}, {},
        {"train": {"n01440764": 6, "n01443537": 6}, "holdout": {"n01440764": 3, "n01443537": 3}},
        "",
    ),
    "a class called train": ({"bus": 6, "train": 6}, {}, {"all": {"bus": 6, "train": 6}}, ""),
    "a class called train with a folder in it": (
        {"bus": 6, "train": 3, "train/more": 4}, {}, {"all": {"bus": 6, "train": 7}}, "deeper",
    ),
    "classes called test_tube and dev board": (
        {"test_tube": 6, "dev board": 6, "jar": 6}, {},
        {"all": {"dev board": 6, "jar": 6, "test_tube": 6}}, "",
    ),
    "classes of labels": (
        {"label ok": 6, "label torn": 7}, {}, {"all": {"label ok": 6, "label torn": 7}}, "",
    ),
    "numbers in natural order": (
        {"0": 6, "10": 6, "2": 6, "1": 6}, {}, {"all": dict.fromkeys(("0", "1", "2", "10"), 6)}, "",
    ),
    "names in natural order": (
        {"lot10": 6, "lot2": 6}, {}, {"all": {"lot2": 6, "lot10": 6}}, "",
    ),
    "days inside classes": (
        {"cat/2024-05-01": 3, "cat/2024-05-02": 3, "dog/2024-05-01": 3, "dog/2024-05-02": 4},
        {}, {"all": BOTH}, "belong to the class above",
    ),
    "patients inside classes": (
        {"cat/p1": 3, "cat/p2": 3, "dog/p2": 1, "dog/p4": 3, "dog/p5": 3}, {},
        {"all": BOTH}, "deeper",
    ),
    "a class called bullet train, of several places": (
        {"bullet train/Japan": 3, "bullet train/France": 3, "tram/Riga": 7}, {},
        {"all": {"bullet train": 6, "tram": 7}}, "deeper",
    ),
    "an empty folder for the test split": (
        under("train") | {"test": 0}, {}, {"train": BOTH}, "Left out test/: no images in it",
    ),
    "an empty folder beside a wrapping one": (
        under("data") | {"models": 0}, {}, {"all": BOTH}, "Left out models/: no images in it",
    ),
    "groups of classes, read as classes and said": (
        {"animals/cat": 3, "animals/dog": 3, "cars/van": 7},
        {}, {"all": {"animals": 6, "cars": 7}}, "data.level= says how deep",
    ),
    "groups of classes by data.level": (
        {"animals/cat": 6, "animals/dog": 7, "cars/van": 6}, {"level": 2},
        {"all": {"cat": 6, "dog": 7, "van": 6}}, "",
    ),
    "splits inside the classes": (
        {"cat/train": 6, "cat/test": 3, "dog/train": 7, "dog/test": 3}, {},
        {"train": BOTH, "test": {"cat": 3, "dog": 3}}, "lie inside the classes",
    ),
    "domains by data.level=2 (Office-Home)": (
        under("Art", "Clipart"), {"level": 2}, {"all": {"cat": 12, "dog": 14}}, "are one class",
    ),
    "domains as classes": (
        under("Art", "Clipart"), {"level": 1}, {"all": {"Art": 13, "Clipart": 13}}, "",
    ),
    "folds by data.splits": (
        under("fold1", "fold2", "fold3"),
        {"splits": {"train": ["fold1", "fold2"], "test": "fold3"}},
        {"train": {"cat": 12, "dog": 14}, "test": BOTH}, "",
    ),
    "folds called 1, 2 and 3": (
        under("1", "2", "3"), {"splits": {"train": [1, 2], "test": 3}},
        {"train": {"cat": 12, "dog": 14}, "test": BOTH}, "",
    ),
    "one of color, grayscale, segmented (PlantVillage)": (
        under("color", "grayscale", "segmented"), {"splits": {"train": "color"}},
        {"train": BOTH}, "Left out grayscale/ (13 images)",
    ),
    "train and test put together (MVTec)": (
        {"train/good": 6, "test/good": 6, "test/torn": 6}, {"splits": {"train": ["train", "test"]}},
        {"train": {"good": 12, "torn": 6}}, "",
    ),
    "sites with splits inside, by data.splits": (
        under("A/train", "A/test", "B/train", "B/test"),
        {"splits": {"train": ["A/train", "B/train"], "val": ["A/test", "B/test"]}},
        {"train": {"cat": 12, "dog": 14}, "holdout": {"cat": 12, "dog": 14}}, "",
    ),
    "domains inside splits, by data.level": (
        under("train/Art", "train/Photo", "test/Art", "test/Photo"), {"level": 2},
        {"train": {"cat": 12, "dog": 14}, "test": {"cat": 12, "dog": 14}}, "",
    ),
    "trained without the official splits": (
        {"train": 6, "test": 7}, {"level": 1}, {"all": {"test": 7, "train": 6}}, "",
    ),
    "systems and tools left things": (
        {"cat": 6, "dog": 7, "@eaDir/x": 1, "$RECYCLE.BIN": 1, "cat/__MACOSX/cat": 1,
         "dog/.ipynb_checkpoints": 2, "System Volume Information": 1, "lost+found": 1}, {},
        {"all": BOTH}, "1 $RECYCLE.BIN/, 1 @eaDir/, 1 System Volume Information/, 1 __MACOSX/",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_read_and_said(tmp_path, case):
    folders, options, expected, said = READ[case]
    source = ImageFolder(root=str(make(tmp_path / "photos", folders)), **options)
    records = source.read()
    found = counts(records)
    assert found == expected
    assert [*next(iter(found.values()))] == [*next(iter(expected.values()))]  # their order, too
    assert any(said in note for note in records.notes), records.notes
    agree(source)
    total = sum(sum(part.values()) for part in expected.values())
    assert records.tree.lines()[-1 - len(records.tree.left_out)].startswith("└─ ")
    assert sum(sum(row) for _, row in records.tree.counts) == total


REFUSED = {  # name: (folders, options, words of the refusal)
    "domains are no splits (Office-Home)": (
        under("Art", "Clipart", "Product"), {},
        ("Art, Clipart, Product", "all hold cat, dog", "data.level=1 (Art), data.level=2 (cat)"),
    ),
    "PlantVillage: color, grayscale, segmented": (
        under("color", "grayscale", "segmented"), {}, ("either may be the classes", "data.level=1"),
    ),
    "domains with a folder between (Office-31)": (
        under("amazon/images", "dslr/images"), {}, ("data.level=1 (amazon), data.level=3 (cat)",),
    ),
    "left and right in each class": (
        {"cat/left": 3, "cat/right": 3, "dog/left": 3, "dog/right": 3}, {}, ("data.level=1",),
    ),
    "days around classes": (
        under("2024-05-01", "2024-05-02"), {}, ("either may be", "data.level=2 (cat)"),
    ),
    "one folder in each split that holds the classes": (
        under("train/real", "test/real"), {}, ("train/real holds cat, dog", "data.level=2 for"),
    ),
    "two training sets beside something else": (
        under("Train", "train", "test") | {"Meta": 6}, {},
        ("Meta beside", "'data.splits={train: [Train, train], test: test}'"),
    ),
    "domains inside splits": (
        under("train/Art", "train/Photo", "test/Art", "test/Photo"), {}, ("data.level=2 (cat)",),
    ),
    "folds of a cross-validation": (
        under("fold1", "fold2", "fold3"), {},
        ("which is the test split", "{train: [fold1, fold2], test: fold3}"),
    ),
    "splits inside sites": (
        under("A/train", "A/test", "B/train", "B/test"), {}, ("data.root=", "[A/train, B/train]"),
    ),
    "splits inside some classes": (
        {"cat/train": 6, "cat/test": 6, "dog": 6, "van/train": 6, "van/test": 6}, {},
        ("cat/, van/", "others don't"),
    ),
    "eval alone beside train": (
        under("train", "eval"), {},
        ("may be the holdout", "'data.splits={train: train, test: eval}'"),
    ),
    "two training sets": (
        under("train2014", "train2017", "test"), {},
        ("both train2014/ and train2017/", "[train2014, train2017]"),
    ),
    "train_val": (under("train_val", "test"), {}, ("train_val beside test/",)),
    "test without train": (under("test"), {}, ("no train/",)),
    "something beside the splits (chest_xray twice)": (
        under("train", "test", "chest_xray/train", "chest_xray/test"), {},
        ("chest_xray beside test/", "'data.splits={train: train, test: test}'"),
    ),
    "COCO: no classes": (
        {"train2017": 6, "val2017": 6, "annotations/instances.json": 0}, {},
        ("train2017/, val2017/", "without class folders", "data.level=1"),
    ),
    "YOLO: images and labels": (
        {"images/train": 6, "images/val": 6}, {}, ("without class folders",),
    ),
    "YOLO in splits": (
        {"train/images": 6, "valid/images": 6, "test/images": 6}, {}, ("without class folders",),
    ),
    "Flowers 102: jpg/ alone": ({"jpg": 8}, {}, ("jpg/", "without class folders", "data=csv")),
    "Dogs vs. Cats: names say the class": (
        {"train": 8, "test1": 8}, {}, ("without class folders",),
    ),
    "images and masks": ({"images": 6, "masks": 6}, {}, ("without class folders",)),
    "images and masks of classes": (
        under("images", "masks"), {}, ("images/ beside masks", "data.root="),
    ),
    "images beside drawn masks (Oxford pets)": (
        {"images": 6, "annotations/trimaps": 6}, {}, ("without class folders",),
    ),
    "images in parts (HAM10000)": (
        {"HAM10000_images_part_1": 6, "HAM10000_images_part_2": 6}, {}, ("without class folders",),
    ),
    "images in parts (NIH chest x-rays)": (
        {"images_001/images": 6, "images_002/images": 6}, {}, ("without class folders",),
    ),
    "objects with splits inside (MVTec)": (
        under("can/train", "can/test", "nut/train", "nut/test") | {"can/ground_truth/cat": 6}, {},
        ("hold splits (train/)", "data.root="),
    ),
    "one class with masks beside splits": (
        under("train", "test") | {"ground_truth/cat": 6}, {}, ("ground_truth beside",),
    ),
    "sites of which one has a class alone": (
        {"A/cat": 6, "B/cat": 6, "B/dog": 6}, {}, ("either may be the classes",),
    ),
    "masks in each class": (
        {"cat/images": 6, "cat/masks": 6, "dog/images": 6, "dog/masks": 6}, {},
        ("masks would be taken for images",),
    ),
    "classes beside a copy of all (brain MRI, malaria, flowers on Kaggle)": (
        {"no": 6, "yes": 6} | {"brain_tumor/no": 6, "brain_tumor/yes": 6}, {},
        ("brain_tumor holds no, yes, and so does", "data.level=1 if brain_tumor is"),
    ),
    "thumbnails of the classes": (
        under("train", "train/thumbs"), {}, ("thumbs holds cat, dog, and so does",),
    ),
    "folders that hold themselves (colorectal tiles)": (
        under("tiles/tiles") | {"larger/larger": 6}, {},
        ("tiles holds tiles/cat, dog", "tiles/tiles to read those"),
    ),
    "splits in a folder that holds itself (castings)": (
        under("data/data/train", "data/data/test", "512/512"), {}, ("512 holds 512/cat, dog",),
    ),
    "rps, rps-test-set and loose images to try": (
        under("rps", "rps-test-set") | {"validation": 6}, {},
        ("all hold cat, dog", "'data.splits={train: rps, test: rps-test-set}'"),
    ),
    "images beside another folder": (
        under("images") | {"samples": 3}, {}, ("images/ beside samples",),
    ),
    "only images": ({".": 8}, {}, ("without class folders",)),
    "nothing": ({}, {}, ("holds no class folders",)),
    "loose images in a split": (
        under("train", "test") | {"train": 2}, {}, ("lies beside the class folders (and 1 more)",),
    ),
    "loose images in train alone": (
        under("train") | {"train": 1}, {}, ("lies beside the class folders",),
    ),
    "loose images in both splits": (
        under("train", "test") | {"train": 1, "test": 1}, {}, ("lies beside the class folders",),
    ),
    "loose images beside classes": (
        {"cat": 6, "dog": 6, ".": 1}, {}, ("beside the class folders",),
    ),
    "train is loose, test has classes": (under("test") | {"train": 6}, {}, ("no train/",)),
    "a class that test lacks": (
        under("train") | {"test/cat": 6}, {},
        ("test has no folder dog/", "anew: 'data.splits={train: [train, test]}'"),
    ),
    "a class that only test has": (
        under("train") | {"test/cat": 6, "test/dog": 6, "test/van": 6}, {},
        ("train has no folder van/",),
    ),
    "faults that only test has (MVTec)": (
        {"train/good": 6, "test/good": 6, "test/torn": 6}, {},
        ("train has no folder torn/", "'data.splits={train: [train, test]}'"),
    ),
    "an empty class folder": ({"cat": 6, "dog": 6, "van": 0}, {}, ("van holds no images",)),
    "an empty test split": (
        under("train") | {"test/cat": 0, "test/dog": 0}, {}, ("holds no images",),
    ),
    "a level too deep": ({"cat": 6, "dog": 7}, {"level": 2}, ("data.level=2",)),
    "splits names no folder": (
        under("train"), {"splits": {"train": "training"}}, ("no such folder", "are train"),
    ),
    "splits names no split": (
        under("a"), {"splits": {"trial": "a"}}, ("'trial', which is no split",),
    ),
    "splits without train": (under("a"), {"splits": {"test": "a"}}, ("no folder for train",)),
    "splits names one folder twice": (
        under("a"), {"splits": {"train": "a", "test": "a"}}, ("Name each folder once",),
    ),
    "splits names an unlabelled folder": (
        under("train") | {"test": 6}, {"splits": {"train": "train", "test": "test"}},
        ("test holds images without class folders",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_way_out(tmp_path, case):
    folders, options, words = REFUSED[case]
    root = tmp_path / "photos"
    root.mkdir()
    source = ImageFolder(root=str(make(root, folders)), **options)
    said = agree(source)
    assert said is not None
    for word in words:
        assert word in said
    assert said.count("\n") == 1


UNCLEAR = [
    "domains are no splits (Office-Home)",
    "days around classes",
    "two training sets beside something else",
    "folds of a cross-validation",
    "eval alone beside train",
    "something beside the splits (chest_xray twice)",
    "one folder in each split that holds the classes",
]


@pytest.mark.parametrize("case", UNCLEAR)
def test_each_way_that_a_refusal_names_is_shown_and_reads_so(tmp_path, case):
    folders, options, _ = REFUSED[case]
    (tmp_path / "photos").mkdir()
    source = ImageFolder(root=str(make(tmp_path / "photos", folders)), **options)
    with pytest.raises(UnclearLayoutError) as raised:
        source.listing()
    readings = readings_of(source, raised.value)
    assert len(readings) >= 2
    trees = [reading.tree for reading in readings if reading.tree]
    assert len(set(map(str, trees))) == len(trees) > 0
    for way, reading in zip(raised.value.ways, readings, strict=True):
        assert reading.setting == str(way)
        if reading.tree is None:  # two classes Train and train
            assert "exists twice" in reading.problem
            continue
        listing = source.with_options(**way.options).listing()
        assert sum(sum(row) for _, row in reading.tree.counts) == len(listing.paths) > 0


def test_a_folder_of_several_readings_gets_a_page_with_each(tmp_path, synthgen):
    make(tmp_path / "photos", under("A<b>", "B"))
    outcome = synthgen("data", "check", "data=image_folder", "data.root=photos", "out=found")
    assert outcome.code == 3
    page = (tmp_path / "found" / "check.html").read_text()
    for said in ("data.level=1\nThe class name 'A<b>' can't", "data.level=2\nphotos/", "B}'\nph"):
        assert said in outcome.err
        assert html.escape(said.partition("\n")[0]).replace("&#x27;", "&#39;") in page
    assert page.count('<pre class="tree">') == 2
    assert "A<b>" not in page
    assert "A&lt;b&gt;" in page
    again = synthgen("data", "check", "data=image_folder", "data.root=photos", "out=found")
    assert again.code == 2
    assert "exists" in again.err


def agree(source):
    """What training and ``data check`` refuse with, both the same; None if they accept it."""
    try:
        prepare(source)
        trained = None
    except SynthgenError as error:
        trained = str(error)
    try:
        checked = check(source).refusal
    except SynthgenError as error:
        checked = str(error)
    assert checked == trained
    return trained


# Files beside images, and links.

BESIDE = {
    ".DS_Store": "2 .DS_Store",
    "._0.png": "2 ._ files of macOS",
    "Thumbs.db": "2 Thumbs.db",
    "desktop.ini": "2 desktop.ini",
    "0.png:Zone.Identifier": "temporary files",
    "0.xml": "2 .xml (0.xml, …)",
    "0.txt": "2 .txt",
    "0.json": "2 .json",
    "0.xmp": "2 .xmp",
    "0.AAE": "2 .aae",
    "0.tif.aux.xml": "2 .xml",
    "0.tfw": "2 .tfw",
    "0.png.dvc": "2 .dvc",
    "LICENSE": "2 texts",
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_stands_beside_images_is_counted_and_left(tmp_path, name):
    root = make(tmp_path, BOTH)
    for place in (root / name, root / "cat" / name):
        place.write_text("not an image")
    source = ImageFolder(root=str(root))
    records = source.read()
    assert counts(records) == {"all": BOTH}
    assert any("Skipped" in note and BESIDE[name] in note for note in records.notes)
    assert agree(source) is None


@pytest.mark.parametrize("named", ["{}_mask", "{}_mask_1", "{}-label", "{}_superpixels"])
def test_masks_beside_their_pictures_are_no_images(tmp_path, named):
    """Breast ultrasound: benign (1).png beside benign (1)_mask.png."""
    root = make(tmp_path, BOTH | {"van": 6})
    for path in sorted((root / "cat").iterdir())[:4]:
        Image.new("L", (6, 6)).save(path.with_name(f"{named.format(path.stem)}.bmp"))
    for path in sorted((root / "van").iterdir()):
        path.rename(path.with_name(f"{named.format(path.stem)}.png"))  # of nothing: images
    source = ImageFolder(root=str(root))
    assert counts(source.read()) == {"all": BOTH | {"van": 6}}
    assert any("Skipped files that are no images: 4 masks" in one for one in source.read().notes)
    assert agree(source) is None


@pytest.mark.parametrize("place", ["annotations", "labels/train", "meta", "train_labels"])
def test_a_folder_of_labels_is_no_class(tmp_path, place):
    root = make(tmp_path, {"images/cat": 6, "images/dog": 7})
    (root / place).mkdir(parents=True)
    (root / place / "0.xml").write_text("<box/>")
    records = ImageFolder(root=str(root)).read()
    assert counts(records) == {"all": BOTH}
    assert any(f"without images: {place.split('/')[0]}/" in note for note in records.notes), records


def test_annotations_without_an_ending_are_no_class(tmp_path):
    """Stanford Dogs: XML in files that are called n02085620_7."""
    root = make(tmp_path, under("Images"))
    for name in ("cat", "dog"):
        (root / "Annotation" / name).mkdir(parents=True)
        (root / "Annotation" / name / "n02085620_7").write_text("<annotation/>")
    assert counts(ImageFolder(root=str(root)).read()) == {"all": BOTH}


@pytest.mark.parametrize(
    "name", ["x_train.npy", "logo.svg", "archive.zip", "resnet.h5", "disk.img"]
)
def test_other_files_beside_the_classes_are_told(tmp_path, name):
    root = make(tmp_path, BOTH)
    (root / name).write_bytes(b"\0")
    source = ImageFolder(root=str(root))
    assert any(f"{name}: not in a class folder" in note for note in source.read().notes)
    assert agree(source) is None


def test_a_pointer_of_git_lfs_is_told(tmp_path):
    root = make(tmp_path, BOTH)
    (root / "cat" / "zz.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0")
    said = agree(ImageFolder(root=str(root)))
    assert "is a pointer of Git LFS.\nGet it: git lfs pull" in said


def test_an_unknown_file_among_images_stays_a_finding(tmp_path):
    root = make(tmp_path, BOTH)
    (root / "cat" / "zz.bin").write_bytes(b"notes")
    source = ImageFolder(root=str(root))
    assert [one.file for one in check(source).of_kind("not_image")] == ["cat/zz.bin"]
    assert "zz.bin is not an image" in agree(source)


def test_images_without_or_with_a_strange_ending_are_read(tmp_path):
    root = make(tmp_path, under("train", "test"))
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        path.rename(path.with_name(f"IM{number}" if number % 2 else f"1.2.840.{number}"))
    assert counts(ImageFolder(root=str(root)).read()) == TWO
    for split in ("train", "test"):
        (root / split / "dog").rename(root / split / "dog labels")
    assert [*counts(ImageFolder(root=str(root)).read())["test"]] == ["cat", "dog labels"]
    for split in ("train", "test"):
        (root / split / "dog labels").rename(root / split / "dog")
    for path in [one for one in root.rglob("*") if one.is_file()]:
        path.rename(f"{path}.dat")
    assert counts(ImageFolder(root=str(root)).read()) == TWO


LINKS = {  # name: (link, what it leads to, words of the note or refusal, whether it is refused)
    "a broken class": ("van", "nowhere", "link to what does not exist", True),
    "a broken class of a split": ("train/van", "nowhere", "link to what does not exist", True),
    "the parent": ("cat/up", "..", "leads back", False),
    "the parent of the root": ("up", "../..", "leads back", False),
    "another class": ("van", "cat", "one folder under two names", True),
    "a folder inside another class": ("cat/more", "../dog/p", "one folder under two names", True),
    "a folder inside the same class": ("dog/again", "p", "which is read already", False),
}


@pytest.mark.parametrize("case", LINKS)
def test_links(tmp_path, case):
    link, target, words, refused = LINKS[case]
    root = make(tmp_path / "photos", {"cat": 6, "dog": 4, "dog/p": 3})
    if link.startswith("train"):
        root = make(tmp_path / "split", under("train"))
    (root / link).symlink_to(target)
    source = ImageFolder(root=str(root))
    said = agree(source)
    if refused:
        assert words in said
    else:
        assert said is None
        records = source.read()
        assert counts(records) == {"all": BOTH}
        assert any(words in note for note in records.notes)


def test_one_folder_for_two_splits_is_refused_and_a_link_may_be_named(tmp_path):
    root = make(tmp_path, under("train", "test"))
    (root / "val").symlink_to("test")
    (root / "latest").symlink_to("train")
    assert "one folder under two names" in agree(ImageFolder(root=str(root)))
    (root / "val").unlink()
    named = ImageFolder(root=str(root), splits={"train": "latest", "test": "test"})
    assert "one folder under two names" in agree(named)  # train is still there beside its link
    (root / "latest").unlink()
    assert counts(ImageFolder(root=str(root)).read()) == TWO


def test_a_class_of_images_of_other_classes_is_refused(tmp_path):
    """Farms of links by class and by site beside each other."""
    root = make(tmp_path / "photos", {"cat": 6, "dog": 6, "owl": 2})
    (root / "site A").mkdir()
    for path in (root / "cat").iterdir():
        (root / "site A" / path.name).symlink_to(path)
    for path, to in zip(sorted((root / "owl").iterdir()), ("cat", "site A"), strict=True):
        path.rename(tmp_path / to.replace(" ", "_"))
    (root / "owl").rmdir()
    said = agree(ImageFolder(root=str(root)))
    assert said.startswith("All images of class 'cat' are images of 'site A' too")
    for to in ("cat", "site A"):
        (tmp_path / to.replace(" ", "_")).rename(root / to / "own.png")
    assert agree(ImageFolder(root=str(root))) is None


def test_a_class_that_lies_elsewhere_is_read(tmp_path):
    root = make(tmp_path / "photos", {"cat": 6})
    make(tmp_path / "elsewhere", {"skip": 6, "dog": 7})
    (root / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    assert counts(ImageFolder(root=str(root)).read()) == {"all": BOTH}


# The order of classes, and names that are one.


def test_classes_have_one_order_whatever_they_come_from(tmp_path):
    names = ["img10", "img2", "Zoo", "a"]
    root = make(tmp_path / "photos", dict.fromkeys(names, 5))
    rows = [f"photos/{path.relative_to(root)},{path.parent.name}" for path in root.rglob("*.png")]
    (tmp_path / "t.csv").write_text("path,label\n" + "\n".join(rows))
    labels = [name for name in names for _ in range(5)]
    pixels = np.random.default_rng(0).integers(0, 256, (20, 6, 6), dtype=np.uint8)
    np.savez(tmp_path / "t.npz", images=pixels, labels=labels)
    sources = (
        ImageFolder(root=str(root)),
        CSV(path=str(tmp_path / "t.csv")),
        NPZ(path=str(tmp_path / "t.npz")),
    )
    orders = {source.read().images.classes for source in sources}
    assert orders == {("Zoo", "a", "img2", "img10")}


@pytest.mark.parametrize(
    ("labels", "ordered"),
    [
        (["10", "9", "0"], ("0", "9", "10")),
        (["1", "-1", "0", "0.5", "0.25"], ("-1", "0", "0.25", "0.5", "1")),
        (["b10", "b9", "a"], ("a", "b9", "b10")),
        (["1", "01", "001"], ("001", "01", "1")),
        (["v1.10", "v1.9"], ("v1.9", "v1.10")),
        (["9" * 5000, "1" * 5001], ("9" * 5000, "1" * 5001)),
        (["10 km", "2 km", "x"], ("2 km", "10 km", "x")),
    ],
)
def test_natural_order(labels, ordered):
    assert label_names(labels) == ordered


def test_numbers_for_labels_are_refused_where_two_orders_are_usual(tmp_path):
    """Sets of other programs number classes in alphabetical order, as torchvision does."""
    pixels = np.zeros((4, 6, 6), np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels, labels=[0, 1, 2, 2])
    with pytest.raises(SynthgenError, match="1 is 'img2' or 'img10'"):
        read_synthetic(tmp_path / "a.npz", ("img1", "img2", "img10"))
    np.savez(
        tmp_path / "b.npz", images=pixels, labels=[0, 1, 2, 2], classes=["img1", "img10", "img2"]
    )
    found = read_synthetic(tmp_path / "b.npz", ("img1", "img2", "img10")).images
    assert found.labels.tolist() == [0, 2, 1, 1]
    own_order = ("ship", "car", "dog")  # of the data's own: its numbers are known
    assert read_synthetic(tmp_path / "a.npz", own_order).images.labels.tolist() == [0, 1, 2, 2]


def test_what_is_skipped_in_a_set_of_another_program_is_told(tmp_path):
    root = make(tmp_path / "set", BOTH)
    (root / "cat" / "0.txt").write_text("a prompt")
    assert "1 .txt (cat/0.txt)" in " ".join(read_synthetic(root, ("cat", "dog")).notes)


def test_a_set_that_spells_a_class_otherwise_is_told_so(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    root = make(tmp_path / "set", {decomposed: 5})
    with pytest.raises(SynthgenError, match=r"that the real data spells 'caf\\xe9'"):
        read_synthetic(root, (composed,))


def test_names_equal_after_normalisation_are_one_question(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    root = make(tmp_path / "photos", {f"train/{composed}": 6, f"test/{decomposed}": 6})
    if len(os.listdir(root / "train")) + len(os.listdir(root / "test")) != 2:
        pytest.fail("this file system keeps one spelling")
    said = agree(ImageFolder(root=str(root)))
    assert "'cafe\\u0301' and 'caf\\xe9'" in said


@pytest.mark.parametrize("other", ["no  finding", "no\u00a0finding", "no finding\u200b"])
def test_names_that_look_alike_are_one_question(tmp_path, other):
    root = make(tmp_path, {"no finding": 6, other: 6})
    assert "Two classes look alike" in agree(ImageFolder(root=str(root)))


def test_cifar10_takes_folders_of_any_usual_name_and_all_settings(tmp_path):
    root = make(tmp_path, under("training_set", "test_set"))
    source = CIFAR10(root=str(root), at_most=3, near_duplicates="warn")
    splits = prepare(source)
    assert splits.test.counts == [6, 7]
    assert splits.train.counts == [3, 3]
    assert source.as_folder().at_most == 3


# How it is shown.


def test_the_tree_shows_splits_and_what_was_left_out(tmp_path):
    root = make(tmp_path / "photos", under("training_set", "test_set") | {"seg_pred": 3})
    assert str(ImageFolder(root=str(root)).listing().tree).splitlines() == [
        "photos/       train (training_set/)  test (test_set/)",
        "├─ cat                            6                 6",
        "├─ dog                            7                 7",
        "└─ 2 classes                     13                13",
        "left out: seg_pred/ (3 images)",
    ]


def test_the_tree_of_many_classes_is_cut(tmp_path):
    root = make(tmp_path / "photos", {f"c{number}": 2 for number in range(30)})
    lines = str(ImageFolder(root=str(root)).listing().tree).splitlines()
    assert len(lines) == 22
    assert lines[1:3] == ["├─ c0                  2", "├─ c1                  2"]
    assert lines[-2:] == ["├─ … and 11 more      22", "└─ 30 classes         60"]


def test_the_tree_stands_before_training_and_in_the_check(tmp_path, synthgen):
    root = make(tmp_path / "photos", under("training_set", "test_set", a=8, b=8))
    given = ["data=image_folder", f"data.root={root}"]
    trained = synthgen("train", "model=pca_gaussian", *given, "logger=csv", "out=run")
    checked = synthgen("data", "check", *given, "out=found")
    for outcome in (trained, checked):
        assert outcome.code == 0, outcome.err
        assert "train (training_set/)  test (test_set/)" in outcome.err


def test_splits_can_be_typed(tmp_path, synthgen):
    make(tmp_path / "photos", under("1 (a), b", "2024-05-01", "null"))
    given = ["data=image_folder", "data.root=photos"]
    refused = synthgen("data", "check", *given, "out=unclear")
    assert refused.code == 3
    advice = re.findall(r"'(data.splits=[^']*)'", refused.err)[-1]
    assert advice == 'data.splits={train: "1 (a), b", test: "2024-05-01"}'
    outcome = synthgen("data", "check", *given, advice, "data.near_duplicates=warn", "out=found")
    assert outcome.code == 0, outcome.err
    outcome = synthgen("data", "check", *given, "data.level=1", "out=found1")
    assert outcome.code == 0, outcome.err
