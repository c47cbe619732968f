#!/usr/bin/env bash
# Versions: datasets 5.2.0, Pillow 13.0.0.
# Guess: a picture that lies beside the class folders (a contact sheet, a logo) is passed by, or is
# one image without a label.
# Seen: every image loses its label: the column is gone, and the picture is an image of the set. With
# drop_labels=False the labels come back, and the folder that holds the set becomes a class.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0 pillow==13.0.0

cd "$here"
export HF_HUB_OFFLINE=1 HF_HOME="$here/home"
"$here/venv/bin/python" - <<'PYTHON'
from collections import Counter
from pathlib import Path

import datasets
from PIL import Image

datasets.disable_progress_bars()
for kind, count in {"cat": 4, "dog": 3}.items():
    for root in ("clean", "animals"):
        Path(root, kind).mkdir(parents=True)
        for number in range(count):
            Image.new("L", (4, 4), 40 * number).save(f"{root}/{kind}/{number:06d}.png")
Image.new("L", (40, 40)).save("animals/overview.png")


def loaded(folder, **settings):
    """The number of images, and labels by name; None where there is no such column."""
    (data,) = datasets.load_dataset(folder, cache_dir="cache", **settings).values()
    label = data.features.get("label")
    return len(data), label and dict(Counter(label.names[i] for i in data["label"]))


clean, with_picture = loaded("clean"), loaded("animals")
told = loaded("animals", drop_labels=False)
for found in (clean, with_picture, told):
    print(found)
assert clean == (7, {"cat": 4, "dog": 3})
assert with_picture == (8, None)
assert told == (8, {"animals": 1, "cat": 4, "dog": 3})
PYTHON
