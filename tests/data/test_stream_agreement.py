"""Shards of a stream are read one by one, and must say together what ``data=webdataset`` hears."""

import json

import pytest
from streams import picture, png, write_tar

from synthgen.data import ImageStream, WebDataset, prepare
from synthgen.errors import SynthgenError


def write(folder, *shards):
    """A tar of each list of what is said of its images: a text in ``.cls``, or a mapping."""
    number = 0
    for k, said in enumerate(shards):
        members = {}
        for one in said:
            members[f"{number:05d}.png"] = png(picture(number))
            ending = "cls" if isinstance(one, str) else "json"
            content = one if isinstance(one, str) else json.dumps(one)
            members[f"{number:05d}.{ending}"] = content.encode()
            number += 1
        write_tar(folder / f"shard-{k:03d}.tar", members)
    return folder


def stream(folder, **options):
    return prepare(ImageStream(path=str(folder), holdout=0.2, **options))


def refused(folder, **options):
    with pytest.raises(SynthgenError) as caught:
        stream(folder, **options)
    assert len(str(caught.value).splitlines()) == 2
    return str(caught.value)


def classes_of(splits):
    counts = {}
    for part in (splits.train, splits.holdout, splits.test):
        for label in part.labels.tolist():
            name = part.classes[label]
            counts[name] = counts.get(name, 0) + 1
    return counts


@pytest.mark.parametrize(
    ("shards", "words"),
    [
        ([["0", "1"] * 30, ["00", "01"] * 30], "'0' and '00'"),
        ([["a", "b"] * 30, ["a b"] * 30], "multi-label"),
        ([["0", "1"] * 30, ["-1", "1"] * 30], "'-1' may be a class or stand for none"),
        ([["+", "-"] * 30, ["-"] * 20], "'-' may be a class or stand for none"),
        (
            [[{"label": k % 2} for k in range(60)], [{"class": k % 2} for k in range(60)]],
            "shard-000.tar has its classes in label, shard-001.tar in class",
        ),
        (
            [
                [{"label": k % 2, "patient_id": k // 6, "study_id": k // 3} for k in range(60)],
                [{"label": k % 2, "study_id": k // 3} for k in range(60)],
            ],
            "shard-000.tar groups its images by patient_id, shard-001.tar by study_id",
        ),
        ([["a", "b"] * 30, ["-"] * 60], "60 of 120 images of"),
    ],
)
def test_shards_that_speak_of_different_things_are_refused(tmp_path, shards, words):
    assert words in refused(write(tmp_path, *shards))


def test_what_stands_for_no_label_is_asked_of_all_shards(tmp_path):
    """A shard may hold nothing else, and none may say that a whole set has one class."""
    folder = write(tmp_path, ["a", "b", "c", "-"] * 20, ["-"] * 10, ["a"] * 20)
    splits = stream(folder)
    assert classes_of(splits) == {"a": 40, "b": 20, "c": 20}
    assert classes_of(splits) == classes_of(prepare(WebDataset(path=str(folder))))
    said = " ".join(splits.notes)
    assert "Left out 30 images without a label in cls (-: 30;" in said
    assert "one class" not in said
    assert classes_of(stream(folder, missing_label=[]))["-"] == 30
    assert classes_of(stream(folder, missing_label=["c"])) == {"a": 40, "b": 20, "-": 30}


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_patient_is_in_one_split_however_the_shards_cut_and_spell_the_ids(tmp_path, rounds):
    """Also where each shard holds one patient alone, in whose shard the id divides nothing."""
    spelled = ("{:d}", "{:03d}", "{:d}.0")[:rounds]
    shards = [
        [{"label": f"c{k % 2}", "patient_id": form.format(n)} for k in range(4)]
        for form in spelled
        for n in range(40)
    ]
    splits = stream(write(tmp_path, *shards))
    numbers = {}
    for part in ("train", "holdout", "test"):
        images = getattr(splits, part).images
        for image in images[0 : len(images)]:
            number = int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])
            numbers.setdefault(number // 4 % 40, set()).add(part)
    assert len(numbers) == 40
    assert all(len(parts) == 1 for parts in numbers.values())
    assert {part for parts in numbers.values() for part in parts} == {"train", "holdout", "test"}


def test_a_group_that_all_images_share_divides_nothing(tmp_path):
    shards = [[{"label": f"c{k % 2}", "patient_id": 7} for k in range(60)]] * 2
    splits = stream(write(tmp_path, *shards))
    assert "patient_id is the same in all images, so it divides nothing." in splits.notes
    mixed = [[{"label": f"c{k % 2}", "patient_id": k // 4 or None} for k in range(80)]] * 2
    splits = stream(write(tmp_path / "b", *mixed))
    assert "8 of 160 images have no patient_id: each stands by itself." in splits.notes


def test_several_keys_of_groups_are_refused(tmp_path):
    said = [{"label": f"c{k % 2}", "eye": k // 2, "patient_id": k // 4} for k in range(60)]
    assert "by one key" in refused(write(tmp_path, said), group=["eye", "patient_id"])
    assert stream(tmp_path, group=["patient_id"]).recipe.grouped
    assert prepare(WebDataset(path=str(tmp_path), group=["eye", "patient_id"])).recipe.grouped
