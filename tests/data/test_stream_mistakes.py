"""What strangers do to a stream: each is told in two lines at most."""

import gzip
import io
import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from streams import members_of, picture, png, write_shards, write_tar

from synthgen.cli.main import main
from synthgen.data import ImageStream, WebDataset, prepare, rebuild
from synthgen.data.stream.storage import LostImageError
from synthgen.errors import SynthgenError
from synthgen.images import TOP


def refused(path, **options):
    with pytest.raises(SynthgenError) as caught:
        prepare(ImageStream(path=str(path), **options))
    said = str(caught.value)
    assert 1 <= len(said.splitlines()) <= 2, said
    return said


def with_members(folder, members):
    """A sound stream with one more shard."""
    write_shards(folder, 60)
    write_tar(folder / "shard-900.tar", members)
    return folder


def test_no_such_place(tmp_path):
    assert "data.path=" in refused(tmp_path / "nowhere")
    assert "does not exist" in refused(tmp_path / "nowhere")
    assert "does not exist" in refused("memory://no/such/bucket")
    assert "names no place" in refused("")


def test_an_unknown_protocol(tmp_path):
    assert "nonsense" in refused("nonsense://bucket/set")


def test_an_empty_folder(tmp_path):
    assert str(tmp_path) in refused(tmp_path)


def test_an_empty_tar(tmp_path):
    write_tar(tmp_path / "a.tar", {})
    assert "no images" in refused(tmp_path)
    (tmp_path / "a.tar").write_bytes(b"")
    assert "a.tar is damaged or no tar file" in refused(tmp_path)


def test_an_empty_tar_among_others_is_said(tmp_path):
    splits = prepare(ImageStream(path=str(with_members(tmp_path, {})), holdout=0.2))
    assert "shard-900.tar holds no samples." in splits.notes


def test_a_tar_that_is_cut_off(tmp_path):
    write_shards(tmp_path, 60)
    file = tmp_path / "shard-001.tar"
    file.write_bytes(file.read_bytes()[:2000])
    said = refused(tmp_path)
    assert "shard-001.tar is damaged" in said
    assert "unexpected end of data after 00050.json" in said
    file.write_bytes(file.read_bytes()[:550])
    assert "shard-001.tar is damaged or no tar file (00050.png is cut off)" in refused(tmp_path)


def archive_of(count):
    """The bytes of a shard, and where its last sample's header begins."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for k in range(count):
            for name, content in members_of(k).items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as archive:
        last = archive.getmember(f"{count - 1:05d}.png").offset
    return buffer.getvalue(), last


@pytest.mark.parametrize("source", [ImageStream, WebDataset])
@pytest.mark.parametrize("kind", ["in a header", "before a header", "a header", "two"])
def test_what_tarfile_takes_for_the_end_of_a_tar_is_none(tmp_path, source, kind):
    """A download that stopped between samples would be a smaller set without a word."""
    whole, last = archive_of(60)
    damaged = bytearray(whole)
    damaged[last + 148 : last + 156] = b"99999999"  # its checksum
    content, why = {
        "in a header": (whole[: last + 200], "it is cut off|truncated header"),
        "before a header": (whole[:last], "it is cut off"),
        "a header": (bytes(damaged), "a header is damaged"),
        "two": (whole + whole, "something follows its end"),
    }[kind]
    (tmp_path / "a.tar").write_bytes(whole)
    prepare(source(path=str(tmp_path), holdout=0.2))
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(SynthgenError, match=f"a.tar is damaged or no tar file .({why})") as caught:
        prepare(source(path=str(tmp_path), holdout=0.2))
    assert len(str(caught.value).splitlines()) == 2


def test_a_compressed_tar(tmp_path):
    write_shards(tmp_path, 60)
    file = tmp_path / "shard-001.tar"
    file.write_bytes(gzip.compress(file.read_bytes()))
    assert "shard-001.tar is compressed (gzip)" in refused(tmp_path)


def test_a_picture_that_is_none(tmp_path):
    said = refused(with_members(tmp_path, members_of(900, content=b"no picture")))
    assert "shard-900.tar/00900.png is not an image" in said


def test_labels_that_are_missing_in_a_half(tmp_path):
    members = {f"{900 + k}.png": png(picture(k)) for k in range(10)}
    said = refused(with_members(tmp_path, members))
    assert "shard-900.tar" in said
    assert "no column label" in said


def test_a_class_in_one_split_only(tmp_path):
    write_shards(tmp_path / "train", 60)
    every = {}
    for k in range(900, 920):
        every |= members_of(k, 3)
    write_tar(tmp_path / "test" / "a.tar", every)
    assert "Class 'c2' has no image in train" in refused(tmp_path)


def test_a_class_too_small_to_be_in_every_split(tmp_path):
    every = {}
    for k in range(900, 906):
        every |= members_of(k, 1, **{"label": "rare"})
    said = refused(with_members(tmp_path, every), holdout=0.05, test=0.05)
    assert "Class 'rare' has no image in" in said
    assert "data.split_seed" in said
    few = members_of(900, **{"label": "rare"})
    assert "at least 5 per class" in refused(with_members(tmp_path / "b", few))


def test_kinds_that_do_not_go_together(tmp_path):
    deep = png(picture(7, np.uint16))
    assert "8 and 16 bits" in refused(with_members(tmp_path, members_of(900, content=deep)))
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.float32)).save(buffer, "TIFF")
    said = refused(with_members(tmp_path / "b", members_of(900, content=buffer.getvalue())))
    assert "00900.png" in said


def test_deep_images_keep_their_levels(tmp_path):
    members = {}
    for k in range(100):
        members |= members_of(k, content=png(picture(k, np.uint16)))
    write_tar(tmp_path / "a.tar", members)
    deep = prepare(ImageStream(path=str(tmp_path), bits=16, holdout=0.2)).train
    assert deep.image.bits == 16
    assert deep.images[0:3].dtype == torch.uint16
    assert deep.levels.high == TOP[16]
    found = deep.images[:8].to(torch.int32) // 257
    assert all(one[0, 1, 1] == int(one[0, 0, 0]) * 7 % 251 for one in found)
    shallow = prepare(ImageStream(path=str(tmp_path), holdout=0.2)).train
    assert torch.equal(shallow.images[:8].to(torch.int32), found)


def test_settings_that_are_none(tmp_path, capsys):
    write_shards(tmp_path / "set", 60)
    data = ["data=stream", f"data.path={tmp_path / 'set'}", f"out={tmp_path / 'run'}"]
    for setting, word in (
        ("data.window=0", "window"),
        ("data.size=big", "size"),
        ("data.near_duplicates=group", "near_duplicates"),
    ):
        assert main(["train", "model=gan", *data, setting]) == 2
        said = capsys.readouterr().err
        assert word in said
        assert "Traceback" not in said
    assert not (tmp_path / "run").exists()


def test_models_and_checks_that_take_all_images_are_refused(tmp_path, capsys):
    write_shards(tmp_path / "set", 100)
    data = ["data=stream", f"data.path={tmp_path / 'set'}", "data.holdout=0.2"]
    assert main(["train", "model=gaussian_mixture", *data, f"out={tmp_path / 'run'}"]) == 2
    said = capsys.readouterr().err
    assert "takes all of them at once" in said
    assert not (tmp_path / "run").exists()
    assert main(["data", "check", *data, f"out={tmp_path / 'check'}"]) == 2
    assert "data=webdataset" in capsys.readouterr().err


def test_a_shard_that_changed_between_start_and_resume_is_named(tmp_path, capsys):
    folder = write_shards(tmp_path / "set", 100)
    data = ["data=stream", f"data.path={folder}", "data.holdout=0.2"]
    small = ["model=vae", "model.batch_size=16", "max_images=32", "trainer.previews=0"]
    run = tmp_path / "run"
    assert main(["train", *data, *small, f"out={run}"]) == 0
    capsys.readouterr()
    assert json.loads((run / "split.json").read_text())["files"]
    write_tar(folder / "shard-001.tar", members_of(7))
    assert main(["train", f"resume={run}", "max_images=64"]) == 2
    assert "shard-001.tar is not as it was" in capsys.readouterr().err


def test_an_image_that_another_was_put_in_the_place_of_is_told(tmp_path):
    """It would be trained on under the old one's class, and might be a test image."""
    for k in range(100):
        file = tmp_path / "set" / f"c{k % 2}" / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(picture(k)))
    train = prepare(ImageStream(path=str(tmp_path / "set"), holdout=0.2)).train
    number = int(train.images[0:1][0, 0, 0, 0])
    place = tmp_path / "set" / f"c{number % 2}" / f"{number}.png"
    before = place.read_bytes()
    place.write_bytes(png(picture(200)))
    with pytest.raises(LostImageError, match=f"{number}.png is not what it was"):
        train.images[0:8]
    place.write_bytes(before)
    assert len(train.images[0:8]) == 8


def test_a_shard_written_over_while_it_is_open_is_told(tmp_path):
    """Its size, and with some tools its time, are what they were."""
    folder = write_shards(tmp_path, 100, per_shard=100)
    train = prepare(ImageStream(path=str(folder), holdout=0.2)).train
    number = int(train.images[0:1][0, 0, 0, 0])
    shard, content = folder / "shard-000.tar", png(picture(number))
    at = shard.read_bytes().index(content)
    with shard.open("r+b") as file:
        file.seek(at + len(content) - 1)  # of a checksum that decoders pass over
        file.write(b"?")
    with pytest.raises(LostImageError, match=f"{number:05d}.png is not what it was"):
        train.images[0:8]


def test_a_source_in_memory_is_no_stream(tmp_path):
    folder = write_shards(tmp_path, 60)
    splits = prepare(ImageStream(path=str(folder), holdout=0.2))
    with pytest.raises(SynthgenError, match="does not hold the images"):
        rebuild(WebDataset(path=str(folder)), splits.recipe, splits.digest)
