"""Config files that came from elsewhere can't run code, nor allow it."""

import pytest

from synthgen.cli.foreign import added_folders, require_own_packages, require_plain_configs
from synthgen.errors import SynthgenError
from synthgen.paths import config_dir


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("experiment/x.yaml", "# @package _global_\nhydra:\n  callbacks: {a: {_target_: b.c}}\n"),
        ("experiment/x.yaml", "# @package _global_\n<<: {hydra: {callbacks: {}}}\n"),
        ("experiment/x.yaml", "# @package hydra.callbacks.a\n_target_: b.c\n"),
        ("experiment/x.yaml", "defaults:\n  - override /hydra/launcher: mine\n"),
        ("experiment/x.yaml", "defaults:\n  - /model@hydra.callbacks.a: mine\n"),
        ("hydra/callbacks/mine.yaml", "a: {_target_: b.c}\n"),
        ("train.yaml", "hydra.callbacks: {a: {_target_: b.c}}\n"),
    ],
)
def test_what_hydra_would_run_is_refused(tmp_path, name, text):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with pytest.raises(SynthgenError, match="settings of Hydra's own"):
        require_plain_configs(["model=gan", "--config-dir", str(tmp_path)])
    require_plain_configs(["model=gan"])


def test_experiments_and_copies_of_our_own_files_pass(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/x.yaml").write_text("# @package _global_\nseed: 3\n")
    (tmp_path / "door.yaml").write_bytes((config_dir() / "door.yaml").read_bytes())
    require_plain_configs([f"--config-dir={tmp_path}"])


def test_every_way_to_name_a_folder_is_seen():
    line = ["a=1", "--config-dir", "a", "-cp=b", "--config-d", "c", "hydra.searchpath=[file://d,e]"]
    assert [str(folder) for folder in added_folders(line)] == ["a", "b", "c", "d", "e"]
    assert list(added_folders([])) == []


def test_only_the_command_line_allows_packages():
    require_own_packages(["mine"], ["model=gan", "allow=[mine]"])
    require_own_packages([], ["model=gan"])
    with pytest.raises(SynthgenError, match=r"allow=\[mine\], and no file may admit code"):
        require_own_packages(["mine"], ["experiment=x"])


def test_the_command_checks_both(synthgen, tmp_path):
    experiment = tmp_path / "configs" / "experiment" / "x.yaml"
    experiment.parent.mkdir(parents=True)
    line = ("train", "--config-dir", "configs", "experiment=x", "model=noise", "logger=csv")
    experiment.write_text("# @package _global_\nallow: [colorsys]\n")
    assert "no file may admit code" in synthgen(*line).err
    experiment.write_text("# @package _global_\nhydra: {callbacks: {a: {_target_: b.c}}}\n")
    assert "settings of Hydra's own" in synthgen(*line).err
    assert [path.name for path in tmp_path.iterdir()] == ["configs"]
