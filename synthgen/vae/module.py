"""A conditional VAE: encoder, decoder, prior, likelihood, objective, all of them arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from torch import Tensor, nn
from torch.optim import Optimizer

from synthgen.images import to_float
from synthgen.networks.base import Encoder, Generator
from synthgen.ranges import BatchSize, Count
from synthgen.samplers.base import Sampler
from synthgen.samplers.neural import DecoderSampler
from synthgen.seeds import Stream
from synthgen.training.module import EMA, GenerativeModule, set_hyperparameters
from synthgen.training.schedules import Rate
from synthgen.types import ImageSpec, LabelledImages
from synthgen.vae.base import FittedDensity, Networks, PixelLikelihood, Posterior, Prior, encoded
from synthgen.vae.densities import RunningGaussian
from synthgen.vae.objectives import Objective, VAEStep


class VAE(GenerativeModule):
    """An encoder and a decoder trained together on one objective (Kingma & Welling 2014; with
    classes: Sohn et al. 2015).

    Args:
        encoder: images and labels to the mean and log-variance of q(z | x, y).
        decoder: latents and labels to the likelihood's parameters; a class to be called with
            ``out_channels``, or a network that gives as many channels as the likelihood needs.
        prior: called with (number of classes, length of z).
        likelihood: p(x | z, y).
        optimizer: called with all parameters.
        lr: learning rate by progress of the run.
        objective: the loss: ELBO, IWAE, InfoVAE, RAE, …
        density: called with (number of classes, length of z) and fitted to the encoded training
            images when training ends; None samples from the prior.
        ema_half_life: in images.
        batch_size: images per step (over all processes).

    Raises:
        ValueError: encoder and decoder have latents of other lengths, or the objective needs a
            density and there is none.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Generator | Callable[..., Generator],
        prior: Callable[[int, int], Prior],
        likelihood: PixelLikelihood,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        lr: Rate,
        objective: Objective,
        density: Callable[[int, int], FittedDensity] | None = None,
        ema_half_life: Count = 100_000,
        batch_size: BatchSize = 128,
    ) -> None:
        super().__init__(encoder.image, batch_size)
        decoder = fitting_decoder(decoder, likelihood, self.image)
        if encoder.z_dim != decoder.z_dim:
            raise ValueError(
                f"the encoder's z_dim is {encoder.z_dim}, the decoder's {decoder.z_dim}"
            )
        if objective.needs_density and density is None:
            raise ValueError(
                f"{type(objective).__name__} has no prior to draw from; "
                "give a density, e.g. vae/density@model.density=gaussian_mixture"
            )
        sizes = (decoder.image.num_classes, decoder.z_dim)
        self.networks = Networks(encoder, decoder, prior(*sizes), likelihood)
        self.ema = EMA(self.networks, ema_half_life)
        self.density = None if density is None else density(*sizes)
        # Where latents follow no prior, what is drawn from before training ends.
        self.running = RunningGaussian(*sizes) if objective.needs_density else None
        self.lr, self.objective = lr, objective
        self._build = optimizer

    def configure_optimizers(self) -> Optimizer:
        return self._build(self.networks.parameters())

    def sampler(self) -> Sampler:
        average = self.ema.average
        density = average.sampling_density() if self.running is None else self.running
        return DecoderSampler(average.decoder, density, average.likelihood)

    def step(self, images: Tensor, labels: Tensor) -> None:
        (optimizer,) = self.optimizer_list()
        set_hyperparameters(optimizer, lr=self.lr(self.clock.progress))
        real, seen = to_float(images), self.clock.images_seen
        step = VAEStep(
            images=real,
            labels=labels,
            networks=self.networks,
            progress=self.clock.progress,
            noise=self.noise,
            random=self.random(Stream.OBJECTIVE, seen),
            autocast=self.autocast,
            processes=self.processes,
        )
        loss = self.objective(step)
        self.descend(optimizer, loss.value / real[0].numel())  # per pixel: one lr for every size
        self.ema.update(self.networks, self.batch_size, seen + self.batch_size)
        if self.running is not None:
            standard = self.noise(*step.posterior.mean.shape)
            self.running.observe(self.objective.encode(step.posterior, standard).detach(), labels)
        self.losses = loss.parts

    def finish(self, real: LabelledImages) -> Sampler:
        if self.density is None:
            return self.sampler()
        latents = self.encode(real)
        self.density.fit(latents, real.labels, self.run_seed, real.groups)
        average = self.ema.average
        return DecoderSampler(average.decoder, self.density, average.likelihood)

    def encode(self, real: LabelledImages) -> Tensor:
        """The latents of every image, float32 ``(N, Z)`` on the CPU, as the objective has the
        decoder expect them."""
        average = self.ema.average

        def latents(images: Tensor, labels: Tensor, standard: Tensor) -> Tensor:
            return self.objective.encode(Posterior(*average.encoder(images, labels)), standard)

        z_dim = average.decoder.z_dim
        return encoded(latents, real, z_dim=z_dim, seed=self.run_seed, device=self.device)


def fitting_decoder(
    decoder: Generator | Callable[..., Generator], likelihood: PixelLikelihood, image: ImageSpec
) -> Generator:
    """The decoder with as many channels as the likelihood has numbers per pixel."""
    needed = likelihood.out_channels(image)
    if not isinstance(decoder, Generator):
        takes_it = "out_channels" in inspect.signature(decoder).parameters
        decoder = decoder(out_channels=needed) if takes_it else decoder()
    given = getattr(decoder, "out_channels", image.channels)
    if given != needed:
        raise ValueError(
            f"{type(likelihood).__name__} needs {needed} numbers per pixel, but the decoder "
            f"{type(decoder).__name__} gives {given}"
        )
    return decoder
