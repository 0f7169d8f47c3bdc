"""Search settings: Optuna proposes them, an engine's workers train with them, a database keeps what came of it."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minipg.algorithms.config import Choices, LogRange
from minipg.errors import ConfigError, EnvironmentFault, RunFolderError, installing
from minipg.runs.trials import Task, Trials
from minipg.runtime.child import Lost
from minipg.runtime.engine import Engine, ProcessEngine
from minipg.runtime.files import open_appending
from minipg.runtime.modules import installed_only
from minipg.runtime.progress import printable
from minipg.runtime.signals import signals_deferred
from minipg.runtime.threads import available_threads

PARTS, LAST = 5, 2  # agents are evaluated after each of so many parts; their score is the mean over the last ones
ROUNDS = 3  # of agents of other seeds, before a trial becomes the best: chance is selected for, otherwise
_HOPELESS = 10  # trials that failed, before one succeeded
_DATABASE = "study.db"


def import_optuna() -> Any:
    """Optuna, which says nothing from then on. Raises ConfigError if it is not installed."""
    try:
        with installed_only():
            import optuna
    except ImportError as error:
        raise ConfigError(f"tune needs the package optuna ({error}): {installing('tune')}") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def open_study(folder: Path, name: str, seed: int, new: bool) -> Any:
    """The Optuna study called `name` in a folder, a new one or one that is there.

    Trials that were running when it was left are begun again. Raises RunFolderError if the database cannot be used.
    """
    optuna, path = import_optuna(), folder / _DATABASE
    try:
        open_appending(path).close()  # refuses links
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"creator": partial(_connect, path)})
        make = optuna.create_study if new else optuna.load_study
        study = make(study_name=name, storage=storage, **({"direction": "maximize"} if new else {}))
        if new:
            study.enqueue_trial({}, user_attrs={"preset": True})
        _begin_again(study)
        # otherwise a search that goes on would draw the numbers that it drew first
        drawn = int(np.random.SeedSequence((seed, len(study.trials))).generate_state(1)[0])
    except KeyError as error:
        raise RunFolderError(f"{path}: holds no study of {name}") from error
    except Exception as error:  # of SQLite, SQLAlchemy, Alembic or Optuna
        reason = str(getattr(error, "strerror", None) or error).partition("\n")[0]
        raise RunFolderError(f"{path}: cannot be used ({reason})") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these options are called experimental
        # `group`: the trial of the preset has none of the settings
        study.sampler = optuna.samplers.TPESampler(seed=drawn, multivariate=True, group=True, constant_liar=True)
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=5)
    return study


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    # without waiting for the disk at every setting of a trial, of which there are a dozen
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL")
    return connection


def _begin_again(study: Any) -> None:
    """Record trials that are running as failed, without a reason, and queue others with the same settings."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)
        study.tell(trial.number, state=TrialState.FAIL)


def ended(study: Any) -> list[Any]:
    """The trials that have ended by themselves: complete, stopped as worse than others, or failed."""
    finished = [trial for trial in study.trials if trial.state.is_finished()]
    return [trial for trial in finished if trial.state.name != "FAIL" or "why" in trial.user_attrs]


def best_of(study: Any) -> Any:
    """The complete trial with the highest score, or None; of equal ones, that with higher evaluations before."""
    return max((trial for trial in study.trials if trial.state.name == "COMPLETE"), key=_merit, default=None)


def _merit(trial: Any) -> tuple[float, float]:
    return trial.value, float(np.mean(list(trial.intermediate_values.values())))


def settings_of(trial: Any, base: Any) -> dict[str, Any]:
    """The settings of a trial that differ from those of the config `base`. Numbers of a range have three digits."""
    choices = {name for name, values in trial.distributions.items() if hasattr(values, "choices")}
    settings = {name: value if name in choices else float(f"{value:.3g}") for name, value in trial.params.items()}
    return {name: value for name, value in settings.items() if value != getattr(base, name)}


@contextlib.contextmanager
def engine_for(jobs: int | str, task: Task) -> Iterator[Engine]:
    """Within, workers that train trials: so many processes, or on Ray an actor for every core that is free now."""
    make = partial(_worker, task)
    if isinstance(jobs, int):
        engine: Engine = ProcessEngine(make, jobs)
        with contextlib.closing(engine):
            yield engine
        return
    from minipg.runtime.ray_engine import RayEngine, connected, release

    ray, own = connected("auto", available_threads())
    try:
        engine = RayEngine(make, max(1, int(ray.available_resources().get("CPU", 1))))
        with contextlib.closing(engine):
            yield engine
    finally:
        if own:
            release(ray)


def _worker(task: Task, worker: int) -> Trials:
    return Trials(task)


@dataclass
class _Running:
    """A trial in training: Optuna's, the evaluations of its agents by part, and the scores of its rounds so far.

    A long rollout has one evaluation, for the last of its parts.
    """

    trial: Any
    returns: dict[int, float] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)

    @property
    def next_part(self) -> int:
        """The part to train next. After the first round, the agents are evaluated for their score alone."""
        return max(self.returns, default=PARTS - LAST if self.scores else 0) + 1


class Search:
    """The trials of a study: `run` begins them, and stops those that are worse than the median of the others.

    `space`: see `AgentConfig.search_space`. `say` prints a line.
    """

    def __init__(
        self, study: Any, task: Task, space: Mapping[str, LogRange | Choices], say: Callable[[str], None]
    ) -> None:
        self._study, self._task, self._space, self._say = study, task, space, say
        self._states, self._running = import_optuna().trial.TrialState, dict[int, _Running]()
        so_far = ended(study)
        self._ended, self._all_failed = len(so_far), all(trial.state == self._states.FAIL for trial in so_far)
        self._best = best_of(study)

    def run(self, engine: Engine, trials: float, seconds: float) -> int:
        """Search until so many trials have ended, or for so many seconds. Returns the number of a signal, or 0.

        Trials that are in training then are begun again when the study is opened again. Raises EnvironmentFault if all
        of the first trials fail, or if a worker cannot be made anew.
        """
        until = time.monotonic() + seconds
        with signals_deferred(self._say) as signal_came:
            while not signal_came() and time.monotonic() < until and self._ended < trials:
                for worker in {*range(engine.workers)} - engine.busy:
                    if self._ended + len(self._running) < trials:
                        self._begin(engine, worker)
                if (event := engine.next(0.2)) is not None:
                    self._take(engine, *event)
        _begin_again(self._study)
        return signal_came()

    def _begin(self, engine: Engine, worker: int) -> None:
        trial = self._study.ask()
        self._running[worker] = _Running(trial)
        if "preset" not in trial.user_attrs:
            for name, values in self._space.items():
                if isinstance(values, LogRange):
                    trial.suggest_float(name, *values, log=True)
                else:
                    trial.suggest_categorical(name, values)
        self._advance(engine, worker)

    def _advance(self, engine: Engine, worker: int) -> None:
        running, task = self._running[worker], self._task
        until = -(-task.steps * running.next_part // PARTS)
        settings, number = settings_of(running.trial, task.base), running.trial.number
        engine.submit(worker, "advance", number, settings, task.seeds(len(running.scores)), until)

    def _take(self, engine: Engine, worker: int, answer: Any) -> None:
        """An answer of a worker: its trial ends, or goes on."""
        if worker not in self._running:  # it was made anew
            if isinstance(answer, Lost):
                raise EnvironmentFault(f"worker {worker} {answer.why} while it was made anew")
            return
        if not isinstance(answer, Lost) and not math.isfinite(answer[0]):
            answer = Lost(f"has a mean return of {answer[0]}")
        if isinstance(answer, Lost):
            self._fail(engine, worker, printable(answer.why, 300))
            return
        (value, steps), running = answer, self._running[worker]
        part = min(steps * PARTS // self._task.steps, PARTS)
        running.returns[part] = value
        if not running.scores:
            running.trial.report(value, part)
        if part == PARTS:
            self._end_round(engine, worker, running)
        elif not running.scores and "preset" not in running.trial.user_attrs and running.trial.should_prune():
            self._end(worker, f"return {value:.1f}, stopped at {steps:,} steps", self._states.PRUNED)
        else:
            self._advance(engine, worker)

    def _end_round(self, engine: Engine, worker: int, running: _Running) -> None:
        """All steps are trained: the trial ends, or is trained with other seeds if it may be the best."""
        running.scores.append(float(np.mean([value for part, value in running.returns.items() if part > PARTS - LAST])))
        score = float(np.mean(running.scores))
        if len(running.scores) < ROUNDS and (self._best is None or score >= self._best.value):
            running.returns.clear()
            self._advance(engine, worker)
        else:
            self._end(worker, f"score {score:.1f}", self._states.COMPLETE, score)

    def _fail(self, engine: Engine, worker: int, why: str) -> None:
        self._running[worker].trial.set_user_attr("why", why)
        self._end(worker, f"failed: {why}", self._states.FAIL)
        if self._all_failed and self._ended >= _HOPELESS:
            raise EnvironmentFault(f"all of the first {self._ended} trials failed; the last one {why}")
        engine.restart(worker)

    def _end(self, worker: int, line: str, state: Any, score: float | None = None) -> None:
        trial = self._study.tell(self._running.pop(worker).trial, score, state)
        self._ended, self._all_failed = self._ended + 1, self._all_failed and state == self._states.FAIL
        if score is not None and (self._best is None or _merit(trial) > _merit(self._best)):
            self._best = trial
        name = f"trial {trial.number}" + (" (the preset)" if "preset" in trial.user_attrs else "")
        best = f"   (best {self._best.value:.1f}, trial {self._best.number})" if self._best is not None else ""
        self._say(f"{name}: {line}{best}")
