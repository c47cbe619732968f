"""Two processes of half a batch each compute what one of the whole batch does, for every model."""

import pytest
import small_batches
import torch
from small_batches import BATCH, group, largest_difference, model_config, prepared, ready, stepped
from torch import nn

from synthgen.errors import SynthgenError
from synthgen.gan.losses import NonSaturating
from synthgen.gan.penalties import LeCam
from synthgen.io import config_dir
from synthgen.networks.shared import SharedBatchNorm, shared_parts
from synthgen.networks.stylegan2 import BatchDeviation
from synthgen.processes import Processes
from synthgen.training.module import EMA

WITHIN = 1e-5
GAN, HINGE = "model=gan", ["model=gan", "gan/loss@model.loss=hinge"]
MODELS = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))
# Adam's, see small_batches. With its own, in float32 and over many steps against a discriminator, a
# difference of one rounding grows until it is seen, in one process too (with other numbers of
# threads): many steps with its own are compared in numbers of 64 bits.
EPS, OWN_EPS = 1e-2, 1e-8
ADA = [f"model.augmentation.{one}" for one in ("images_per_unit=64", "every=1", "target=-0.9")]

QUICK = {
    "dcgan": ["model=dcgan"],
    "gan_ada": [GAN, "gan/augmentation@model.augmentation=ada", *ADA],
    "gan_lecam": [*HINGE, "gan/penalty@model.penalties=lecam_consistency"],
    "reacgan": ["model=reacgan"],
    "vae_free_bits": ["model=vae", "vae/objective@model.objective=elbo_free_bits"],
    "info_vae": ["model=info_vae"],
    "vq_vae": ["model=vq_vae"],
    "vae_gan": ["model=vae_gan"],
}
SPECIAL = {
    "gan_diffaugment": [GAN, "gan/augmentation@model.augmentation=diffaugment"],
    "gan_dragan": [*HINGE, "gan/penalty@model.penalties=dragan"],
    "wgan_gp": ["model=wgan_gp"],
    "stylegan2": ["model=stylegan2"],
    "rae_gp": ["model=rae_gp"],
    "ladder_free_bits": ["model=ladder_vae", "model.free_bits=2"],
    "kl_autoencoder": ["model=kl_autoencoder", "model.adversarial_from=0"],
}


def options(group_name, base, key):
    folder = config_dir() / group_name
    return {
        f"{key}_{path.stem}": [*base, f"{group_name}@model.{key}={path.stem}"]
        for path in sorted(folder.glob("*.yaml"))
    }


OPTIONS = {
    **SPECIAL,
    **options("gan/augmentation", [GAN], "augmentation"),
    **options("gan/penalty", HINGE, "penalties"),
    **options("gan/loss", [GAN], "loss"),
    **options("gan/auxiliary", [GAN], "auxiliary"),
    **options("vae/objective", ["model=vae", "vae/density@model.density=maf"], "objective"),
    **options("vae/prior", ["model=vae"], "prior"),
    **options("vae/likelihood", ["model=vae"], "likelihood"),
}


def together(cases, tmp_path_factory, world=2):
    """Name -> what each process found, of cases (config, steps, batch)."""
    folder = tmp_path_factory.mktemp("ranks")
    small_batches.spawned(small_batches.train, str(folder), cases, world=world)
    return {
        name: [torch.load(folder / f"{name}-{rank}.pt") for rank in range(world)] for name in cases
    }


def require_equal(case, found):
    model, steps, batch = case
    one = stepped(ready(model, steps, batch), steps)
    for other in found:
        apart, where = largest_difference(one["state"], other["state"])
        assert apart < WITHIN, f"{where} differs by {apart}"
        for own, theirs in zip(one["losses"], other["losses"], strict=True):
            assert theirs == pytest.approx(own, rel=1e-4, abs=1e-5)
    largest, where = largest_difference(found[0]["state"], found[1]["state"])
    assert largest == 0, f"{where} differs between processes"


def cases_of(overrides, steps, eps=EPS):
    cases = {name: (model_config(one, eps), steps, BATCH) for name, one in overrides.items()}
    return {name: case for name, case in cases.items() if ready(*case[:2]) is not None}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder, cases = tmp_path_factory.mktemp("ranks"), cases_of(QUICK, 3)
    small_batches.spawned(everything, str(folder), cases, model_config(HINGE, EPS))
    return cases, folder


@pytest.mark.parametrize("name", QUICK)
def test_two_processes_train_as_one(name, quick):
    cases, folder = quick
    require_equal(cases[name], [torch.load(folder / f"{name}-{rank}.pt") for rank in range(2)])


@pytest.fixture
def others(quick):
    """What the two processes found beside the cases."""
    return [torch.load(quick[1] / f"{rank}.pt") for rank in range(2)]


EXACTLY = 1e-6  # in 64 bits: 1e-13 for most models, 1e-9 where batch norms meet spectral norms


@pytest.mark.slow
def test_every_model_that_trains_trains_as_one(tmp_path_factory, subtests):
    cases = cases_of({name: [f"model={name}"] for name in MODELS}, 20, OWN_EPS)
    assert len(cases) > 20
    runs = {}
    for world in (1, 2):
        folder = tmp_path_factory.mktemp("ranks")
        small_batches.spawned(small_batches.train_exactly, str(folder), cases, world=world)
        runs[world] = folder
    for name in cases:
        with subtests.test(name):
            one, two = (torch.load(runs[world] / f"{name}-0.pt") for world in (1, 2))
            assert {value.dtype for value in one["state"].values()} >= {torch.float64}
            apart, where = largest_difference(one["state"], two["state"])
            print(f"{name}: {apart:.1e} ({where})")
            assert apart < EXACTLY, f"{where} differs by {apart}"
            for own, theirs in zip(one["losses"], two["losses"], strict=True):
                assert theirs == pytest.approx(own, rel=1e-5, abs=1e-6)


@pytest.mark.slow
def test_every_option_trains_as_one(tmp_path_factory, subtests):
    cases = cases_of(OPTIONS, 3)
    found = together(cases, tmp_path_factory)
    assert len(cases) == len(OPTIONS)
    for name, case in cases.items():
        with subtests.test(name):
            require_equal(case, found[name])


@pytest.mark.slow
def test_three_processes_train_as_one_where_the_middle_of_a_batch_lies_within_one(
    tmp_path_factory, subtests
):
    names = {"vae_gan": ["model=vae_gan"], "gan_ada": QUICK["gan_ada"], "dcgan": ["model=dcgan"]}
    cases = {name: (model_config(one, EPS), 3, 18) for name, one in names.items()}
    found = together(cases, tmp_path_factory, world=3)
    for name, case in cases.items():
        with subtests.test(name):
            require_equal(case, found[name])


# Batch norm of several processes.

NORMS = {
    "plain": lambda: nn.BatchNorm1d(3),
    "without_affine": lambda: nn.BatchNorm1d(3, affine=False),
    "plain_mean": lambda: nn.BatchNorm1d(3, momentum=None),
    "untracked": lambda: nn.BatchNorm1d(3, track_running_stats=False),
}


def through_norms(make, rows, processes):
    """Output, gradient of a gradient, and state of a norm after two batches and in evaluation."""
    network = nn.Sequential(make())
    shared_parts(network, processes, skip=EMA)
    share = len(rows) // processes.world
    own = rows[processes.rank * share :][:share].clone().requires_grad_(True)
    found = {"names": list(network.state_dict())}
    network(own * 2 + 1)
    out = network(own)
    (slope,) = torch.autograd.grad((out**3).sum(), own, create_graph=True)
    (second,) = torch.autograd.grad((slope**2).sum(), own)
    network.eval()
    found |= {"out": out.detach(), "slope": slope.detach(), "second": second}
    return found | {"state": network.state_dict(), "evaluated": network(own).detach()}


def norm_rows():
    return 5 + torch.randn(8, 3, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NORMS)
def test_batch_norm_sees_the_batches_of_all(name, others):
    one = through_norms(NORMS[name], norm_rows(), Processes())
    parts = [each["norms"][name] for each in others]
    for key in ("out", "slope", "second", "evaluated"):
        both = torch.cat([part[key] for part in parts])
        assert one[key].abs().max() > 1e-3
        torch.testing.assert_close(both, one[key], rtol=1e-3, atol=1e-4)
    for part in parts:
        assert part["names"] == one["names"]
        torch.testing.assert_close(part["state"], one["state"])


# What can't be shared.


class Two(Processes):
    """As many as two, for what is refused before any of them asks for the other's."""

    world = 2


class OwnNorm(nn.BatchNorm2d):
    pass


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.Dropout(0.1), "random numbers"),
        (nn.RReLU(), "random numbers"),
        (nn.MultiheadAttention(4, 2, dropout=0.1), "random numbers"),
        (OwnNorm(3), "its own process's rows"),
        (nn.InstanceNorm2d(3, track_running_stats=True), "its own process's rows"),
    ],
)
def test_what_would_compute_something_else_is_refused(layer, said):
    network = nn.Sequential(nn.Sequential(nn.Linear(2, 2), layer))
    with pytest.raises(SynthgenError, match=said) as refused:
        shared_parts(network, Two(), skip=EMA)
    assert str(refused.value).startswith(f"0.1 ({type(layer).__name__}) ")
    shared_parts(network, Processes(), skip=EMA)  # one process trains with anything


def test_what_is_the_same_in_any_number_of_processes_is_not_refused():
    network = nn.Sequential(nn.Dropout(0.0), nn.InstanceNorm2d(3), nn.LayerNorm(3), nn.Linear(2, 2))
    shared_parts(network, Two(), skip=EMA)


def test_groups_of_images_that_are_compared_must_not_straddle_processes():
    deviation = BatchDeviation(4)
    deviation.processes = Two()
    assert deviation(torch.ones(8, 3, 2, 2)).shape == (8, 4, 2, 2)
    with pytest.raises(SynthgenError, match="multiple of 16"):
        deviation(torch.ones(4, 3, 2, 2))  # two real and two generated ones in each process


def test_averages_keep_their_batch_norm():
    module = nn.ModuleDict({"live": nn.Sequential(nn.BatchNorm1d(3))})
    module["ema"] = EMA(module["live"], 100)
    shared_parts(module, Two(), skip=EMA)
    assert isinstance(module["live"][0], SharedBatchNorm)
    assert type(module["ema"].average[0]) is nn.BatchNorm1d


def test_a_batch_must_be_a_multiple_of_the_processes():
    module = ready(model_config(["model=vae"], EPS), 3)
    module.batch_size = 15
    with pytest.raises(SynthgenError, match="batch_size=16, or 1 process"):
        module.share(Two())


class RelativisticAverage(NonSaturating):
    def discriminator(self, real_logits, fake_logits):
        return super().discriminator(real_logits - fake_logits.mean(), fake_logits)


def test_a_loss_that_mixes_logits_is_refused():
    module = ready(model_config(HINGE, EPS), 3)
    module.critic.loss = RelativisticAverage()
    with pytest.raises(SynthgenError, match=r"critic .*RelativisticAverage.* mixes"):
        module.share(Two())


class Counting(LeCam):
    """Somebody's penalty that looks at a batch and knows nothing of other processes."""

    def forward(self, step):
        self.fake_average += step.fake_logits.detach().mean()
        return step.real_logits.square()


def said_of_counting(model, processes):
    module = ready(model, 3)
    module.critic.stateful["own"] = module.critic.penalties["own"] = Counting(lambda _: 1.0)
    module.share(processes)
    try:
        stepped(prepared(module, 3), 3)
    except SynthgenError as error:
        return str(error)
    return "nothing"


def test_a_part_that_follows_its_own_rows_is_found_after_the_first_step(others):
    for one in others:
        assert one["counting"].startswith("critic.stateful.own.fake_average")


def timed(model, processes):
    """The clocks of two processes of which one is late, in a run of ten minutes."""
    module = ready(model, 3)
    module.share(processes)
    module.clock.start(None, 600)
    module.clock.seconds = 100.0 * processes.rank
    stepped(module, 1)
    return module.clock.seconds


def test_all_go_by_the_clock_of_the_first(others):
    assert others[0]["seconds"] == others[1]["seconds"] < 100


def everything(rank, world, port, folder, cases, model):
    """One start of two processes for all tests: it costs more than their steps."""
    torch.set_num_threads(1)
    with group(rank, world, port) as processes:
        small_batches.train_cases(processes, folder, cases)
        found = {
            "norms": {n: through_norms(make, norm_rows(), processes) for n, make in NORMS.items()},
            "counting": said_of_counting(model, processes),
            "seconds": timed(model, processes),
        }
        torch.save(found, f"{folder}/{rank}.pt")
