"""`minipg train --seeds`, and its resumption: a folder of runs that differ by their seed."""

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
from minipg.runtime.progress import lasting_console, say_on
from minipg.runtime.storage import write_json

_FILE = "seeds.json"


@dataclass(frozen=True)
class Seeds:
    """What `minipg train --seeds` was asked for; the folder's seeds.json."""

    algorithm: str
    env: str
    flags: list[str]
    seeds: list[int]
    jobs: int

    @classmethod
    def read(cls, folder: Path) -> Seeds:
        """Raises RunFolderError for a file that is damaged."""
        try:
            saved = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            flags, seeds = [str(flag) for flag in saved["flags"]], [int(seed) for seed in saved["seeds"]]
            return cls(str(saved["algorithm"]), str(saved["env"]), flags, seeds, int(saved["jobs"]))
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise RunFolderError(f"{folder / _FILE}: damaged ({error!r})") from error

    def command(self, seed: int, run: Path) -> list[str]:
        """The arguments of `minipg train` for one of them, from its beginning."""
        return [self.algorithm, self.env, *self.flags, "--seed", str(seed), "--out", str(run)]


def is_of_seeds(folder: Path) -> bool:
    """Whether this is the folder of several seeds."""
    return (folder / _FILE).is_file()


def train_seeds_command(algorithm: str, env: str, flags: list[str], run: Any) -> int:
    """`minipg train ALGORITHM ENV --seeds ... [flags]`, parsed into `run`, and its exit status."""
    from minipg.runs import RunFolder
    from minipg.runs.seeds import place_of, seeds_of
    from minipg.runtime.backend import Backend
    from minipg.runtime.threads import available_threads

    Backend(run.backend)  # one that cannot compute here is refused before there is a folder
    seeds = seeds_of(run.seeds or "")
    jobs = min(len(seeds), available_threads()) if run.jobs is None else run.jobs
    require(jobs >= 1, "jobs", "an integer ≥ 1", jobs)
    if value_of("--seed", flags) is not None:
        raise ConfigError("seed: give either --seed or --seeds")
    kept = without(("--seeds", "--jobs", "--out"), ("--json", "--no-json"), flags)
    asked = Seeds(algorithm, env, kept, seeds, jobs)
    folder = RunFolder.create(run.out, f"{algorithm}-{env}-seeds{run.seeds}")
    write_json(folder.path / _FILE, asdict(asked))
    commands = {seed: asked.command(seed, place_of(folder.shown, seed)) for seed in seeds}
    with folder.locked():
        return _train(folder, asked, commands, jobs, run.threads, run.json)


def resume_seeds_command(path: Path, options: Any) -> int:
    """`minipg train --resume FOLDER` of such a folder: whatever has not ended goes on, or begins."""
    from minipg.runs import RunFolder

    folder, asked = RunFolder(path), Seeds.read(path)
    if options.env is None and unknown_module(asked.env) is not None:
        raise RunFolderError(f"{path}: nothing in a file is executed; if you trust its environment, --env {asked.env}")
    if options.env is not None:
        asked = replace(asked, env=options.env)
    jobs = asked.jobs if options.jobs is None else options.jobs
    require(jobs >= 1, "jobs", "an integer ≥ 1", jobs)
    with folder.locked():
        commands = {seed: _rest(asked, seed, folder.shown, options) for seed in asked.seeds}
        return _train(folder, asked, commands, jobs, options.threads, options.json)


def _rest(asked: Seeds, seed: int, folder: Path, options: Any) -> list[str]:
    """The arguments of `minipg train` for what one of them has yet to do; none where it has its steps."""
    from minipg.runs import RunFolder
    from minipg.runs.seeds import account_of, place_of

    path, changes = place_of(folder, seed), [] if options.steps is None else ["--steps", str(options.steps)]
    changes += [] if options.backend is None else ["--backend", options.backend]
    run = RunFolder(path)
    if not (run.path / "config.json").is_file():  # it was killed before there was a run, or not begun
        shutil.rmtree(run.path, ignore_errors=True)
        return [*asked.command(seed, path), *changes]
    total = run.config().get("steps") if options.steps is None else options.steps
    if isinstance(total, int) and account_of(folder, seed).get("steps", -1) >= total:
        return []
    named = options.env is not None or ":" in asked.env  # a module that is loaded here is not in its process
    return ["--resume", str(path), *changes, *(["--env", asked.env] if named else [])]


def _train(
    folder: Any, asked: Seeds, commands: dict[int, list[str]], jobs: int, threads: int | None, as_json: bool
) -> int:
    """Run them all, and tell of all in a line each, a summary and a picture."""
    from minipg.runs import RunFolder
    from minipg.runs.curves import curve_of, draw_curves
    from minipg.runs.seeds import train_seeds
    from minipg.runtime.threads import available_threads

    share = str(max(1, available_threads() // jobs) if threads is None else threads)
    say = partial(say_on, lasting_console(stderr=as_json))
    if not any(commands.values()):
        say(f"{folder.shown}: all {len(commands)} seeds have their steps; --steps with a larger number goes on")
    else:
        say(f"{asked.algorithm} on {asked.env}, {len(commands)} seeds, {jobs} at a time, into {folder.shown}")
    whole = {seed: [*args, "--threads", share] if args else [] for seed, args in commands.items()}
    account, status = train_seeds(whole, jobs, folder.shown, say)
    curves = []
    for path in account["runs"]:
        with contextlib.suppress(RunFolderError):  # no episode of it has ended
            curves.append(curve_of(RunFolder(Path(path))))
    if curves:
        draw_curves(curves, folder.path / "curves.png")
    account = {"algorithm": asked.algorithm, "env": asked.env, **account, "run": str(folder.shown)}
    if as_json:
        print(json.dumps(account))
    elif account["mean_return"] is not None:
        count, mean, deviation = len(account["seeds"]), account["mean_return"], account["std_return"]
        say(f"{count} seeds in {account['seconds']:.0f} s: mean return {mean:.1f} ± {deviation:.1f}")
        say(f"{folder.shown / 'curves.png'}")
    return status
