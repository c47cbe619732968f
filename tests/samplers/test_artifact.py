"""A sampler on disk: what goes in comes out, and nothing that was tampered with does."""

import hashlib
import json
import subprocess
import sys
import textwrap
import time

import pytest
import torch
from safetensors.torch import load_file, save

import synthgen
from synthgen.errors import SynthgenError
from synthgen.io import canonical_digest
from synthgen.samplers import Bootstrap, PCAGaussian, load_sampler, save_sampler
from synthgen.seeds import row_seeds

LABELS, SEEDS = torch.arange(100) % 10, row_seeds(3, 0, 100)


@pytest.fixture
def saved(sampler, tmp_path):
    return save_sampler(sampler, tmp_path / "sampler", {"data": {"name": "digits"}})


def edit(folder, change, *, sign):
    """Change sampler.json; ``sign`` recomputes its hash, as somebody with bad intent would."""
    path = folder / "sampler.json"
    description = json.loads(path.read_text())
    change(description)
    if sign:
        body = {key: value for key, value in description.items() if key != "sha256"}
        description["sha256"] = canonical_digest(body)
    path.write_text(json.dumps(description))


def test_round_trip_is_identical_to_the_byte(sampler, saved):
    loaded = load_sampler(saved)
    assert type(loaded) is type(sampler)
    assert loaded.image == sampler.image
    assert torch.equal(loaded.sample(LABELS, SEEDS).images, sampler.sample(LABELS, SEEDS).images)


def test_saving_what_was_loaded_gives_the_same_files(saved, tmp_path):
    again = save_sampler(load_sampler(saved), tmp_path / "again", {"data": {"name": "digits"}})
    for file in ("sampler.json", "weights.safetensors"):
        assert (again / file).read_bytes() == (saved / file).read_bytes()


def test_a_run_folder_stands_for_its_sampler(saved):
    assert isinstance(synthgen.load_sampler(saved.parent), type(load_sampler(saved)))


def test_the_number_of_threads_is_recorded_and_restored(digits, tmp_path):
    sampler = PCAGaussian(digits.image)
    sampler.fit(digits)
    sampler.threads = 3
    assert load_sampler(save_sampler(sampler, tmp_path / "s", {})).threads == 3


def test_constructor_arguments_survive(digits, tmp_path):
    sampler = PCAGaussian(digits.image, components=7, residual_noise=0.5)
    sampler.fit(digits)
    loaded = load_sampler(save_sampler(sampler, tmp_path / "s", {}))
    assert (loaded.max_components, loaded.residual_noise) == (7, 0.5)


def test_truncated_weights_are_refused(saved):
    weights = saved / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(SynthgenError, match="changed or cut short"):
        load_sampler(saved)


def test_one_changed_bit_is_refused(saved):
    weights = saved / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(SynthgenError, match="changed or cut short"):
        load_sampler(saved)


def test_a_changed_description_is_refused(saved):
    edit(saved, lambda d: d["provenance"].update(data={"name": "mnist"}), sign=False)
    with pytest.raises(SynthgenError, match=r"sampler\.json was changed"):
        load_sampler(saved)


@pytest.mark.parametrize("content", ["", "{", '{"format": "synthgen-sampler/1"', "[]", "{}"])
def test_a_damaged_description_is_refused(saved, content):
    (saved / "sampler.json").write_text(content)
    with pytest.raises(SynthgenError, match=r"sampler\.json"):
        load_sampler(saved)


@pytest.mark.parametrize(
    "key", ["sampler", "weights_sha256", "execution", "provenance", "exposes_real"]
)
def test_a_signed_description_that_lacks_something_is_refused(saved, key):
    edit(saved, lambda d: d.pop(key), sign=True)
    with pytest.raises(SynthgenError, match=r"sampler\.json"):
        load_sampler(saved)


def test_weights_of_another_sampler_are_refused(digits, tmp_path):
    bootstrap = Bootstrap(digits.image)
    bootstrap.fit(digits)
    saved = save_sampler(bootstrap, tmp_path / "saved", {})
    other = save_sampler(PCAGaussian(digits.image), tmp_path / "other", {})
    (saved / "weights.safetensors").write_bytes((other / "weights.safetensors").read_bytes())
    digest = json.loads((other / "sampler.json").read_text())["weights_sha256"]
    edit(saved, lambda d: d.update(weights_sha256=digest), sign=True)
    with pytest.raises(SynthgenError, match="does not fit its description"):
        load_sampler(saved)


@pytest.mark.parametrize("file", ["sampler.json", "weights.safetensors"])
def test_a_missing_file_is_named(saved, file):
    (saved / file).unlink()
    with pytest.raises(SynthgenError, match="There is no sampler in"):
        load_sampler(saved)


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "torch.nn.Linear",
        "synthgen.io.write_text",
        "synthgen.io.shutil.rmtree",
        "synthgen.types.ImageSpec",
        "synthgen.samplers.artifact.Path",
        "synthgen.samplers.artifact.load_sampler",
        "synthgen.no_such_module.Sampler",
        "synthgen.samplers.NoSuchSampler",
        "system",
        "",
    ],
)
def test_nothing_but_our_own_rebuildable_classes_is_built(saved, target):
    edit(saved, lambda d: d["sampler"].update(_target_=target), sign=True)
    with pytest.raises(SynthgenError, match=r"not on the list|There is no class"):
        load_sampler(saved)


def test_a_nested_target_is_checked_too(saved):
    bad = {"_target_": "os.system", "command": "touch /tmp/never"}
    edit(saved, lambda d: d["sampler"].update(_image_of=[{"deep": bad}]), sign=True)
    with pytest.raises(SynthgenError, match="not on the list"):
        load_sampler(saved)


def test_a_rebuildable_that_is_no_sampler_is_refused(saved):
    plan = {"_target_": "synthgen.synthesis.Balanced", "per_class": 3}
    edit(saved, lambda d: d.update(sampler=plan), sign=True)
    with pytest.raises(SynthgenError, match="can't stand where Sampler is wanted"):
        load_sampler(saved)


def test_a_wrong_argument_is_one_sentence(saved):
    edit(saved, lambda d: d["sampler"].update(no_such_argument=1), sign=True)
    with pytest.raises(SynthgenError, match="can't be rebuilt"):
        load_sampler(saved)


@pytest.fixture
def trained(digits, tmp_path):
    """An untrained GAN's sampler: 100 kB of weights."""
    from synthgen.networks import R3Generator
    from synthgen.samplers.neural import GeneratorSampler

    settings = {"width": 8, "max_width": 16, "patch": 2, "expansion": 1, "group_size": None}
    generator = R3Generator(digits.image, z_dim=8, **settings)
    return save_sampler(GeneratorSampler(generator), tmp_path / "trained", {})


@pytest.mark.parametrize(
    "forged",
    [
        {"z_dim": 10**9},
        {"width": 2**20, "max_width": 2**20},
        {"patch": 1, "width": 2**20, "max_width": 2**20, "group_size": 16},
        {"expansion": 10**9},
        {"last_blocks": 10**9},
    ],
    ids=str,
)
def test_a_sampler_that_is_larger_than_its_file_takes_no_memory(trained, forged):
    """Each would ask for more memory than there is, or for days."""
    assert load_sampler(trained).image.num_classes == 10
    edit(trained, lambda d: d["sampler"]["generator"].update(forged), sign=True)
    started = time.monotonic()
    with pytest.raises(SynthgenError, match=r"does not fit its description|can't be rebuilt"):
        load_sampler(trained)
    assert time.monotonic() - started < 5


@pytest.fixture
def fitted(digits, tmp_path):
    sampler = PCAGaussian(digits.image, components=3)
    sampler.fit(digits)
    return save_sampler(sampler, tmp_path / "sampler", {})


@pytest.mark.parametrize("threads", [None, [[]], 0, -1, "1", True, 10**30, 1.5], ids=str)
def test_a_number_of_threads_that_can_not_be(fitted, threads):
    edit(fitted, lambda d: d["execution"].update(threads=threads), sign=True)
    with pytest.raises(SynthgenError, match=r"execution\.threads should be"):
        load_sampler(fitted)


@pytest.mark.parametrize("image", [{}, 1, {"_image_": 1}, {"_image_": {"channels": []}}], ids=str)
def test_an_image_that_describes_none(fitted, image):
    edit(fitted, lambda d: d["sampler"].update(image=image), sign=True)
    with pytest.raises(
        SynthgenError,
        match=r"description of the images|can't be rebuilt|does not describe|two kinds",
    ):
        load_sampler(fitted)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mean", lambda t: t.flatten()),
        ("mean", lambda t: t[:5]),
        ("mean", lambda t: t.bool()),
        ("components", lambda t: t[:0]),
        ("score_std", lambda t: t[:, :2]),
    ],
)
def test_fitted_numbers_of_other_sizes_are_refused(fitted, name, change):
    """Their shapes come with the data, so no description can tell that they are wrong."""
    path = fitted / "weights.safetensors"
    tensors = load_file(path)
    tensors[name] = change(tensors[name]).contiguous()
    path.write_bytes(save(tensors))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(fitted, lambda d: d.update(weights_sha256=digest), sign=True)
    with pytest.raises(SynthgenError, match="does not fit its description"):
        load_sampler(fitted)


@pytest.fixture
def own_package(tmp_path, monkeypatch):
    package = tmp_path / "elsewhere" / "mypackage_e"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        textwrap.dedent(
            """
            import torch
            from os import system
            from synthgen.samplers import Sampler

            class Black(Sampler):
                def draw(self, labels, seeds):
                    return torch.zeros(len(labels), *self.image.shape, dtype=torch.uint8)
            """
        )
    )
    monkeypatch.syspath_prepend(package.parent)
    yield "mypackage_e"
    sys.modules.pop("mypackage_e", None)


def test_own_code_needs_the_users_permission(own_package, digits, tmp_path):
    import mypackage_e

    folder = save_sampler(mypackage_e.Black(digits.image), tmp_path / "s", {})
    with pytest.raises(SynthgenError, match=r"mypackage_e\.Black is not on the list"):
        load_sampler(folder)
    assert load_sampler(folder, allow=[own_package]).sample(LABELS, SEEDS).images.sum() == 0


def test_permission_for_a_package_does_not_cover_what_it_imports(own_package, saved):
    edit(saved, lambda d: d["sampler"].update(_target_="mypackage_e.system"), sign=True)
    with pytest.raises(SynthgenError, match="not on the list"):
        load_sampler(saved, allow=[own_package])


def test_loading_needs_neither_hydra_nor_lightning_nor_pickle(digits, tmp_path):
    sampler = PCAGaussian(digits.image)
    sampler.fit(digits)
    saved = save_sampler(sampler, tmp_path / "s", {})
    program = textwrap.dedent(
        """
        import sys
        for name in ("hydra", "omegaconf", "pytorch_lightning", "lightning", "wandb", "sklearn"):
            sys.modules[name] = None  # importing it raises ImportError
        import pickle
        import torch

        def refuse(*args, **kwargs):
            raise AssertionError("unpickled something")

        pickle.load = pickle.loads = pickle.Unpickler = torch.load = refuse
        import synthgen
        sampler = synthgen.load_sampler(sys.argv[1])
        images = sampler.sample(torch.arange(10), torch.arange(10)).images
        sys.stdout.buffer.write(images.numpy().tobytes())
        """
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(saved)], capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr.decode()
    here = load_sampler(saved).sample(torch.arange(10), torch.arange(10)).images
    assert run.stdout == here.numpy().tobytes()


def test_an_existing_folder_is_left_alone(sampler, tmp_path):
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(SynthgenError, match="already exists"):
        save_sampler(sampler, tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
