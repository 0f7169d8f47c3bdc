"""`minipg train`: train an agent into a run folder; and `minipg train --resume`: continue a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minipg.checks import require
from minipg.commands.parsing import (
    AgentFlags,
    env_and_flags,
    find_modules_here,
    given,
    import_modules,
    parse,
    usage,
    value_of,
    values_of,
)
from minipg.commands.seeds import is_of_seeds, resume_seeds, train_seeds
from minipg.runs import Checkpoints, Plan, RunFolder, resume, train
from minipg.runtime.progress import Progress, lasting_console, print_error, printable
from minipg.runtime.startup import collect_garbage_again

_TRAIN = "usage: minipg train ALGORITHM ENV [flags], or minipg train --resume RUN; flags: minipg train trpo --help"
_RESUME = "usage: minipg train --resume RUN [--steps N] [--env ENV] [--jobs N|ray] … [settings that change]"

if TYPE_CHECKING:
    from minipg.algorithms import Agent


@dataclass(frozen=True, kw_only=True)
class TrainFlags(AgentFlags):
    """Flags of `minipg train` besides the plan of the run and the algorithm's own settings."""

    seed: int = 0
    """The same seed gives the same agent to the bit, for any number of threads. Not of a3c with several workers,
    nor of dppo with --drop."""
    seeds: str | None = None
    """Several runs, one a seed: 0-9, or 0,1,5. Each has a folder of its own in the run folder."""
    jobs: str | None = None
    """How many of several runs train at the same time, by default one for every core; or ray: each is a task on a Ray
    cluster, the one at RAY_ADDRESS or of this machine."""
    threads: int | None = None
    """Threads to use; by default every core this process may use."""
    out: Path | None = None
    """The run folder to make; by default a new one below runs/. Its metrics.csv has a row for every update; of a2c,
    whose updates are very short, one for as many updates as take 500 steps."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""


@dataclass(frozen=True, kw_only=True)
class ResumeFlags:
    """Flags of `minipg train --resume RUN`, besides the algorithm's settings: what is given changes from there on."""

    steps: int | None = None
    """Environment steps in all; by default as many as were planned."""
    target_return: float | None = None
    """End the run at this mean return; by default at the one that was planned."""
    env: str | None = None
    """The environment, by default the run's own. An id module:name has to be given: its module is imported."""
    imports: tuple[str, ...] = ()
    """Modules to import first, for the environments and wrappers in them. No file of a run has anything imported."""
    backend: str | None = None
    """The twin that computes: numba, numpy, or cupy on a GPU; by default the run's own."""
    threads: int | None = None
    """Threads to use; by default every core this process may use."""
    jobs: str | None = None
    """In a folder of several seeds, how many runs train at the same time, by default as many as before; or ray."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""


def run(args: list[str]) -> int:
    """`minipg train ALGORITHM ENV [flags]`. Returns the exit status."""
    from minipg.algorithms import algorithm_named
    from minipg.algorithms.presets import preset_for
    from minipg.envs import closed_after, env_of, modules_of

    if args and args[0].partition("=")[0] == "--resume":
        return _resume(args)
    wants_help = "--help" in args or "-h" in args
    if not args or args[0].startswith("-"):
        return usage(_TRAIN, wants_help)
    find_modules_here(args[0])
    algorithm = algorithm_named(args[0])
    env, flags = env_and_flags(args)
    if env is None and not wants_help:
        return usage(f"usage: minipg train {args[0]} ENV [flags], e.g. minipg train {args[0]} CartPole-v1", False)
    env = "ENV" if env is None else env

    chosen = algorithm.Config(**preset_for(algorithm, env, value_of("--preset", flags)))
    own, plan, config = parse((TrainFlags(), Plan(), chosen), flags, f"minipg train {args[0]} {env}")
    config = config.following(given(flags))
    if own.seeds is not None:
        config.log_idle(given(flags))
        return train_seeds(args[0], env, flags, own)
    here = Path.cwd()  # kept because an environment may change the working folder
    find_modules_here(env)
    import_modules(own.imports)
    modules, of_algorithm = modules_of(env, *own.wrapper), modules_of(args[0])
    source: Any = env
    if own.env_kwargs or own.wrapper or own.frames:
        import_modules(modules)
        source = env_of(env, own.env_kwargs, own.wrapper, own.frames)
    agent = algorithm(source, seed=own.seed, config=config, backend=own.backend, threads=own.threads)
    with closed_after(agent.envs):
        folder = RunFolder.create(own.out, f"{algorithm.name}-{env}-seed{own.seed}", here)
        folder.imports[:] = list(dict.fromkeys([*of_algorithm, *own.imports, *(modules if source is not env else ())]))
        display = Progress(f"{algorithm.name} {env}", plan.steps, lasting_console(stderr=own.json))
        costs = f" ({agent.costs})" if agent.costs else ""
        display.say(f"{algorithm.name} on {env}, seed {own.seed}{costs}, into {folder.shown}")
        agent.log_idle(given(flags))  # late: an error before is one line
        collect_garbage_again()
        return _print_summary(train(agent, folder, display, plan), folder, own.json)


def _resume(args: list[str]) -> int:
    wants_help = "--help" in args or "-h" in args
    run = value_of("--resume", args)
    joined = "=" in args[0]
    if (run is None or (run.startswith("-") and not joined)) and not wants_help:
        return usage(_RESUME, False)
    flags = args[1 if joined or run is None or run.startswith("-") else 2 :]
    path, prog = Path(run or ""), f"minipg train --resume {run or 'RUN'}"
    import_modules(values_of("--imports", flags))
    if run is not None and not wants_help and not is_of_seeds(path):
        RunFolder.existing(path)  # the settings that it has are flags
    before = None if is_of_seeds(path) else Checkpoints(path).settings()
    options, *configs = parse((ResumeFlags(), *filter(None, [before])), flags, prog)
    if is_of_seeds(path):
        return resume_seeds(path, options, TrainFlags())
    require(options.jobs is None, "jobs", "none: it is one run", options.jobs)
    folder = RunFolder.existing(path)
    folder.imports[:] = options.imports
    find_modules_here(options.env or "")

    def show(agent: Agent[Any], plan: Plan) -> Progress:
        collect_garbage_again()
        return Progress(f"{agent.name} {agent.env_id}", plan.steps, lasting_console(stderr=options.json))

    planned = {"steps": options.steps, "target_return": options.target_return}
    changes = {name: value for name, value in planned.items() if value is not None}
    names = [name.removeprefix("no_") for name in given(flags)]
    settings = {name: getattr(config, name) for config in configs for name in names if hasattr(config, name)}
    options_of = {"threads": options.threads, "backend": options.backend, "env": options.env}
    summary = resume(folder, show, settings, **options_of, **changes)
    return _print_summary(summary, folder, options.json)


def _print_summary(summary: dict[str, Any], folder: RunFolder, as_json: bool) -> int:
    """Print the summary of a run. Returns the exit status: 128 and the number of the signal that ended it, or 0."""
    number, trained, mean = summary.pop("signal"), summary.pop("trained"), summary["mean_return"]
    if number:
        print_error(f"interrupted; {folder.command('train --resume', summary['env'])} continues")
    if as_json:
        print(json.dumps(summary))
    elif trained:
        print(
            f"{summary['steps']:,} steps in {summary['seconds']:.1f} s ({summary['steps_per_second']:,.0f} steps/s), "
            + ("no episode ended" if mean is None else f"mean return of the last 100 episodes {mean:.1f}")
            + f"\n{printable(folder.command('evaluate', summary['env']))}"
        )
    return 128 + number if number else 0
