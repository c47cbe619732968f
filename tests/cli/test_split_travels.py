"""The images that a generator has learned from are never those that it is tested on: the split of
its training goes with it through every verb, or the verb refuses."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthgen.cli.main import main
from synthgen.data import Digits, ImageFolder, prepare
from synthgen.errors import SynthgenError
from synthgen.training.finetune import known_to

NET = [
    "model=vae",
    "network/encoder@model.encoder=r3gan_small",
    "network/generator@model.decoder=r3gan_small",
    "model.encoder.width=4",
    "model.decoder.width=4",
    "model.batch_size=16",
    "max_images=32",
    "trainer.previews=0",
    "logger=csv",
]
FITTED = ["model=pca_gaussian", "logger=csv"]


def write_digits(root: Path, places: range) -> None:
    read = Digits().read().images
    for place in places:
        folder = root / str(int(read.labels[place]))
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(read.images[place, 0].numpy()).save(folder / f"{place:05d}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Photos, and what was trained on them: runs ``net`` and ``fitted``, and ``other``, fitted on
    another split; a set of ``fitted``, and the same set without its papers."""
    folder = tmp_path_factory.mktemp("travels")
    write_digits(folder / "photos", range(400))
    data = photos(folder)
    for arguments in (
        ["train", *NET, *data, f"out={folder}/net"],
        ["train", *FITTED, *data, f"out={folder}/fitted"],
        ["train", *FITTED, *data, "data.split_seed=5", f"out={folder}/other"],
        ["synthesize", f"sampler={folder}/fitted", *SMALL, f"out={folder}/set"],
    ):
        assert main(arguments) == 0
    shutil.copytree(folder / "set", folder / "foreign")
    for file in (folder / "foreign").iterdir():
        if file.is_file():
            file.unlink()
    return folder


@pytest.fixture
def grown(place, tmp_path):
    """The runs, after images were added to the photos."""
    copy = shutil.copytree(place, tmp_path / "grown")
    for config in copy.glob("*/config.yaml"):
        config.write_text(config.read_text().replace(str(place), str(copy)))
    write_digits(copy / "photos", range(400, 520))
    return copy


SMALL = ["plan.per_class=4", "logger=csv"]


def photos(folder: Path) -> list[str]:
    return ["data=image_folder", f"data.root={folder}/photos", "logger=csv"]


def refused(outcome) -> str:
    """The two lines of a refusal, below what is said of the data."""
    assert outcome.code == 2, outcome.err
    of_data = ("Size ", "The data, as read:", "photos/ ", "├─ ", "└─ ")
    lines = [line for line in outcome.err.splitlines() if not line.startswith(of_data)]
    assert len(lines) == 2, outcome.err
    return "\n".join(lines)


@pytest.mark.parametrize("run", ["net", "fitted"])
def test_training_does_not_go_on_once_the_data_has_changed(synthgen, grown, run):
    before = (grown / run / "sampler" / "sampler.json").read_text()
    said = refused(synthgen("train", f"resume={grown}/{run}", "max_images=64"))
    assert "does not hold the images" in said
    assert "520 images here, 400 there" in said
    assert (grown / run / "sampler" / "sampler.json").read_text() == before


def test_a_run_without_its_split_asks_its_sampler_and_then_nobody(synthgen, grown):
    (grown / "net" / "split.json").unlink()
    assert "520 images here, 400 there" in refused(synthgen("train", f"resume={grown}/net"))
    shutil.rmtree(grown / "net" / "sampler")
    assert "has lost its split.json" in refused(synthgen("train", f"resume={grown}/net"))


def test_run_says_the_same_as_train(synthgen, grown):
    """One code path for both."""
    data = [*photos(grown), "extractor=[pixels]", "judge=logistic_regression", "seeds=1", *SMALL]
    (grown / "moved").mkdir()
    shutil.move(grown / "photos", grown / "moved" / "photos")
    write_digits(grown / "photos", range(400))
    assert synthgen("run", *NET, *data, f"out={grown}/line").code == 0
    shutil.rmtree(grown / "photos")
    shutil.move(grown / "moved" / "photos", grown / "photos")
    for stage in ("report", "synthetic"):
        shutil.rmtree(grown / "line" / stage)
    of_set = refused_after_lines(synthgen("run", f"resume={grown}/line"))
    shutil.rmtree(grown / "line" / "sampler")
    of_run = refused(synthgen("run", f"resume={grown}/line"))
    of_train = refused(synthgen("train", f"resume={grown}/line"))
    assert of_run == of_train
    assert of_set == of_run


def refused_after_lines(outcome) -> str:
    assert outcome.code == 2, outcome.err
    return "\n".join(outcome.err.splitlines()[-2:])


def test_a_start_does_not_bring_test_images_into_another_split(synthgen, place):
    said = refused(
        synthgen("train", *NET, *photos(place), "data.split_seed=5", f"start={place}/net", "out=x")
    )
    counts = [int(n) for n in re.findall(r"(\d+) of \d+ (?:holdout|test) images", said)]
    assert min(counts) > 10
    assert "data.split_seed=0" in said
    assert not Path("x").exists()


def test_a_start_in_the_same_split_is_welcome(synthgen, place):
    assert synthgen("train", *NET, *photos(place), f"start={place}/net", "out=x").code == 0
    record = json.loads(Path("x/training.json").read_text())
    assert record["start"]["images_known"] is True


def test_a_sampler_alone_can_not_say_what_it_has_seen_of_its_own_source(synthgen, place):
    shutil.copytree(place / "net" / "sampler", "alone")
    other = [*photos(place), "data.split_seed=5", "start=alone", "out=x"]
    said = refused(synthgen("train", *NET, *other))
    assert "nothing says which of these images it knows" in said
    assert (
        synthgen("train", *NET, *photos(place), "start=alone", "out=x").code == 0
    )  # its own split


def test_hashes_say_nothing_of_the_same_photos_brought_to_another_form(place):
    splits = prepare(ImageFolder(root=str(place / "photos")))
    assert known_to(place / "net", splits).complete
    recipe = splits.recipe.model_copy(update={"fit": "crop"})
    cropped = replace(splits, digest="0" * 64, recipe=recipe)
    with pytest.raises(SynthgenError, match="another form"):
        known_to(place / "net", replace(cropped, assignment={}))


def test_a_start_from_other_images_is_told_and_recorded(synthgen, place):
    shutil.copytree(place / "net" / "sampler", "alone")
    outcome = synthgen("train", *NET, "data=digits", "start=alone", "out=x")
    assert outcome.code == 0, outcome.err
    assert "Nothing says which images alone has seen" in outcome.err
    assert json.loads(Path("x/training.json").read_text())["start"]["images_known"] is False


def test_a_start_of_a_start_remembers(synthgen, place):
    """Weights that came from the photos by way of other images."""
    write_digits(Path("others"), range(1000, 1300))
    others = ["data=image_folder", "data.root=others"]
    assert synthgen("train", *NET, *others, f"start={place}/net", "out=second").code == 0
    assert len(json.loads(Path("second/split.json").read_text())["seen"]) > 250
    again = [*photos(place), "data.split_seed=5", "start=second", "out=third"]
    assert "test images already" in refused(synthgen("train", *NET, *again))


def test_a_set_is_not_appended_to_from_another_split(synthgen, place):
    shutil.copytree(place / "set", "set")
    append = ["append=true", "seed=1", "out=set", *SMALL]
    said = refused_after_lines(synthgen("synthesize", f"sampler={place}/other", *append))
    assert "another split" in said
    assert "no test set would be unseen by both" in said
    assert json.loads(Path("set/dataset.json").read_text())["count"] == 40
    assert synthgen("synthesize", f"sampler={place}/fitted", *append).code == 0


def test_a_set_of_rules_takes_the_split_of_what_is_appended(synthgen, place):
    """Until then it had none, and would have been tested on any."""
    assert synthgen("train", "model=noise", *photos(place), "out=noise").code == 0
    node = json.loads(Path("noise/sampler/sampler.json").read_text())
    node["provenance"]["data"] = None
    save_described(Path("noise/sampler"), node)
    assert synthgen("synthesize", "sampler=noise", "out=set", *SMALL).code == 0
    append = ["append=true", "seed=1", "out=set", *SMALL]
    assert synthgen("synthesize", f"sampler={place}/fitted", *append).code == 0
    described = json.loads(Path("set/dataset.json").read_text())
    fitted = json.loads((place / "fitted" / "sampler" / "sampler.json").read_text())
    digest = fitted["provenance"]["data"]["digest"]
    assert described["provenance"]["data"]["digest"] == digest
    assert [part["data_digest"] for part in described["parts"]] == [None, digest]


def save_described(folder: Path, node: dict) -> None:
    from synthgen.io import canonical_digest, write_json

    body = {key: value for key, value in node.items() if key != "sha256"}
    write_json(folder / "sampler.json", {**body, "sha256": canonical_digest(body)})


@pytest.mark.parametrize("run", ["fitted", "other"])
def test_a_trial_does_not_draw_from_a_sampler_that_the_set_does_not_name(synthgen, place, run):
    given = [f"synthetic={place}/foreign", f"sampler={place}/{run}", "trial=reduced", "out=x"]
    said = refused(synthgen("evaluate", *photos(place), *given, "extractor=[pixels]"))
    assert "it doesn't say with which" in said
    assert not Path("x").exists()


def test_a_part_of_another_split_is_refused_by_evaluate(synthgen, place):
    """As an earlier version could have written it, had it written the split of each part."""
    shutil.copytree(place / "set", "set")
    described = json.loads(Path("set/dataset.json").read_text())
    none = {"count": 0, "quotas": {}, "first": described["count"], "first_shard": 9}
    described["parts"].append({**described["parts"][0], **none, "data_digest": "0" * 64})
    Path("set/dataset.json").write_text(json.dumps(described))
    outcome = synthgen("evaluate", *photos(place), "synthetic=set", "extractor=[pixels]", "out=x")
    assert "another split (of a part, 00000000)" in refused(outcome)


@pytest.mark.parametrize("options", [["mode=augment"], ["filter=[near_copies]"]])
def test_real_images_come_from_the_samplers_own_split(synthgen, place, options):
    """Whatever ``data`` says about splits, those of the training count."""
    given = [f"sampler={place}/fitted", *options, *photos(place), "data.split_seed=5", *SMALL]
    assert synthgen("synthesize", *given, "out=set").code == 0
    if options == ["mode=augment"]:
        split = json.loads((place / "fitted" / "split.json").read_text())["assignment"]
        rows = [json.loads(line) for line in Path("set/manifest.jsonl").read_text().splitlines()]
        real = [row["file"] for row in rows if row["origin"] == "real"]
        assert {split[hash_of(Path("set") / file)] for file in real} == {"train"}


def hash_of(path: Path) -> str:
    import torch

    from synthgen.data import image_hashes

    pixels = torch.from_numpy(np.asarray(Image.open(path)).copy())
    return image_hashes(pixels[None, None])[0]


@pytest.mark.parametrize(
    ("key", "edit"),
    [
        ("seed", ("\nseed: 0", "\nseed: 9")),
        ("model.batch_size", ("batch_size: 16", "batch_size: 8")),
        ("model.encoder.width", ("width: 4", "width: 8")),
        ("data.split_seed", ("split_seed: 0", "split_seed: 3")),
        ("order.kind", ("\norder:", "\norder:\n  kind: x")),
    ],
)
def test_an_edited_config_is_refused_by_name(synthgen, place, key, edit):
    run = Path(shutil.copytree(place / "net", "run"))
    text = (run / "config.yaml").read_text()
    assert edit[0] in text
    (run / "config.yaml").write_text(text.replace(*edit, 1))
    said = refused(synthgen("train", f"resume={run}", "max_images=64"))
    assert f"was edited: {key} is" in said
    assert "only max_images, max_time, logger, allow can change" in said


def test_what_resuming_may_change_may_be_edited_and_data_may_have_moved(synthgen, place):
    run = Path(shutil.copytree(place / "net", "run"))
    shutil.copytree(place / "photos", "elsewhere")
    text = (run / "config.yaml").read_text()
    edited = text.replace("max_images: 32", "max_images: 48  # longer")
    edited = edited.replace(f"{place}/photos", str(Path("elsewhere").absolute()))
    (run / "config.yaml").write_text(edited)
    outcome = synthgen("train", f"resume={run}")
    assert outcome.code == 0, outcome.err
    assert json.loads((run / "training.json").read_text())["images_seen"] == 48


def test_a_state_of_other_networks_is_refused_in_two_lines(synthgen, place):
    """A run from before configs were kept twice."""
    run = Path(shutil.copytree(place / "net", "run"))
    (run / ".config.json").unlink()
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("width: 4", "width: 8"))
    said = refused(synthgen("train", f"resume={run}", "max_images=64"))
    assert "is the state of other networks than those that config.yaml describes" in said
