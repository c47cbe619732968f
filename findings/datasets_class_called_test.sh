#!/usr/bin/env bash
# Versions: datasets 5.2.0, Pillow 13.0.0.
# Guess: a folder with one subfolder per class is one split, and the subfolders are its labels.
# Seen: if one class is called "test" ("val", "dev" and "my test" do the same), its folder is taken for a
# split and is all that is loaded: 2 of 9 images, one split "test", no label column, no warning.
# Naming the files brings all of them back, with labels.
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
images = {"cat": 4, "dog": 3, "test": 2}


def written(name, renamed):
    for kind, count in images.items():
        folder = Path(name, renamed.get(kind, kind))
        folder.mkdir(parents=True)
        for number in range(count):
            Image.new("L", (4, 4), 40 * number).save(folder / f"{number:06d}.png")
    return name


def loaded(folder, **settings):
    """Images and labels by split."""
    splits = datasets.load_dataset("imagefolder", data_dir=folder, cache_dir="cache", **settings)
    found = {}
    for split, data in splits.items():
        label = data.features.get("label")
        found[split] = len(data), label and dict(Counter(label.names[i] for i in data["label"]))
    return found


harmless = loaded(written("harmless", {"test": "tent"}))
one_is_called_test = loaded(written("set", {}))
by_files = loaded("set", data_files="*/*.png")
for found in (harmless, one_is_called_test, by_files):
    print(found)
assert harmless == {"train": (9, {"cat": 4, "dog": 3, "tent": 2})}
assert one_is_called_test == {"test": (2, None)}
assert by_files == {"train": (9, images)}
PYTHON
