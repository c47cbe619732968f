"""Class-conditional priors over latents."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthgen.networks.base import Encoder
from synthgen.ranges import Mixture
from synthgen.seeds import Stream, image_rng
from synthgen.vae.base import Placed, log_normal


class StandardNormalPrior(Placed):
    """p(z | y) = N(0, I) (Kingma & Welling 2014, section 3): only the decoder knows the class.

    The standard normal prior, the same for every class (Kingma & Welling 2014).
    """

    zero: Tensor

    def __init__(self, num_classes: int, z_dim: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.register_buffer("zero", torch.zeros(()), persistent=False)  # knows the device

    def log_prob(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(..., N, Z)`` -> nats ``(..., N)``."""
        return log_normal(z, self.zero, self.zero).sum(dim=-1)

    def kl(self, mean: Tensor, logvar: Tensor, labels: Tensor) -> Tensor:
        """KL(N(mean, exp logvar) ‖ N(0, I)) per dimension, nats, ``(N, Z)``; closed form."""
        return 0.5 * (logvar.exp() + mean.square() - 1 - logvar)

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        return standard


class ClassGaussianPrior(Placed):
    """p(z | y) = N(μ_y, diag σ_y²) with learned means and variances, starting at N(0, I) (Sohn et
    al. 2015, section 4).

    A learned diagonal Gaussian over latents for each class (Sohn et al. 2015, section 4).
    """

    def __init__(self, num_classes: int, z_dim: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.means = nn.Parameter(torch.zeros(num_classes, z_dim))
        self.logvars = nn.Parameter(torch.zeros(num_classes, z_dim))

    def kl(self, mean: Tensor, logvar: Tensor, labels: Tensor) -> Tensor:
        """KL(N(mean, exp logvar) ‖ p(z | y)) per dimension, nats, ``(N, Z)``; closed form."""
        prior_mean, prior_logvar = self.means[labels], self.logvars[labels]
        ratio = (logvar - prior_logvar).exp()
        distance = (mean - prior_mean).square() * (-prior_logvar).exp()
        return 0.5 * (ratio + distance - 1 - (logvar - prior_logvar))

    def log_prob(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(..., N, Z)``, int64 ``(N,)`` -> nats ``(..., N)``."""
        return log_normal(z, self.means[labels], self.logvars[labels]).sum(dim=-1)

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        return self.means[labels] + standard * (0.5 * self.logvars[labels]).exp()


PIXEL_GAIN = 10.0  # pixels per unit of their parameter: Adam moves both by lr, weights are smaller
Components = tuple[Tensor, Tensor]  # means and log-variances, (classes, K, Z)


class DiagonalMixture(Placed):
    """Equally likely diagonal Gaussians for each class: what remains of a VampPrior when it is
    saved."""

    means: Tensor
    logvars: Tensor

    def __init__(self, num_classes: int, z_dim: int, components: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.register_buffer("means", torch.zeros(num_classes, components, z_dim))
        self.register_buffer("logvars", torch.zeros(num_classes, components, z_dim))

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        return placed(labels, seeds, standard, (self.means, self.logvars))


class VampPrior(Placed):
    """p(z | y) = 1/K Σ q(z | u_yk, y) with learned pseudo-images u (Tomczak & Welling 2018, eq. 9,
    with pseudo-images for each class). Its KL divergence is estimated from draws.

    Args:
        components: K, pseudo-images per class; every step encodes those of all classes.

    A prior made of posteriors (Tomczak & Welling 2018), for each class.
    """

    def __init__(self, num_classes: int, z_dim: int, components: Mixture = 10) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"components must be at least 1, got {components}")
        self.num_classes, self.z_dim, self.components = num_classes, z_dim, components
        self.pseudo_images = nn.Parameter(torch.empty(0))  # their shape is the encoder's to tell
        # In a tuple, so that it is not a part of this module: VAE trains and saves it already.
        self._encoder: tuple[Encoder, ...] = ()

    def use(self, encoder: Encoder) -> None:
        """Encode pseudo-images with ``encoder`` from now on."""
        self._encoder = (encoder,)
        count = self.num_classes * self.components  # those of a class side by side
        self.pseudo_images = nn.Parameter(torch.randn(count, *encoder.image.shape) / PIXEL_GAIN / 2)

    def encoded(self) -> Components:
        """Means and log-variances of the components, float32 ``(classes, K, Z)``."""
        (encoder,) = self._encoder
        shape = (self.num_classes, self.components, self.z_dim)
        labels = torch.arange(self.num_classes, device=self.pseudo_images.device)
        images = F.hardtanh(PIXEL_GAIN * self.pseudo_images)  # into the range of images
        mean, logvar = encoder(images, labels.repeat_interleave(self.components))
        return mean.view(shape), logvar.view(shape)

    def log_prob(self, z: Tensor, labels: Tensor) -> Tensor:
        """float32 ``(..., N, Z)``, int64 ``(N,)`` -> nats ``(..., N)``."""
        means, logvars = self.encoded()
        each = log_normal(z[..., None, :], means[labels], logvars[labels]).sum(dim=-1)
        return each.logsumexp(dim=-1) - math.log(self.components)

    def place(self, labels: Tensor, seeds: Tensor, standard: Tensor) -> Tensor:
        return placed(labels, seeds, standard, self.encoded())

    @torch.no_grad()
    def frozen(self) -> DiagonalMixture:
        """The same density without the encoder."""
        mixture = DiagonalMixture(self.num_classes, self.z_dim, self.components)
        means, logvars = self.encoded()
        mixture.means, mixture.logvars = means.clone(), logvars.clone()
        return mixture


def placed(labels: Tensor, seeds: Tensor, standard: Tensor, components: Components) -> Tensor:
    """Draws of the classes' mixtures, float32 ``(N, Z)``; row i depends on its own seed alone."""
    means, logvars = components
    picks = [int(image_rng(int(seed), Stream.COMPONENT).integers(means.shape[1])) for seed in seeds]
    chosen = torch.tensor(picks, dtype=torch.int64, device=means.device)
    return means[labels, chosen] + standard * (0.5 * logvars[labels, chosen]).exp()
