"""Five bands of 12 bits in TIFF files, through the whole line on the command line: levels and bands
come out as they went in."""

import json

import numpy as np
import pytest
import tifffile
from sklearn.datasets import load_digits

SHARES = np.array([1.0, 0.8, 0.6, 0.4, 0.2])


@pytest.fixture
def scans(tmp_path):
    bunch, random = load_digits(), np.random.default_rng(0)
    for label in (0, 1):
        (tmp_path / "scans" / str(label)).mkdir(parents=True)
        for number, image in enumerate(bunch.images[bunch.target == label][:60]):
            levels = image[..., None] * 220 * SHARES + random.integers(0, 300, (8, 8, 5))
            tifffile.imwrite(
                tmp_path / "scans" / str(label) / f"{number}.tif",
                levels.astype(np.uint16),
                photometric="minisblack",
                planarconfig="contig",
                bitspersample=16,
            )
    return tmp_path / "scans"


def test_levels_and_bands_are_kept(synthgen, scans, tmp_path):
    data = ("data=image_folder", f"data.root={scans}", "logger=csv")
    run = synthgen("train", *data, "data.bits=16", "model=pca_gaussian", "out=run")
    assert run.code == 0, run.err
    assert "Levels 0 to 4095 (12 bits hold every training level)" in run.err
    refused = synthgen("synthesize", "sampler=run", "out=png", "logger=csv")
    assert refused.code == 2
    assert "format=png holds grey or RGB images, not 5 bands" in refused.err
    made = synthgen("synthesize", "sampler=run", "out=set", "format=tiff", "logger=csv")
    assert made.code == 0, made.err
    files = sorted((tmp_path / "set").glob("*/*.tif"))
    drawn = np.stack([tifffile.imread(file) for file in files])
    assert (drawn.dtype, drawn.shape[1:]) == (np.uint16, (8, 8, 5))
    image = json.loads((tmp_path / "set" / "dataset.json").read_text())["image"]
    assert (image["bits"], image["levels"], image["channels"]) == (16, [0, 4095], 5)
    real = np.stack([tifffile.imread(file) for file in sorted(scans.glob("*/*.tif"))])
    assert len(np.unique(drawn)) > 3000
    there = drawn.mean((0, 1, 2)) / 65535 * 4095
    off = np.abs(there - real.mean((0, 1, 2))).max()  # draws below 0 are clipped
    assert off < 0.05 * real.mean()
    report = synthgen(
        "evaluate", *data, "synthetic=set", "judge=logistic_regression", "seeds=1", "out=report"
    )
    assert report.code == 0, report.err
