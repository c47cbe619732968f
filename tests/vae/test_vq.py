"""VQ-VAE: codes, their moving averages, a causal prior, and what the whole reconstructs."""

import functools
import os
import signal

import pytest
import torch
import torch.nn.functional as F

from synthgen import load_sampler
from synthgen.data import Digits, prepare
from synthgen.errors import StoppedByUserError, SynthgenError
from synthgen.images import to_float
from synthgen.networks.base import Encoder, Generator
from synthgen.networks.vq import Codebook, CodeTransformer, VQDecoder, VQEncoder
from synthgen.samplers.neural import CodeSampler
from synthgen.seeds import row_seeds
from synthgen.training.schedules import Constant, Cosine
from synthgen.training.train import train
from synthgen.types import ImageSpec
from synthgen.vae import VAE
from synthgen.vae.likelihoods import GaussianLikelihood
from synthgen.vae.objectives import ELBO
from synthgen.vae.priors import ClassGaussianPrior
from synthgen.vae.vq import VQVAE

SIZE = {"code_dim": 8, "width": 24, "blocks": 1}
ADAM = functools.partial(torch.optim.Adam, lr=0.0, betas=(0.9, 0.99), fused=True)
RUN = {"precision": "float32", "accelerator": "cpu", "previews": 0}
BUDGET = RUN | {"max_images": 32 * 12}


@pytest.fixture(scope="module")
def splits():
    return prepare(Digits())


def build_vq(image, cls=VQVAE, share=0.5, batch_size=32):
    torch.manual_seed(0)
    return cls(
        VQEncoder(image, **SIZE),
        VQDecoder(image, **SIZE),
        Codebook(64, 8),
        functools.partial(CodeTransformer, width=32, layers=2, heads=2),
        ADAM,
        lr=Cosine(3e-3, 1e-4),
        prior_lr=Cosine(3e-3, 1e-4),
        autoencoder_share=share,
        codebook_half_life=1500,
        batch_size=batch_size,
    )


@pytest.fixture
def prior():
    torch.manual_seed(0)
    prior = CodeTransformer(3, 4, 6, width=16, layers=2, heads=2)
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return prior


@pytest.fixture
def sampler(prior):
    image = ImageSpec(1, 8, 12, ("a", "b", "c"))
    torch.manual_seed(1)
    decoder = VQDecoder(image, largest_grid=6, **SIZE)
    assert decoder.grid == (4, 6)
    wide = CodeTransformer(3, 64, 24, width=16, layers=2, heads=2)
    return CodeSampler(decoder, Codebook(64, 8), wide).eval()


def test_drawn_codes_have_the_priors_frequencies(prior):
    image = ImageSpec(1, 4, 6, ("a", "b", "c"))
    sampler = CodeSampler(VQDecoder(image, largest_grid=3, **SIZE), Codebook(4, 8), prior)
    labels = torch.full((4000,), 1)
    with torch.inference_mode():
        first = sampler.draw_codes(labels, row_seeds(0, 0, 4000)).flatten(1)
        expected = prior(first[:1], labels[:1])[0, 0].softmax(0)
        again = prior(first, labels).softmax(2).mean(0)[5]
    assert torch.allclose(torch.bincount(first[:, 0], minlength=4) / 4000, expected, atol=0.03)
    assert torch.allclose(torch.bincount(first[:, 5], minlength=4) / 4000, again, atol=0.03)


def test_an_image_depends_on_its_label_and_seed_alone(sampler):
    labels, seeds = torch.arange(150) % 3, row_seeds(4, 0, 150)
    whole = sampler.sample(labels, seeds).images
    order = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sampler.sample(labels[order], seeds[order]).images, whole[order])
    single = [sampler.sample(labels[i : i + 1], seeds[i : i + 1]).images for i in (0, 63, 64, 149)]
    assert torch.equal(torch.cat(single), whole[[0, 63, 64, 149]])
    assert len(whole.flatten(1).unique(dim=0)) == 150


def test_temperature_sharpens_and_truncation_is_refused(prior):
    image = ImageSpec(1, 4, 6, ("a", "b", "c"))
    sampler = CodeSampler(VQDecoder(image, largest_grid=3, **SIZE), Codebook(4, 8), prior)
    labels, seeds = torch.full((300,), 1), row_seeds(0, 0, 300)
    with torch.inference_mode():
        usual = sampler.draw_codes(labels, seeds).flatten(1).unique(dim=0)
        sampler.set_latents(temperature=0.01, truncation=None)
        sharp = sampler.draw_codes(labels, seeds).flatten(1)
        sampler.set_latents(temperature=None, truncation=None)
        assert torch.equal(sampler.draw_codes(labels, seeds).flatten(1).unique(dim=0), usual)
        likeliest = prior(sharp[:1], labels[:1]).argmax(2)
    assert torch.equal(sharp.mode(0).values[None], likeliest)
    assert len(sharp.unique(dim=0)) < len(usual) / 5
    with pytest.raises(SynthgenError, match="truncation means nothing"):
        sampler.set_latents(temperature=None, truncation=2.0)
    with pytest.raises(SynthgenError, match="temperature is 0"):
        sampler.set_latents(temperature=0.0, truncation=None)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 33, 50), (1, 64, 9), (3, 256, 256)])
def test_any_size_goes_in_and_comes_out(shape):
    image = ImageSpec(*shape, classes=("a", "b"))
    encoder, decoder = VQEncoder(image, **SIZE), VQDecoder(image, **SIZE)
    grid = encoder(torch.zeros(2, *shape))
    assert grid.shape == (2, 8, *decoder.grid)
    assert max(decoder.grid) <= 8
    assert decoder(grid).shape == (2, *shape)


def test_parts_that_do_not_fit_are_refused():
    image = ImageSpec(1, 8, 8, ("a",))
    rest = {"optimizer": ADAM, "lr": Constant(0.1), "prior_lr": Constant(0.1)}
    rest["prior"] = functools.partial(CodeTransformer, width=8, layers=1, heads=1)
    encoder, decoder = VQEncoder(image, **SIZE), VQDecoder(image, **SIZE)
    with pytest.raises(ValueError, match="code_dim of encoder, decoder and codebook"):
        VQVAE(encoder, decoder, Codebook(4, 9), **rest)
    with pytest.raises(ValueError, match="largest_grid"):
        VQVAE(encoder, VQDecoder(image, largest_grid=2, **SIZE), Codebook(4, 8), **rest)
    with pytest.raises(ValueError, match="autoencoder_share"):
        VQVAE(encoder, decoder, Codebook(4, 8), autoencoder_share=1.0, **rest)


@pytest.mark.parametrize("at_step", [4, 8], ids=["in the autoencoder's part", "in the prior's"])
def test_a_stopped_and_resumed_run_ends_with_the_same_weights(at_step, splits, tmp_path):
    class Stopping(VQVAE):
        steps = 0

        def step(self, images, labels):
            super().step(images, labels)
            self.steps += 1
            if self.steps == at_step:
                os.kill(os.getpid(), signal.SIGTERM)

    image, out = splits.train.image, tmp_path / "parts"
    whole = train(build_vq(image), splits, tmp_path / "whole", seed=3, **BUDGET)
    with pytest.raises(StoppedByUserError):
        train(build_vq(image, cls=Stopping), splits, out, seed=3, **BUDGET)
    resumed = train(build_vq(image), splits, out, seed=3, resume=True, **BUDGET)
    expected, found = load_sampler(whole).state_dict(), load_sampler(resumed).state_dict()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


def test_each_part_of_the_run_trains_its_own_networks(splits, tmp_path):
    changed = []

    class Watching(VQVAE):
        def step(self, images, labels):
            before = [p.detach().clone() for p in self.parameters() if p.requires_grad]
            super().step(images, labels)
            after = [p for p in self.parameters() if p.requires_grad]
            names = [n for n, p in self.named_parameters() if p.requires_grad]
            moved = zip(names, before, after, strict=True)
            changed.append({n.split(".")[0] for n, b, a in moved if not torch.equal(b, a)})

    module = build_vq(splits.train.image, cls=Watching, share=0.25)
    exported = train(module, splits, tmp_path / "run", **BUDGET)
    assert changed == [{"autoencoder"}] * 3 + [{"prior"}] * 9
    sampler = load_sampler(exported)
    assert not sampler.exposes_real
    labels, seeds = torch.arange(10), row_seeds(0, 0, 10)
    assert torch.equal(
        sampler.sample(labels, seeds).images, module.sampler().eval().sample(labels, seeds).images
    )


class TrunkEncoder(Encoder):
    """The VQ-VAE's encoder with a Gaussian over a vector at its end."""

    def __init__(self, image, z_dim, **size):
        super().__init__()
        self.image, self.z_dim = image, z_dim
        self.trunk = VQEncoder(image, **size)
        flat = self.trunk.grid[0] * self.trunk.grid[1] * size["code_dim"]
        self.head = torch.nn.Linear(flat, 2 * z_dim)

    def forward(self, images, labels):
        mean, logvar = self.head(self.trunk(images).flatten(1)).float().chunk(2, dim=1)
        return mean, logvar


class TrunkDecoder(Generator):
    """The VQ-VAE's decoder behind a linear layer."""

    def __init__(self, image, z_dim, **size):
        super().__init__()
        self.image, self.z_dim = image, z_dim
        self.trunk = VQDecoder(image, **size)
        self.shape = (size["code_dim"], *self.trunk.grid)
        self.head = torch.nn.Linear(z_dim, self.shape[0] * self.shape[1] * self.shape[2])

    def forward(self, z, labels):
        return self.trunk(self.head(z).view(-1, *self.shape))


def build_vae(image):
    torch.manual_seed(0)
    return VAE(
        TrunkEncoder(image, 64, **SIZE),
        TrunkDecoder(image, 64, **SIZE),
        ClassGaussianPrior,
        GaussianLikelihood(),
        ADAM,
        lr=Cosine(3e-3, 1e-4),
        objective=ELBO(Constant(1.0)),
        batch_size=64,
    )


@pytest.fixture(scope="module")
def trained_vq(splits, tmp_path_factory):
    """Half of 800 steps of 64 for the autoencoder, half for the prior."""
    module = build_vq(splits.train.image, batch_size=64)
    train(module, splits, tmp_path_factory.mktemp("vq") / "run", **RUN, max_images=64 * 800)
    return module.eval()


def test_a_vq_vae_reconstructs_better_than_the_vae_of_equal_size(trained_vq, splits, tmp_path):
    """Encoder and decoder alike (width 24, one block, a 4 x 4 grid of 8 numbers); 64 latents in the
    VAE, 16 codes of 64 in the VQ-VAE; 25,600 images each; 180 held-out digits."""
    vae = build_vae(splits.train.image)
    train(vae, splits, tmp_path / "vae", **RUN, max_images=64 * 400)
    held_out, labels = to_float(splits.test.images), splits.test.labels
    average = vae.ema.average.eval()
    with torch.no_grad():
        mean, _ = average.encoder(held_out, labels)  # its best case: no noise
        by_vae = F.mse_loss(average.likelihood.mean(average.decoder(mean, labels)), held_out)
        by_vq = F.mse_loss(trained_vq.reconstruct(splits.test.images), held_out)
    assert by_vq < by_vae


def test_the_prior_learns_what_codes_have_to_do_with_each_other(trained_vq, splits):
    """Fewer bits on held-out digits than the entropy of codes drawn each on its own, even where
    each position of each class has its own frequencies."""
    codes = trained_vq.encode(splits.train.images).flatten(1)
    independent = 0.0
    for label in range(10):
        mine = codes[splits.train.labels == label]
        for place in range(mine.shape[1]):
            share = torch.bincount(mine[:, place], minlength=64) / len(mine)
            independent += torch.special.entr(share).sum().item() / mine.shape[1] / 10
    held_out = trained_vq.encode(splits.test.images).flatten(1)
    with torch.no_grad():
        logits = trained_vq.prior_ema.average(held_out, splits.test.labels)
    learned = F.cross_entropy(logits.flatten(0, 1), held_out.flatten()).item()
    assert learned < independent
