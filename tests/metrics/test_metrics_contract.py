"""What every metric of the package and of anybody's own promises, found through configs/metric/."""

from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import get_class

import synthgen
from synthgen.errors import SynthgenError
from synthgen.evaluation.checks import require_options
from synthgen.evaluation.fidelity import definitions, fidelity_results, intervals
from synthgen.evaluation.report.formatting import metric_label
from synthgen.metrics import STANDARD, Comparison, Metric, Strata
from synthgen.stats import Estimate

CONFIGS = Path(synthgen.__file__).parents[1] / "configs" / "metric"
FILES = {path.stem: path.read_text() for path in CONFIGS.glob("*.yaml")}
NAMES = sorted(set(FILES) - {"standard"})


def metric(name):
    settings = yaml.safe_load(FILES[name])
    return get_class(settings.pop("_target_"))(**settings)


def features(count, seed, shift=0.0):
    return shift + torch.randn(count, 12, generator=torch.Generator().manual_seed(seed))


REAL, ALIKE, OTHER = features(400, 1), features(360, 2), features(360, 3, shift=1.5)
LABELS = Strata(torch.arange(400) % 4), Strata(torch.arange(360) % 4)


def sets(fake, strata=None):
    return Comparison(REAL, fake, strata, lambda x: x)


def test_the_standard_file_is_the_standard_tuple():
    assert yaml.safe_load(FILES["standard"])["defaults"] == [one.name for one in STANDARD]
    assert {type(one) for one in STANDARD} <= {type(metric(name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_is_called_what_its_file_is_called_and_says_what_it_is(name):
    one = metric(name)
    assert one.name == name
    assert FILES[name].startswith(f"# @package metric.{name}\n# ")
    for text in (one.label, one.definition, one.interval):
        assert text
        assert not text.endswith(".")
    assert one.label in definitions([one])
    assert one.definition in definitions([one])
    assert one.interval in intervals([one])


@pytest.mark.parametrize("name", NAMES)
def test_the_estimate_holds_the_value_and_leans_its_way(name):
    one = metric(name)
    alike, other = one.estimate(sets(ALIKE)), one.estimate(sets(OTHER))
    assert alike.low <= alike.value <= alike.high
    assert alike.value == pytest.approx(one.value(sets(ALIKE)), rel=1e-9)
    alone = name in ("vendi", "inception_score")  # of the synthetic images alone
    if not alone and name != "density":  # which grows where images crowd
        assert (alike.value > other.value) == one.higher_is_better


@pytest.mark.parametrize("name", NAMES)
def test_in_classes_there_is_an_interval_too(name):
    found = metric(name).estimate(sets(ALIKE, LABELS))
    assert found.low < found.value < found.high


class MeanGap(Metric):
    """As short as one can be."""

    name = "mean_gap"
    label = "Gap of the means"
    higher_is_better = False
    definition = "Euclidean distance between the means"

    def value(self, sets):
        return float((sets.real.double().mean(0) - sets.fake.double().mean(0)).norm())


def test_a_metric_of_ones_own_gets_an_interval_batches_and_a_place_in_the_report():
    (result,) = fidelity_results(sets(OTHER), extractor="e", metrics=[MeanGap()])
    assert result.name == "fidelity/mean_gap"
    assert metric_label(result) == "Gap of the means"
    assert not result.higher_is_better
    assert result.value == pytest.approx(float((REAL.mean(0) - OTHER.mean(0)).norm()), rel=1e-5)
    assert result.ci_low < result.value < result.ci_high
    batches = MeanGap().streaming(12)
    for real, fake in zip(REAL.split(100), OTHER.split(90), strict=True):
        batches.update(real=real, fake=fake)
    assert float(batches.compute()) == pytest.approx(result.value, rel=1e-6)


def test_the_free_interval_holds_the_truth_as_often_as_it_says():
    class Shift(MeanGap):
        def value(self, sets):
            return float(sets.fake.double().mean() - sets.real.double().mean())

    held = 0
    for seed in range(200):
        real, fake = features(60, 2 * seed), features(60, 2 * seed + 1, shift=0.5)
        found = Shift().estimate(Comparison(real, fake))
        held += found.low <= 0.5 <= found.high
    assert 180 <= held <= 199


def test_a_metric_that_leaves_out_what_it_is_is_told_so():
    class Unnamed(Metric):
        name, higher_is_better = "unnamed", False
        value = MeanGap.value

    with pytest.raises(SynthgenError, match="The metric Unnamed has no label and no definition"):
        require_options([object()], [Unnamed()], seeds=1, seed=0)
    require_options([object()], [MeanGap()], seeds=1, seed=0)


def test_two_images_of_either_set_have_a_value_and_no_interval():
    found = MeanGap().estimate(Comparison(REAL[:2], OTHER[:3]))
    assert found == Estimate(found.value, None, None)
    assert found.value > 0


def test_a_number_that_is_none_ends_in_a_sentence_and_too_few_images_in_no_number():
    class Broken(MeanGap):
        fewest = 50

        def value(self, sets):
            return float("nan")

    (result,) = fidelity_results(Comparison(REAL[:49], OTHER), extractor="e", metrics=[Broken()])
    assert result.value is None
    with pytest.raises(SynthgenError, match="The metric mean_gap gave nan"):
        fidelity_results(sets(OTHER), extractor="e", metrics=[Broken()])


def test_a_share_that_no_group_changes_has_no_interval_and_so_is_never_surely_best():
    class Inside(MeanGap):
        def value(self, sets):
            return float((sets.fake.abs() < 100).double().mean())

    assert Inside().estimate(sets(OTHER)) == Estimate(1.0, None, None)


def test_what_metrics_share_is_computed_once():
    asked = []

    def costly(sets):
        asked.append(sets)
        return len(sets.real)

    compared = sets(ALIKE)
    assert compared.once(costly) == compared.once(costly) == 400
    assert len(asked) == 1
