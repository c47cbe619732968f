import pytest
import torch

from synthgen.networks import GridDecoder, GridEncoder
from synthgen.types import ImageSpec

TINY = {"width": 8, "max_width": 16, "blocks": 1}


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 33, 50), (1, 64, 9)])
def test_any_size_goes_in_and_comes_out(shape, patch):
    image = ImageSpec(*shape, ("a", "b", "c"))
    labels = torch.tensor([0, 1, 2, 0])
    encoder = GridEncoder(image, channels=3, factor=8, patch=patch, **TINY)
    decoder = GridDecoder(image, channels=3, factor=8, patch=patch, **TINY)
    images = torch.randn(4, *shape)
    mean, logvar = encoder(images, labels)
    cells = -(-shape[1] // 8) * -(-shape[2] // 8)
    assert mean.shape == logvar.shape == (4, encoder.z_dim) == (4, 3 * cells)
    assert decoder.z_dim == encoder.z_dim
    assert decoder(mean, labels).shape == images.shape
    assert not torch.allclose(decoder(mean, labels), decoder(mean, (labels + 1) % 3))
    assert not torch.allclose(encoder(images, (labels + 1) % 3)[0], mean)
    assert torch.allclose(decoder(mean[2:3], labels[2:3]), decoder(mean, labels)[2:3], atol=1e-5)


def test_a_likelihood_gets_the_numbers_that_it_needs():
    image = ImageSpec(1, 8, 8, ("a", "b"))
    decoder = GridDecoder(image, factor=4, out_channels=7, **TINY)
    assert decoder(torch.randn(2, decoder.z_dim), torch.tensor([0, 1])).shape == (2, 7, 8, 8)


@pytest.mark.parametrize(("factor", "patch"), [(3, 1), (0, 1), (4, 8), (1, 1)])
def test_impossible_factors_are_refused(factor, patch):
    with pytest.raises(ValueError, match="power of 2"):
        GridEncoder(ImageSpec(1, 8, 8, ("a", "b")), factor=factor, patch=patch)
