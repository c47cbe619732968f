#!/usr/bin/env bash
# Version: wandb 0.31.0, offline.
# Guess: define_metric("loss", summary="min") keeps the smallest loss of a run; a step whose loss was
# NaN is passed by, as an infinite one is.
# Seen: one NaN, wherever it stands, and the minimum is NaN for the rest of the run, so that a table
# of runs can't be sorted by it. (The history keeps every value.)
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check wandb==0.31.0

cd "$here"
export HOME="$here" WANDB_MODE=offline WANDB_SILENT=true WANDB_ERROR_REPORTING=false
export WANDB_DIR="$here" WANDB_CONFIG_DIR="$here/config"
export WANDB_CACHE_DIR="$here/cache" WANDB_DATA_DIR="$here/data"
"$here/venv/bin/python" - <<'PYTHON'
import json
import subprocess
import sys
from pathlib import Path

import wandb

NAN, INF = float("nan"), float("inf")


def minimum(losses):
    """What the summary of a finished run says, read from its own log."""
    run = wandb.init(project="findings", settings=wandb.Settings(console="off"))
    run.define_metric("loss", summary="min")
    for loss in losses:
        run.log({"loss": loss})
    folder = Path(run.dir).parent
    run.finish()
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(shown)["summary"]["loss"]["min"]


seen = {str(losses): minimum(losses) for losses in (
    [3.0, 1.0, 2.0, 0.5], [3.0, INF, 0.5], [3.0, 1.0, NAN, 2.0, 0.5], [NAN, 2.0, 0.5],
)}
for losses, found in seen.items():
    print(losses, "->", found)
assert list(seen.values()) == [0.5, 0.5, "NaN", "NaN"]
PYTHON
