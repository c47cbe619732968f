"""Fine-tuning on real digits: what is taken, for which classes, and what is refused."""

import functools
import json
import logging
import re

import pytest
import torch

from synthgen import load_sampler
from synthgen.data import Digits, prepare
from synthgen.errors import SynthgenError
from synthgen.samplers import PCAGaussian
from synthgen.training.finetune import rows_by_name, start_from
from synthgen.training.schedules import Constant
from synthgen.training.train import train
from synthgen.types import ImageSpec
from synthgen.vae.densities import GaussianMixtureDensity
from synthgen.vae.priors import VampPrior

SMALL = {"precision": "float32", "accelerator": "cpu", "previews": 0, "max_images": 320}


@pytest.fixture(scope="module")
def splits():
    return prepare(Digits())


@pytest.fixture
def image(splits):
    return splits.train.image


@pytest.fixture
def gan_run(splits, tmp_path, build_gan):
    train(build_gan(splits.train.image), splits, tmp_path / "gan", **SMALL)
    return tmp_path / "gan"


@pytest.fixture
def vae_run(splits, tmp_path, build_vae):
    density = functools.partial(GaussianMixtureDensity, components=2, min_images=20)
    train(build_vae(splits.train.image, density=density), splits, tmp_path / "vae", **SMALL)
    return tmp_path / "vae"


def of(image, *classes):
    return ImageSpec(image.channels, image.height, image.width, classes)


def weights(run):
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def parameters(module):
    return {name: value.detach() for name, value in module.named_parameters()}


def fresh(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(7.0)
    return module


@pytest.mark.parametrize(("family", "count"), [("gan", 3), ("vae", 2)])
def test_a_run_gives_all_its_networks_and_neither_clock_nor_density(
    family, count, image, request, caplog
):
    run = request.getfixturevalue(f"{family}_run")
    caplog.set_level("INFO", logger="synthgen")
    module = fresh(request.getfixturevalue(f"build_{family}")(image))
    record = start_from(module, run)
    expected = weights(run)
    for name, value in parameters(module).items():
        assert torch.equal(value, expected[name]), name
    assert module.clock.images_seen == 0
    assert record.images_seen == 320
    assert record.new_classes == record.dropped_classes == ()
    assert len(record.checkpoint_sha256) == 64
    assert "anew: nothing" in caplog.text


def test_a_sampler_alone_gives_the_generator_to_network_and_average(
    gan_run, image, build_gan, caplog
):
    caplog.set_level("INFO", logger="synthgen")
    module = fresh(build_gan(image))
    (gan_run / "checkpoints" / "last.ckpt").unlink()
    record = start_from(module, gan_run)
    expected = load_sampler(gan_run).generator.state_dict()
    for network in (module.generator, module.ema.average):
        assert all(torch.equal(v, expected[k]) for k, v in network.state_dict().items())
    assert all((p == 7).all() for p in module.critic.discriminator.parameters())
    assert record.checkpoint_sha256 is None
    assert "anew: discriminator;" in caplog.text


def test_a_vaes_sampler_alone_gives_the_decoder(vae_run, image, build_vae):
    module = fresh(build_vae(image))
    start_from(module, vae_run / "sampler" if not (vae_run / "checkpoints" / "last.ckpt").unlink()
               else vae_run)  # fmt: skip
    expected = load_sampler(vae_run).decoder.state_dict()
    for network in (module.networks.decoder, module.ema.average.decoder):
        assert all(torch.equal(v, expected[k]) for k, v in network.state_dict().items())
    assert all((p == 7).all() for p in module.networks.encoder.parameters())


@pytest.mark.parametrize("classes", [("3", "new", "0"), tuple("9876543210")])
def test_classes_are_matched_by_name(classes, gan_run, image, build_gan):
    module = fresh(build_gan(of(image, *classes)))
    record = start_from(module, gan_run)
    expected, found = weights(gan_run), parameters(module)
    tables = [name for name in found if "embedding" in name]
    assert len(tables) == 3  # of the generator, its average and the discriminator
    for name in tables:
        for row, label in zip(found[name], classes, strict=True):
            known = expected[name][int(label)] if label != "new" else expected[name].mean(0)
            assert torch.allclose(row, known, atol=1e-6)
    for name in found.keys() - set(tables):
        assert torch.equal(found[name], expected[name])
    assert record.new_classes == tuple(one for one in classes if one == "new")
    assert len(record.dropped_classes) == (8 if "new" in classes else 0)


@pytest.mark.parametrize("classes", [("3", "new", "0", "other"), tuple("0123456789")])
def test_rows_of_new_classes_are_not_counted_as_taken(
    classes, gan_run, image, build_gan, monkeypatch, caplog
):
    monkeypatch.setattr(logging.getLogger("synthgen"), "propagate", True)
    module = build_gan(of(image, *classes))
    with caplog.at_level("INFO"):
        start_from(module, gan_run)
    *_, said = re.findall(r"([\d,]+) of ([\d,]+) weights taken", caplog.text)
    taken, all_ = (int(number.replace(",", "")) for number in said)
    rows = [v for name, v in module.named_parameters() if "embedding" in name]
    assert len(rows) == 3  # of the generator, its average and the discriminator
    assert all_ == sum(v.numel() for v in module.parameters())
    share = 1 / 2 if "new" in classes else 0
    assert all_ - taken == share * sum(v.numel() for v in rows)


def test_a_prior_per_class_is_matched_by_name_too(vae_run, image, build_vae):
    module = fresh(build_vae(of(image, *"9876543210")))
    start_from(module, vae_run)
    expected = weights(vae_run)["networks.prior.means"]
    assert torch.equal(module.networks.prior.means, expected.flip(0))


@pytest.mark.parametrize("alone", [False, True])
def test_pseudo_images_of_a_class_stay_together(alone, splits, tmp_path, image, build_vae):
    prior = functools.partial(VampPrior, components=3)
    train(build_vae(image, prior=prior), splits, tmp_path / "vamp", **SMALL)
    expected = weights(tmp_path / "vamp")["networks.prior.pseudo_images"]
    if alone:
        (tmp_path / "vamp" / "checkpoints" / "last.ckpt").unlink()
    module = fresh(build_vae(of(image, "7", "new", "2"), prior=prior))
    start_from(module, tmp_path / "vamp")
    if alone:  # a sampler holds the prior without its pseudo-images
        assert (module.networks.prior.pseudo_images == 7).all()
        return
    found, expected = (
        one.unflatten(0, (-1, 3)) for one in (module.networks.prior.pseudo_images, expected)
    )
    assert torch.equal(found[0], expected[7])
    assert torch.allclose(found[1], expected.mean(0), atol=1e-6)
    assert torch.equal(found[2], expected[2])


def test_rows_are_one_old_class_or_the_mean_of_all():
    rows = rows_by_name(("a", "b"), ("b", "c"))
    assert rows.tolist() == [[0, 1], [0.5, 0.5]]


@pytest.mark.parametrize("part", ["", "sampler"])
def test_another_architecture_is_refused_and_nothing_is_changed(part, gan_run, image, build_gan):
    module = fresh(build_gan(image, width=4))
    if part:
        (gan_run / "checkpoints" / "last.ckpt").unlink()
    with pytest.raises(
        SynthgenError, match=r"another architecture.*\(.*there and \(.*here"
    ) as said:
        start_from(module, gan_run)
    assert len(str(said.value).splitlines()) == 2
    assert all((p == 7).all() for p in module.parameters())


def test_another_family_is_refused(gan_run, image, build_vae):
    with pytest.raises(SynthgenError, match="another architecture"):
        start_from(build_vae(image), gan_run)


def test_fitted_samplers_have_nothing_to_give_or_take(splits, gan_run, tmp_path, image, build_gan):
    train(PCAGaussian(image), splits, tmp_path / "pca")
    with pytest.raises(SynthgenError, match="PCAGaussian, which has no network"):
        start_from(build_gan(image), tmp_path / "pca")
    with pytest.raises(SynthgenError, match="PCAGaussian is fitted in one go"):
        train(PCAGaussian(image), splits, tmp_path / "again", start=gan_run)
    with pytest.raises(SynthgenError, match="There is no sampler in"):
        start_from(build_gan(image), tmp_path)


def test_training_begins_there_and_the_run_records_it(splits, gan_run, tmp_path, image, build_gan):
    still = functools.partial(build_gan, discriminator_lr=Constant(0.0))
    model = still(image)
    model.lr = Constant(0.0)
    train(model, splits, tmp_path / "tuned", start=gan_run, **SMALL)
    before = weights(gan_run)
    after = weights(tmp_path / "tuned")
    assert all(torch.equal(v, before[k]) for k, v in after.items() if k.startswith("generator"))
    record = json.loads((tmp_path / "tuned" / "training.json").read_text())
    said = json.loads((gan_run / "sampler" / "sampler.json").read_text())
    assert record["start"]["sampler_sha256"] == said["sha256"]
    assert record["images_seen"] == 320
    exported = json.loads((tmp_path / "tuned" / "sampler" / "sampler.json").read_text())
    assert exported["provenance"]["training"]["start"] == record["start"]
    longer = SMALL | {"max_images": 640}
    train(build_gan(image), splits, tmp_path / "tuned", start="gone", resume=True, **longer)
    resumed = json.loads((tmp_path / "tuned" / "training.json").read_text())
    assert resumed["start"] == record["start"]
    assert resumed["images_seen"] == 640


def test_from_the_command_line(synthgen, tmp_path):
    sizes = [f"model.{n}.{k}=8" for n in ("generator", "discriminator")
             for k in ("width", "max_width")]  # fmt: skip
    common = ("max_images=640", "logger=csv", "trainer.previews=0", *sizes)
    assert synthgen("train", *common, "out=first").code == 0
    done = synthgen("train", *common, "start=first", "order=class_balanced", "out=second")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "second" / "training.json").read_text())
    assert record["start"]["images_seen"] == 640
    config = (tmp_path / "second" / "config.yaml").read_text()
    assert "ClassBalanced" in config
    assert f"start: {tmp_path / 'first'}" in config
    refused = synthgen("train", *common[:3], "start=first", "out=third")
    assert refused.code == 2
    assert "another architecture" in refused.err
