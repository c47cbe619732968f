"""A VAE whose decoder is a GAN's generator and whose errors are measured by its discriminator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from synthgen.gan.adversarial import AdversarialLoss
from synthgen.gan.augmentations.base import Augmentation
from synthgen.gan.compatibility import Parts, check_compatible
from synthgen.gan.losses import GANLoss
from synthgen.gan.module import AdversarialModule, recalibrate
from synthgen.gan.penalties import Penalty
from synthgen.images import to_float
from synthgen.networks.base import Discriminator, Encoder, Generator
from synthgen.ranges import BatchSize, Count
from synthgen.samplers.base import Sampler
from synthgen.samplers.neural import DecoderSampler
from synthgen.seeds import Stream, step_generator
from synthgen.serialization import Rebuildable
from synthgen.training.module import EMA
from synthgen.training.schedules import Beta, Rate, Weight
from synthgen.types import ImageSpec, LabelledImages
from synthgen.vae.base import (
    ClosedFormPrior,
    FittedDensity,
    Networks,
    PixelLikelihood,
    Posterior,
    Prior,
    encoded,
)
from synthgen.vae.likelihoods import BernoulliLikelihood

# A decoder that makes pixels itself, without a likelihood around them.


class PlainPixels(nn.Module, Rebuildable):
    """A decoder's output is the image."""

    def mean(self, outputs: Tensor) -> Tensor:
        """float ``(N, C, H, W)`` -> the same."""
        return outputs


class VAEGAN(AdversarialModule):
    """The encoder minimises KL and reconstruction, the decoder reconstruction and adversarial loss,
    where reconstruction is that of the discriminator's features, p(D(x) | z) (Larsen et al. 2016,
    eqs. 7 to 9 and algorithm 1). The discriminator learns from nothing but the adversarial loss;
    half of its generated images are reconstructions, half are drawn from the prior.

    Args:
        encoder: images and labels to the mean and log-variance of q(z | x, y).
        decoder: latents and labels to images.
        prior: called with (number of classes, length of z).
        likelihood: of the features of an image, given those of its reconstruction.
        discriminator: whose ``features`` are reconstructed.
        loss: adversarial loss per logit.
        penalties: added to the discriminator's loss; their names are those in the log.
        optimizer: called with the parameters of encoder, decoder and prior.
        discriminator_optimizer: called with those of the discriminator.
        lr: learning rate of both, by progress of the run.
        beta: weight of the KL term, in nats as the likelihood, by progress.
        reconstruction_weight: of likelihood and KL (per feature) beside the adversarial loss
            (Larsen's γ), by progress.
        beta2: second-moment decay of both Adams, by progress; None leaves them as built.
        discriminator_lr: learning rate of the discriminator, where it differs.
        density: called with (number of classes, length of z) and fitted to the encoded training
            images when training ends; None samples from the prior.
        augmentation: of all images whose logits are taken; features are those of plain images.
        ema_half_life: in images.
        batch_size: real images per step (over all processes), at least 2.

    Raises:
        ValueError: the likelihood is of pixels, or the parts can't be trained together.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Generator,
        prior: Callable[[int, int], Prior],
        likelihood: PixelLikelihood,
        discriminator: Discriminator,
        loss: GANLoss,
        penalties: Mapping[str, Penalty],
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        discriminator_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        lr: Rate,
        beta: Weight,
        reconstruction_weight: Weight,
        beta2: Beta | None = None,
        discriminator_lr: Rate | None = None,
        density: Callable[[int, int], FittedDensity] | None = None,
        augmentation: Augmentation | None = None,
        ema_half_life: Count = 100_000,
        batch_size: BatchSize = 64,
    ) -> None:
        super().__init__(decoder.image, batch_size)
        if encoder.z_dim != decoder.z_dim:
            raise ValueError(
                f"the encoder's z_dim is {encoder.z_dim}, the decoder's {decoder.z_dim}"
            )
        if batch_size < 2:
            raise ValueError(f"batch_size must be at least 2 (two halves), got {batch_size}")
        if not describes_features(likelihood, decoder.image):
            raise ValueError(
                f"{type(likelihood).__name__} describes pixels, but a VAE-GAN's is of features, "
                "which are unbounded; take vae/likelihood@model.likelihood=gaussian"
            )
        check_compatible(Parts(decoder, discriminator, loss, penalties, augmentation, None))
        sizes = (decoder.image.num_classes, decoder.z_dim)
        self.networks = Networks(encoder, decoder, prior(*sizes), likelihood)
        self.critic = AdversarialLoss(
            discriminator, loss, penalties, augmentation, autocast=self.autocast
        )
        self.ema = EMA(self.networks, ema_half_life)
        self.density = None if density is None else density(*sizes)
        self.lr, self.discriminator_lr, self.beta2 = lr, discriminator_lr or lr, beta2
        self.beta, self.reconstruction_weight = beta, reconstruction_weight
        self._build = (optimizer, discriminator_optimizer)

    def configure_optimizers(self) -> list[Optimizer]:
        build, build_discriminator = self._build
        return [build(self.networks.parameters()), build_discriminator(self.critic.parameters())]

    def sampler(self) -> Sampler:
        average = self.ema.average
        return DecoderSampler(average.decoder, average.sampling_density(), PlainPixels())

    def finish(self, real: LabelledImages) -> Sampler:
        average = self.ema.average.eval()
        density = average.sampling_density() if self.density is None else self._fitted(real)
        sampler = DecoderSampler(average.decoder, density, PlainPixels())

        def latents(labels: Tensor, random: torch.Generator) -> Tensor:
            return sampler.latents(labels, torch.randint(2**62, labels.shape, generator=random))

        shown = self.shown_labels(real)
        recalibrate(average.decoder, shown, self.run_seed, latents=latents)
        return sampler

    def _fitted(self, real: LabelledImages) -> FittedDensity:
        assert self.density is not None
        average = self.ema.average

        def draw(images: Tensor, labels: Tensor, standard: Tensor) -> Tensor:
            return average.posterior(images, labels).at(standard)

        latents = encoded(
            draw, real, z_dim=average.decoder.z_dim, seed=self.run_seed, device=self.device
        )
        self.density.fit(latents, real.labels, self.run_seed, real.groups)
        return self.density

    def step(self, images: Tensor, labels: Tensor) -> None:
        real = to_float(images)
        number = self.clock.images_seen // self.batch_size
        optimizer, discriminator_optimizer = self.optimizer_list()
        self._schedule(optimizer, discriminator_optimizer)
        with self.autocast():
            posterior = self.networks.posterior(real, labels)
            z = posterior.at(self.noise(len(real), self.networks.decoder.z_dim))
            # The adversarial loss is none of the encoder's business: its latents are detached.
            half = self._reconstructions(len(real))
            drawn = self._prior_latents(labels, half, number)
            latents = torch.cat([z, z[:half].detach(), drawn])
            outputs = self.networks.decoder(latents, torch.cat([labels, labels]))
        reconstructed, fake = outputs.float().chunk(2)
        parts = self._train_discriminator(real, fake, labels, number, discriminator_optimizer)
        with self.critic.frozen():
            random = self.random(Stream.CRITIC, number, 1)
            adversarial = self.critic.generator_loss(fake, real, labels, random)
            misfit = self.feature_misfit(reconstructed, real)
        kl = self._kl(posterior, z, labels)
        progress, features = self.clock.progress, self.critic.discriminator.feature_dim
        bound = (misfit + self.beta(progress) * kl) / features
        self.descend(optimizer, self.reconstruction_weight(progress) * bound + adversarial)
        self.ema.update(self.networks, self.batch_size, self.clock.images_seen + self.batch_size)
        self.losses = {
            **parts,
            "generator": adversarial.detach(),
            "features": misfit.detach(),
            "kl": kl.detach(),
        }

    def _kl(self, posterior: Posterior, z: Tensor, labels: Tensor) -> Tensor:
        """KL(q ‖ p) in nats, mean over images; estimated from ``z`` where it has no closed form."""
        prior = self.networks.prior
        if isinstance(prior, ClosedFormPrior):
            return prior.kl(posterior.mean, posterior.logvar, labels).sum(dim=1).mean()
        with self.autocast():  # a prior may be made of the encoder
            density = prior.log_prob(z, labels)
        return (posterior.log_prob(z) - density).mean()

    def feature_misfit(self, reconstructed: Tensor, real: Tensor) -> Tensor:
        """-log p(D(x) | D(x̃)) in nats, mean over images; the gradient flows to ``reconstructed``
        alone where the discriminator is frozen."""
        with torch.no_grad():
            target = self.critic.features(real)[:, :, None, None]
        found = self.critic.features(reconstructed)[:, :, None, None]
        return self.networks.likelihood.negative_log_likelihood(found, target).mean()

    def _reconstructions(self, count: int) -> int:
        """How many of this process's ``count`` rows lie in the first half of the whole batch."""
        half = count * self.processes.world // 2
        return min(max(half - self.processes.rank * count, 0), count)

    @torch.no_grad()
    def _prior_latents(self, labels: Tensor, half: int, number: int) -> Tensor:
        """float32 ``(N - half, Z)`` from p(z | y) for those of this process's rows, of the classes
        ``labels`` ``(N,)``, that lie in the second half of the whole batch."""
        count, rank, world = len(labels), self.processes.rank, self.processes.world
        middle = count * world // 2
        generator = step_generator(self.run_seed, Stream.DRAWS, number)
        seeds = torch.randint(2**62, (count * world - middle,), generator=generator)
        mine = seeds[max(rank * count - middle, 0) :][: count - half]
        return self.networks.prior.sample(labels[half:], mine)


def describes_features(likelihood: PixelLikelihood, image: ImageSpec) -> bool:
    """Whether it takes one real number for each number, as features are."""
    bounded = isinstance(likelihood, BernoulliLikelihood)
    return likelihood.out_channels(image) == image.channels and not bounded
