"""Resuming from a damaged state: refused, and the finished sampler stays."""

from pathlib import Path


def test_a_checkpoint_that_was_cut_short(synthgen):
    start = synthgen(
        "train", "model=vae", "model.density=null", "data.size=8", "model.batch_size=16",
        "trainer.previews=0", "max_images=16", "logger=csv", "out=run",
    )  # fmt: skip
    assert start.code == 0, start.err
    checkpoint = Path("run/checkpoints/last.ckpt")
    sampler = Path("run/sampler/sampler.json").read_text()
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    resumed = synthgen("train", "resume=run", "max_images=32")
    assert resumed.code == 2
    assert "last.ckpt is damaged" in resumed.err
    assert "Traceback" not in resumed.err
    assert Path("run/sampler/sampler.json").read_text() == sampler
