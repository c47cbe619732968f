"""Tables, Hugging Face sets, WebDataset shards and npz files as people have them: what is read,
what is said, and what is refused with its way out. ``check`` and ``prepare`` must agree on each."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from synthgen.data import CSV, NPZ, check, prepare
from synthgen.errors import SynthgenError

ALL = {"a": 12, "b": 12}
NUMBERS = {"0": 12, "1": 12}


IMG = "img/{k}{i:02d}.png"
ROW = IMG + ",{k}"


@dataclass(frozen=True)
class Input:
    """``make(folder)`` gives the source; ``read``: images by class, None for a refusal; ``said``
    is found in the notes or in the refusal."""

    make: Callable
    read: dict[str, int] | None
    said: str = ""


@pytest.fixture
def folder(tmp_path, digits):
    """``img/a00.png`` … ``img/b11.png``: different digits of two classes; a12 is a spare one."""
    pixels, labels = digits
    (tmp_path / "img").mkdir()
    for number, name in enumerate("ab"):
        for i, image in enumerate(pixels[labels == number][: 13 - number]):
            Image.fromarray(image).save(tmp_path / "img" / f"{name}{i:02d}.png")
    return tmp_path


def lines(header, row, more=()):
    """A line per image: ``{k}`` is its class, ``{c}`` 0 or 1, ``{i}`` its number, ``{n}`` the
    number among all."""
    rows = [
        row.format(k=k, c=c, d=1 - c, i=i, n=12 * c + i, p=i // 3, w="train" if i < 8 else "test")
        for c, k in enumerate("ab")
        for i in range(12)
    ]
    return "\n".join([*([header] if header else []), *rows, *more]) + "\n"


def table(header, row=ROW, more=(), *, encoding="utf-8", file="t.csv", **options):
    def make(folder):
        (folder / file).write_bytes(lines(header, row, more).encode(encoding))
        given = {k: str(folder / v) if k == "folder" else v for k, v in options.items()}
        return CSV(path=str(folder / file), **given)

    return make


def moved(make, place, ending=".png"):
    """The pictures lie elsewhere, or are called otherwise."""

    def changed(folder):
        for picture in sorted((folder / "img").iterdir()):
            target = folder / place.format(k=picture.stem[0]) / f"{picture.stem}{ending}"
            target.parent.mkdir(parents=True, exist_ok=True)
            picture.rename(target)
        return make(folder)

    return changed


def twins(make):
    """Beside each picture one with another ending."""

    def doubled(folder):
        for picture in sorted((folder / "img").iterdir()):
            Image.open(picture).save(picture.with_suffix(".bmp"))
        return make(folder)

    return doubled


def parquet(columns, **options):
    def make(folder):
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow.parquet import write_table

        rows = [(k, c, i) for c, k in enumerate("ab") for i in range(12)]
        content = {name: [value(*row) for row in rows] for name, value in columns.items()}
        write_table(pyarrow.table(content), folder / "t.parquet")
        return CSV(path=str(folder / "t.parquet"), **options)

    return make


def png(k, c, i):
    return f"img/{k}{i:02d}.png"


SPLITS = IMG + ",{k},{w}"
WHO = IMG + ",{k},P{k}{p}"
TABLES = {
    "comma": Input(table("path,label"), ALL),
    "semicolon": Input(table("path;label", "img/{k}{i:02d}.png;{k}"), ALL),
    "tab": Input(table("file\tclass", "img/{k}{i:02d}.png\t{k}", file="t.tsv"), ALL),
    "bar": Input(table("filename|dx", "img/{k}{i:02d}.png|{k}"), ALL),
    "commas in quotes": Input(
        table('path;"label";"note, long"', 'img/{k}{i:02d}.png;"{k}";"x, y; z"'), ALL, "Ignored"
    ),
    "sep= of Excel": Input(table("sep=;\npath;label", "img/{k}{i:02d}.png;{k}"), ALL),
    "lines of an old Mac": Input(lambda folder: mac(folder), ALL),
    "UTF-8 with a mark": Input(table("path,label", encoding="utf-8-sig"), ALL),
    "UTF-16": Input(table("path,label", encoding="utf-16"), ALL),
    "Windows-1252": Input(
        table("path,label", IMG + ",é{k}", encoding="cp1252"),
        {"éa": 12, "éb": 12},
        r"is not UTF-8 \(line 2\), so it was read as Windows-1252",
    ),
    "UTF-16 without its mark": Input(table("path,label", encoding="utf-16-le"), None, "NUL"),
    "JSON lines": Input(
        table("", '{{"image": "img/{k}{i:02d}.png", "label": "{k}"}}', file="t.jsonl"), ALL
    ),
    "no header": Input(table(""), None, r"no first line.*begins with img/a00.png, a\.\nPut one"),
    "no header, named": Input(table("", label="dx"), None, "no first line"),
    "no known column": Input(
        table("x,y"), None, r"no column path; its first line has x, y.*\n.*=COL"
    ),
    "columns named": Input(table("x,Y Z", image="x", label="y z"), ALL),
    "a column that isn't there": Input(
        table("path,breed", label="bread"), None, r"no column 'bread'.*\n.*Did you mean 'breed'"
    ),
    "two columns of files, one there": Input(
        table("image_id,file_name,label", "{n},img/{k}{i:02d}.png,{k}"), ALL, "Ignored.* image_id"
    ),
    "two columns of files, both there": Input(
        twins(table("image,file,label", IMG + ",img/{k}{i:02d}.bmp,{k}")),
        None,
        "image and file; either could name the files",
    ),
    "label and its number": Input(
        table("path,target,class_name", IMG + ",{c},{k}"), ALL, "class_name was taken"
    ),
    "two labels that differ": Input(
        table("path,dx,category", IMG + ",{k},{p}"), None, r"data.label=dx or data"
    ),
    "two labels, one named": Input(
        table("path,dx,category", IMG + ",{k},{p}", label="dx"), ALL, "category"
    ),
    "label beside another": Input(
        table("path,label,category", IMG + ",{k},{p}"), ALL, "label, not category"
    ),
    "whole floats": Input(table("path,label", IMG + ",{c}.0"), NUMBERS, "one class"),
    "1 and 1.0": Input(
        table("path,label", IMG + ",{c}", [*["img/a00.png,0.0"]]), NUMBERS, "one class"
    ),
    "01 and 1": Input(
        table("path,label", IMG + ",{c}", ["img/x.png,01"]), None, "one class or two"
    ),
    "01 alone": Input(table("path,label", IMG + ",0{c}"), {"00": 12, "01": 12}),
    "numbers as text": Input(table("path,label", IMG + ",1{c}.5"), {"10.5": 12, "11.5": 12}),
    "an empty label": Input(
        table("path,label", more=["img/x.png,", "img/y.png,nan"]),
        None,
        r"no label \(label\) in data row 25 \(and 1 more\): img/x.png",
    ),
    "rows of commas": Input(table("path,label", more=[",", ",", ""]), ALL, "Left out 2 rows"),
    "a row twice": Input(
        table("path,label", more=["img/a00.png,a"]), ALL, "1 rows name an image again"
    ),
    "a file under two classes": Input(
        table("path,label", more=["./img/a00.png,b"]),
        None,
        r"another label \(label\) in data row 25 than in 1\.",
    ),
    "one-hot": Input(
        table("image,MEL,NV,UNK", IMG + ",{c}.0,{d}.0,0.0"),
        {"MEL": 12, "NV": 12},
        "holds 1: MEL, NV, UNK. No row has UNK",
    ),
    "multi-label": Input(
        table("image,A,B", IMG + ",1,{c}"), None, r"multi-label: data row 13.*\n.*data.label=A"
    ),
    "multi-label, one chosen": Input(table("image,A,B", IMG + ",1,{c}", label="B"), NUMBERS),
    "some of the columns of 0 and 1": Input(
        table("image,male,A,B", IMG + ",1,{c},{d}", label=["A", "B"]), {"A": 12, "B": 12}
    ),
    "a row of no class": Input(
        table("image,A,B", IMG + ",{c},{d}", ["img/x.png,0,0"]),
        None,
        r"no label \(A and B\) in data row 25",
    ),
    "patients": Input(
        table("path,label,patient_id", WHO), ALL, "same patient_id stay in one split"
    ),
    "patients, freely": Input(
        table("path,label,patient_id", WHO, group=None),
        ALL,
        "data.group=null: images of one patient",
    ),
    "lesions within patients": Input(
        table("path,label,lesion_id,Patient ID", WHO.replace("P", "{n},P")),
        ALL,
        "lie within Patient ID",
    ),
    "groups that cross": Input(
        table("path,label,patient_id,study_id", WHO + ",{i}"), None, r"cross.*\n.*data.group=null"
    ),
    "groups that cross, all kept": Input(
        table("path,label,patient_id,video", WHO + ",V{n}", group=["patient_id", "video"]), ALL
    ),
    "one study": Input(table("path,label,study_id", IMG + ",{k},7"), ALL, "the same in all rows"),
    "some without a patient": Input(
        table("path,label,patient", IMG + ",{k},{p}", ["img/a12.png,a,NA"]),
        ALL | {"a": 13},
        "1 of 25 im",
    ),
    "official splits": Input(table("path,label,Split", SPLITS), ALL, "train 16, test 8"),
    "splits of an unknown name": Input(
        table("path,label,split", SPLITS, ["img/x.png,a,spare"]),
        None,
        "'spare', which stands for no",
    ),
    "splits, divided anew": Input(table("path,label,split", SPLITS, split=None), ALL, "Ignored"),
    "folds": Input(table("path,label,fold", IMG + ",{k},{p}"), ALL, "Ignored.* fold"),
    "folds by meaning": Input(
        table(
            "path,label,fold",
            IMG + ",{k},{p}",
            split="fold",
            splits={"test": "3", "val": ["2"]},
        ),
        ALL,
        "train 12, holdout 6, test 6",
    ),
    "two splits that differ": Input(
        table("path,label,split,subset", SPLITS + ",train"), None, "divide it differently"
    ),
    "nothing to train on": Input(
        table("path,label,split", IMG + ",{k},test"), None, "nothing to train on"
    ),
    "an ending that is missing": Input(
        table("image_id,dx", "img/{k}{i:02d},{k}"), ALL, "and .png was added"
    ),
    "two endings": Input(
        twins(table("image_id,dx", "img/{k}{i:02d},{k}")),
        None,
        "data.suffix=.bmp or data.suffix=.png",
    ),
    "two endings, one named": Input(
        twins(table("image_id,dx", "img/{k}{i:02d},{k}", suffix="bmp")), ALL
    ),
    "another folder": Input(
        table("image_id,dx", "{k}{i:02d},{k}", folder="img"), ALL, "and .png was added"
    ),
    "files in two subfolders": Input(
        moved(table("image_id,dx", "{k}{i:02d},{k}"), "part_{k}", ".jpg"), ALL, "in part_a, part_b"
    ),
    "back-slashes": Input(table("path,label", r"img\{k}{i:02d}.png,{k}"), ALL, "Back-slashes"),
    "paths of another machine": Input(
        table("path,label", r"D:\set\img\{k}{i:02d}.png,{k}"), ALL, "begin with D:/set/"
    ),
    "absolute paths": Input(lambda folder: absolute(folder), ALL),
    "addresses": Input(
        table("path,label", "https://x.org/{k}{i}.png,{k}"), None, "downloads nothing"
    ),
    "no file is there": Input(
        table("path,label", "{k}{n}.png,{k}"), None, r"None of the 24 files.*\n.*data.folder="
    ),
    "one file isn't there": Input(
        table("path,label", more=["img/x.png,a"]), None, "does not exist"
    ),
    "Excel": Input(lambda folder: begins(folder, b"PK\x03\x04"), None, "Excel workbook"),
    "gzip": Input(lambda folder: begins(folder, b"\x1f\x8b\x08"), None, "gunzip"),
    "Parquet": Input(
        parquet({"path": png, "label": lambda k, c, i: float(c), "site": lambda *_: None}),
        NUMBERS,
        "Ignored the columns site",
    ),
    "Parquet of images": Input(
        parquet({"image": lambda *_: b"x", "label": lambda k, c, i: k}), None, "image: binary"
    ),
    "Parquet of lists": Input(
        parquet({"path": png, "label": lambda k, c, i: [c, 1]}, label="label"), None, "holds list"
    ),
}


def mac(folder):
    (folder / "t.csv").write_bytes(lines("path,label", ROW).replace("\n", "\r").encode())
    return CSV(path=str(folder / "t.csv"))


def absolute(folder):
    (folder / "elsewhere").mkdir()
    return table("path,label", f"{folder}/img/{{k}}{{i:02d}}.png,{{k}}", file="elsewhere/t.csv")(
        folder
    )


def begins(folder, content):
    (folder / "t.csv").write_bytes(content + bytes(99))
    return CSV(path=str(folder / "t.csv"))


def npz(make, **options):
    """``make(x, y)``: the arrays, from uint8 ``(24, 8, 8)`` images and their labels 0 and 1."""

    def written(folder):
        pictures = [p for p in sorted((folder / "img").iterdir()) if p.stem != "a12"]
        x = np.stack([np.asarray(Image.open(picture)) for picture in pictures])
        np.savez(folder / "a.npz", **make(x, np.arange(24) // 12))
        return NPZ(path=str(folder / "a.npz"), **options)

    return written


def three(x):
    """``(24, 3, 8, 3)``: pictures of 3 x 8 or of 8 x 3 pixels?"""
    return np.stack([x[:, :3]] * 3, -1)


PART = np.arange(24) % 3 > 0  # 16 of 24
ARRAYS = {
    "images, labels": Input(npz(lambda x, y: {"images": x, "labels": y}), NUMBERS),
    "X, y": Input(npz(lambda x, y: {"X": x, "y": y}), NUMBERS),
    "data, target": Input(npz(lambda x, y: {"data": x, "target": y}), NUMBERS),
    "without names": Input(npz(lambda x, y: {"arr_0": x, "arr_1": y}), NUMBERS),
    "as Keras": Input(
        npz(
            lambda x, y: {
                "x_train": x[PART],
                "y_train": y[PART],
                "x_test": x[~PART],
                "y_test": y[~PART],
            }
        ),
        NUMBERS,
    ),
    "train_images": Input(
        npz(
            lambda x, y: {
                f"{k}_{n}": v[(k == "train") == PART]
                for k in ("train", "test")
                for n, v in {"images": x, "labels": y}.items()
            }
        ),
        NUMBERS,
    ),
    "as MedMNIST": Input(
        npz(
            lambda x, y: {
                f"{k}_{n}": v[np.arange(24) % 3 == p]
                for p, k in enumerate(["train", "val", "test"])
                for n, v in {"images": x, "labels": y[:, None]}.items()
            }
        ),
        NUMBERS,
        "data=medmnist gives its classes names",
    ),
    "a split without labels": Input(
        npz(lambda x, y: {"x_train": x, "y_train": y, "x_test": x}),
        None,
        "no array 'labels of test'",
    ),
    "all and splits": Input(
        npz(lambda x, y: {"x": x, "y": y, "x_train": x, "y_train": y}), None, "for all and"
    ),
    "two arrays of images": Input(
        npz(lambda x, y: {"x": x, "imgs": x, "y": y}), None, "data.image=x or"
    ),
    "two, one named": Input(
        npz(lambda x, y: {"x": x, "imgs": x, "y": y}, image="x"), NUMBERS, "arrays imgs"
    ),
    "N×C×H×W": Input(npz(lambda x, y: {"x": np.stack([x] * 3, 1), "y": y}), NUMBERS),
    "N×H×W×C": Input(npz(lambda x, y: {"x": x[..., None], "y": y}), NUMBERS),
    "channels first or last": Input(
        npz(lambda x, y: {"x": three(x), "y": y}), None, "data.axes=NCHW or"
    ),
    "channels first or last, said": Input(
        npz(lambda x, y: {"x": three(x), "y": y}, axes="NHWC"), NUMBERS
    ),
    "axes that don't fit": Input(
        npz(lambda x, y: {"x": x, "y": y}, axes="NCHW"), None, "It must be N×H×W"
    ),
    "images along the last axis": Input(
        npz(lambda x, y: {"x": x.transpose(1, 2, 0), "y": y}),
        None,
        r"along axis 2: numpy.moveaxis\(x, 2, 0\)",
    ),
    "rows of pixels": Input(npz(lambda x, y: {"x": x.reshape(24, 64), "y": y}), None, "reshape"),
    "five bands": Input(npz(lambda x, y: {"x": np.stack([x] * 5, 1), "y": y}), NUMBERS),
    "volumes": Input(
        npz(lambda x, y: {"x": np.stack([x] * 8, 1), "y": y}), None, "data.axes= says which"
    ),
    "shares": Input(
        npz(lambda x, y: {"x": (x / 255).astype("f4"), "y": y}),
        NUMBERS,
        "float32 from 0 to 1, taken as shares.*\n.*\nLevels 0 to 1 .* become 0 to 255",
    ),
    "shares in one split, levels in the other": Input(
        npz(
            lambda x, y: {
                "x_train": x[PART] / 255,
                "y_train": y[PART],
                "x_test": x[~PART],
                "y_test": y[~PART],
            }
        ),
        None,
        "in one split and levels in another",
    ),
    "levels as floats": Input(
        npz(lambda x, y: {"x": x * 1.0, "y": y}), NUMBERS, "float64 from 0 to 255, taken as levels"
    ),
    "levels as int64": Input(
        npz(lambda x, y: {"x": x.astype(int), "y": y}), NUMBERS, "taken as levels"
    ),
    "masks": Input(
        npz(lambda x, y: {"x": x > 99, "y": y}), NUMBERS, "bool from 0 to 1: 1 was taken as white"
    ),
    "from -1 to 1": Input(
        npz(lambda x, y: {"x": x / 127.5 - 1, "y": y}), NUMBERS, r"Levels -1 to 1 \(the training"
    ),
    "16 bits": Input(
        npz(lambda x, y: {"x": x.astype("u2") * 16, "y": y}), NUMBERS, "Levels 0 to 4095 .12 bits"
    ),
    "NaN": Input(npz(lambda x, y: {"x": np.where(x, x, np.nan), "y": y}), None, "NaN or infinite"),
    "labels as floats": Input(npz(lambda x, y: {"x": x, "y": y * 1.0}), NUMBERS),
    "labels of halves": Input(
        npz(lambda x, y: {"x": x, "y": y / 2}), None, "one whole number or one name"
    ),
    "labels one-hot": Input(npz(lambda x, y: {"x": x, "y": np.eye(2)[y]}), NUMBERS),
    "labels of several": Input(
        npz(lambda x, y: {"x": x, "y": np.eye(2)[y] + [[1, 0]]}), None, "rows aren't one-hot"
    ),
    "multi-label rows": Input(
        npz(lambda x, y: {"x": x, "y": np.stack([y * 0, y * 0 + 1, y], 1)}),
        None,
        "image 12 has 2 labels",
    ),
    "labels by name": Input(
        npz(lambda x, y: {"x": x, "y": y, "class_names": ["b", "a"]}), {"b": 12, "a": 12}
    ),
    "more labels than names": Input(
        npz(lambda x, y: {"x": x, "y": y, "classes": ["b"]}), None, "from 0 to 1 but 'classes'"
    ),
    "patients in an array": Input(
        npz(lambda x, y: {"x": x, "y": y, "patient_ids": np.arange(24) // 3}),
        NUMBERS,
        "same patient_id stay",
    ),
    "patients of fewer images": Input(
        npz(lambda x, y: {"x": x, "y": y, "groups": [1, 2]}), None, "one group per image"
    ),
    "patients, freely divided": Input(
        npz(lambda x, y: {"x": x, "y": y, "groups": [1, 2]}, group=None),
        NUMBERS,
        "may lie in several",
    ),
    "pickled objects": Input(
        npz(lambda x, y: {"x": np.array([None]), "y": y}), None, "never opened"
    ),
}


def outcome(source) -> tuple[dict[str, int] | None, str]:
    """What ``check`` reads and says of a source, once ``prepare`` was seen to do the same."""
    try:
        result = check(source)
        refusal = result.refusal
    except SynthgenError as error:
        refusal = str(error)
    if refusal is not None:
        with pytest.raises(SynthgenError) as raised:
            prepare(source)
        assert str(raised.value) == refusal
        return None, refusal
    assert prepare(source).notes == result.notes
    counts = dict(zip(result.images.classes, result.images.counts, strict=True))
    return counts, "\n".join(result.notes)


INPUTS = TABLES | ARRAYS


@pytest.mark.parametrize("case", INPUTS)
def test_what_is_read_and_said(folder, case):
    wanted = INPUTS[case]
    read, said = outcome(wanted.make(folder))
    assert read == wanted.read, said
    assert re.search(wanted.said, said), said
    if read is None:
        assert 1 <= said.count("\n") <= 1, said
