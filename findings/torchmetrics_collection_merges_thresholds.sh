#!/usr/bin/env bash
# Versions: torchmetrics 1.9.0, torch 2.14.1.
# Guess: in a MetricCollection each metric keeps the counts of its own settings; if some share their
# state to save time, then those whose settings are the same.
# Seen: metrics are put together if their states came out equal after the first batch, whatever their
# settings. Accuracies at thresholds 0.5 and 0.9 that agree on a first, clear batch are one from then
# on: the strict one reports the other's value, without a word. With compute_groups=False, or a first
# batch on which they differ, it is right.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  torchmetrics==1.9.0 torch==2.14.1 numpy==2.4.0

cd "$here"
"$here/venv/bin/python" -W error - <<'PYTHON'
from torch import tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy

CLEAR = tensor([0.01, 0.02, 0.99, 0.97]), tensor([0, 0, 1, 1])  # both thresholds say the same
CLOSE = tensor([0.60, 0.70, 0.80, 0.95]), tensor([1, 1, 1, 1])  # 0.5 finds all, 0.9 one of four


def strict_accuracy(batches, **options):
    """At threshold 0.9, kept beside the accuracy at 0.5."""
    both = MetricCollection(
        {"loose": BinaryAccuracy(threshold=0.5), "strict": BinaryAccuracy(threshold=0.9)},
        **options,
    )
    for scores, labels in batches:
        both.update(scores, labels)
    return float(both.compute()["strict"])


clear_first = strict_accuracy([CLEAR, CLOSE])
close_first = strict_accuracy([CLOSE, CLEAR])
apart = strict_accuracy([CLEAR, CLOSE], compute_groups=False)
print(f"the same eight scores: {clear_first} or {close_first}, by the order of the batches")
assert close_first == apart == 5 / 8
assert clear_first == 1.0
PYTHON
