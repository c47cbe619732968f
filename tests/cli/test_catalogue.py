"""What a yaml and a class say about themselves, read as a person would."""

import pytest

from synthgen.cli.catalogue import (
    citations,
    entries,
    first_comment,
    first_sentence,
    needs,
    own_size,
)
from synthgen.io import config_dir


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("A loss (Lim & Ye 2017; Miyato et al. 2018, eqs. 16 and 17).",
         ("Lim & Ye 2017", "Miyato et al. 2018, eqs. 16 and 17")),
        ("The thin ResNet of He et al. 2016 for CIFAR.", ("He et al. 2016",)),
        ('As in (Huang et al. 2024, "The GAN is dead; long live the\nGAN!"), any size.',
         ('Huang et al. 2024, "The GAN is dead; long live the GAN!"',)),
        ("An auxiliary classifier (AC-GAN; Odena et al. 2017, eq. 3).",
         ("Odena et al. 2017, eq. 3",)),
        ("Copies (Efron 1979). Again (Efron 1979, section 2).", ("Efron 1979",)),
        ("PixelCNN (van den Oord et al. 2016b).", ("van den Oord et al. 2016b",)),
        ("Nothing (pip install timm) of 2,048 features (20.8 M parameters).", ()),
    ],
)  # fmt: skip
def test_citations(text, cited):
    assert citations([text]) == cited


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("A loss (Mao et al. 2017, eq. 9) on logits. More of it.", "A loss on logits"),
        ("With i.e. a trap. And more.", "With i.e. a trap"),
        ("No full stop\n\nAnother paragraph.", "No full stop"),
        ("Takes ``x.y`` and 0.5 of it: good.", "Takes ``x.y`` and 0.5 of it: good"),
        ("", ""),
    ],
)
def test_first_sentence(text, sentence):
    assert first_sentence(text) == sentence


def test_the_comment_on_top_the_one_beside_and_the_purpose_of_an_experiment():
    assert first_comment("# @package a.b\n# One\n# two.\nx: 1 # no\n# late\n") == "One two."
    assert first_comment("{} # no penalty\n") == "no penalty"
    assert first_comment("# Purpose  To see\n#          more\n# Command  x\n# Result 3\n") == (
        "To see more"
    )
    assert first_comment("x: 1\n") == ""


def test_needs():
    assert needs(["Large, for a GPU."], [], {"root": "???", "size": None}) == ["GPU", "root=…"]
    assert needs(["Fast without a GPU."], ["pip install h5py"], {"weights": 1}) == [
        "h5py",
        "weights",
    ]


def test_every_option_says_what_it_is():
    found = entries([config_dir()], [])
    assert len(found) > 70
    assert {entry.group for entry in found} >= {"model", "gan/loss", "judge", "network/generator"}
    for entry in found:
        assert len(entry.what) > 8, entry
        assert not any("may not build" in need for need in entry.needs)
    networks = [entry for entry in found if entry.group.startswith(("network/", "gan/loss"))]
    assert all(entry.papers for entry in networks), [e.name for e in networks if not e.papers]


def test_an_own_config_comes_first_and_an_own_class_needs_leave(tmp_path):
    own = tmp_path / "model"
    own.mkdir()
    (own / "noise.yaml").write_text("# My noise.\n_target_: somewhere.Else\n")
    found = {(e.group, e.name): e for e in entries([tmp_path, config_dir()], [])}
    assert found["model", "noise"].what == "My noise"
    assert "may not build" in found["model", "noise"].needs[0]
    assert found["model", "bootstrap"].what.startswith("Control")


def test_a_network_names_the_size_that_it_is_made_for():
    found = {(e.group, e.name): e.pixels for e in entries([config_dir()], [])}
    assert found["network/generator", "stylegan2_256"] == 256
    assert found["network/generator", "biggan_imagenet128"] == 128
    assert found["network/discriminator", "dcgan"] == 64
    assert found["network/discriminator", "patch_small"] is None
    assert own_size("A network for 64 pixels; 128 pixels: wider.") == 64
    assert own_size("A patch of 18 pixels.") is None
