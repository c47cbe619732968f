"""An autoencoder with a narrow bottleneck and an adversary that wants its pictures sharp."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from synthgen.gan.adversarial import AdversarialLoss
from synthgen.gan.augmentations.base import Augmentation
from synthgen.gan.compatibility import Parts, check_compatible
from synthgen.gan.losses import GANLoss
from synthgen.gan.module import AdversarialModule
from synthgen.gan.penalties import Penalty
from synthgen.hybrids.bottleneck import Bottleneck, Encoded
from synthgen.images import to_float
from synthgen.networks.base import Discriminator, Encoder, Generator
from synthgen.networks.grid import GridDecoder
from synthgen.processes import ALONE, Processes
from synthgen.ranges import BatchSize, Count, Decay
from synthgen.samplers.base import Sampler
from synthgen.samplers.neural import DecoderSampler, LatentDensity
from synthgen.seeds import Stream
from synthgen.training.module import EMA
from synthgen.training.schedules import Rate, Weight
from synthgen.types import LabelledImages
from synthgen.vae.base import FittedDensity, PixelLikelihood, encoded
from synthgen.vae.densities import RunningGaussian
from synthgen.vae.module import fitting_decoder

# The weight that keeps two losses of one decoder in balance.

LARGEST = 1e4
EPSILON = 1e-4


def last_weight(decoder: nn.Module) -> nn.Parameter:
    """The weights of a network's last convolution or linear layer."""
    layers = [m for m in decoder.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    if not layers:
        raise ValueError(f"{type(decoder).__name__} has no convolution and no linear layer")
    found = layers[-1].weight
    assert isinstance(found, nn.Parameter)
    return found


def adaptive_weight(
    reconstruction: Tensor, adversarial: Tensor, weight: Tensor, processes: Processes = ALONE
) -> Tensor:
    """‖d reconstruction / d weight‖ / ‖d adversarial / d weight‖, of two scalars (Esser et al.
    2021, eq. 7): what makes both pull on that layer equally hard. Their graphs stay usable. The
    scalars are means over rows; of several processes, over those of all."""
    norms = []
    for loss in (reconstruction, adversarial):
        (slope,) = torch.autograd.grad(loss, weight, retain_graph=True)
        norms.append(processes.mean(slope.float()).norm())
    return (norms[0] / (norms[1] + EPSILON)).clamp(0, LARGEST).detach()


class Networks(nn.Module):
    """What turns images into latents and back, trained and averaged together."""

    def __init__(
        self,
        encoder: Encoder,
        decoder: Generator,
        bottleneck: Bottleneck,
        likelihood: PixelLikelihood,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.bottleneck, self.likelihood = bottleneck, likelihood

    def encode(
        self, images: Tensor, labels: Tensor, standard: Tensor, progress: float = 1.0
    ) -> Encoded:
        mean, logvar = self.encoder(images, labels)
        return Encoded(mean, logvar, labels, standard, progress)


class Autoencoder(AdversarialModule):
    """Reconstruction, the bottleneck's price, and a discriminator whose pull on the decoder is kept
    in proportion to that of the reconstruction (Esser et al. 2021, eqs. 6 and 7; Rombach et al.
    2022, app. G). A density fitted to the latents of each class makes it a generative model.

    Args:
        encoder: images and labels to the mean and log-variance of each latent.
        decoder: a flattened grid of latents and labels to the likelihood's parameters, or a class
            to be called with ``out_channels``.
        bottleneck: the latents' restriction and its price, called with (number of classes, grid).
        likelihood: p(x | z, y); its negative logarithm is the reconstruction loss.
        density: called with (number of classes, length of the latents) and fitted to the encoded
            training images when training ends; before, previews are drawn from one Gaussian per
            class. Not needed, and not used, where the bottleneck brings its own.
        discriminator: of images or patches, which learns to tell reconstructions from real images.
        loss: adversarial loss per logit.
        penalties: added to the discriminator's loss; their names are those in the log.
        optimizer: called with the parameters of all but the discriminator.
        discriminator_optimizer: called with those of the discriminator.
        lr: learning rate of both, by progress of the run.
        adversarial_weight: of the adversarial loss, times the adaptive weight, by progress.
        adversarial_from: progress at which the discriminator joins in.
        discriminator_lr: that of the discriminator, where it differs.
        augmentation: of all images that the discriminator sees.
        ema_half_life: in images.
        batch_size: images per step (over all processes).

    Raises:
        ValueError: the parts don't go together, or there is nothing to draw latents from.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: GridDecoder | Callable[..., GridDecoder],
        bottleneck: Callable[[int, tuple[int, int, int]], Bottleneck],
        likelihood: PixelLikelihood,
        discriminator: Discriminator,
        loss: GANLoss,
        penalties: Mapping[str, Penalty],
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        discriminator_optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        lr: Rate,
        adversarial_weight: Weight,
        adversarial_from: Decay = 0.2,
        density: Callable[[int, int], FittedDensity] | None = None,
        discriminator_lr: Rate | None = None,
        augmentation: Augmentation | None = None,
        ema_half_life: Count = 100_000,
        batch_size: BatchSize = 64,
    ) -> None:
        super().__init__(encoder.image, batch_size)
        fitted = fitting_decoder(decoder, likelihood, self.image)
        if not isinstance(fitted, GridDecoder):
            raise ValueError(f"the decoder must take a grid; {type(fitted).__name__} does not")
        if encoder.z_dim != fitted.z_dim:
            raise ValueError(
                f"the encoder makes {encoder.z_dim} latents, the decoder takes {fitted.z_dim}"
            )
        if not 0 <= adversarial_from < 1:
            raise ValueError(f"adversarial_from must be in [0, 1), got {adversarial_from}")
        narrow = bottleneck(self.image.num_classes, fitted.grid)
        if density is None and narrow.own_density() is None:
            raise ValueError(
                f"{type(narrow).__name__} needs a density to draw latents from; "
                "give one, e.g. vae/density@model.density=principal_mixture"
            )
        check_compatible(Parts(fitted, discriminator, loss, penalties, augmentation, None))
        self.networks = Networks(encoder, fitted, narrow, likelihood)
        self.critic = AdversarialLoss(
            discriminator, loss, penalties, augmentation, autocast=self.autocast
        )
        self.ema = EMA(self.networks, ema_half_life)
        sizes = (self.image.num_classes, fitted.z_dim)
        fits = density if narrow.own_density() is None else None
        self.density = None if fits is None else fits(*sizes)
        self.running = RunningGaussian(*sizes)
        self.lr, self.discriminator_lr = lr, discriminator_lr or lr
        self.adversarial_weight, self.adversarial_from = adversarial_weight, adversarial_from
        self._build = (optimizer, discriminator_optimizer)

    def configure_optimizers(self) -> list[Optimizer]:
        build, build_discriminator = self._build
        return [build(self.networks.parameters()), build_discriminator(self.critic.parameters())]

    def sampler(self) -> Sampler:
        return self._sampler(self.running)

    def finish(self, real: LabelledImages) -> Sampler:
        if self.density is None:
            return self.sampler()
        networks = self.ema.average.eval()

        def latents_of(images: Tensor, labels: Tensor, standard: Tensor) -> Tensor:
            return networks.bottleneck(networks.encode(images, labels, standard)).latents

        z_dim = networks.decoder.z_dim
        latents = encoded(latents_of, real, z_dim=z_dim, seed=self.run_seed, device=self.device)
        self.density.fit(latents, real.labels, self.run_seed, real.groups)
        return self._sampler(self.density)

    def _sampler(self, density: LatentDensity) -> Sampler:
        average = self.ema.average
        found = average.bottleneck.own_density() or density
        return DecoderSampler(average.decoder, found, average.likelihood)

    def step(self, images: Tensor, labels: Tensor) -> None:
        real, progress = to_float(images), self.clock.progress
        optimizer, discriminator_optimizer = self.optimizer_list()
        self._schedule(optimizer, discriminator_optimizer)
        networks, number = self.networks, self.clock.images_seen // self.batch_size
        with self.autocast():
            standard = self.noise(len(real), networks.decoder.z_dim)
            said = networks.encode(real, labels, standard, progress)
            passed = networks.bottleneck(said)
            outputs = networks.decoder(passed.latents, labels).float()
        self.running.observe(passed.latents.float(), labels)
        pixels = real[0].numel()  # all terms per pixel: one lr for every image size
        reconstruction = networks.likelihood.negative_log_likelihood(outputs, real).mean() / pixels
        self.losses = {"reconstruction": reconstruction.detach() * pixels, **passed.parts}
        loss = reconstruction + passed.price.mean() / pixels
        if progress >= self.adversarial_from:
            loss = loss + self._adversarial(reconstruction, outputs, real, labels)
        self.descend(optimizer, loss)
        networks.bottleneck.observe(said, self.random(Stream.CODES, number))
        self.ema.update(networks, self.batch_size, self.clock.images_seen + self.batch_size)

    def _adversarial(
        self, reconstruction: Tensor, outputs: Tensor, real: Tensor, labels: Tensor
    ) -> Tensor:
        """Train the discriminator, then its weighted term of the autoencoder's loss."""
        number = self.clock.images_seen // self.batch_size
        fake = self.networks.likelihood.mean(outputs)
        parts = self._train_discriminator(real, fake, labels, number, self.optimizer_list()[1])
        random = self.random(Stream.CRITIC, number, 1)
        with self.critic.frozen():
            adversarial = self.critic.generator_loss(fake, real, labels, random)
            (slope,) = torch.autograd.grad(adversarial, fake, retain_graph=True)
        # The same gradient as the loss itself, with one pass through the discriminator for both
        # the weight and the step.
        pull = (fake * slope).sum()
        last = last_weight(self.networks.decoder)
        weight = adaptive_weight(reconstruction, pull, last, self.processes)
        self.losses |= {**parts, "generator": adversarial.detach(), "adaptive_weight": weight}
        return self.adversarial_weight(self.clock.progress) * weight * pull
