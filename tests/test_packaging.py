"""The wheel carries the configs and runs anywhere; a checkout finds them too."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from synthgen.io import config_dir

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (found,) = folder.glob("synthgen_images-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--target", str(folder), str(wheel)], check=True, capture_output=True)
    return folder


def run(arguments, *, cwd, path=None):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True)


def test_the_public_name_is_not_the_one_that_belongs_to_somebody_else(wheel):
    """``synthgen`` on the public index is another project's package."""
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    assert "\nName: synthgen-images\n" in archive.read(metadata).decode()
    (commands,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
    assert "synthgen = synthgen.cli.main:main" in archive.read(commands).decode()


def test_nobody_is_told_to_install_a_package_that_is_not_ours():
    folders = ("synthgen", "configs", "scripts", "notebooks")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    texts = [path for path in files if path.suffix in (".py", ".yaml", ".j2", ".ipynb")]
    texts += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile")]
    texts += (ROOT / "docs").rglob("*.md")
    assert len(texts) > 300
    wrong = re.compile(r"pip install[^\n]*?[ \t'\"]synthgen(?![\w-])|(?<!-)synthgen\[")
    told = {path.name: found for path in texts if (found := wrong.findall(path.read_text()))}
    assert told == {}


def test_the_wheel_holds_every_config_and_no_test(wheel):
    assert len(CONFIGS) > 10
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"synthgen/{name}" for name in CONFIGS} <= set(names)
    roots = {name.split("/")[0] for name in names}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"synthgen"}


def test_the_wheel_holds_the_templates_of_the_pages(wheel):
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "synthgen").rglob("*.j2")}
    assert templates
    assert templates <= set(zipfile.ZipFile(wheel).namelist())


def test_an_installed_wheel_runs_from_any_folder(installed, tmp_path):
    where = run(
        [sys.executable, "-c", "import synthgen.io as p; print(p.config_dir())"],
        cwd=tmp_path, path=installed,
    )  # fmt: skip
    assert Path(where.stdout.strip()) == installed / "synthgen" / "configs", where.stderr
    shown = run(
        [sys.executable, str(installed / "bin" / "synthgen"), "train", "--cfg", "job", "--resolve"],
        cwd=tmp_path, path=installed,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "max_images: null" in shown.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_installed_wheel_goes_down_the_line(installed, tmp_path):
    synthgen = [sys.executable, str(installed / "bin" / "synthgen")]
    done = run(
        [*synthgen, "run", "model=pca_gaussian", "logger=csv", "out=first", "plan.per_class=20"],
        cwd=tmp_path, path=installed,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "first" / "report" / "report.html").is_file()


def test_a_checkout_finds_its_own_configs():
    assert config_dir() == ROOT / "configs"


def test_scripts_are_the_same_command(tmp_path):
    for verb in ("train", "synthesize", "evaluate", "compare"):
        shown = run(
            [sys.executable, str(ROOT / "scripts" / f"{verb}.py"), "--cfg", "job"],
            cwd=tmp_path, path=ROOT,
        )  # fmt: skip
        assert shown.returncode == 0, shown.stderr
        assert "allow: []" in shown.stdout
