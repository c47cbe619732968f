#!/usr/bin/env bash
# Version: webdataset 1.0.2.
# Guess: WebDataset(shards, shardshuffle=20) shuffles the shards again whenever the dataset is gone
# through, as a DataLoader with shuffle=True does with images.
# Seen: the order is drawn once, when the dataset is made, and all epochs have it; with a seed too.
# Only detshuffle=True, which one would take for what makes an order repeatable, gives each epoch
# another one.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  webdataset==1.0.2 torch==2.14.1 numpy==2.4.0

cd "$here"
"$here/venv/bin/python" - <<'PYTHON'
import io
import tarfile

import webdataset

SHARDS = [f"shard-{number:02d}.tar" for number in range(20)]
for number, name in enumerate(SHARDS):
    content = str(number).encode()
    member = tarfile.TarInfo(f"{number:02d}.cls")
    member.size = len(content)
    with tarfile.open(name, "w") as archive:
        archive.addfile(member, io.BytesIO(content))


def different_orders(**options):
    """Of the shards, in five epochs of one dataset."""
    dataset = webdataset.WebDataset(SHARDS, shardshuffle=20, **options)
    epochs = [tuple(int(sample["cls"]) for sample in dataset) for _ in range(5)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    return len(set(epochs))


plain, seeded = different_orders(), different_orders(seed=1)
deterministic = different_orders(seed=1, detshuffle=True)
print(f"orders in five epochs: {plain}, with a seed {seeded}, with detshuffle {deterministic}")
assert (plain, seeded, deterministic) == (1, 1, 5)
PYTHON
