#!/usr/bin/env bash
# Version: torch 2.14.1.
# Guess: torch.save writes a ZIP archive with a CRC-32 for every tensor, so torch.load notices a bit
# that the disk or a copy has flipped.
# Seen: torch.load returns the changed numbers without a word, with weights_only and with mmap too;
# Python's zipfile names the damaged entry of the same file.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.14.1 numpy==2.4.0

cd "$here"
"$here/venv/bin/python" - <<'PYTHON'
import zipfile
from pathlib import Path

import torch

path = Path("state.ckpt")
torch.save({"weight": torch.ones(1000)}, path)
content = bytearray(path.read_bytes())
one = torch.ones(1).numpy().tobytes()
place = content.index(one * 1000) + 4 * 500 + 3  # the sign and exponent of number 500
content[place] ^= 0x40
path.write_bytes(content)

damaged = zipfile.ZipFile(path).testzip()
print("zipfile:", damaged)
assert damaged is not None
for options in ({"weights_only": True}, {"weights_only": True, "mmap": True}):
    weight = torch.load(path, **options)["weight"]
    print(f"torch.load({options}): number 500 is", float(weight[500]))
    assert int((weight != 1).sum()) == 1
PYTHON
