"""The pages build as a site, without a warning."""

import re
import subprocess
import sys

import pytest
from docs_pages import ROOT

pytest.importorskip("mkdocstrings", reason="needs the extra docs")


def built(out, source=ROOT):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_holds_the_api(tmp_path):
    done = built(tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert not re.search(r"^WARNING|^ERROR", done.stderr, re.MULTILINE)
    page = (tmp_path / "site" / "api" / "index.html").read_text()
    for name in ("load_sampler", "data.ImageFolder", "samplers.Sampler", "gan.GAN", "vae.VAE"):
        assert f'id="synthgen.{name}"' in page
