"""`minipg train --seeds`: a folder of runs that differ by their seed; and `--resume` of such a folder."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from minipg.algorithms.agent_file import unknown_module
from minipg.checks import require
from minipg.commands.parsing import given, parse, value_of, without
from minipg.envs import modules_of
from minipg.errors import ConfigError, MinipgError, RunFolderError
from minipg.runs.seeds import Ends, ends_here, jobs_of, path_of, run_seeds, seeds_of, summary_of
from minipg.runtime.files import read_json, require_no_link, write_json
from minipg.runtime.progress import lasting_console, print_line

_FILE = "seeds.json"


@dataclass(frozen=True)
class Seeds:
    """The arguments of `minipg train --seeds`, as seeds.json in the folder has them."""

    algorithm: str
    env: str
    flags: list[str]
    seeds: list[int]
    jobs: int | str
    """How many train at the same time on this machine, or "ray"."""

    @classmethod
    def read(cls, folder: Path, flags_of_train: Any) -> Seeds:
        """Read seeds.json. Raises RunFolderError if it is damaged, or is more than runs of this folder."""
        try:
            saved = read_json(folder / _FILE)
            flags, seeds = [str(flag) for flag in saved["flags"]], seeds_of(",".join(map(str, saved["seeds"])))
            plan = cls(str(saved["algorithm"]), str(saved["env"]), flags, seeds, jobs_of(str(saved["jobs"])))
            plan.require_runs(flags_of_train)
            return plan
        except RunFolderError:
            raise
        except (OSError, ValueError, TypeError, KeyError, RecursionError, MinipgError) as error:
            raise damaged(folder / _FILE, error) from error

    def require_runs(self, flags_of_train: Any) -> None:
        """Raise ValueError or MinipgError if a command would be anything but a training into the folder of its seed."""
        words = [self.algorithm, self.env, *self.flags]
        if any("\0" in word or not os.fsencode(word) for word in words) or {"-h", "--help"} & {*words}:
            raise ValueError("its flags cannot be")
        own = self.own(flags_of_train)
        if self.env.startswith("-") or {"out", "seed", "seeds", "jobs", "json", "no_json"} & given(self.flags):
            raise ValueError("its flags are not those of every seed")
        require(own.jobs is None, "jobs", "none of one seed", own.jobs)

    def own(self, flags_of_train: Any) -> Any:
        """`flags_of_train` with the values that these flags give to them."""
        from minipg.algorithms import algorithm_named
        from minipg.runs import Plan

        if unnamed := [module for module in modules_of(self.algorithm) if module not in sys.modules]:
            raise untrusted(_FILE, unnamed)
        config = algorithm_named(self.algorithm).Config()
        own, *_ = parse((flags_of_train, Plan(), config), self.flags, "minipg train")
        return own

    def command(self, seed: int, run: Path) -> list[str]:
        """The arguments of `minipg train` for one seed."""
        return [self.algorithm, self.env, *self.flags, "--seed", str(seed), "--out", str(run)]


def is_of_seeds(folder: Path) -> bool:
    """Whether `folder` is one of several seeds."""
    return (folder / _FILE).is_file()


def train_seeds(algorithm: str, env: str, flags: list[str], run: Any) -> int:
    """`minipg train ALGORITHM ENV --seeds ... [flags]`; `run` has the parsed flags. Returns the exit status."""
    from minipg.runs import RunFolder
    from minipg.runtime.backend import Backend
    from minipg.runtime.threads import available_threads

    Backend(run.backend)  # refuses a backend that cannot compute here, before a folder is made
    seeds = seeds_of(run.seeds or "")
    jobs = min(len(seeds), available_threads()) if run.jobs is None else jobs_of(run.jobs)
    if value_of("--seed", flags) is not None:
        raise ConfigError("seed: give either --seed or --seeds")
    kept = without(("--seeds", "--jobs", "--out"), ("--json", "--no-json"), flags)
    plan = Seeds(algorithm, env, kept, seeds, jobs)
    folder = RunFolder.create(run.out, f"{algorithm}-{env}-seeds{run.seeds}")
    write_json(folder.path / _FILE, asdict(plan))
    commands = {seed: plan.command(seed, path_of(folder.shown, seed)) for seed in seeds}
    with folder.locked():
        return _train(folder, plan, commands, jobs, run.threads, run.json)


def resume_seeds(path: Path, options: Any, flags_of_train: Any) -> int:
    """`minipg train --resume FOLDER` of such a folder: start or continue every run that is not finished.

    `options` has the parsed flags; `flags_of_train` are those of `minipg train` that are no settings.
    """
    from minipg.runs import RunFolder
    from minipg.runtime.threads import available_threads

    folder, plan = RunFolder(path), Seeds.read(path, flags_of_train)
    if options.env is None and unknown_module(plan.env) is not None:
        raise RunFolderError(f"{path}: nothing in a file is executed; if you trust its environment, --env {plan.env}")
    own = plan.own(flags_of_train)
    if unnamed := {*own.imports, *modules_of(plan.algorithm, *own.wrapper)} - {*options.imports}:
        raise untrusted(path, unnamed)
    if options.env is not None:
        plan = replace(plan, env=options.env)
    # the file may ask for thousands of processes, and does not choose a cluster
    most = available_threads()
    asked = most if isinstance(plan.jobs, str) else min(plan.jobs, most)
    jobs = asked if options.jobs is None else jobs_of(options.jobs)
    with folder.locked():
        commands = {seed: _rest(plan, seed, folder.shown, options) for seed in plan.seeds}
        return _train(folder, plan, commands, jobs, options.threads, options.json)


def untrusted(path: Path | str, modules: Iterable[str]) -> RunFolderError:
    """The error for a file that names modules which the command does not."""
    names = shlex.join(sorted(modules))
    return RunFolderError(f"{path}: nothing in a file is executed; if you trust its modules, --imports {names}")


def damaged(path: Path, error: Exception) -> RunFolderError:
    """The error for a file from which no plan can be read."""
    reason = getattr(error, "strerror", None) or (error if isinstance(error, MinipgError) else repr(error))
    return RunFolderError(f"{path}: damaged ({reason})")


def _rest(plan: Seeds, seed: int, folder: Path, options: Any) -> list[str]:
    """The arguments of `minipg train` that finish the run of one seed; none if it is finished."""
    from minipg.runs import RunFolder

    path, changes = path_of(folder, seed), [] if options.steps is None else ["--steps", str(options.steps)]
    changes += [] if options.backend is None else ["--backend", options.backend]
    run = RunFolder(path)
    require_no_link(run.path)
    if not (run.path / "config.json").is_file():
        _clear(run.path)
        return [*plan.command(seed, path), *changes]
    total = run.config().get("steps") if options.steps is None else options.steps
    if isinstance(total, int) and summary_of(folder, seed).get("steps", -1) >= total:
        return []
    named = options.env is not None or ":" in plan.env  # its process has not imported the module yet
    imports = ["--imports", *options.imports] if options.imports else []
    return ["--resume", str(path), *changes, *imports, *(["--env", plan.env] if named else [])]


def _clear(run: Path) -> None:
    """Remove what is left of a run that was killed before it had a config.json.

    Raises RunFolderError if there is anything else in its folder, or another thing in its place.
    """
    from minipg.runs import Checkpoints

    checkpoints = Checkpoints(run).folder
    left = [run / ".lock", *run.glob(".config.json.*"), *checkpoints.glob(".*.npz.*"), checkpoints / f"{0:012d}.npz"]
    others = {*run.glob("*"), *checkpoints.glob("*")} - {*left, checkpoints}
    if run.is_file() or others or any(path.is_dir() for path in left):
        raise RunFolderError(f"{run}: holds no run (no config.json), but other files: move it away to start this seed")
    for path in left:
        path.unlink(missing_ok=True)
    for folder in (checkpoints, run):
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()


def _ends(jobs: int | str, threads: int) -> Ends:
    """What runs the seeds: processes of this machine, or tasks on a Ray cluster with so many `threads`."""
    if isinstance(jobs, int):
        return partial(ends_here, jobs=jobs)
    from minipg.runs.ray_seeds import ends_on_ray

    return partial(ends_on_ray, threads=threads)


def _train(
    folder: Any, plan: Seeds, commands: dict[int, list[str]], jobs: int | str, threads: int | None, as_json: bool
) -> int:
    """Run the commands, print a line for each and a summary, and draw the curves. Returns the exit status."""
    from minipg.runs import RunFolder
    from minipg.runs.curves import curve_of, draw_curves
    from minipg.runtime.threads import available_threads

    here = 1 if isinstance(jobs, str) else max(1, available_threads() // jobs)
    share, where = here if threads is None else threads, "on Ray" if jobs == "ray" else f"{jobs} at a time"
    say = partial(print_line, lasting_console(stderr=as_json))
    if not any(commands.values()):
        say(f"{folder.shown} is finished: all {len(commands)} seeds have their steps; a larger --steps continues them")
    else:
        say(f"{plan.algorithm} on {plan.env}, {len(commands)} seeds, {where}, into {folder.shown}")
    whole = {seed: [*args, "--threads", str(share)] if args else [] for seed, args in commands.items()}
    summary, status = run_seeds(whole, _ends(jobs, share), folder.shown, say)
    curves = []
    for path in summary["runs"]:
        with contextlib.suppress(RunFolderError):  # no episode of it has ended
            curves.append(curve_of(RunFolder(Path(path))))
    if curves:
        draw_curves(curves, folder.path / "curves.png")
    summary = {"algorithm": plan.algorithm, "env": plan.env, **summary, "run": str(folder.shown)}
    if as_json:
        print(json.dumps(summary))
    elif summary["mean_return"] is not None:
        count, mean, deviation = len(summary["seeds"]), summary["mean_return"], summary["std_return"]
        say(f"{count} seeds in {summary['seconds']:.0f} s: mean return {mean:.1f} ± {deviation:.1f}")
        say(f"{folder.shown / 'curves.png'}")
    return status
