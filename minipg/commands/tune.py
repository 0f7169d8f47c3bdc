"""`minipg tune`: search an algorithm's settings for an environment; and `minipg tune --resume` of such a search."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from minipg.checks import require
from minipg.commands.parsing import (
    AgentFlags,
    env_and_flags,
    find_modules_here,
    flags_of,
    given,
    import_modules,
    parse,
    usage,
    value_of,
    values_of,
    without,
)  # fmt: skip
from minipg.commands.seeds import damaged, untrusted
from minipg.errors import MinipgError, RunFolderError
from minipg.runs.seeds import jobs_of
from minipg.runtime.files import read_json, write_json
from minipg.runtime.progress import lasting_console, print_error, print_line, printable
from minipg.runtime.threads import available_threads

_USAGE = "usage: minipg tune ALGORITHM ENV [flags], or minipg tune --resume DIR; flags: minipg tune ppo --help"
_FILE, _BASE, _BEST, _PICTURE = "tune.json", "preset.json", "best.json", "tune.png"
_ENDS = ("--trials", "--minutes", "--jobs", "--out")  # flags that a resumed search has anew
_ONLY_HERE = ("--seeds-per-trial", "--eval-episodes")  # that `minipg train` has not


@dataclass(frozen=True, kw_only=True)
class TuneFlags(AgentFlags):
    """Flags of `minipg tune` besides the algorithm's settings. A setting that a flag gives is not searched."""

    steps: int = 100_000
    """Environment steps of each agent."""
    trials: int | None = None
    """End when so many trials have ended; by default 100, or without --minutes alone."""
    minutes: float | None = None
    """End after so many minutes. Trials in training then are begun again by --resume."""
    jobs: str | None = None
    """How many trials train at the same time, by default one for every core; or ray: on a Ray cluster, the one at
    RAY_ADDRESS or of this machine, one for every core that is free at the start."""
    seeds_per_trial: int = 2
    """Agents of a trial. They are evaluated after each fifth of the steps; their score is the mean return of the last
    two evaluations. A trial that is as good as the best so far is trained with twice as many other seeds too, and its
    score is the mean over all. The first trial is the preset. Others are stopped early if their best evaluation is
    below the median of those before after the same steps."""
    eval_episodes: int = 8
    """Whole deterministic episodes of an evaluation."""
    seed: int = 0
    """Of the search and of the first agent; the others have the next ones. With --jobs 1 the same seed gives the same
    trials."""
    out: Path | None = None
    """The folder to make; by default a new one below runs/."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""

    def __post_init__(self) -> None:
        for name in ("steps", "trials", "seeds_per_trial", "eval_episodes"):
            value = getattr(self, name)
            require(value is None or 1 <= value < 2**63, name, "an integer ≥ 1", value)
        require(0 <= self.seed < 2**63, "seed", "an integer ≥ 0", self.seed)
        if self.jobs is not None:
            jobs_of(self.jobs)
        require(self.minutes is None or 0 < self.minutes < math.inf, "minutes", "a finite number > 0", self.minutes)


@dataclass(frozen=True, kw_only=True)
class ResumeFlags:
    """Flags of `minipg tune --resume DIR`."""

    trials: int | None = None
    """End when so many trials have ended in all; by default 100, or without --minutes alone."""
    minutes: float | None = None
    """End after so many minutes."""
    jobs: str | None = None
    """How many trials train at the same time, by default one for every core; or ray."""
    imports: tuple[str, ...] = ()
    """Modules to import first. No file of a search has anything imported."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""


def run(args: list[str]) -> int:
    """`minipg tune ALGORITHM ENV [flags]`. Returns the exit status."""
    from minipg.algorithms import algorithm_named
    from minipg.algorithms.preset_file import write_preset
    from minipg.algorithms.presets import preset_for
    from minipg.envs import closed_after
    from minipg.runs import RunFolder
    from minipg.runs.search import import_optuna, open_study

    if args and args[0].partition("=")[0] == "--resume":
        return _resume(args)
    wants_help = "--help" in args or "-h" in args
    if not args or args[0].startswith("-"):
        return usage(_USAGE, wants_help)
    find_modules_here(args[0])
    algorithm = algorithm_named(args[0])
    env, flags = env_and_flags(args)
    if env is None and not wants_help:
        return usage(_USAGE, False)
    env = "ENV" if env is None else env
    base = algorithm.Config(**preset_for(algorithm, env, value_of("--preset", flags)))
    own, base = parse((TuneFlags(), base), flags, f"minipg tune {args[0]} {env}")
    base = base.following(given(flags))
    import_optuna()
    plan = _Plan(args[0], env, without(_ENDS, ("--json", "--no-json"), flags), own, base)
    here = Path.cwd()
    find_modules_here(env)
    with closed_after(plan.task().agent({}, own.seed).envs):
        pass
    require(bool(plan.space), "settings", "one that is searched and not fixed by a flag", sorted(plan.fixed))
    folder = RunFolder.create(own.out, f"tune-{algorithm.name}-{env}", here)
    write_preset(folder.path / _BASE, algorithm, base, env=env)
    with folder.locked():
        study = open_study(folder.path, plan.name, own.seed, new=True)
        write_json(folder.path / _FILE, {"algorithm": plan.algorithm, "env": env, "flags": plan.flags})
        return _search(folder, study, plan, own)


def _resume(args: list[str]) -> int:
    from minipg.runs import RunFolder
    from minipg.runs.search import open_study

    path, joined = value_of("--resume", args), "=" in args[0]
    wants_help, named = "--help" in args or "-h" in args, path is not None and (joined or not path.startswith("-"))
    if path is None or not (named or wants_help):
        return usage(_USAGE, False)
    (options,) = parse(
        (ResumeFlags(),), args[1 if joined or not named else 2 :], f"minipg tune --resume {path if named else 'DIR'}"
    )
    import_modules(options.imports)
    folder = RunFolder(Path(path))
    plan = _Plan.read(folder.path, options.imports)
    own = dataclasses.replace(
        plan.own, trials=options.trials, minutes=options.minutes, jobs=options.jobs, json=options.json
    )
    with folder.locked():
        return _search(folder, open_study(folder.path, plan.name, own.seed, new=False), plan, own)


@dataclass(frozen=True)
class _Plan:
    """What is searched: `flags` of the command, `own` and `base` as parsed from them."""

    algorithm: str
    env: str
    flags: list[str]
    own: TuneFlags
    base: Any

    @classmethod
    def read(cls, folder: Path, imports: tuple[str, ...]) -> _Plan:
        """The plan in a folder. Raises RunFolderError if it is damaged, or if it needs other modules than `imports`."""
        from minipg.algorithms import algorithm_named
        from minipg.algorithms.preset_file import read_preset
        from minipg.envs import modules_of

        path = folder / _FILE
        if not path.is_file():
            raise RunFolderError(f"{folder}: holds no search of settings (no {_FILE})")
        try:
            saved = read_json(path)
            algorithm, env, flags = str(saved["algorithm"]), str(saved["env"]), [str(flag) for flag in saved["flags"]]
            if {"-h", "--help"} & {*flags}:
                raise ValueError("its flags cannot be")
            wrappers, named = values_of("--wrapper", flags), values_of("--imports", flags)
            if unnamed := {*modules_of(algorithm, env, *wrappers), *named} - {*imports}:
                raise untrusted(path, unnamed)
            found = algorithm_named(algorithm)
            base = found.Config(**read_preset(folder / _BASE, found))
            return cls(algorithm, env, flags, *parse((TuneFlags(), base), flags, "minipg tune"))
        except RunFolderError:
            raise
        except (OSError, ValueError, TypeError, KeyError, RecursionError, MinipgError) as error:
            raise damaged(path, error) from error

    @property
    def name(self) -> str:
        """Of the study in the database."""
        return f"{self.algorithm} on {self.env}"

    @property
    def fixed(self) -> set[str]:
        """The settings that flags give."""
        names = {name if hasattr(self.base, name) else name.removeprefix("no_") for name in given(self.flags)}
        return {name for name in names if hasattr(self.base, name)}

    @property
    def space(self) -> dict[str, Any]:
        """What is searched."""
        space: dict[str, Any] = self.base.search_space(self.fixed)
        return space

    def task(self) -> Any:
        """What the workers train."""
        from minipg.envs import modules_of
        from minipg.runs.trials import Task

        own = self.own
        modules = modules_of(self.env, *own.wrapper) if own.env_kwargs or own.wrapper else []
        return Task(
            self.algorithm, self.env, self.base, own.steps, own.seed, own.seeds_per_trial,
            own.eval_episodes, own.env_kwargs, own.wrapper, own.frames, (*own.imports, *modules), own.backend,
        )  # fmt: skip

    def command(self, settings: dict[str, Any]) -> str:
        """The command line that trains with these settings."""
        own = without(_ONLY_HERE, (), self.flags)
        return shlex.join(["minipg", "train", self.algorithm, self.env, *own, *flags_of(settings)])


def _search(folder: Any, study: Any, plan: _Plan, own: TuneFlags) -> int:
    """Run the search, and write what it has found. Returns the exit status."""
    from minipg.runs.search import Search, engine_for

    say = partial(print_line, lasting_console(stderr=own.json))
    trials = own.trials or (math.inf if own.minutes else 100)
    cores = available_threads()
    jobs = min(cores, own.trials or cores) if own.jobs is None else jobs_of(own.jobs)
    where = "on Ray" if jobs == "ray" else f"{jobs} at a time"
    say(f"{plan.name}, {where}, into {folder.shown}; searched: {', '.join(plan.space)}")
    signal = 0
    task = plan.task()
    with engine_for(jobs, task) as engine:
        try:
            signal = Search(study, task, plan.space, say).run(engine, trials, 60 * (own.minutes or math.inf))
        finally:
            summary = _write(folder, study, plan)
    if summary and own.json:
        print(json.dumps(summary))
    elif summary:
        count = "1 trial" if summary["trials"] == 1 else f"{summary['trials']} trials"
        say(f"{count}, best score {summary['score']:.1f}: {folder.shown / _PICTURE}")
        print(printable(summary["command"]))
    else:
        say("no trial is complete")
    if signal:
        print_error(f"interrupted; minipg tune --resume {shlex.quote(str(folder.shown))} continues")
    return 128 + signal if signal else 0


def _write(folder: Any, study: Any, plan: _Plan) -> dict[str, Any]:
    """Write the best settings and the picture. Returns a summary, empty if no trial is complete."""
    from minipg.algorithms import algorithm_named
    from minipg.algorithms.preset_file import write_preset
    from minipg.runs.search import best_of, ended, settings_of
    from minipg.runs.search_picture import draw_search

    best = best_of(study)
    if best is None:
        return {}
    settings = settings_of(best, plan.base)
    about = {"env": plan.env, "score": best.value, "steps": plan.own.steps, "command": plan.command(settings)}
    write_preset(folder.path / _BEST, algorithm_named(plan.algorithm), plan.task().config(settings), **about)
    draw_search(study, plan.space, printable(plan.name, 100), folder.path / _PICTURE)
    counts = {"trials": len(ended(study)), "trial": best.number, "settings": settings, "run": str(folder.shown)}
    return {"algorithm": plan.algorithm, **about, **counts}
