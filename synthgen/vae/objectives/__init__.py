"""What the networks of a VAE are trained for."""

from synthgen.vae.objectives.base import Loss, Objective, VAEStep
from synthgen.vae.objectives.elbo import ELBO
from synthgen.vae.objectives.info_vae import InfoVAE
from synthgen.vae.objectives.iwae import IWAE, DoublyReparameterizedIWAE
from synthgen.vae.objectives.rae import RAE, LatentGradientPenalty, WeightDecay

__all__ = [
    "ELBO",
    "IWAE",
    "RAE",
    "DoublyReparameterizedIWAE",
    "InfoVAE",
    "LatentGradientPenalty",
    "Loss",
    "Objective",
    "VAEStep",
    "WeightDecay",
]
