"""Tables, Hugging Face sets, WebDataset shards and npz files as people have them: what is read,
what is said, and what is refused with its way out. ``check`` and ``prepare`` must agree on each."""

import gzip
import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthgen.data import CSV, NPZ, HuggingFace, WebDataset, check, image_hashes, prepare
from synthgen.data.files import stop_at
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


def called(a, b, **options):
    """A table whose two classes have these names."""

    def make(folder):
        source = table("path,label", IMG + ",CLASS {c}", **options)(folder)
        file = folder / "t.csv"
        file.write_text(file.read_text().replace("CLASS 0", a).replace("CLASS 1", b))
        return source

    return make


def moved(make, place, ending=".png"):
    """The pictures lie elsewhere, or are called otherwise."""

    def changed(folder):
        for picture in sorted((folder / "img").iterdir()):
            k, i = picture.stem[0], int(picture.stem[1:])
            w = "train" if i < 8 else "test"
            target = folder / place.format(k=k, w=w, p=i // 3) / f"{picture.stem}{ending}"
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
    "bar": Input(table("filename|dx", "img/{k}{i:02d}.png|{k}"), ALL, "The label is the column dx"),
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
    "JSON, one list": Input(lambda folder: json_list(folder), ALL),
    "a quotation mark that isn't closed": Input(
        table("path,label,note", ROW + ',"x"', ['img/a12.png,a,"5 inch', "img/x.png,c,", ","]),
        None,
        "isn't closed, in line 26",
    ),
    "quotation marks of inches": Input(table("path,label,note", ROW + ',5" by 6"'), ALL),
    "text of several lines": Input(table("path,label,note", ROW + ',"of\na, b, c\n"'), ALL),
    "pixels as text": Input(
        table("pixels,emotion", "9 " * 2000 + ",{k}", image="pixels", label="emotion"),
        None,
        r"a cell has 3,999 letters .9 9 .*\n.*numpy.savez",
    ),
    "pixels as text beside a path": Input(
        table("image,path,label", "9 " * 2000 + "," + ROW), ALL, "Ignored the column image"
    ),
    "pictures as text": Input(
        table("path,image,label", IMG + "," + "x" * 140_000 + ",{k}"), None, "131,072 letters"
    ),
    "pixels as columns": Input(
        table("label," + ",".join(f"pixel{i}" for i in range(784))), None, r"data=npz: numpy.savez"
    ),
    "pixels without a header": Input(
        table(",".join(["5", *["0"] * 784])), None, r"begins with 5, 0, .*\n.*numpy.savez"
    ),
    "a list with spaces": Input(
        table("", "img/{k}{i:02d}.png {c}"), None, r"no first line.*\n.*with commas between"
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
    "1.5 and 1.50": Input(
        table("path,label", IMG + ",{c}.5", ["img/a12.png,1.50"]), None, "one class or two"
    ),
    "01 alone": Input(table("path,label", IMG + ",0{c}"), {"00": 12, "01": 12}),
    "numbers as text": Input(table("path,label", IMG + ",1{c}.5"), {"10.5": 12, "11.5": 12}),
    "a few without a label": Input(
        table("path,label", more=["img/x.png,", "img/y.png,nan", "img/z.png,None", "img/w.png,-"]),
        ALL,
        r"Left out 4 rows without a label in label \(nan: 1, None: 1, -: 1; "
        r"data\.missing_label=\[\] makes classes",
    ),
    "most without a label": Input(
        table("path,label", more=[f"img/a{i:02d}.jpg,None" for i in range(24)]),
        None,
        r"no label \(label\) in data row 25 \(and 23 more\): .*\n.*if None is a class: "
        r"data.missing_label=\[\]",
    ),
    "one class": Input(called("a", "a"), {"a": 24}, "have the label a .label., so there is one"),
    "a class that stands for none": Input(
        called("x", "b", missing_label=["x"]), None, r"no label \(label\) in data row 1"
    ),
    "half of one class called None": Input(called("None", "b"), None, r"no label \(label\)"),
    "a class that is called None": Input(
        called("None", "b", missing_label=[]), {"None": 12, "b": 12}
    ),
    "unlabelled rows of numbers": Input(
        table("path,label", IMG + ",{c}", ["img/x.png,-1", "img/y.png,-1.0"]),
        NUMBERS,
        r"Left out 2 rows without a label in label \(-1: 1, -1.0: 1",
    ),
    "-1 against 1": Input(called("-1", "1"), {"-1": 12, "1": 12}),
    "minus against plus": Input(called("+", "-"), {"+": 12, "-": 12}),
    "none in small letters": Input(called("none", "b"), {"b": 12, "none": 12}),
    "names in capitals": Input(table("Path,ClassId", IMG + ",{k}"), ALL, "the column ClassId"),
    "ids beside names": Input(
        table("ImageId,ClassId,ClassName", IMG + ",{c},{k}"), ALL, "ClassName was taken"
    ),
    "two columns of 0 and 1": Input(
        table("image,male,smoker", IMG + ",{c},{d}"), None, r"two facts\.\n.*data.label=\[male,sm"
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
    "multi-label, one chosen": Input(
        table("image,A,B", IMG + ",1,{c}", label="B"),
        {"B": 12, "no B": 12},
        r"classes are B \(1\) and no B",
    ),
    "some of the columns of 0 and 1": Input(
        table("image,male,A,B", IMG + ",1,{c},{d}", label=["A", "B"]), {"A": 12, "B": 12}
    ),
    "labels put together": Input(
        table("path,label", more=["img/a12.png,a|b"]), None, r"multi-label: label in data row 25"
    ),
    "labels in one cell, by space": Input(
        table("path,label", more=["img/a12.png,a b"]), None, r"multi-label: .* is 'a b'"
    ),
    "numbers in one cell": Input(
        table("Id,Target", IMG + ",{c} 7", ["img/a12.png,3"], image="Id"), None, "multi-label"
    ),
    "lists in cells": Input(table("path,label", IMG + ",['{k}']"), None, "multi-label"),
    "findings that only occur together": Input(
        table("path,label", IMG + ",{k}|x"), None, r"multi-label: label in data row 1 is 'a.x'"
    ),
    "names of two words": Input(table("path,label", IMG + ",{k} dog"), {"a dog": 12, "b dog": 12}),
    "splits are no classes": Input(
        table("path,species,is_train,is_test", ROW + ",{c},{d}"), None, "no column label"
    ),
    "an index of pandas": Input(table(",path,label", "{n}," + ROW), ALL, "^Size"),
    "paths in folders of splits": Input(
        moved(table("path,label", "{w}/{k}{i:02d}.png,{k}"), "{w}"),
        ALL,
        "lie in train and test",
    ),
    "an attribute that names patients": Input(
        table("path,label,patient_id", WHO, attribute="patient_id"),
        None,
        "reports print its values",
    ),
    "a row of no class": Input(
        table("image,A,B", IMG + ",{c},{d}", ["img/x.png,0,0"], label=["A", "B"]),
        None,
        r"no label \(A and B\) in data row 25",
    ),
    "patients": Input(
        table("path,label,patient_id", WHO), ALL, "same patient_id stay in one split"
    ),
    "case numbers (derm7pt)": Input(
        table("path,label,case_num", WHO), ALL, "same case_num stay in one split"
    ),
    "studies as DICOM calls them": Input(
        table("path,label,StudyInstanceUID", WHO), ALL, "same StudyInstanceUID stay in one split"
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
    "official splits in a column of another name": Input(
        table("path,label,phase", SPLITS), ALL, "splits are those of the column phase: train 16, t"
    ),
    "splits by meaning beside a column of names": Input(
        table(
            "path,label,split,phase",
            IMG + ",{k},{p},{w}",
            splits={"test": "3", "train": ["0", "1", "2"]},
        ),
        ALL,
        "of the column split: train 18, test 6",
    ),
    "official splits in a column called group": Input(
        table("path,label,group", SPLITS), ALL, "splits are those of the column group: train 16, t"
    ),
    "is_valid, as fastai has it": Input(
        lambda folder: flags(folder, "is_valid", lambda w: w == "test"),
        ALL,
        "of the column is_valid: train 16, holdout 8",
    ),
    "is_train and is_test": Input(
        lambda folder: flags(folder, "is_train,is_test", lambda w: f"{w == 'train'},{w == 'test'}"),
        ALL,
        "of the column is_train and is_test: train 16, test 8",
    ),
    "is_train alone": Input(
        lambda folder: flags(folder, "is_train", lambda w: w == "train"),
        None,
        r"is open.*\n.*data.split=is_train 'data.splits={train: \"True\", test: \"False\"}'",
    ),
    "is_valid of the quality": Input(
        lambda folder: flags(folder, "is_valid", lambda w: w == "train"), None, "it is open which"
    ),
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
    "paths in deep folders of splits and patients (CheXpert)": Input(
        moved(table("Path,label", "X/{w}/patient{p}/{k}{i:02d}.png,{k}"), "X/{w}/patient{p}"),
        ALL,
        r"lie in train and test, but no column.*\n(.*\n)?.*lie in folders of patients or studies",
    ),
    "tables put together": Input(
        table("path,label", more=["path, label", "img/a12.png,a"]),
        ALL | {"a": 13},
        "Left out 1 rows of t.csv that repeat",
    ),
    "capitals that differ": Input(table("path,label", "img/{k}{i:02d}.PNG,{k}"), ALL, "capitals"),
    "several endings that are missing": Input(
        lambda folder: renamed(folder), ALL, "lack an ending: each fits one"
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
        "Ignored the column site of [^;]*; data.group=COLUMN keeps",
    ),
    "Parquet of images": Input(
        parquet({"image": lambda *_: b"x", "label": lambda k, c, i: k}),
        None,
        "image: binary.*\n.*data=hugging_face",
    ),
    "Parquet of lists": Input(
        parquet({"path": png, "label": lambda k, c, i: [c, 1]}, label="label"), None, "holds list"
    ),
}


def json_list(folder):
    rows = [{"image": f"img/{k}{i:02d}.png", "label": k} for k in "ab" for i in range(12)]
    (folder / "t.json").write_text(json.dumps(rows, indent=1))
    return CSV(path=str(folder / "t.json"))


def flags(folder, names, said):
    made = table("path,label,w", SPLITS)(folder)
    _, *rows = (folder / "t.csv").read_text().split()
    rows = [f"{row.rpartition(',')[0]},{said(row.rpartition(',')[2])}" for row in rows]
    (folder / "t.csv").write_text("\n".join([f"path,label,{names}", *rows]))
    return made


def renamed(folder):
    for picture in sorted((folder / "img").glob("a*")):
        Image.open(picture).save(picture.with_suffix(".BMP"))
        picture.unlink()
    return table("image_id,label", "{k}{i:02d},{k}", folder="img")(folder)


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


def mat(folder):
    (folder / "train_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    return NPZ(path=str(folder / "train_32x32.mat"))


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
    "splits in an array": Input(
        npz(lambda x, y: {"x": x, "y": y, "split": np.where(PART, "train", "test")}),
        NUMBERS,
        "splits are those of the column split: train 16, test 8",
    ),
    "folds in an array": Input(
        npz(lambda x, y: {"x": x, "y": y, "split": np.arange(24) % 5}), NUMBERS, "arrays split"
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
    "classes named by setting": Input(
        npz(lambda x, y: {"x": x, "y": y}, classes=["benign", "malignant"]),
        {"benign": 12, "malignant": 12},
    ),
    "classes with too few names": Input(
        npz(lambda x, y: {"x": x, "y": y}, classes=["benign"]),
        None,
        "go from 0 to 1 but 'data.classes' has 1 names",
    ),
    "unlabelled images": Input(
        npz(lambda x, y: {"x": x, "y": np.where(np.arange(24) % 12 < 3, -1, y)}),
        {"0": 9, "1": 9},
        r"Left out 6 images without a label \(-1: 6; data.missing_label=\[\]",
    ),
    "unlabelled images as a class": Input(
        npz(lambda x, y: {"x": x, "y": np.where(np.arange(24) % 4, y, -1)}, missing_label=[]),
        {"-1": 6, "0": 9, "1": 9},
    ),
    "labels of no name": Input(
        npz(lambda x, y: {"x": x, "y": np.where(y, "a", "None")}),
        None,
        "12 of 24 labels in .* stand for none, like 'None' of image 0",
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
    "MATLAB": Input(lambda folder: mat(folder), None, "is a damaged MATLAB file"),
    "pickled objects": Input(
        npz(lambda x, y: {"x": np.array([None]), "y": y}), None, "never opened"
    ),
}


def content(folder, k, i):
    return (folder / "img" / f"{k}{i:02d}.png").read_bytes()


def beside(header, row, *places, **options):
    """``metadata`` files beside images, in one folder or one for each split."""

    def make(folder):
        for place in places or ("",):
            only = [part for part in lines(header, row).splitlines() if not place or place in part]
            home = folder / "set" / place
            home.mkdir(parents=True)
            named = "metadata.csv" if header else "metadata.jsonl"
            first = [header] if header and header not in only else []
            (home / named).write_text("\n".join([*first, *only]))
            for picture in sorted((folder / "img").iterdir()):
                shutil.copy(picture, home / picture.name)
        return HuggingFace(path=str(folder / "set"), **options)

    return make


def every(i):
    return True


def some(i):
    return i % 3 > 0


def others(i):
    return i % 3 == 0


CAT_DOG = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}


def rows_of(folder, where=every, **changes):
    """Columns of a set as ``datasets`` keeps it; ``changes`` are functions of (c, i), None for a
    column less."""
    which = [(c, i) for c in (0, 1) for i in range(12) if where(i)]
    image = [{"bytes": content(folder, "ab"[c], i), "path": f"{i}.png"} for c, i in which]
    columns = {"image": image, "label": [c for c, _ in which]}
    columns |= {
        name: [value(c, i) for c, i in which]
        for name, value in changes.items()
        if value is not None
    }
    return {name: cells for name, cells in columns.items() if changes.get(name, every) is not None}


def arrow(folder, features=CAT_DOG, **rows):
    pyarrow = pytest.importorskip("pyarrow")
    said = {"huggingface": json.dumps({"info": {"features": features}})}
    return pyarrow.table(rows_of(folder, **rows)).replace_schema_metadata(said)


def shards(*files, damage=None, **options):
    """Parquet files: (name, which images, changes) each."""

    def make(folder):
        from pyarrow.parquet import write_table

        (folder / "set").mkdir()
        for name, where, changes in files:
            target = folder / "set" / f"{name}.parquet"
            target.parent.mkdir(exist_ok=True)
            write_table(arrow(folder, where=where, **changes), target, row_group_size=5)
            if damage:
                target.write_bytes(damage(target.read_bytes()))
        return HuggingFace(path=str(folder / "set"), **options)

    return make


def saved(*splits, listed="data-0.arrow", more=None, **options):
    """What ``save_to_disk`` writes, for splits or for all."""

    def make(folder):
        import pyarrow

        root = folder / "set"
        root.mkdir()
        if splits:
            (root / "dataset_dict.json").write_text(json.dumps({"splits": splits}))
        for place, split in enumerate(splits or ("",)):
            (root / split).mkdir(exist_ok=True)
            rows = arrow(folder, where=lambda i, k=place: not splits or i % len(splits) == k)
            with pyarrow.ipc.new_stream(root / split / "data-0.arrow", rows.schema) as out:
                out.write_table(rows)
            state = {"_data_files": [{"filename": listed}], **(more or {})}
            (root / split / "state.json").write_text(json.dumps(state))
        return HuggingFace(path=str(root), **options)

    return make


SETS = {
    "metadata.csv": Input(beside("file_name,label", "{k}{i:02d}.png,{k}"), ALL),
    "metadata.jsonl by split": Input(
        beside(
            "", '{{"file_name": "{k}{i:02d}.png", "label": "{k}", "x": "{w}"}}', "train", "test"
        ),
        ALL,
        "that the files' names tell: train 16, test 8",
    ),
    "metadata without labels": Input(
        beside("file_name,text", "{k}{i:02d}.png,a digit"), None, "no column label; .* has text"
    ),
    "saved to disk": Input(saved(), {"cat": 12, "dog": 12}),
    "saved as splits": Input(
        saved("train", "validation", "test"), {"cat": 12, "dog": 12}, "train 8, holdout 8, test 8"
    ),
    "saved as other splits": Input(
        saved("train", "extra"), None, "'extra', which stands for no split"
    ),
    "saved as other splits, said": Input(
        saved("train", "extra", splits={"test": "extra"}), {"cat": 12, "dog": 12}, "12, test 12"
    ),
    "configurations of one set": Input(
        shards(
            ("full/train-0", every, {}),
            ("full/test-0", others, {}),
            ("mini/train-0", some, {}),
        ),
        None,
        r"holds several sets, full, mini.*\n.*data.path=.*/full",
    ),
    "folders of splits": Input(
        shards(("train/0000", some, {}), ("test/0000", others, {})),
        {"cat": 12, "dog": 12},
        "train 16, test 8",
    ),
    "parts in folders": Input(
        shards(("part-0/train", some, {}), ("part-1/train", others, {})),
        {"cat": 12, "dog": 12},
        "train 24",
    ),
    "a folder that names splits, too": Input(
        shards(("train_test/train-0", some, {}), ("train_test/test-0", others, {})),
        {"cat": 12, "dog": 12},
        "train 16, test 8",
    ),
    "a shard that is missing": Input(
        shards(("train-00000-of-00003", some, {}), ("train-00002-of-00003", others, {})),
        {"cat": 12, "dog": 12},
        "Of 3 files train-…-of-00003 only 2 are there",
    ),
    "lists for labels": Input(
        shards(("train-0", every, {"label": lambda c, i: [c]})), None, "no column label.*label: lis"
    ),
    "a selection of rows": Input(
        saved(more={"_indices_data_files": [{"filename": "i.arrow"}]}), None, "flatten_indices"
    ),
    "a file of another place": Input(saved(listed="../../x.arrow"), None, "outside of it"),
    "Parquet shards": Input(
        shards(("data/train-00000-of-1", some, {}), ("data/test-00000-of-1", others, {})),
        {"cat": 12, "dog": 12},
        "train 16, test 8",
    ),
    "a Parquet shard of no split": Input(
        shards(("train-0", some, {}), ("0000", others, {})), None, "no value, which stands for no"
    ),
    "Parquet with patients": Input(
        shards(("all", every, {"patient_id": lambda c, i: f"P{c}{i // 3}"})),
        {"cat": 12, "dog": 12},
        "same patient_id stay",
    ),
    "two columns of images": Input(
        shards(("all", every, {"mask": lambda c, i: b"x"}), image=None), {"cat": 12, "dog": 12}
    ),
    "two columns of images, undeclared": Input(
        shards(("all", every, {"img": lambda c, i: b"x", "features": {}})),
        None,
        "data.image=image or data.image=img",
    ),
    "two declared labels": Input(
        shards(
            (
                "all",
                every,
                {
                    "coarse": lambda c, i: i % 2,
                    "fine": lambda c, i: c,
                    "label": None,
                    "features": {"coarse": CAT_DOG["label"], "fine": CAT_DOG["label"]},
                },
            )
        ),
        None,
        "data.label=coarse or data.label=fine",
    ),
    "a label that is none": Input(
        shards(("all", every, {"label": lambda c, i: c if i else -1})),
        {"cat": 11, "dog": 11},
        r"Left out 2 rows without a label in label\.",
    ),
    "a row without an image": Input(
        shards(("all", every, {"image": lambda c, i: {"bytes": None, "path": "x"}})),
        None,
        r"all.parquet.0./x can't be decoded .its row holds no image",
    ),
    "lists of pixels": Input(
        shards(("all", every, {"image": lambda c, i: [[1, 2]]})), None, "no column of image files"
    ),
    "Parquet that is cut off": Input(
        shards(("all", every, {}), damage=lambda whole: whole[:-99]), None, "is damaged"
    ),
    "a pointer of Git LFS": Input(
        shards(("all", every, {}), damage=lambda whole: b"version https://git-lfs.github.com/"),
        None,
        "git lfs pull",
    ),
    "class folders": Input(
        lambda folder: HuggingFace(path=str(folder)), None, "data=image_folder data.root="
    ),
}


def tars(*files, pack=None, **options):
    """Shards: (name, function of (folder, k, c, i) that gives the members of a sample) each."""

    def make(folder):
        (folder / "set").mkdir()
        for name, members in files:
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as archive:
                for c, k in enumerate("ab"):
                    for i in range(12):
                        for member, data in members(folder, k, c, i).items():
                            add(archive, member, data)
            (folder / "set" / name).write_bytes((pack or bytes)(buffer.getvalue()))
        return WebDataset(path=str(folder / "set"), **options)

    return make


def add(archive, name, data):
    info = tarfile.TarInfo(name)
    if isinstance(data, str):
        info.type, info.linkname, data = tarfile.SYMTYPE, data, b""
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def plain(folder, k, c, i):
    return {f"{k}{i}.png": content(folder, k, i), f"{k}{i}.cls": str(c).encode()}


def sample(more=None, left_out=(), where=every):
    """A plain sample, changed: ``more`` is a function of (k, c, i)."""

    def members(folder, k, c, i):
        if not where(i):
            return {}
        found = plain(folder, k, c, i) | {
            f"{k}{i}.{end}": data for end, data in (more(k, c, i) if more else {}).items()
        }
        return {name: data for name, data in found.items() if not name.endswith(tuple(left_out))}

    return members


def says(**values):
    return lambda k, c, i: {
        "json": json.dumps({key: value(k, c, i) for key, value in values.items()}).encode()
    }


SHARDS = {
    "cls": Input(tars(("0.tar", plain)), NUMBERS),
    "shards by split": Input(
        tars(("train-0.tar", sample(where=some)), ("val-0.tar", sample(where=others))),
        NUMBERS,
        "train 16, holdout 8",
    ),
    "json": Input(
        tars(("0.tar", sample(says(label=lambda k, c, i: k, box=lambda *_: [1]), ["cls"]))), ALL
    ),
    "json by key": Input(
        tars(("0.tar", sample(says(kind=lambda k, c, i: k), ["cls"])), label="kind"), ALL
    ),
    "text": Input(
        tars(("0.tar", sample(lambda k, c, i: {"txt": k.encode()}, ["cls"])), label="txt"), ALL
    ),
    "cls and its name": Input(
        tars(("0.tar", sample(says(label=lambda k, c, i: k)))), ALL, "cls and label say the same"
    ),
    "patients in json": Input(
        tars(("0.tar", sample(says(patient_id=lambda k, c, i: f"{k}{i // 3}")))),
        NUMBERS,
        "same pat",
    ),
    "pickles": Input(
        tars(("0.tar", sample(lambda *_: {"pyd": b"\x80\x04"}))),
        NUMBERS,
        r"Ignored the files \.pyd",
    ),
    "images and masks": Input(
        tars(("0.tar", sample(lambda *_: {"seg.png": b"x"}))), None, r"data.image=png or data.*seg"
    ),
    "images and masks, named": Input(
        tars(("0.tar", sample(lambda *_: {"seg.png": b"x"})), image="png"), NUMBERS, "Ignored.*seg"
    ),
    "dots in keys": Input(
        tars(("0.tar", lambda f, k, c, i: {f"v1.{k}{i}.png": content(f, k, i)})),
        None,
        "The sample v1 of .* has 24 images: a name counts up to its first dot",
    ),
    "links in a tar": Input(
        tars(("0.tar", sample(lambda *_: {"txt": "/etc/hostname"}))), NUMBERS, "Left out 24 links"
    ),
    "a way out of a tar": Input(
        tars(("0.tar", lambda *_: {"../x.png": b"x"})), None, "would lie outside"
    ),
    "no labels": Input(tars(("0.tar", sample(left_out=["cls"]))), None, "no column label"),
    "no images": Input(tars(("0.tar", sample(left_out=["png"]))), None, "hold no images: cls"),
    "a sample without an image": Input(
        tars(("0.tar", plain), ("1.tar", lambda *_: {"x.cls": b"1"})), None, "x.cls twice"
    ),
    "no JSON": Input(tars(("0.tar", sample(lambda *_: {"json": b"{"}))), None, "is not JSON"),
    "gzip of a tar": Input(
        tars(("0.tar", plain), pack=gzip.compress), None, r"compressed \(gzip\)"
    ),
    "a tar that is cut off": Input(
        tars(("0.tar", plain), pack=lambda whole: whole[:20_000]), None, "is damaged"
    ),
    "no tar": Input(lambda folder: WebDataset(path=str(folder)), None, "holds no tar files"),
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


INPUTS = TABLES | ARRAYS | SETS | SHARDS


@pytest.mark.parametrize("case", INPUTS)
def test_what_is_read_and_said(folder, case):
    wanted = INPUTS[case]
    read, said = outcome(wanted.make(folder))
    assert read == wanted.read, said
    assert re.search(wanted.said, said), said
    if read is None:
        assert 1 <= said.count("\n") <= 1, said


def hashes_by_class(source):
    records = source.read()
    named = [records.images.classes[label] for label in records.images.labels.tolist()]
    return sorted(zip(image_hashes(records.images.images), named, strict=True))


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (SETS["metadata.jsonl by split"].make, "ab"),
        (
            shards(("train-0", some, {}), ("test-0", others, {"text": lambda c, i: "x"})),
            ["cat", "dog"],
        ),
        (saved("train", "test"), ["cat", "dog"]),
        (
            tars(("train-0.tar", sample(where=some)), ("test-0.tar", sample(where=others))),
            "01",
        ),
        (ARRAYS["as Keras"].make, "01"),
    ],
    ids=["metadata", "parquet", "saved", "tar", "npz"],
)
def test_each_image_has_its_own_label(folder, make, names):
    (folder / "img" / "a12.png").unlink()
    wanted = hashes_by_class(table("path,label")(folder))
    called = dict(zip("ab", names, strict=True))
    assert hashes_by_class(make(folder)) == [(one, called[name]) for one, name in wanted]


def test_a_path_begins_at_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    (folder / "elsewhere").mkdir()
    row = "~/img/{k}{i:02d}.png,{k}"
    assert outcome(table("path,label", row, file="elsewhere/t.csv")(folder))[0] == ALL


@pytest.mark.parametrize(
    "case",
    ["patients", "lesions within patients", "Parquet with patients", "patients in json",
     "patients in an array", "groups that cross, all kept"],
)  # fmt: skip
def test_groups_are_in_one_split(folder, case):
    source = INPUTS[case].make(folder)
    records, splits = source.read(), prepare(source)
    where = [splits.assignment[one] for one in image_hashes(records.images.images)]
    parts = {}
    for group, part in zip(records.groups, where, strict=True):
        parts.setdefault(group, set()).add(part)
    assert None not in parts
    assert len(parts) < len(where)
    assert all(len(found) == 1 for found in parts.values())
    freely = prepare(source.with_options(group=None))
    assert freely.digest != splits.digest


@pytest.mark.parametrize(("one", "other"), [("7", "7.0"), ("7", "007"), ("P7", "p7")])
def test_one_patient_is_one_however_written(folder, one, other):
    made = table("path,label,patient_id", IMG + ",{k},X{n}")(folder)
    text = (folder / "t.csv").read_text()
    for number, name in ((0, one), (13, other), (5, one)):
        text = text.replace(f"X{number}\n", f"{name}\n")
    (folder / "t.csv").write_text(text)
    groups = made.read().groups
    assert groups[0] == groups[13] == groups[5]
    assert len(set(groups)) == 22
    assert "differ in capitals, zeros or .0 count as one" in " ".join(made.read().notes)


def test_what_cannot_be_read_any_more_is_one_bad_file(folder):
    source = SHARDS["cls"].make(folder)
    listing = source.listing()
    (folder / "set" / "0.tar").unlink()
    with pytest.raises(SynthgenError, match=r"0.tar/a0.png can't be decoded \(.*No such file"):
        source.scan(listing, on_error=stop_at)


def test_what_datasets_itself_writes_is_read(folder):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )
    whole = datasets.Dataset.from_dict(rows_of(folder), features=features)
    parts = whole.train_test_split(0.25, stratify_by_column="label", seed=0)
    parts.save_to_disk(folder / "saved", num_shards={"train": 2, "test": 1})
    (folder / "parquet").mkdir()
    for name, part in parts.items():
        part.to_parquet(folder / "parquet" / f"{name}-00000-of-00001.parquet")
    for place in ("saved", "parquet"):
        read, said = outcome(HuggingFace(path=str(folder / place)))
        assert read == {"cat": 12, "dog": 12}
        assert "train 18, test 6" in said


def test_no_name_of_a_patient_is_written_anywhere(synthgen, folder):
    """Group values divide the data; not one of them is printed or kept, nor in a refusal."""
    row = IMG + ",{k},Doe-Jane-{k}{p},Study-{i}"
    table("path,label,patient_id,study_id", row, file="t.csv")(folder)
    given = ["data=csv", f"data.path={folder / 't.csv'}", "logger=csv"]
    refused = synthgen("data", "check", "data=csv", given[1])
    assert refused.code == 2
    assert "which group the images in ways that cross" in refused.err
    said = [refused.err]
    for command in (
        ["data", "check", *given[:2], "data.group=patient_id", "out=checked"],
        ["train", "model=pca_gaussian", *given, "data.group=[patient_id,study_id]", "out=run"],
        ["synthesize", "sampler=run", "plan.per_class=3", "logger=csv", "out=set"],
    ):
        done = synthgen(*command)
        assert done.code == 0, done.err
        said.append(done.out + done.err)
    written = [path for path in Path().rglob("*") if path.is_file() and path.suffix != ".png"]
    kept = [path for path in written if path.parts[0] in ("checked", "run", "set")]
    assert len(kept) > 5
    texts = [path.read_bytes().decode("latin-1") for path in kept]
    assert not [text for text in (*texts, *said) if "Doe-Jane" in text or "Study-" in text]
