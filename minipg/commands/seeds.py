"""`minipg train --seeds`: a folder of runs that differ by their seed; and `--resume` of such a folder."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from minipg.algorithms.agent_file import unknown_module
from minipg.checks import require
from minipg.commands.parsing import value_of, without
from minipg.errors import ConfigError, RunFolderError
from minipg.runtime.progress import lasting_console, print_line
from minipg.runtime.storage import write_json

_FILE = "seeds.json"


@dataclass(frozen=True)
class Seeds:
    """The arguments of `minipg train --seeds`, as seeds.json in the folder has them."""

    algorithm: str
    env: str
    flags: list[str]
    seeds: list[int]
    jobs: int

    @classmethod
    def read(cls, folder: Path) -> Seeds:
        """Read seeds.json. Raises RunFolderError if it is damaged."""
        try:
            saved = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            flags, seeds = [str(flag) for flag in saved["flags"]], [int(seed) for seed in saved["seeds"]]
            return cls(str(saved["algorithm"]), str(saved["env"]), flags, seeds, int(saved["jobs"]))
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise RunFolderError(f"{folder / _FILE}: damaged ({error!r})") from error

    def command(self, seed: int, run: Path) -> list[str]:
        """The arguments of `minipg train` for one seed."""
        return [self.algorithm, self.env, *self.flags, "--seed", str(seed), "--out", str(run)]


def is_of_seeds(folder: Path) -> bool:
    """Whether `folder` is one of several seeds."""
    return (folder / _FILE).is_file()


def train_seeds(algorithm: str, env: str, flags: list[str], run: Any) -> int:
    """`minipg train ALGORITHM ENV --seeds ... [flags]`; `run` has the parsed flags. Returns the exit status."""
    from minipg.runs import RunFolder
    from minipg.runs.seeds import path_of, seeds_of
    from minipg.runtime.backend import Backend
    from minipg.runtime.threads import available_threads

    Backend(run.backend)  # refuses a backend that cannot compute here, before a folder is made
    seeds = seeds_of(run.seeds or "")
    jobs = min(len(seeds), available_threads()) if run.jobs is None else run.jobs
    require(jobs >= 1, "jobs", "an integer ≥ 1", jobs)
    if value_of("--seed", flags) is not None:
        raise ConfigError("seed: give either --seed or --seeds")
    kept = without(("--seeds", "--jobs", "--out"), ("--json", "--no-json"), flags)
    plan = Seeds(algorithm, env, kept, seeds, jobs)
    folder = RunFolder.create(run.out, f"{algorithm}-{env}-seeds{run.seeds}")
    write_json(folder.path / _FILE, asdict(plan))
    commands = {seed: plan.command(seed, path_of(folder.shown, seed)) for seed in seeds}
    with folder.locked():
        return _train(folder, plan, commands, jobs, run.threads, run.json)


def resume_seeds(path: Path, options: Any) -> int:
    """`minipg train --resume FOLDER` of such a folder: start or continue every run that is not finished."""
    from minipg.runs import RunFolder

    folder, plan = RunFolder(path), Seeds.read(path)
    if options.env is None and unknown_module(plan.env) is not None:
        raise RunFolderError(f"{path}: nothing in a file is executed; if you trust its environment, --env {plan.env}")
    if options.env is not None:
        plan = replace(plan, env=options.env)
    jobs = plan.jobs if options.jobs is None else options.jobs
    require(jobs >= 1, "jobs", "an integer ≥ 1", jobs)
    with folder.locked():
        commands = {seed: _rest(plan, seed, folder.shown, options) for seed in plan.seeds}
        return _train(folder, plan, commands, jobs, options.threads, options.json)


def _rest(plan: Seeds, seed: int, folder: Path, options: Any) -> list[str]:
    """The arguments of `minipg train` that finish the run of one seed; none if it is finished."""
    from minipg.runs import RunFolder
    from minipg.runs.seeds import path_of, summary_of

    path, changes = path_of(folder, seed), [] if options.steps is None else ["--steps", str(options.steps)]
    changes += [] if options.backend is None else ["--backend", options.backend]
    run = RunFolder(path)
    if not (run.path / "config.json").is_file():  # it was not started, or killed before it was a run
        shutil.rmtree(run.path, ignore_errors=True)
        return [*plan.command(seed, path), *changes]
    total = run.config().get("steps") if options.steps is None else options.steps
    if isinstance(total, int) and summary_of(folder, seed).get("steps", -1) >= total:
        return []
    named = options.env is not None or ":" in plan.env  # its process has not imported the module yet
    return ["--resume", str(path), *changes, *(["--env", plan.env] if named else [])]


def _train(
    folder: Any, plan: Seeds, commands: dict[int, list[str]], jobs: int, threads: int | None, as_json: bool
) -> int:
    """Run the commands, print a line for each and a summary, and draw the curves. Returns the exit status."""
    from minipg.runs import RunFolder
    from minipg.runs.curves import curve_of, draw_curves
    from minipg.runs.seeds import run_seeds
    from minipg.runtime.threads import available_threads

    share = str(max(1, available_threads() // jobs) if threads is None else threads)
    say = partial(print_line, lasting_console(stderr=as_json))
    if not any(commands.values()):
        say(f"{folder.shown} is finished: all {len(commands)} seeds have their steps; a larger --steps continues them")
    else:
        say(f"{plan.algorithm} on {plan.env}, {len(commands)} seeds, {jobs} at a time, into {folder.shown}")
    whole = {seed: [*args, "--threads", share] if args else [] for seed, args in commands.items()}
    summary, status = run_seeds(whole, jobs, folder.shown, say)
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
