#!/usr/bin/env bash
# Versions: torch 2.14.1.
# Guess: whether an operation exists for a type doesn't depend on how many elements there are: what
# passes on a small tensor of uint16 (levels of 16-bit images) passes on a large one.
# Seen: sort, argsort and unique work up to 32,767 elements on the CPU and raise NotImplementedError
# from 32,768 on, whatever the number of threads. unique(dim=0) works at any size, and so does int32.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.14.1 numpy==2.4.6

cd "$here"
"$here/venv/bin/python" - <<'PYTHON'
import torch


def works(operation, count, dtype=torch.uint16):
    levels = (torch.arange(count) % 4096).to(dtype)
    try:
        operation(levels)
    except NotImplementedError as error:
        print(f"{count:,} elements: {error}")
        return False
    return True


for operation in (torch.sort, torch.argsort, torch.unique):
    assert works(operation, 32_767)
    assert not works(operation, 32_768)
    assert works(operation, 32_768, torch.int32)
assert works(lambda levels: levels.view(-1, 1).unique(dim=0), 32_768)
PYTHON
