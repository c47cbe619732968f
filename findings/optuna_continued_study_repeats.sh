#!/usr/bin/env bash
# Version: optuna 5.0.0.
# Guess: a study with a seeded sampler that is stored, closed and continued by the same script tries
# five points and then five others, as it would have in one go.
# Seen: the continued study tries the first five points again: the seed belongs to the sampler's
# object, not to the study. Two workers that share a study and a seed repeat each other in the same way.
set -euo pipefail

here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check optuna==5.0.0

cd "$here"
"$here/venv/bin/python" - <<'PYTHON'
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def points(*parts, sampler):
    """The values that a study tries in parts, each with a sampler of its own of one seed."""
    storage = optuna.storages.InMemoryStorage()
    for trials in parts:
        study = optuna.create_study(
            study_name="s", storage=storage, sampler=sampler(seed=0), load_if_exists=True
        )
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1) ** 2, n_trials=trials)
    return [trial.params["x"] for trial in study.trials]


for sampler in (optuna.samplers.RandomSampler, optuna.samplers.TPESampler):
    whole, continued = points(10, sampler=sampler), points(5, 5, sampler=sampler)
    print(sampler.__name__, "one go:", len(set(whole)), "points, continued:", len(set(continued)))
    assert len(set(whole)) == 10
    assert continued[5:] == continued[:5] == whole[:5]
PYTHON
