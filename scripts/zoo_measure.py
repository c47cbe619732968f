"""How one row of the zoo is measured: every row with the same real images, feature space, number of
synthetic images and classifier."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from synthgen.data.divide import prepare
from synthgen.data.source import Source
from synthgen.data.splits import Splits
from synthgen.device import default_device
from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers import SmallCNNClassifier
from synthgen.evaluation.classifiers.extractor import ClassifierExtractor
from synthgen.evaluation.classifiers.networks import SmallCNN
from synthgen.evaluation.features.network import weights_digest
from synthgen.evaluation.result import Result, make_result
from synthgen.evaluation.transfer import classifier_seeds, examine_arm, transfer_results
from synthgen.images import to_pil
from synthgen.io import read_json, write_bytes, write_json
from synthgen.metrics import frechet_estimate, kid_estimate, manifold_estimates
from synthgen.progress import track
from synthgen.samplers import load_sampler
from synthgen.types import LabelledImages, spread_by_class

SEED = 0
AT_A_TIME = 1024  # images drawn in one request
SHOWN = 10  # samples of each class on a sheet
MOST_SHOWN = 20  # classes


@dataclass(frozen=True)
class Bench:
    """Real images of one data set, and a feature space learned from the training images once.

    ``reference`` are the features of the test images, float32 ``(N, D)``.
    """

    splits: Splits
    extractor: ClassifierExtractor
    reference: Tensor

    @classmethod
    def prepare(cls, source: Source, kept: Path) -> Bench:
        splits = prepare(source)
        extractor = extractor_of(splits, kept)
        test = spread_by_class(splits.test, extractor.max_images)
        return cls(splits, extractor, extractor.extract(test.images, "features of test images"))

    def real(self, count: int) -> tuple[LabelledImages, dict[str, Any]]:
        """So many training images in the place of synthetic ones: what could be reached."""
        return spread_by_class(self.splits.train, count), {}

    def draw(self, run: Path, count: int) -> tuple[LabelledImages, dict[str, Any]]:
        """``count`` images of the run's sampler, as many of each class, with the time it took. The
        first request, in which memory is allocated and kernels are chosen, is drawn twice."""
        sampler = load_sampler(run, device=str(default_device()))
        if read_json(run / "split.json")["digest"] != self.splits.digest:
            raise SynthgenError(f"{run} was trained on other images than those given now.")
        classes = self.splits.train.classes
        labels = torch.arange(count) % len(classes)
        seeds = torch.arange(count)
        sampler.sample(labels[:AT_A_TIME], seeds[:AT_A_TIME])
        started = time.perf_counter()
        parts = []
        with track(count, "drawing", "images") as advance:
            for first in range(0, count, AT_A_TIME):
                part = slice(first, first + AT_A_TIME)
                parts.append(sampler.sample(labels[part], seeds[part]).images)
                advance(len(parts[-1]))
        seconds = time.perf_counter() - started
        drawn = LabelledImages(torch.cat(parts), labels, classes)
        speed = {"seconds": round(seconds, 2), "images_per_second": round(count / seconds, 1)}
        return drawn, speed

    def measure(self, images: LabelledImages, judge_steps: int) -> dict[str, Any]:
        """Fidelity to the test images on at most 10,000 of each, accuracy on all test images of a
        classifier that learned from all ``images`` alone."""
        compared = spread_by_class(images, self.extractor.max_images)
        fake = self.extractor.extract(compared.images, "features of synthetic images")
        classifier = SmallCNNClassifier(steps=judge_steps)
        examinations = examine_arm(
            classifier,
            images,
            holdout=self.splits.holdout,
            test=self.splits.test,
            steps=judge_steps,
            seeds=classifier_seeds(SEED, 1),
            arm="synthetic_only",
        )
        accuracy = transfer_results(
            "synthetic_only",
            examinations,
            self.splits.test,
            classifier=classifier.name,
            n_fake=len(images),
            names=["accuracy"],
        )
        results = [*self.fidelity(fake), *accuracy]
        return {
            "results": {one.name.rpartition("/")[2]: one.to_json() for one in results},
            "extractor": {"name": self.extractor.name, **self.extractor.describe()},
            "judge": classifier.describe(judge_steps).to_json(),
        }

    def fidelity(self, fake: Tensor) -> list[Result]:
        found: list[Result] = []
        for metrics in (
            lambda real: {"frechet_distance": frechet_estimate(real=real, fake=fake)},
            lambda real: {"kid": kid_estimate(real=real, fake=fake)},
            lambda real: manifold_estimates(real=real, fake=fake),
        ):
            started = time.perf_counter()
            estimates = metrics(self.reference)
            seconds = (time.perf_counter() - started) / len(estimates)
            found += [
                make_result(
                    f"fidelity/{name}",
                    estimate,
                    extractor=self.extractor.name,
                    n_real=len(self.reference),
                    n_fake=len(fake),
                    seconds=seconds,
                )
                for name, estimate in estimates.items()
            ]
        return found


def extractor_of(splits: Splits, kept: Path) -> ClassifierExtractor:
    """The classifier of every row: trained once, then read from the folder ``kept``, so that rows
    measured after a restart are measured in the very same space."""
    weights, facts_file = kept / "weights.safetensors", kept / "facts.json"
    extractor = ClassifierExtractor()
    if not facts_file.is_file():
        extractor.prepare(splits.train, SEED)
        assert extractor.network is not None
        kept.mkdir(parents=True, exist_ok=True)
        state = {
            name: one.cpu().contiguous() for name, one in extractor.network.state_dict().items()
        }
        write_bytes(weights, save(state))
        write_json(facts_file, {"split": splits.digest, **extractor.facts})
        return extractor
    facts = read_json(facts_file)
    if facts.pop("split") != splits.digest:
        raise SystemExit(
            f"{kept} belongs to other images than those given now. Choose another --out."
        )
    network = SmallCNN(splits.train.image, extractor.width)
    network.load_state_dict(load(weights.read_bytes()))
    digest = weights_digest(network)
    if digest != facts["weights_sha256"]:
        raise SystemExit(f"{weights} is damaged. Remove {kept}, and every row measured with it.")
    extractor.network = network.eval().requires_grad_(False).to(default_device())
    extractor.name, extractor.facts = f"classifier-{digest[:8]}", facts
    return extractor


def sheet(images: LabelledImages) -> bytes:
    """The first images of each class as PNG, a row per class, to look at beside the numbers."""
    shown = range(min(len(images.classes), MOST_SHOWN))
    picked = [images.of_class(label).images[:SHOWN] for label in shown]
    _, channels, height, width = images.images.shape
    canvas = torch.zeros(channels, height * len(picked), width * SHOWN, dtype=torch.uint8)
    for row, part in enumerate(picked):
        for column, image in enumerate(part):
            top, left = row * height, column * width
            canvas[:, top : top + height, left : left + width] = image
    stream = io.BytesIO()
    to_pil(canvas).save(stream, "PNG")
    return stream.getvalue()
