import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from synthgen.cli.build import build
from synthgen.errors import SynthgenError
from synthgen.evaluation.features import (
    CLIPExtractor,
    DINOv2Extractor,
    ModuleExtractor,
    PixelExtractor,
    TimmExtractor,
    TorchvisionExtractor,
)
from synthgen.evaluation.features.base import FULL, full_float32
from synthgen.evaluation.features.network import (
    Preprocessing,
    find_weights,
    in_hugging_face_cache,
    luma,
    read_tensors,
)
from synthgen.images import to_pil


class Small(nn.Sequential):
    """Convolution and batch normalisation: what would differ between batches in training mode."""

    def __init__(self, channels=1):
        torch.manual_seed(0)
        super().__init__(nn.Conv2d(channels, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout())


@pytest.fixture
def images(digits):
    return digits.test.images[:30]


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Empty places for weights, and no way to the network."""
    import socket

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    def refuse(*arguments, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def saved(network, path):
    save_file({n: t.contiguous() for n, t in network.state_dict().items()}, path)
    return str(path)


def test_features_do_not_depend_on_the_batch_or_on_training_mode(images):
    extractor = ModuleExtractor(Small(), size=[20, 24]).train()
    whole = extractor.extract(images)
    assert whole.shape == (30, 6)
    assert whole.dtype == torch.float32
    assert not whole.requires_grad
    extractor.train()
    extractor.batch_size = 7
    assert torch.allclose(extractor.extract(images), whole, atol=1e-5)
    assert extractor.extract(images[:0]).shape[0] == 0


def test_the_name_tells_weights_preprocessing_and_layers_apart():
    names = {
        ModuleExtractor(Small()).name,
        ModuleExtractor(Small(), mean=[0.5]).name,
        ModuleExtractor(Small(), size=20).name,
        ModuleExtractor(Small(), channels=1).name,
        ModuleExtractor(nn.Sequential(*list(Small())[:2], nn.GELU(), nn.Dropout())).name,
    }
    other = Small()
    other[0].bias.data[0] += 1e-3
    names.add(ModuleExtractor(other).name)
    assert len(names) == 6
    assert ModuleExtractor(Small()).name in names
    assert all(re.fullmatch(r"module-[0-9a-f]{8}", name) for name in names)


def test_no_tf32_and_no_autocast_inside_and_everything_as_it_was_outside(images):
    seen = []

    class Looking(nn.Module):
        def forward(self, batch):
            backends = torch.backends
            seen.append(
                (
                    backends.cuda.matmul.fp32_precision,
                    backends.cudnn.conv.fp32_precision,
                    torch.is_autocast_enabled("cpu"),
                )
            )
            return batch.flatten(1)

    before = torch.backends.cudnn.conv.fp32_precision
    with torch.autocast("cpu", torch.bfloat16):
        ModuleExtractor(Looking()).extract(images)
    assert seen == [(FULL, FULL, False)]
    assert torch.backends.cudnn.conv.fp32_precision == before
    with pytest.raises(KeyError), full_float32(torch.device("cpu")):
        raise KeyError
    assert torch.backends.cudnn.conv.fp32_precision == before


def test_a_network_that_gives_no_rows_is_refused(images):
    with pytest.raises(ValueError, match="not one row of numbers per image"):
        ModuleExtractor(nn.Flatten(0)).extract(images)


def test_resizing_is_antialiased_bicubic():
    """Pillow's bicubic is antialiased too; it rounds to whole levels."""
    torch.manual_seed(0)
    image = torch.randint(0, 256, (1, 3, 64, 48), dtype=torch.uint8)
    theirs = to_pil(image[0]).resize((10, 12), Image.Resampling.BICUBIC)
    expected = torch.from_numpy(np.array(theirs, np.float32)).permute(2, 0, 1)
    ours = Preprocessing(size=(12, 10), mean=(0.0,), std=(1 / 255,))(image)[0]
    assert (ours - expected).abs().max() < 1.6
    assert ours.min() >= 0
    assert ours.max() <= 255


def test_grey_becomes_three_channels_and_colour_becomes_luma():
    grey = torch.full((2, 1, 4, 4), 100, dtype=torch.uint8)
    three = Preprocessing(mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))(grey)
    assert three.shape == (2, 3, 4, 4)
    expected = (100 / 255 - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([1.0, 2.0, 4.0])
    assert torch.allclose(three[0, :, 0, 0], expected)
    one = Preprocessing(channels=1, mean=(0.0,), std=(1.0,))
    assert torch.allclose(one(grey), one(grey.expand(-1, 3, -1, -1)), atol=1e-6)
    assert torch.allclose(luma(torch.ones(1, 3, 1, 1)), torch.ones(1, 1, 1, 1))


@pytest.mark.parametrize(
    "options", [{"channels": 2}, {"mean": [0.1, 0.2]}, {"std": [0.0]}, {"size": [3, 0]}]
)
def test_senseless_options_are_refused(options):
    with pytest.raises(ValueError, match=r"channels|mean|std|size"):
        ModuleExtractor(nn.Flatten(), **{"channels": 3, **options})


def test_pixels_are_the_pixels(digits, images):
    extractor = PixelExtractor()
    extractor.prepare(digits.train, 0)
    assert extractor.name == "pixels-1x8x8"
    assert torch.equal(extractor.extract(images), images.flatten(1) / 255)
    small = PixelExtractor(size=4)
    assert small.extract(images).shape == (30, 16)
    assert torch.allclose(small.extract(images).mean(), images.float().mean() / 255)
    wide = torch.zeros(1, 3, 100, 50, dtype=torch.uint8)
    assert PixelExtractor().extract(wide).shape == (1, 3 * 32 * 16)


def test_weights_by_path_make_the_same_features(images, tmp_path):
    network = Small()
    network[0].weight.data.normal_()
    path = saved(network, tmp_path / "w.safetensors")
    loaded = ModuleExtractor(Small(), weights=path)
    assert torch.equal(loaded.extract(images), ModuleExtractor(network).extract(images))
    assert loaded.describe()["weights_file"] == "w.safetensors"
    torch.save({"state_dict": {f"module.{n}": t for n, t in network.state_dict().items()}},
               tmp_path / "w.pth")  # fmt: skip
    assert ModuleExtractor(Small(), weights=str(tmp_path / "w.pth")).name == loaded.name


def test_weights_of_another_network_are_refused(tmp_path):
    path = saved(Small(channels=3), tmp_path / "w.safetensors")
    with pytest.raises(SynthgenError, match=r"another shape for 1 of the network's 7 tensors"):
        ModuleExtractor(Small(), weights=path)
    save_file({"0.bias": torch.zeros(6)}, path)
    with pytest.raises(SynthgenError, match=r"lacks 5 of the network's 7 tensors \(0\.weight"):
        ModuleExtractor(Small(), weights=path)


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('pickled code was run')",)


@pytest.mark.parametrize("content", [b"", b"nothing", Bomb(), [1, 2], {"a": 1}])
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_what_is_not_weights_is_refused_in_two_lines_and_not_run(tmp_path, content, ending):
    path = tmp_path / f"w.{ending}"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(SynthgenError, match="can't be read as weights") as refused:
        read_tensors(path)
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("kind", "package", "place"),
    [
        (TimmExtractor, "timm", "resnet50.a1_in1k.safetensors"),
        (DINOv2Extractor, "timm", "vit_small_patch14_dinov2.lvd142m.safetensors"),
        (CLIPExtractor, "open_clip", "open_clip-ViT-B-32-quickgelu.safetensors"),
        (TorchvisionExtractor, "torchvision", "resnet50-11ad3fa6.pth"),
    ],
)
def test_missing_weights_say_where_to_put_them_and_nothing_is_downloaded(
    kind, package, place, offline
):
    pytest.importorskip(package)
    said = rf"weights are not at .*{re.escape(place)}, and nothing is downloaded\.\nPut the file"
    with pytest.raises(SynthgenError, match=said):
        kind()
    with pytest.raises(SynthgenError, match=r"not at mine\.pth"):
        kind(weights="mine.pth")


@pytest.mark.parametrize(
    ("kind", "package", "name"),
    [(TimmExtractor, "timm", "timm"), (CLIPExtractor, "open_clip", "open_clip_torch")],
)
def test_without_the_package_one_sentence_says_so(kind, package, name, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SynthgenError, match=rf"needs .*\nInstall it with pip install {name}, or"):
        kind()


@pytest.mark.parametrize("kind", [TimmExtractor, CLIPExtractor, TorchvisionExtractor])
def test_an_unknown_model_is_refused(kind):
    pytest.importorskip("timm")
    pytest.importorskip("open_clip")
    with pytest.raises(SynthgenError, match="has no model 'nothing'"):
        kind(model="nothing")


def test_torchvision_gives_the_input_of_its_last_layer(digits, tmp_path, monkeypatch):
    from torchvision.models import resnet18

    torch.manual_seed(0)
    network = resnet18(weights=None).eval()
    path = saved(network, tmp_path / "w.safetensors")
    extractor = TorchvisionExtractor(model="resnet18", weights=path, size=64)
    images = digits.test.images[:3]
    features = extractor.extract(images)
    assert features.shape == (3, 512)
    with torch.no_grad():
        expected = network(extractor.preprocessing(images))
        assert torch.allclose(network.fc(features), expected, atol=1e-4)
    assert re.fullmatch(r"torchvision_resnet18-[0-9a-f]{8}", extractor.name)


def test_a_damaged_download_of_torchvisions_is_recognised(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "resnet18-f37072fd.pth").write_bytes(b"half a download")
    with pytest.raises(SynthgenError, match="does not start with f37072fd"):
        TorchvisionExtractor(model="resnet18")


def test_timm_equals_its_own_pooled_features(digits, tmp_path):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model("test_vit.r160_in1k", pretrained=False).eval()
    path = saved(network, tmp_path / "w.safetensors")
    extractor = TimmExtractor(model="test_vit.r160_in1k", weights=path)
    images = digits.test.images[:3]
    features = extractor.extract(images)
    with torch.no_grad():
        expected = network(extractor.preprocessing(images))
        assert torch.allclose(network.head(features), expected, atol=1e-4)
    smaller = TimmExtractor(model="test_vit.r160_in1k", weights=path, size=64)
    assert smaller.extract(images).shape == features.shape
    assert smaller.name != extractor.name


def test_timm_weights_are_found_in_the_hub_folder(tmp_path, monkeypatch):
    timm = pytest.importorskip("timm")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    network = timm.create_model("test_resnet.r160_in1k", pretrained=False)
    saved(network, tmp_path / "checkpoints" / "test_resnet.r160_in1k.safetensors")
    found = TimmExtractor(model="test_resnet.r160_in1k").describe()
    assert found["weights_file"] == "test_resnet.r160_in1k.safetensors"


def test_dinov2_gives_the_class_token_of_weights_made_for_another_size(digits, tmp_path):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model("vit_small_patch14_dinov2.lvd142m", pretrained=False)
    path = saved(network, tmp_path / "w.safetensors")  # 518 pixels: 37 × 37 positions
    extractor = DINOv2Extractor(weights=path, size=28)
    images = digits.test.images[:2]
    features = extractor.extract(images)
    assert features.shape == (2, 384)
    with torch.no_grad():
        tokens = extractor.network.forward_features(extractor.preprocessing(images))
    assert torch.allclose(features, tokens[:, 0], atol=1e-4)
    assert re.fullmatch(r"dinov2-[0-9a-f]{8}", extractor.name)
    with pytest.raises(ValueError, match="multiple of 14"):
        DINOv2Extractor(weights=path, size=30)


@pytest.mark.slow
def test_clip_equals_open_clips_image_embedding(digits, tmp_path):
    open_clip = pytest.importorskip("open_clip")
    torch.manual_seed(0)
    network = open_clip.create_model("ViT-B-32-quickgelu", pretrained=None).eval()
    path = saved(network, tmp_path / "w.safetensors")
    extractor = CLIPExtractor(weights=path)
    images = digits.test.images[:2]
    features = extractor.extract(images)
    with torch.no_grad():
        expected = network.encode_image(extractor.preprocessing(images), normalize=True)
    assert torch.allclose(features, expected, atol=1e-5)
    assert torch.allclose(features.norm(dim=1), torch.ones(2), atol=1e-5)
    assert re.fullmatch(r"clip-[0-9a-f]{8}", extractor.name)
    relu = CLIPExtractor(model="ViT-B-32", weights=path)
    assert relu.name != extractor.name


def test_an_earlier_download_of_hugging_faces_is_found(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--timm--some_model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"")
    files = ("model.safetensors", "pytorch_model.bin")
    assert in_hugging_face_cache("timm/some_model", files) == [snapshot / "model.safetensors"]
    assert in_hugging_face_cache("timm/other", files) == []


def test_a_network_of_ones_own_is_built_from_an_allowed_package_only(tmp_path, monkeypatch, images):
    (tmp_path / "mynetworks.py").write_text(
        "from torch import nn\n"
        "class Mean(nn.Module):\n"
        "    def __init__(self, times: int = 1) -> None:\n"
        "        super().__init__()\n"
        "        self.times = times\n"
        "    def forward(self, images):\n"
        "        return self.times * images\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    node = {
        "_target_": "synthgen.evaluation.features.ModuleExtractor",
        "network": {"_target_": "mynetworks.Mean", "times": 2},
        "mean": [0.0],
        "size": [8, 8],
    }
    with pytest.raises(SynthgenError, match="may not build"):
        build(node, key="extractor.module")
    extractor = build(node, key="extractor.module", allow=["mynetworks"])
    expected = 2 * images.float().mean((2, 3)) / 255
    assert torch.allclose(extractor.extract(images), expected, atol=1e-5)
    assert extractor.describe()["network"] == "mynetworks.Mean"


def test_a_named_file_comes_before_the_usual_places(tmp_path):
    for name in ("mine", "usual"):
        (tmp_path / name).write_bytes(b"")
    usual = [tmp_path / "absent", tmp_path / "usual"]
    assert find_weights(None, usual, option="x", what="y").name == "usual"
    assert find_weights(str(tmp_path / "mine"), usual, option="x", what="y").name == "mine"
