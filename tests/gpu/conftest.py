"""Real digits, and every model as its YAML describes it, for tests on a CUDA device."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from synthgen.cli.build import build
from synthgen.data import Digits, prepare
from synthgen.io import config_dir


@pytest.fixture(scope="session")
def digits():
    return prepare(Digits())


@pytest.fixture(scope="session")
def build_model(digits):
    """``build_model("model=gan", "model.batch_size=32")`` for 8 x 8 digits, with seeded weights."""

    def built(*overrides):
        with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
            config = compose("train", overrides=list(overrides))
        node = OmegaConf.to_container(OmegaConf.masked_copy(config, ["model"]), resolve=True)
        torch.manual_seed(0)
        facts = {"image": digits.train.image, "training_images": len(digits.train)}
        return build(node["model"], key="model", facts=facts)

    return built
