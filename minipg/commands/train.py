"""`minipg train`: an agent, trained into a run folder; and `minipg train --resume`, which goes on with one."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from minipg.checks import require
from minipg.commands.parsing import parse, usage, value_of
from minipg.commands.seeds import is_of_seeds, resume_seeds_command, train_seeds_command
from minipg.errors import unknown_name
from minipg.runs.train import Plan
from minipg.runtime.progress import Progress, lasting_console


@dataclass(frozen=True, kw_only=True)
class TrainFlags:
    """Flags of `minipg train` besides the plan of the run and the algorithm's own settings."""

    seed: int = 0
    """The same seed gives the same agent to the bit, whatever the number of threads."""
    seeds: str | None = None
    """Several runs, one a seed: 0-9, or 0,1,5. Each has a folder of its own in the run folder."""
    jobs: int | None = None
    """How many of several runs go on at a time; by default one for every core."""
    preset: str | None = None
    """Settings to begin with, by name; by default those of the environment. A flag always wins over a preset."""
    backend: str = "numba"
    """The twin that computes: numba, numpy, or cupy on a GPU."""
    threads: int | None = None
    """Threads to use; by default every core this process may use."""
    out: Path | None = None
    """The run folder to make; by default a new one under runs/."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""


@dataclass(frozen=True, kw_only=True)
class ResumeFlags:
    """Flags of `minipg train --resume RUN`."""

    steps: int | None = None
    """Environment steps to train for in all; by default as many as the run was to have."""
    env: str | None = None
    """The environment, by default the one it was begun on. An id module:name has to be given: it imports a module."""
    backend: str | None = None
    """The twin that computes: numba, numpy, or cupy on a GPU; by default the one it was begun on."""
    threads: int | None = None
    """Threads to use; by default every core this process may use."""
    jobs: int | None = None
    """Of a folder of several seeds, how many go on at a time; by default as many as there were."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""


def train_command(args: list[str]) -> int:
    """`minipg train ALGORITHM ENV [flags]`, and its exit status."""
    from minipg.algorithms import ALGORITHMS
    from minipg.algorithms.presets import preset_for
    from minipg.envs import closed_after
    from minipg.runs import RunFolder, train

    if args and args[0].partition("=")[0] == "--resume":
        return _resume(args)
    wants_help = "--help" in args or "-h" in args
    if not args or args[0].startswith("-"):
        line = (
            "usage: minipg train ALGORITHM ENV [flags], or minipg train --resume RUN; flags: minipg train trpo --help"
        )
        return usage(line, wants_help)
    if args[0] not in ALGORITHMS:
        raise unknown_name("algorithm", args[0], ALGORITHMS)
    algorithm = ALGORITHMS[args[0]]
    if (len(args) < 2 or args[1].startswith("-")) and not wants_help:
        return usage(f"usage: minipg train {args[0]} ENV [flags], e.g. minipg train {args[0]} CartPole-v1", False)
    env, flags = (args[1], args[2:]) if len(args) > 1 and not args[1].startswith("-") else ("ENV", args[1:])

    chosen = algorithm.Config(**preset_for(algorithm.name, env, value_of("--preset", flags)))
    options = dataclasses.make_dataclass(
        "Options",
        [
            ("run", Annotated[TrainFlags, tyro.conf.arg(name="")], dataclasses.field(default_factory=TrainFlags)),
            ("plan", Annotated[Plan, tyro.conf.arg(name="")], dataclasses.field(default_factory=Plan)),
            ("config", Annotated[algorithm.Config, tyro.conf.arg(name="")], dataclasses.field(default=chosen)),
        ],
    )
    parsed = parse(options, flags, f"minipg train {algorithm.name} {env}", (TrainFlags, Plan, algorithm.Config))
    run, plan, config = parsed.run, parsed.plan, parsed.config
    if run.seeds is not None:
        return train_seeds_command(algorithm.name, env, flags, run)
    here = Path.cwd()  # before an environment goes elsewhere
    agent = algorithm(env, seed=run.seed, config=config, backend=run.backend, threads=run.threads)
    with closed_after(agent.envs):
        folder = RunFolder.create(run.out, f"{algorithm.name}-{env}-seed{run.seed}", here)
        display = Progress(f"{algorithm.name} {env}", plan.steps, lasting_console(stderr=run.json))
        display.say(f"{algorithm.name} on {env}, seed {run.seed}, into {folder.shown}")
        return _told(train(agent, folder, display, plan), run.json)


def _resume(args: list[str]) -> int:
    from minipg.runs import RunFolder, resume

    wants_help = "--help" in args or "-h" in args
    run = value_of("--resume", args)
    joined = "=" in args[0]
    if (run is None or (run.startswith("-") and not joined)) and not wants_help:
        return usage(
            "usage: minipg train --resume RUN [--steps N] [--backend B] [--threads N] [--jobs N] [--json]", False
        )
    flags = args[1 if joined or run is None or run.startswith("-") else 2 :]
    options = parse(ResumeFlags, flags, f"minipg train --resume {run or 'RUN'}", (ResumeFlags,))
    if is_of_seeds(Path(run or "")):
        return resume_seeds_command(Path(run or ""), options)
    require(options.jobs is None, "jobs", "none: it is one run", options.jobs)
    folder = RunFolder.existing(Path(run or ""))

    def show(agent: Any, plan: Plan) -> Progress:
        return Progress(f"{agent.name} {agent.env_id}", plan.steps, lasting_console(stderr=options.json))

    changes = {} if options.steps is None else {"steps": options.steps}
    return _told(
        resume(folder, show, threads=options.threads, backend=options.backend, env=options.env, **changes), options.json
    )


def _told(summary: dict[str, Any], as_json: bool) -> int:
    """Print the account of a run; the exit status, by custom 128 and the signal that ended it."""
    number, learnt = summary.pop("signal"), summary.pop("learnt")
    if number:
        print(f"minipg: interrupted; minipg train --resume {summary['run']} goes on", file=sys.stderr)
    if as_json:
        print(json.dumps(summary))
    elif learnt:
        mean = summary["mean_return"]
        print(
            f"{summary['steps']:,} steps in {summary['seconds']:.1f} s ({summary['steps_per_second']:,.0f} steps/s), "
            + ("no episode ended" if mean is None else f"mean return of the last 100 episodes {mean:.1f}")
            + f"\nminipg evaluate {summary['run']}"
        )
    return 128 + number if number else 0
