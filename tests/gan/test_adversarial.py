"""What the discriminator is shown and asked in its step and in the generator's."""

import pytest
import torch

from synthgen.gan.adversarial import AdversarialLoss
from synthgen.gan.augmentations import Augmentation
from synthgen.gan.losses import NonSaturating, RelativisticPairing
from synthgen.gan.penalties import R1, WGANGP, Consistency
from synthgen.seeds import BatchGenerator
from synthgen.training.schedules import Constant, Linear
from synthgen.types import ImageSpec

IMAGE = ImageSpec(1, 4, 4, ("a", "b"))
LABELS = torch.tensor([0, 1, 1, 0, 1, 0])


class Shifted(Augmentation):
    """Ten is added to every image, which no image has by itself."""

    def __init__(self):
        super().__init__()
        self.observed, self.calls = [], []

    def advance(self, progress):
        self.calls.append(progress)

    def forward(self, images, random):
        self.calls.append("images")
        return images + 10

    def observe(self, real_logits, fake_logits, images):
        self.observed.append((len(real_logits), len(fake_logits), images))


def rng():
    return BatchGenerator().manual_seed(0)


def images():
    real, fake = torch.rand(2, 6, 1, 4, 4, generator=rng()) * 2 - 1
    return real, fake


def discriminator_loss(critic, number=0, progress=0.0):
    return critic.discriminator_loss(
        *images(), LABELS, number=number, progress=progress, random=rng()
    )


@pytest.fixture
def discriminator(tiny):
    torch.manual_seed(0)
    return tiny.discriminator(IMAGE)


def test_every_image_it_judges_is_augmented(discriminator):
    seen = []
    discriminator.body.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    one = Constant(1.0)
    penalties = {"gp": WGANGP(one), "cr": Consistency(one, Shifted())}
    critic = AdversarialLoss(discriminator, RelativisticPairing(), penalties, Shifted())
    discriminator_loss(critic)
    assert [len(one) for one in seen] == [12, 6, 6]
    real, fake = images()
    critic.generator_loss(fake, real, LABELS, rng())
    assert len(seen) == 5
    assert all(one.min() > 8 for one in seen)
    assert seen[2].min() > 18  # a penalty's own change comes on top
    seen.clear()
    critic.features(real)
    assert torch.equal(seen[0], real)


def test_its_augmentation_hears_of_the_progress_before_it_sees_images(discriminator):
    augmentation = Shifted()
    critic = AdversarialLoss(discriminator, NonSaturating(), {}, augmentation)
    discriminator_loss(critic, progress=0.25)
    discriminator_loss(critic, progress=0.5)
    assert augmentation.calls == [0.25, "images", 0.5, "images"]


def test_its_augmentation_is_told_of_logits_and_images(discriminator):
    class Patches(type(discriminator)):
        def logits(self, features, labels):
            return super().logits(features, labels).repeat_interleave(5)

    discriminator.__class__ = Patches
    augmentation = Shifted()
    discriminator_loss(AdversarialLoss(discriminator, NonSaturating(), {}, augmentation))
    assert augmentation.observed == [(30, 30, 6)]


def test_a_lazy_penalty_weighs_as_much_as_progress_and_interval_say(discriminator):
    penalty = R1(Linear(1.0, 3.0), every=4)
    critic = AdversarialLoss(discriminator, NonSaturating(), {"r1": penalty})
    due, parts = discriminator_loss(critic, number=8, progress=0.5)
    between, others = discriminator_loss(critic, number=9, progress=0.5)
    assert set(parts) - set(others) == {"r1"}
    assert between == others["discriminator"] == parts["discriminator"]
    assert (due - between).item() == pytest.approx(2.0 * 4 * parts["r1"].item(), rel=1e-4)


def test_its_passes_may_be_rounded_and_its_logits_are_not(discriminator):
    def rounded():
        return torch.autocast("cpu", torch.bfloat16)

    critic = AdversarialLoss(
        discriminator, NonSaturating(), {"r1": R1(Constant(1.0))}, autocast=rounded
    )
    real, fake = images()
    features = critic.features(real)
    assert features.dtype == critic.logits(real, LABELS, rng()).dtype == torch.float32
    exact = discriminator(real, LABELS)
    assert not torch.equal(critic.logits(real, LABELS, rng()), exact)  # but they were rounded
    assert torch.allclose(critic.logits(real, LABELS, rng()), exact, atol=0.05)
    loss, parts = discriminator_loss(critic)
    assert {loss.dtype, *(one.dtype for one in parts.values())} == {torch.float32}
    assert critic.generator_loss(fake, real, LABELS, rng()).dtype == torch.float32


def test_no_two_steps_draw_the_same_random_numbers_and_a_resumed_run_does(tiny):
    def seeds():
        gan, found = tiny(IMAGE), []

        def watched(name):
            inner = getattr(gan.critic, name)

            def call(*args, **kwargs):
                random = kwargs.get("random") or args[-1]
                found.append(random.initial_seed())
                return inner(*args, **kwargs)

            setattr(gan.critic, name, call)

        watched("discriminator_loss")
        watched("generator_loss")
        for number in range(4):
            gan.training_step((torch.zeros(6, 1, 4, 4, dtype=torch.uint8), LABELS), number)
        return found

    first = seeds()
    assert len(set(first)) == 8
    assert seeds() == first


def test_both_optimizers_follow_their_schedules(tiny):
    gan = tiny(
        IMAGE, lr=Linear(1.0, 0.0), discriminator_lr=Linear(4.0, 0.0), beta2=Linear(0.9, 0.99)
    )
    gan.clock.start(100, None)
    gan.clock.images_seen = 50
    discriminator, generator = gan.optimizer_list()
    gan._schedule(generator, discriminator)
    assert (discriminator.param_groups[0]["lr"], generator.param_groups[0]["lr"]) == (2.0, 0.5)
    for optimizer in (discriminator, generator):
        assert optimizer.param_groups[0]["betas"] == pytest.approx((0.0, 0.945))
