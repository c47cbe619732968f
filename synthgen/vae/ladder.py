"""A hierarchical VAE: latents on several levels, each conditional on those above (Sønderby et al.
2016)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from synthgen.images import to_float
from synthgen.networks.ladder import LadderDecoder, LadderEncoder
from synthgen.ranges import BatchSize, Count, NonNegative
from synthgen.samplers.base import Sampler
from synthgen.samplers.neural import LadderSampler
from synthgen.training.module import EMA, GenerativeModule, set_hyperparameters
from synthgen.training.schedules import Constant, Rate, Weight
from synthgen.types import LabelledImages
from synthgen.vae.base import FittedDensity, PixelLikelihood, encoded
from synthgen.vae.module import fitting_decoder


class LadderNetworks(nn.Module):
    """What is trained and averaged together."""

    def __init__(
        self, encoder: LadderEncoder, decoder: LadderDecoder, likelihood: PixelLikelihood
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood


class LadderVAE(GenerativeModule):
    """Maximises E log p(x | z) - β Σ KL(q(z_l | z_above, x) ‖ p(z_l | z_above, y)) with inference
    from the top down, in the generator's order (Sønderby et al. 2016, eq. 11-16; posteriors
    relative to their priors as in Vahdat & Kautz 2020, section 3.2).

    Args:
        encoder: images to features at every resolution.
        decoder: priors, posteriors and the image; a class to be called with ``out_channels``, or
            a network that gives as many channels as the likelihood needs.
        likelihood: p(x | z).
        optimizer: called with all parameters.
        lr: learning rate by progress of the run.
        beta: weight of the KL terms by progress; a rise from near 0 keeps more levels in use
            (section 2.3).
        grid_beta: of the grids' KL terms, times ``beta``; None = 1. The finest grid can say all
            that the levels above it do, but its prior, a Gaussian for each position, can't draw
            it; where its term weighs more at first, the coarse levels learn first.
        density: called with (number of classes, ``top_dim``) and fitted, when training ends, to
            the coarsest level's numbers for the training images; None = draw from the prior.
        free_bits: nats per level (averaged over the batch) below which its KL term exerts no
            force (Kingma et al. 2016, app. C.8).
        ema_half_life: in images.
        batch_size: images per step.

    Raises:
        ValueError: the decoder is no ladder, or its stages have other widths than the encoder's.
    """

    def __init__(
        self,
        encoder: LadderEncoder,
        decoder: LadderDecoder | Callable[..., LadderDecoder],
        likelihood: PixelLikelihood,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        lr: Rate,
        beta: Weight,
        grid_beta: Weight | None = None,
        density: Callable[[int, int], FittedDensity] | None = None,
        free_bits: NonNegative = 0.0,
        ema_half_life: Count = 100_000,
        batch_size: BatchSize = 128,
    ) -> None:
        super().__init__(encoder.image, batch_size)
        decoder = fitting_decoder(decoder, likelihood, self.image)
        if not isinstance(decoder, LadderDecoder):
            raise ValueError(f"the decoder must be a LadderDecoder, not a {type(decoder).__name__}")
        if encoder.widths != decoder.widths:
            raise ValueError(
                f"the encoder's stages have widths {encoder.widths}, the decoder's "
                f"{decoder.widths}; give both the same patch, width and max_width"
            )
        if free_bits < 0:
            raise ValueError(f"free_bits must be at least 0, got {free_bits}")
        self.networks = LadderNetworks(encoder, decoder, likelihood)
        self.ema = EMA(self.networks, ema_half_life)
        top = (self.image.num_classes, decoder.top_dim)
        self.density = None if density is None else density(*top)
        self.lr, self.beta, self.grid_beta = lr, beta, grid_beta or Constant(1.0)
        self.free_bits = free_bits
        self._build = optimizer

    def configure_optimizers(self) -> Optimizer:
        return self._build(self.networks.parameters())

    def sampler(self) -> Sampler:
        average = self.ema.average
        return LadderSampler(average.decoder, average.likelihood)

    def finish(self, real: LabelledImages) -> Sampler:
        if self.density is None:
            return self.sampler()
        average = self.ema.average.eval()

        def top(images: Tensor, labels: Tensor, standard: Tensor) -> Tensor:
            return average.decoder.top(standard, labels, average.encoder(images))

        top_dim = average.decoder.top_dim
        latents = encoded(top, real, z_dim=top_dim, seed=self.run_seed, device=self.device)
        self.density.fit(latents, real.labels, self.run_seed, real.groups)
        return LadderSampler(average.decoder, average.likelihood, self.density)

    def step(self, images: Tensor, labels: Tensor) -> None:
        (optimizer,) = self.optimizer_list()
        set_hyperparameters(optimizer, lr=self.lr(self.clock.progress))
        real = to_float(images)
        with self.autocast():
            noise = self.noise(len(real), self.networks.decoder.z_dim)
            features = self.networks.encoder(real)
            outputs, kl = self.networks.decoder.infer(noise, labels, features)
        reconstruction = self.networks.likelihood.negative_log_likelihood(outputs.float(), real)
        levels = self.processes.mean(kl.mean(dim=1))
        weights = torch.ones_like(levels)
        weights[1:] = self.grid_beta(self.clock.progress)
        force = (weights * levels.clamp_min(self.free_bits)).sum()
        loss = reconstruction.mean() + self.beta(self.clock.progress) * force
        self.descend(optimizer, loss / real[0].numel())  # per pixel: one lr for every image size
        self.ema.update(self.networks, self.batch_size, self.clock.images_seen + self.batch_size)
        self.losses = {
            "negative_elbo": (reconstruction.mean() + levels.sum()).detach(),
            "reconstruction": reconstruction.mean().detach(),
            **{f"kl_{level}": value for level, value in enumerate(levels.detach())},
        }

    @torch.no_grad()
    def reconstruct(self, images: Tensor, labels: Tensor) -> Tensor:
        """uint8 ``(N, C, H, W)`` -> float32 likewise, nominally [-1, 1], by the averages, from one
        draw of the posterior."""
        average, real = self.ema.average, to_float(images)
        noise = self.noise(len(real), average.decoder.z_dim)
        outputs, _ = average.decoder.infer(noise, labels, average.encoder(real))
        return average.likelihood.mean(outputs).float()
