"""`minipg train`: an agent, trained into a run folder."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from minipg.commands.parsing import parse, usage, value_of
from minipg.errors import ConfigError, unknown_name


@dataclass(frozen=True, kw_only=True)
class TrainFlags:
    """Flags of `minipg train` besides the algorithm's own settings."""

    steps: int = 100_000
    """Environment steps to train for; whole rollouts are made, so the last may go a little beyond."""
    seed: int = 0
    """The same seed gives the same agent to the bit, whatever the number of threads."""
    preset: str | None = None
    """Settings to begin with, by name; by default those of the environment. A flag always wins over a preset."""
    backend: str = "numba"
    """The twin that computes: numba or numpy."""
    threads: int | None = None
    """Threads to use; by default every core this process may use."""
    out: Path | None = None
    """The run folder to make; by default a new one under runs/."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""


def train_command(args: list[str]) -> int:
    """`minipg train ALGORITHM ENV [flags]`, and its exit status."""
    from rich.console import Console

    from minipg.algorithms import ALGORITHMS
    from minipg.algorithms.presets import preset_for
    from minipg.progress import Progress
    from minipg.runs import RunFolder, train

    wants_help = "--help" in args or "-h" in args
    if not args or args[0].startswith("-"):
        return usage("usage: minipg train ALGORITHM ENV [flags]; flags: minipg train trpo --help", wants_help)
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
            ("config", Annotated[algorithm.Config, tyro.conf.arg(name="")], dataclasses.field(default=chosen)),
        ],
    )
    parsed = parse(options, flags, f"minipg train {algorithm.name} {env}", (TrainFlags, algorithm.Config))
    run, config = parsed.run, parsed.config
    if run.steps < 1:
        raise ConfigError(f"steps: expected an integer ≥ 1, got {run.steps}")
    agent = algorithm(env, seed=run.seed, config=config, backend=run.backend, threads=run.threads)
    folder = RunFolder.create(run.out, f"{algorithm.name}-{env}-seed{run.seed}")
    console = Console(stderr=run.json)
    console.print(
        f"{algorithm.name} on {env}, seed {run.seed}, into {folder.path}", highlight=False, markup=False, soft_wrap=True
    )
    summary = train(agent, run.steps, folder, Progress(f"{algorithm.name} {env}", run.steps, console))
    interrupted = summary.pop("interrupted")
    if interrupted:
        print(f"minipg: interrupted; the agent is saved in {folder.path}", file=sys.stderr)
    if run.json:
        print(json.dumps(summary))
    else:
        mean = summary["mean_return"]
        print(
            f"{summary['steps']:,} steps in {summary['seconds']:.1f} s ({summary['steps_per_second']:,.0f} steps/s), "
            + ("no episode ended" if mean is None else f"mean return of the last 100 episodes {mean:.1f}")
            + f"\nminipg evaluate {folder.path}"
        )
    return 130 if interrupted else 0
