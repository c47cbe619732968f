"""A conditional VAE: encoder, decoder, prior, likelihood and a weight of the KL term."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from synthgen.images import to_float
from synthgen.networks.base import Encoder, Generator
from synthgen.samplers.base import Sampler
from synthgen.samplers.neural import DecoderSampler, LatentDensity, Likelihood
from synthgen.training.ema import EMA
from synthgen.training.module import GenerativeModule, set_hyperparameters
from synthgen.training.schedules import Schedule
from synthgen.types import LabelledImages


class Prior(LatentDensity, Protocol):
    """p(z | y), a module with parameters."""

    def kl(self, mean: Tensor, logvar: Tensor, labels: Tensor) -> Tensor:
        """KL(q ‖ p) in nats per latent dimension, float32 ``(N, Z)``."""
        ...


class PixelLikelihood(Likelihood, Protocol):
    """p(x | z, y), a module."""

    def negative_log_likelihood(self, outputs: Tensor, images: Tensor) -> Tensor:
        """float32 ``(N, C, H, W)`` both, images in [-1, 1] -> nats per image ``(N,)``."""
        ...


class FittedDensity(LatentDensity, Protocol):
    """A density over latents, a module that is estimated after training."""

    def fit(self, latents: Tensor, labels: Tensor, seed: int) -> None:
        """float32 ``(N, Z)``, int64 ``(N,)``."""
        ...


class Networks(nn.Module):
    """The four parts of a VAE, trained and averaged together."""

    def __init__(
        self, encoder: Encoder, decoder: Generator, prior: Prior, likelihood: PixelLikelihood
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.prior, self.likelihood = prior, likelihood


class VAE(GenerativeModule):
    """Maximises the ELBO, E log p(x | z, y) - β KL(q(z | x, y) ‖ p(z | y)) (Sohn et al. 2015).

    Args:
        encoder: images and labels to the mean and log-variance of q(z | x, y).
        decoder: latents and labels to the likelihood's parameters.
        prior: called with (number of classes, length of z).
        likelihood: p(x | z, y).
        optimizer: called with all parameters.
        lr: learning rate by progress of the run.
        beta: weight of the KL term by progress; 1 is the ELBO.
        free_bits: nats per latent dimension (averaged over the batch) below which the KL term
            exerts no force (Kingma et al. 2016, app. C.8).
        density: called with (number of classes, length of z) and fitted to the encoded training
            images when training ends; None samples from the prior.
        ema_half_life: in images.
        batch_size: images per step (over all processes).
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Generator,
        prior: Callable[[int, int], Prior],
        likelihood: PixelLikelihood,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        lr: Schedule,
        beta: Schedule,
        free_bits: float = 0.0,
        density: Callable[[int, int], FittedDensity] | None = None,
        ema_half_life: int = 100_000,
        batch_size: int = 128,
    ) -> None:
        super().__init__(decoder.image, batch_size)
        if encoder.z_dim != decoder.z_dim:
            raise ValueError(
                f"the encoder's z_dim is {encoder.z_dim}, the decoder's {decoder.z_dim}"
            )
        sizes = (decoder.image.num_classes, decoder.z_dim)
        self.networks = Networks(encoder, decoder, prior(*sizes), likelihood)
        self.ema = EMA(self.networks, ema_half_life)
        self.density = None if density is None else density(*sizes)
        self.lr, self.beta, self.free_bits = lr, beta, free_bits
        self._build = optimizer

    def configure_optimizers(self) -> Optimizer:
        return self._build(self.networks.parameters())

    def sampler(self) -> Sampler:
        average = self.ema.average
        return DecoderSampler(average.decoder, average.prior, average.likelihood)

    def step(self, images: Tensor, labels: Tensor) -> None:
        (optimizer,) = self.optimizer_list()
        set_hyperparameters(optimizer, lr=self.lr(self.clock.progress))
        real = to_float(images)
        with self.autocast():
            mean, logvar = self.networks.encoder(real, labels)
            standard = self.noise(len(real), mean.shape[1])
            outputs = self.networks.decoder(mean + standard * (0.5 * logvar).exp(), labels)
        reconstruction = self.networks.likelihood.negative_log_likelihood(outputs.float(), real)
        kl = self.networks.prior.kl(mean, logvar, labels)
        force = kl.mean(dim=0).clamp_min(self.free_bits).sum()
        loss = reconstruction.mean() + self.beta(self.clock.progress) * force
        optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss / real[0].numel())  # per pixel: one lr for every image size
        optimizer.step()
        self.ema.update(self.networks, self.batch_size, self.clock.images_seen + self.batch_size)
        self.losses = {
            "negative_elbo": (reconstruction.mean() + kl.sum(dim=1).mean()).detach(),
            "reconstruction": reconstruction.mean().detach(),
            "kl": kl.sum(dim=1).mean().detach(),
        }

    def finish(self, real: LabelledImages) -> Sampler:
        if self.density is None:
            return self.sampler()
        latents = self.encode(real)
        self.density.fit(latents, real.labels, self.run_seed)
        average = self.ema.average
        return DecoderSampler(average.decoder, self.density, average.likelihood)

    @torch.inference_mode()
    def encode(self, real: LabelledImages, batch_size: int = 512) -> Tensor:
        """Latents drawn from q(z | x, y) for every image, float32 ``(N, Z)`` on the CPU. Draws,
        not means: their spread is part of what the decoder has learned to expect."""
        encoder, drawn = self.ema.average.encoder, []
        for start in range(0, len(real), batch_size):
            images = to_float(real.images[start : start + batch_size].to(self.device))
            labels = real.labels[start : start + batch_size].to(self.device)
            mean, logvar = encoder(images, labels)
            generator = torch.Generator().manual_seed(self.run_seed + start)
            standard = torch.randn(mean.shape, generator=generator).to(self.device)
            drawn.append((mean + standard * (0.5 * logvar).exp()).cpu())
        return torch.cat(drawn)
