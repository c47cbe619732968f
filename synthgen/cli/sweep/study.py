"""A search by Optuna, through its ask-and-tell interface: ``-m hydra/sweeper=optuna``."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    RangeSweep,
)
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from synthgen.cli.sweep.command import INTERRUPTED
from synthgen.cli.sweep.folder import SweepFolder, SweepJob, is_alive
from synthgen.cli.sweep.launchers import Jobs, log
from synthgen.errors import OUT_OF_TIME, SynthgenError
from synthgen.io import canonical_digest
from synthgen.ranges import Count, Seed

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

    from synthgen.cli.sweep.objective import Objective

JOURNAL = "study.log"
WORKER, LOST, ASKED, FOLDER = "worker", "lost", "asked", "folder"
Algorithm = Literal["tpe", "random", "gp"]
ALGORITHMS: tuple[Algorithm, ...] = ("tpe", "random", "gp")


class Study:
    """Tries settings, the more promising ones more often, until ``n_trials`` were tried.

    The same command goes on with a study, and several at the same time share it: each trial's
    randomness belongs to the seed and the trial's number, so no two try the same points, and the
    n-th trial of a study that one process works at is the same whether it was continued or not.

    Args:
        algorithm: tree-structured Parzen estimators (Bergstra et al. 2011), random search, or a
            Gaussian process (Optuna's GPSampler).
        n_trials: in all; failed ones count, interrupted ones don't.
        n_jobs: trials at a time, as many as the launcher works on at once.
        storage: an address that Optuna knows; None: a journal in ``out=``, which several machines
            with a shared folder can use together.
        seed: of the search.
    """

    def __init__(
        self,
        algorithm: Algorithm = "tpe",
        n_trials: Count = 20,
        n_jobs: Count = 1,
        storage: str | None = None,
        seed: Seed = 0,
    ) -> None:
        self.algorithm, self.n_trials, self.n_jobs = algorithm, n_trials, n_jobs
        self.storage, self.seed = storage, seed

    def sweep(
        self, arguments: Sequence[str], jobs: Jobs, config: DictConfig, context: HydraContext
    ) -> None:
        """Raises SynthgenError without an objective, without anything to choose, or for an ``out``
        that holds another study."""
        require_optuna()
        loader: Any = context.config_loader
        given = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
        space = {
            one.get_key_element(): distribution(one) for one in given if one.is_sweep_override()
        }
        if not space:
            raise SynthgenError(
                "There is nothing to search.\nGive ranges, such as "
                "'model.learning_rate=tag(log,interval(0.0001,0.01))' or model=gan,vae."
            )
        fixed = [str(one.input_line) for one in given if not one.is_sweep_override()]
        objective = objective_of_first(loader, config, fixed, space)
        asked = canonical_digest([sorted(fixed), {k: str(v) for k, v in space.items()}])
        study = self.open(jobs.folder, objective, asked)
        release_lost(study)
        self.search(study, space, fixed, jobs)
        tell_best(study, objective)

    def open(self, folder: SweepFolder, objective: Objective, asked: str) -> optuna.Study:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if folder.began and not (folder.state / JOURNAL).is_file() and self.storage is None:
            folder.require_new()  # a grid
        folder.state.mkdir(parents=True, exist_ok=True)
        folder.go_on()
        study = optuna.create_study(
            storage=storage_of(self.storage, folder.state),
            study_name=folder.path.absolute().name,
            sampler=seeded_by_trial(self.algorithm, self.seed),
            direction="maximize" if objective.higher_is_better else "minimize",
            load_if_exists=True,
        )
        known = study.user_attrs.get(ASKED)
        if known not in (None, asked):
            raise SynthgenError(
                f"{folder.path} holds a study of other settings or ranges.\n"
                "Give those to go on with it, or choose another out=."
            )
        study.set_user_attr(ASKED, asked)
        return study

    def search(
        self,
        study: optuna.Study,
        space: Mapping[str, BaseDistribution],
        fixed: Sequence[str],
        jobs: Jobs,
    ) -> None:
        while (left := self.n_trials - counted(study)) > 0 and not jobs.folder.stopping:
            trials = [ask(study, dict(space)) for _ in range(min(left, self.n_jobs))]
            log.info("Trials %s of %d", ", ".join(str(t.number) for t in trials), self.n_trials)
            batch = [(one.number, [*fixed, *chosen(one)]) for one in trials]
            ended = jobs.run(batch)
            for trial, job in zip(trials, ended, strict=True):
                tell_trial(study, trial, job, stopping=jobs.folder.stopping)


def require_optuna() -> None:
    try:
        import optuna  # noqa: F401 - asked for, not used
    except ImportError:
        raise SynthgenError(
            "hydra/sweeper=optuna needs Optuna.\nInstall it: pip install 'optuna>=4.2'"
        ) from None


def objective_of_first(
    loader: Any, config: DictConfig, fixed: Sequence[str], space: Mapping[str, BaseDistribution]
) -> Objective:
    """The objective, from a composition with the first values of all ranges: its direction has to
    be known before the first trial."""
    from synthgen.cli.settings import SETTINGS, RunSettings, validate
    from synthgen.cli.sweep.objective import objective_of

    first = [f"{key}={first_value(one)}" for key, one in space.items()]
    composed = loader.load_sweep_config(config, [*fixed, *first])
    verb = str(config.hydra.job.config_name).replace("_", " ")
    plain: Any = OmegaConf.to_container(composed, resolve=False)
    plain.pop("hydra", None)
    resolved: Any = OmegaConf.to_container(OmegaConf.create(plain), resolve=True)
    settings = validate(resolved, SETTINGS[verb], also_known=RunSettings.__dataclass_fields__)
    found = objective_of(settings)
    if found is None:
        raise SynthgenError(
            "A search needs objective=, the result that it makes better.\nFor example "
            "objective=distance trainer.best_every=5000, or of run: objective=kid "
            "reference=holdout."
        )
    return found


def distribution(override: Override) -> BaseDistribution:
    """What Hydra's grammar says of one key, in Optuna's terms. Values of a list stay the texts that
    they are, so that the job's command line says what was typed."""
    import optuna.distributions as d

    value, key = override.value(), override.get_key_element()
    if isinstance(value, IntervalSweep):
        low, high, log_ = value.start, value.end, "log" in value.tags
        if isinstance(low, int) and isinstance(high, int):
            return d.IntDistribution(low, high, log=log_)
        return d.FloatDistribution(float(low or 0), float(high or 0), log=log_)
    if isinstance(value, RangeSweep):
        start, stop, step = value.start or 0, value.stop or 0, value.step
        if all(isinstance(one, int) for one in (start, stop, step)):
            values = range(int(start), int(stop), int(step))
            return d.IntDistribution(values[0], values[-1], step=int(step))
    if isinstance(value, ChoiceSweep | RangeSweep) or override.is_discrete_sweep():
        return d.CategoricalDistribution(list(override.sweep_string_iterator()))
    raise SynthgenError(f"{key} has a range that can't be searched: {override.input_line}")


def first_value(found: BaseDistribution) -> object:
    return found.choices[0] if hasattr(found, "choices") else getattr(found, "low")  # noqa: B009


def chosen(trial: Trial | FrozenTrial) -> list[str]:
    return [f"{key}={value}" for key, value in trial.params.items()]


def storage_of(address: str | None, state: Path) -> Any:
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if address is None:
        return JournalStorage(JournalFileBackend(str(state / JOURNAL)))
    try:
        return RDBStorage(address)
    except Exception as error:  # SQLAlchemy's and its drivers' own, of any kind
        said = str(error).strip().partition("\n")[0]
        raise SynthgenError(
            f"hydra.sweeper.storage={address} can't be used: {said}\n"
            "It is an address such as sqlite:///study.db; null keeps a journal in out=."
        ) from None


def ask(study: optuna.Study, space: dict[str, BaseDistribution]) -> Trial:
    trial = study.ask(space)
    trial.set_user_attr(WORKER, [socket.gethostname(), os.getpid()])
    return trial


def tell_trial(study: optuna.Study, trial: Trial, job: SweepJob, *, stopping: bool) -> None:
    """What was interrupted didn't fail: it is tried again, under a new number."""
    from optuna.trial import TrialState

    if job.folder is not None:
        trial.set_user_attr(FOLDER, job.folder)
    if job.code == 0 and job.objective is not None:
        study.tell(trial, job.objective)
        return
    if job.code in (INTERRUPTED, OUT_OF_TIME) or (job.code is None and stopping):
        give_back(study, trial.number)
    else:
        study.tell(trial, state=TrialState.FAIL)


def give_back(study: optuna.Study, number: int) -> None:
    """Count the trial as not tried, and try its settings first."""
    from optuna.trial import TrialState

    frozen = next(one for one in study.get_trials(deepcopy=False) if one.number == number)
    study._storage.set_trial_user_attr(frozen._trial_id, LOST, True)
    study.tell(number, state=TrialState.FAIL)
    study.enqueue_trial(frozen.params)


def release_lost(study: optuna.Study) -> None:
    """Trials of processes of this machine that are gone: they were killed, and told nobody."""
    from optuna.trial import TrialState

    for one in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        host, pid = one.user_attrs.get(WORKER, (None, None))
        if host == socket.gethostname() and not is_alive(pid):
            give_back(study, one.number)


def counted(study: optuna.Study) -> int:
    """Trials that are over or at work, without those that were interrupted."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    return sum(
        one.state is not TrialState.WAITING and not one.user_attrs.get(LOST) for one in trials
    )


def tell_best(study: optuna.Study, objective: Objective) -> None:
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not done:
        log.warning("No trial of %d has a value of %s.", len(study.trials), objective.name)
        return
    best = study.best_trial
    log.info(
        "Best of %d trials: %d, %s %.6g, with %s",
        len(done), best.number, objective.name, best.value, " ".join(chosen(best)),
    )  # fmt: skip


def trial_seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def sampler_of(algorithm: Algorithm, seed: int) -> BaseSampler:
    from optuna import samplers

    if algorithm == "tpe":
        # Trials that others are at count as bad ones: workers then don't crowd at one point.
        return samplers.TPESampler(seed=seed, constant_liar=True)
    kinds: dict[Algorithm, Callable[..., BaseSampler]] = {
        "random": samplers.RandomSampler,
        "gp": samplers.GPSampler,
    }
    return kinds[algorithm](seed=seed)


def seeded_by_trial(algorithm: Algorithm, seed: int) -> BaseSampler:
    """Optuna's sampler ``algorithm``, new for each trial, with a seed from ``seed`` and the trial's
    number. One that is seeded once tries its first points again whenever a study is continued."""
    from optuna.samplers import BaseSampler

    class SeededByTrial(BaseSampler):
        def __init__(self) -> None:
            self.inner = sampler_of(algorithm, seed)

        def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
            self.inner = sampler_of(algorithm, trial_seed(seed, trial.number))
            self.inner.before_trial(study, trial)

        def infer_relative_search_space(
            self, study: optuna.Study, trial: FrozenTrial
        ) -> dict[str, BaseDistribution]:
            return self.inner.infer_relative_search_space(study, trial)

        def sample_relative(
            self,
            study: optuna.Study,
            trial: FrozenTrial,
            search_space: dict[str, BaseDistribution],
        ) -> dict[str, Any]:
            return self.inner.sample_relative(study, trial, search_space)

        def sample_independent(
            self,
            study: optuna.Study,
            trial: FrozenTrial,
            param_name: str,
            param_distribution: BaseDistribution,
        ) -> Any:
            return self.inner.sample_independent(study, trial, param_name, param_distribution)

        def after_trial(
            self, study: optuna.Study, trial: FrozenTrial, state: Any, values: Any
        ) -> None:
            self.inner.after_trial(study, trial, state, values)

    return SeededByTrial()
