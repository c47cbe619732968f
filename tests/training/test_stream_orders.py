"""Streams: the order of their images, decoding ahead, stopping and going on."""

import dataclasses
import io
import itertools
import pickle
import sys
from pathlib import Path

import fsspec
import pytest
import torch

from synthgen.data import ImageStream, prepare
from synthgen.errors import SynthgenError
from synthgen.seeds import step_generator
from synthgen.training.data import (
    Batches,
    ClassBalanced,
    Loader,
    Shuffled,
    WindowShuffled,
    fitting,
)
from synthgen.training.train import train

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from streams import members_of, numbers, picture, png, write_shards, write_tar

SEED = 5


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("shards"), 300, per_shard=40)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def stream(shards, cache):
    def build(**options):
        return prepare(ImageStream(path=str(shards), cache=cache, window=64, **options))

    return build


def shown(images, batch_size, count, first=0):
    """The numbers of the images of ``count`` batches from a loader."""
    batches = Batches(images, batch_size, SEED, first_image=first)
    found = itertools.islice(Loader(batches, pin_memory=False), count)
    return [number for pixels, _ in found for number in numbers(pixels)]


# The order.


@pytest.mark.parametrize("count", [1, 5, 63, 64, 65, 1000, 1003])
@pytest.mark.parametrize("window", [1, 10, 64, 5000])
def test_every_pass_shows_each_image_once_in_another_order(count, window):
    labels = torch.zeros(count, dtype=torch.int64)
    found = WindowShuffled(window).positions(labels, SEED, 0, 3 * count).view(3, count)
    for one in found:
        assert one.sort().values.equal(torch.arange(count))
    if count > 60:
        assert len({tuple(one.tolist()) for one in found}) == 3


def test_the_order_is_a_function_of_seed_and_position():
    labels = torch.zeros(1003, dtype=torch.int64)
    whole = WindowShuffled(64).positions(labels, SEED, 0, 3009)
    draw = step_generator(0, 1)
    for _ in range(50):
        first = int(torch.randint(3000, (), generator=draw))
        count = int(torch.randint(1, 3010 - first, (), generator=draw))
        fresh = WindowShuffled(64).positions(labels, SEED, first, count)
        assert fresh.equal(whole[first : first + count])
    assert not WindowShuffled(64).positions(labels, SEED + 1, 0, 1003).equal(whole[:1003])


def test_a_window_is_of_few_runs_of_neighbours():
    labels = torch.zeros(100_000, dtype=torch.int64)
    order = WindowShuffled(1600)
    window = order.positions(labels, SEED, 3200, 1600).sort().values
    jumps = int((window.diff() > 1).sum())
    assert jumps <= 16
    inside = order.positions(labels, SEED, 3200, 1600)
    assert int((inside.diff().abs() == 1).sum()) < 20  # shuffled: about two are expected
    assert int(window.max() - window.min()) > 30_000  # from everywhere in the data


def test_memory_is_that_of_a_window():
    labels = torch.zeros(1, dtype=torch.int64).expand(10**8)
    order = WindowShuffled(2**16)
    assert order.positions(labels, SEED, 3 * 10**8 - 10, 20).shape == (20,)
    kept = [one for one in (*order._pass, *order._kept) if isinstance(one, torch.Tensor)]
    assert sum(one.nbytes for one in kept) < 2**20


def test_streams_are_shuffled_in_their_window_and_other_orders_stay(stream):
    images = stream().train
    assert fitting(None, images).window == 64
    assert fitting(Shuffled(), images).window == 64
    assert isinstance(fitting(ClassBalanced(), images), ClassBalanced)
    whole = prepare(ImageStream(path=images.images.contents.root, window=None)).train
    assert type(fitting(None, whole)) is Shuffled
    assert type(fitting(None, whole.sample)) is Shuffled


# Loading.


@pytest.mark.parametrize("workers", [0, 2])
def test_stopped_at_any_batch_nothing_is_lost_or_shown_twice(stream, workers):
    images = stream(workers=workers).train
    every = sorted(shown(images, len(images), 1))
    assert len(set(every)) == len(images)
    batch = 8
    passes = 3 * len(images)
    total = -(-passes // batch)
    draw = step_generator(workers, 2)
    whole = shown(images, batch, total)
    three = [whole[k * len(images) : (k + 1) * len(images)] for k in range(3)]
    assert all(sorted(one) == every for one in three)
    assert len({tuple(one) for one in three}) == 3
    for stop in torch.randint(1, total, (10,), generator=draw).tolist():
        halves = shown(images, batch, stop) + shown(images, batch, 3, first=stop * batch)
        assert (
            halves
            == whole[: len(halves)]
            + shown(images, batch, 3, total * batch)[: max(0, len(halves) - len(whole))]
        )


def test_workers_and_processes_change_nothing(stream):
    images = stream().train
    alone = shown(images, 8, 30)
    assert shown(stream(workers=2).train, 8, 30) == alone
    assert shown(stream(workers=3).train, 8, 30) == alone
    halves = [
        [
            numbers(pixels)
            for pixels, _ in itertools.islice(
                Loader(Batches(images, 8, SEED, rank=rank, world_size=2), pin_memory=False), 30
            )
        ]
        for rank in (0, 1)
    ]
    together = [n for pair in zip(*halves, strict=True) for half in pair for n in half]
    assert together == alone


def test_labels_come_with_their_images(stream):
    images = stream(workers=2).train
    batches = itertools.islice(Loader(Batches(images, 8, SEED), pin_memory=False), 20)
    for pixels, labels in batches:
        assert labels.tolist() == [number % 2 for number in numbers(pixels)]


@pytest.mark.parametrize("method", ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_workers_that_share_no_memory_open_files_by_path(stream, method):
    images = stream(workers=2).train
    assert len(pickle.dumps(images)) < 1000
    batches = Batches(images, 8, SEED)
    loader = Loader(batches, pin_memory=False)
    loader.multiprocessing_context = method
    found = [number for pixels, _ in itertools.islice(loader, 4) for number in numbers(pixels)]
    assert found == shown(stream().train, 8, 4)


# Training.


def weights(model):
    state = model.state_dict()
    return torch.cat([state[name].flatten() for name in state if not name.startswith("clock.")])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_ends_with_the_same_weights(stream, build_gan, tmp_path, workers):
    splits = stream(workers=workers)
    straight = build_gan(splits.train.image)
    train(straight, splits, tmp_path / "straight", seed=3, max_images=640, previews=0)
    stopped = build_gan(splits.train.image, stop_at=7)
    with pytest.raises(SynthgenError, match="Stopped after 224 images"):
        train(stopped, splits, tmp_path / "halves", seed=3, max_images=640, previews=0)
    resumed = build_gan(splits.train.image)
    train(resumed, stream(), tmp_path / "halves", seed=3, max_images=640, previews=0, resume=True)
    assert torch.equal(weights(resumed), weights(straight))


def test_weights_are_those_of_the_same_images_from_memory(stream, build_gan, tmp_path):
    splits = stream()
    lazy = build_gan(splits.train.image)
    train(lazy, splits, tmp_path / "stream", seed=3, max_images=320, previews=0)
    whole = splits.train.subset(torch.arange(len(splits.train)))
    held = dataclasses.replace(splits, train=whole)
    plain = build_gan(whole.image)
    order = WindowShuffled(64)
    train(plain, held, tmp_path / "memory", seed=3, max_images=320, previews=0, order=order)
    assert torch.equal(weights(lazy), weights(plain))


def test_what_looks_at_images_as_a_whole_gets_a_sample(stream, build_vae, tmp_path):
    splits, finished = stream(most_held=60), []
    model = build_vae(splits.train.image)
    finish = model.finish

    def told(real):
        finished.append(len(real))
        assert isinstance(real.images, torch.Tensor)
        return finish(real)

    model.finish = told
    limits = {"max_images": 320, "previews": 0, "best_every": 160}
    train(model, splits, tmp_path / "run", seed=3, **limits)
    assert set(finished) == {len(splits.train.sample)}
    assert len(finished) == 3
    assert 50 <= finished[0] <= 70 < len(splits.train)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_breaks_in_mid_training_is_named_and_the_state_is_there(
    shards, build_gan, tmp_path, workers
):
    folder = tmp_path / "shards"
    write_shards(folder, 300, per_shard=60)
    broken = png(picture(900))
    broken = broken[:45] + bytes(len(broken) - 45)  # its header is sound
    write_tar(folder / "train-late.tar", members_of(900, 2, broken))
    (folder / "train-late.tar").rename(folder / "late.tar")
    splits = prepare(ImageStream(path=str(folder), workers=workers, holdout=0.15))
    if 900 in numbers(splits.test.images) + numbers(splits.holdout.images):
        pytest.fail("the picture was to be trained on: choose another number")
    late = next(seed for seed in range(50) if is_sound(splits.train, seed))
    model = build_gan(splits.train.image)
    with pytest.raises(SynthgenError, match=r"late\.tar/00900\.png can't be decoded") as caught:
        train(model, splits, tmp_path / "run", seed=late, max_images=3200, previews=0)
    assert len(str(caught.value).splitlines()) == 2
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["state_dict"]["clock._images"] == model.clock.images_seen > 0


def is_sound(images, seed):
    """Whether the first batches of a run with that seed can be read."""
    try:
        return len(list(itertools.islice(Batches(images, 32, seed), 3))) == 3
    except SynthgenError:
        return False


def test_a_shard_that_changes_in_mid_training_is_named(shards, cache, tmp_path):
    folder = write_shards(tmp_path / "shards", 100)
    images = prepare(ImageStream(path=str(folder), holdout=0.2)).train
    fresh = images.__reduce__()[0](*images.__reduce__()[1])
    changed = folder / "shard-001.tar"
    changed.write_bytes(changed.read_bytes()[::-1])  # of the same size
    with pytest.raises(SynthgenError, match=r"shard-001\.tar has changed"):
        shown(fresh, 8, 20)


def test_a_url_gives_the_weights_that_a_folder_does(shards, stream, build_gan, tmp_path):
    system = fsspec.filesystem("memory")
    for file in shards.iterdir():
        system.pipe(f"/bucket/set/{file.name}", file.read_bytes())
    local = stream()
    remote = prepare(
        ImageStream(path="memory://bucket/set", cache=str(tmp_path / "cache"), window=64)
    )
    assert remote.digest == local.digest
    assert remote.files == local.files
    models = []
    for name, splits in (("local", local), ("remote", remote)):
        models.append(build_gan(splits.train.image))
        train(models[-1], splits, tmp_path / name, seed=3, max_images=160, previews=0)
    assert torch.equal(*map(weights, models))


def test_what_would_take_all_images_is_refused(stream):
    images = stream().train
    for act in (
        lambda: images.images.float(),
        lambda: torch.cat([images.images]),
        lambda: images.images[:, 0],
        lambda: images.pictures.sum(),
        lambda: io.BytesIO(images.images.numpy()),
    ):
        with pytest.raises(SynthgenError, match="takes all of them at once"):
            act()
    assert not hasattr(images.images, "no_such_thing")
    assert images.images[3:5].shape == (2, 1, 8, 8)
    assert images.images[3].equal(images.images[3:4][0])
