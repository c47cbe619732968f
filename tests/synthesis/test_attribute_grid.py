"""Ordering attributes of a rule-based sampler: every class under every weather, and so on."""

import json

import pytest
import torch
import yaml

from synthgen.cli.build import build
from synthgen.errors import SynthgenError
from synthgen.io import config_dir
from synthgen.samplers import Noise, load_sampler, save_sampler
from synthgen.synthesis import Balanced, regenerate, synthesize
from synthgen.synthesis.public import public_papers
from synthgen.synthesis.regenerate import regenerate_row
from synthgen.synthesis.sources import attribute_grid
from synthgen.types import ImageSpec

WEATHERS, LIGHTS = ["fog", "rain", "clear"], ["day", "night"]


@pytest.fixture(scope="module")
def signs(tmp_path_factory):
    described = yaml.safe_load((config_dir() / "model" / "road_signs.yaml").read_text())
    image = ImageSpec(3, 16, 16, ("stop", "yield"))
    sampler = build(described, key="model", facts={"image": image})
    return save_sampler(sampler.eval(), tmp_path_factory.mktemp("signs") / "sampler", {})


@pytest.fixture(scope="module")
def folder(signs, tmp_path_factory):
    out = tmp_path_factory.mktemp("grid") / "set"
    return synthesize(
        signs, Balanced(13), out, attributes={"weather": WEATHERS, "light": LIGHTS}, seed=3
    )


def rows_of(folder):
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


def test_a_grid_holds_every_combination_once():
    grid = attribute_grid({"weather": WEATHERS, "light": LIGHTS})
    assert len(grid) == 6
    assert len({tuple(cell.items()) for cell in grid}) == 6
    assert grid[:2] == [{"weather": "fog", "light": "day"}, {"weather": "fog", "light": "night"}]
    assert attribute_grid({}) == [{}]


def test_each_class_is_divided_equally_among_the_combinations(folder):
    for name in ("stop", "yield"):
        cells = [
            tuple(row["attributes"].values()) for row in rows_of(folder) if row["class"] == name
        ]
        assert len(cells) == 13
        assert sorted(cells.count(cell) for cell in set(cells)) == [2, 2, 2, 2, 2, 3]


def test_an_image_shows_what_its_row_says(folder, signs):
    sampler = load_sampler(signs)
    for row in rows_of(folder)[::5]:
        seed = torch.tensor([row["seed"]])
        told = sampler.with_attributes(row["attributes"])
        assert told.attributes_of(seed) == [row["attributes"]]
        index = int(row["file"].split("/")[1].split(".")[0])
        expected = told.sample(torch.tensor([row["label"]]), seed).images[0]
        assert torch.equal(regenerate_row(folder, signs, index), expected)


def test_another_attribute_makes_another_image_of_the_same_scene(signs):
    sampler = load_sampler(signs)
    labels, seeds = torch.zeros(8, dtype=torch.int64), torch.arange(8)
    day, night = (
        sampler.with_attributes({"weather": "clear", "light": light}).sample(labels, seeds).images
        for light in LIGHTS
    )
    assert (night.float().mean((1, 2, 3)) < day.float().mean((1, 2, 3))).all()
    assert sampler.attributes_of(seeds) == load_sampler(signs).attributes_of(seeds)  # unchanged


def test_the_set_is_drawn_again_to_the_byte(folder, signs, tmp_path):
    again = regenerate(folder, signs, tmp_path / "again")
    for row in rows_of(folder):
        assert (again / row["file"]).read_bytes() == (folder / row["file"]).read_bytes()


def test_attributes_stay_in_the_public_manifest(folder, tmp_path):
    public = public_papers(folder, tmp_path / "public")
    assert all(set(row["attributes"]) == {"weather", "light"} for row in rows_of(public))


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"weather": ["fogg"]}, "no option 'fogg'"),
        ({"wether": ["fog"]}, "no attribute 'wether'"),
        ({"weather": []}, "list of different options"),
        ({"weather": ["fog", "fog"]}, "list of different options"),
        ({"weather": "fog"}, "list of different options"),
    ],
)
def test_a_wrong_order_is_refused_before_anything_is_written(signs, tmp_path, attributes, said):
    with pytest.raises(SynthgenError, match=said):
        synthesize(signs, Balanced(1), tmp_path / "set", attributes=attributes)
    assert not (tmp_path / "set").exists()


def test_a_sampler_without_attributes_says_so(tmp_path):
    noise = save_sampler(Noise(ImageSpec(1, 8, 8, ("a",))).eval(), tmp_path / "noise", {})
    with pytest.raises(SynthgenError, match="no attributes"):
        synthesize(noise, Balanced(1), tmp_path / "set", attributes={"weather": ["fog"]})
