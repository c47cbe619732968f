import sys

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers.extractor import ClassifierExtractor
from synthgen.evaluation.features import InceptionExtractor
from synthgen.evaluation.features.inception import FILE
from synthgen.evaluation.features.network import weights_digest


def prepared(digits, seed=0):
    extractor = ClassifierExtractor(steps=30)
    extractor.prepare(digits.train, seed)
    return extractor


@pytest.fixture(scope="module")
def extractor(digits):
    return prepared(digits)


def test_name_follows_the_weights_and_the_seed_alone(digits, extractor):
    torch.manual_seed(123)  # what else drew random numbers must not matter
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        again = prepared(digits)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert extractor.name == again.name == f"classifier-{weights_digest(again.network)[:8]}"
    assert prepared(digits, seed=1).name != extractor.name


def test_features_do_not_depend_on_the_batch(digits, extractor):
    images = digits.test.images[:70]
    whole = extractor.extract(images)
    assert whole.shape == (70, 128)
    assert whole.dtype == torch.float32
    extractor.batch_size = 7
    assert torch.allclose(extractor.extract(images), whole, atol=1e-4)
    extractor.batch_size = 500


def test_description_says_what_it_is(extractor):
    said = extractor.describe()
    assert said["kind"] == "classifier"
    assert said["trained_on"] == "real training split"
    assert said["weights_sha256"].startswith(extractor.name.removeprefix("classifier-"))
    assert said["accuracy_on_training_images"] > 0.5


def test_features_before_training_are_refused():
    with pytest.raises(RuntimeError, match="prepare"):
        ClassifierExtractor()(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))


def test_missing_inception_weights_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(
        SynthgenError, match=r"Download https://.*extractor\.inception\.weights=PATH"
    ):
        InceptionExtractor()
    with pytest.raises(SynthgenError, match=r"not at .*mine\.pth"):
        InceptionExtractor(weights=str(tmp_path / "mine.pth"))


def test_damaged_inception_weights_are_recognised(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / FILE).write_bytes(b"half a download")
    with pytest.raises(SynthgenError, match=r"damaged.*6726825d"):
        InceptionExtractor()


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('pickled code was run')",)


def test_pickled_code_in_weights_is_not_run(tmp_path):
    pytest.importorskip("torch_fidelity")
    torch.save({"fc.weight": torch.zeros(1), "bomb": Bomb()}, tmp_path / "weights.pth")
    with pytest.raises(SynthgenError, match="does not hold torch-fidelity's Inception weights"):
        InceptionExtractor(weights=str(tmp_path / "weights.pth"))


def test_other_weights_are_refused(tmp_path):
    pytest.importorskip("torch_fidelity")
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "weights.pth")
    with pytest.raises(SynthgenError, match="does not hold"):
        InceptionExtractor(weights=str(tmp_path / "weights.pth"))


def test_without_torch_fidelity_one_sentence_says_so(tmp_path, monkeypatch):
    torch.save({}, tmp_path / "weights.pth")
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(SynthgenError, match="pip install torch-fidelity,"):
        InceptionExtractor(weights=str(tmp_path / "weights.pth"))


@pytest.mark.slow
def test_inception_features_equal_torch_fidelitys(tmp_path, monkeypatch):
    """Random weights do: what is tested is the way from uint8 images to features."""
    from torch_fidelity import feature_extractor_inceptionv3 as reference

    torch.manual_seed(0)
    monkeypatch.setattr(reference, "load_state_dict_from_url", lambda *a, **k: {})
    monkeypatch.setattr(
        reference.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None
    )
    theirs = reference.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    monkeypatch.undo()
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    ours = InceptionExtractor(weights=str(tmp_path / "weights.pth"), batch_size=2)
    grey = torch.randint(0, 256, (3, 1, 20, 20), dtype=torch.uint8)
    (expected,) = theirs(grey.expand(-1, 3, -1, -1).contiguous())
    assert torch.allclose(ours.extract(grey), expected, rtol=1e-4, atol=1e-5)
    assert ours.describe()["weights_sha256"]
