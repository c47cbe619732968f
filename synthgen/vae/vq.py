"""VQ-VAE: an autoencoder with discrete codes, then a prior over its codes (van den Oord et al.
2017)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from synthgen.images import to_float
from synthgen.networks.vq import Codebook, CodeTransformer, VQDecoder, VQEncoder
from synthgen.ranges import BatchSize, Count, Inner, NonNegative
from synthgen.samplers.base import Sampler
from synthgen.samplers.neural import CodeSampler
from synthgen.seeds import Stream
from synthgen.training.module import EMA, GenerativeModule, set_hyperparameters
from synthgen.training.schedules import Rate

RAMP = 0.05  # of the images seen: codes follow an encoder that moves fast at first


class Autoencoder(nn.Module):
    """The three parts that are trained first, and averaged together."""

    def __init__(self, encoder: VQEncoder, codebook: Codebook, decoder: VQDecoder) -> None:
        super().__init__()
        self.encoder, self.codebook, self.decoder = encoder, codebook, decoder


class VQVAE(GenerativeModule):
    """VQ-VAE, |x - decoder(e)|² + β |encoder(x) - sg(e)|² with e the nearest code (van den Oord et
    al. 2017, eq. 3; codes by moving averages), then an autoregressive prior over codes given y.

    The run's first part trains the autoencoder, the rest the prior, on the codes of the frozen
    autoencoder; both parts are shares of the run's progress, so they hold for any budget.

    Args:
        prior: called with (number of classes, number of codes, codes per image).
        optimizer: called with all parameters.
        lr: learning rate of the autoencoder by progress of its own part, 0 to 1.
        prior_lr: the same for the prior.
        autoencoder_share: share of the run that trains the autoencoder.
        commitment: β.
        codebook_half_life: of the codes' moving averages, in images, shorter at the start of a
            run; 8,800 is the paper's 0.99 per batch of 128.
        ema_half_life: of the averaged weights, in images.
        batch_size: images per step.
    """

    def __init__(
        self,
        encoder: VQEncoder,
        decoder: VQDecoder,
        codebook: Codebook,
        prior: Callable[[int, int, int], CodeTransformer],
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        lr: Rate,
        prior_lr: Rate,
        autoencoder_share: Inner = 0.4,
        commitment: NonNegative = 0.25,
        codebook_half_life: Count = 8_800,
        ema_half_life: Count = 50_000,
        batch_size: BatchSize = 128,
    ) -> None:
        super().__init__(decoder.image, batch_size)
        _require_fit(encoder, decoder, codebook)
        if not 0 < autoencoder_share < 1:
            raise ValueError(f"autoencoder_share must be in (0, 1), got {autoencoder_share}")
        self.autoencoder = Autoencoder(encoder, codebook, decoder)
        positions = decoder.grid[0] * decoder.grid[1]
        self.prior = prior(decoder.image.num_classes, codebook.num_codes, positions)
        self.autoencoder_ema = EMA(self.autoencoder, ema_half_life)
        self.prior_ema = EMA(self.prior, ema_half_life)
        self.lr, self.prior_lr, self.autoencoder_share = lr, prior_lr, autoencoder_share
        self.commitment = commitment
        self.codebook_half_life = codebook_half_life
        self._build = optimizer

    def configure_optimizers(self) -> Optimizer:
        """One optimizer; it passes over the part that has no gradients at the time."""
        return self._build([*self.autoencoder.parameters(), *self.prior.parameters()])

    def sampler(self) -> Sampler:
        average = self.autoencoder_ema.average
        return CodeSampler(average.decoder, average.codebook, self.prior_ema.average)

    def step(self, images: Tensor, labels: Tensor) -> None:
        share = self.clock.progress / self.autoencoder_share
        if share < 1:
            self._autoencoder_step(images, self.lr(share))
        else:
            done = (self.clock.progress - self.autoencoder_share) / (1 - self.autoencoder_share)
            self._prior_step(images, labels, self.prior_lr(done))

    def _autoencoder_step(self, images: Tensor, lr: float) -> None:
        parts, real = self.autoencoder, to_float(images)
        with self.autocast():
            grid = parts.encoder(real)
            quantized, codes = parts.codebook.quantize(grid)
            outputs = parts.decoder(quantized)
        squared_error = F.mse_loss(outputs.float(), real)
        commitment = F.mse_loss(grid, quantized.detach())
        self._descend_at(squared_error + self.commitment * commitment, lr)
        seen = self.clock.images_seen + self.batch_size
        half_life = min(self.codebook_half_life, RAMP * seen)
        random = self.random(Stream.RESTARTS, self.clock.images_seen)
        parts.codebook.update(grid, codes, 0.5 ** (self.batch_size / half_life), random)
        self.autoencoder_ema.update(parts, self.batch_size, seen)
        self.losses = {
            "squared_error": squared_error.detach(),
            "commitment": commitment.detach(),
            "codes_in_use": perplexity(self.processes.gather(codes), parts.codebook.num_codes),
        }

    def _prior_step(self, images: Tensor, labels: Tensor, lr: float) -> None:
        codes = self.encode(images).flatten(1)
        with self.autocast():
            logits = self.prior(codes, labels)
        nats = F.cross_entropy(logits.flatten(0, 1), codes.flatten())
        self._descend_at(nats, lr)
        # Of the images seen, those of this part: by shares, so that nothing else needs keeping.
        seen = self.clock.images_seen + self.batch_size
        mine = round(seen * (1 - self.autoencoder_share / max(self.clock.progress, 1e-9)))
        self.prior_ema.update(self.prior, self.batch_size, max(mine, self.batch_size))
        self.losses = {"bits_per_code": nats.detach() / torch.log(nats.new_tensor(2.0))}

    def _descend_at(self, loss: Tensor, lr: float) -> None:
        (optimizer,) = self.optimizer_list()
        set_hyperparameters(optimizer, lr=lr)
        self.descend(optimizer, loss)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """uint8 ``(N, C, H, W)`` -> int64 codes ``(N, *grid)`` of the averaged autoencoder."""
        average = self.autoencoder_ema.average
        with self.autocast():
            grid = average.encoder(to_float(images))
        return average.codebook.quantize(grid)[1]

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """uint8 ``(N, C, H, W)`` -> float32 likewise, nominally [-1, 1], by the averages."""
        average = self.autoencoder_ema.average
        return average.decoder(average.codebook.lookup(self.encode(images))).float()


def perplexity(codes: Tensor, num_codes: int) -> Tensor:
    """2 to the entropy of how often codes are used: as many codes, used equally often."""
    share = torch.bincount(codes.flatten(), minlength=num_codes) / codes.numel()
    return torch.special.entr(share).sum().exp()


def _require_fit(encoder: VQEncoder, decoder: VQDecoder, codebook: Codebook) -> None:
    dims = (encoder.code_dim, decoder.code_dim, codebook.code_dim)
    if len(set(dims)) > 1:
        raise ValueError(f"code_dim of encoder, decoder and codebook differ: {dims}")
    if encoder.grid != decoder.grid:
        raise ValueError(
            f"the encoder's grid is {encoder.grid}, the decoder's {decoder.grid}; "
            "give both the same largest_grid"
        )
