#!/usr/bin/env bash
# Version: wandb 0.31.0, offline.
# Guess: a run with mode="offline" and dir=FOLDER is complete in FOLDER, so that FOLDER can be copied
# to a machine with a network and synced from there.
# Seen: the files of its artifacts lie in the account's data folder (WANDB_DATA_DIR, by default below
# the home folder) and nowhere in FOLDER. What is copied is a record of artifacts without contents.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check wandb==0.31.0

cd "$here"
mkdir home
export HOME="$here/home" XDG_DATA_HOME="$here/home/share" WANDB_SILENT=true WANDB_ERROR_REPORTING=false
"$here/venv/bin/python" - <<'PYTHON'
from pathlib import Path

import wandb

CONTENT = b"the weights of a model, say: 81c2"
Path("run").mkdir()
Path("weights.bin").write_bytes(CONTENT)
settings = wandb.Settings(console="off")
run = wandb.init(project="findings", mode="offline", dir="run", settings=settings)
artifact = wandb.Artifact("model", "model")
artifact.add_file("weights.bin")
run.log_artifact(artifact)
run.finish()


def holding(folder):
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return [path for path in files if CONTENT in path.read_bytes()]


staged = holding("home")
print("in the run's folder:", holding("run"))
print("in the home folder: ", staged)
assert list(Path("run").rglob("*.wandb"))
assert not holding("run")
assert len(staged) == 1
PYTHON
