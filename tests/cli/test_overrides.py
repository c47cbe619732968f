import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from synthgen.cli.overrides import flags_first, folders_as_override, quote_paths

ODD = [
    "/tmp/a=b",
    "a (1)",
    "/home/José/Bilder",
    "it's",
    "C:\\data",
    "a b  c",
    "100%",
    "x#y",
    "[",
    "~/x",
]


def value_of(argument: str) -> object:
    return OverridesParser.create().parse_override(argument).value()


@pytest.mark.parametrize("folder", [name for name in ODD if not name.startswith("[")])
def test_any_path_reaches_hydra_as_it_is(folder):
    (argument,) = quote_paths([f"data.root={folder}"])
    assert value_of(argument) == folder


@pytest.mark.parametrize(
    "argument", ["out=null", "out='a b'", "sampler=a,b", "out=${oc.env:HOME}/x", "model=vae", "-m"]
)
def test_what_hydra_should_see_stays(argument):
    assert quote_paths([argument]) == [argument]


def test_a_start_is_a_path_at_the_root_and_a_number_in_a_schedule():
    assert value_of(*quote_paths(["start=runs/a b"])) == "runs/a b"
    assert value_of(*quote_paths(["model.lr.start=0.4"])) == 0.4


@pytest.mark.parametrize("folder", ODD)
def test_folders_become_one_override(folder):
    rest = folders_as_override([folder.replace("=", ""), "b", "out=c", "--cfg", "job", "--resolve"])
    assert rest[:-1] == ["--cfg", "job", "--resolve", "out=c"]
    assert value_of(rest[-1]) == [folder.replace("=", ""), "b"]


def test_no_folders_no_override():
    assert folders_as_override(["--help"]) == ["--help"]


def test_flags_may_stand_anywhere():
    assert flags_first(["a=1", "-m", "b=2", "--config-dir", "here", "c=3"]) == [
        "-m", "--config-dir", "here", "a=1", "b=2", "c=3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "right"),
    [
        ("data.view=4,3,2", "'data.view=[4,3,2]'"),
        ("data.range=0,4095", "'data.range=[0,4095]'"),
        ("data.view=(4,3,2)", "'data.view=[4,3,2]'"),
        ("data.view=[4, 3", "'data.view=[4,3]'"),
        ("data.view=[4", "'data.view=[A,B]'"),
    ],
)
def test_a_list_without_brackets_is_told_how_lists_are_written(argument, right, synthgen):
    said = synthgen("train", "data=digits", argument)
    assert said.code == 2
    assert right in said.err
    assert "Ambiguous" not in said.err
    assert len(said.err.splitlines()) == 2
