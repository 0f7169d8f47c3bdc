"""The command line: `minipg train`, `minipg evaluate`, `minipg check`, `minipg list`.

Errors a user can cause are one line on standard error and exit status 2.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from minipg.errors import ConfigError, MinipgError, unknown_name

USAGE = """\
usage: minipg COMMAND ...

  minipg train ALGORITHM ENV [--steps N] [--seed S] [--out DIR] ...   train an agent into a run folder
  minipg evaluate RUN [--episodes N] ...                              play whole episodes with it
  minipg check [--examples N] [--json]                                hold the laws on this machine
  minipg list                                                         algorithms and presets

Each command explains its flags with --help; for `train`, name the algorithm first: minipg train trpo --help
"""


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


@dataclass(frozen=True, kw_only=True)
class EvaluateFlags:
    """Flags of `minipg evaluate`."""

    episodes: int = 20
    """Whole episodes to play."""
    seed: int = 0
    """Seed of the environments."""
    stochastic: bool = False
    """Sample actions instead of taking the likeliest."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""


@dataclass(frozen=True, kw_only=True)
class CheckFlags:
    """Flags of `minipg check`."""

    examples: int = 25
    """Random cases for each law, backend and dtype."""
    seed: int = 0
    """Seed of the cases."""
    backend: str | None = None
    """The backend to hold the laws on; by default every one that is installed."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0, 1 for a law that does not hold, 2 for an error of the caller's, 130 after Ctrl-C.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters is no reason to stop
    if not args or args[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if args else 2
    commands: dict[str, Callable[[list[str]], int]] = {
        "train": _train,
        "evaluate": _evaluate,
        "check": _check,
        "list": _list,
    }
    try:
        if args[0] == "--version":
            from minipg import __version__

            print(f"minipg {__version__}")
            return 0
        if args[0] not in commands:
            raise unknown_name("command", args[0], commands)
        return commands[args[0]](args[1:])
    except MinipgError as error:
        print(f"minipg: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the flush at exit has somewhere to go
        return 0
    except (OSError, OverflowError) as error:
        print(f"minipg: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"minipg: not enough memory: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("minipg: interrupted", file=sys.stderr)
        return 130


def _train(args: list[str]) -> int:
    from rich.console import Console

    from minipg.algorithms import ALGORITHMS
    from minipg.algorithms.presets import preset_for
    from minipg.progress import Progress
    from minipg.runs import RunFolder, train

    wants_help = "--help" in args or "-h" in args
    if not args or args[0].startswith("-"):
        return _usage("usage: minipg train ALGORITHM ENV [flags]; flags: minipg train trpo --help", wants_help)
    if args[0] not in ALGORITHMS:
        raise unknown_name("algorithm", args[0], ALGORITHMS)
    algorithm = ALGORITHMS[args[0]]
    if (len(args) < 2 or args[1].startswith("-")) and not wants_help:
        return _usage(f"usage: minipg train {args[0]} ENV [flags], e.g. minipg train {args[0]} CartPole-v1", False)
    env, flags = (args[1], args[2:]) if len(args) > 1 and not args[1].startswith("-") else ("ENV", args[1:])

    chosen = algorithm.Config(**preset_for(algorithm.name, env, _value_of("--preset", flags)))
    options = dataclasses.make_dataclass(
        "Options",
        [
            ("run", Annotated[TrainFlags, tyro.conf.arg(name="")], dataclasses.field(default_factory=TrainFlags)),
            ("config", Annotated[algorithm.Config, tyro.conf.arg(name="")], dataclasses.field(default=chosen)),
        ],
    )
    parsed = _parse(options, flags, f"minipg train {algorithm.name} {env}", (TrainFlags, algorithm.Config))
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


def _evaluate(args: list[str]) -> int:
    from minipg.algorithms import load
    from minipg.runs import evaluate

    if (not args or args[0].startswith("-")) and not ("--help" in args or "-h" in args):
        return _usage("usage: minipg evaluate RUN [--episodes N] [--seed S] [--stochastic] [--json]", False)
    run, flags = ("RUN", args) if args[0].startswith("-") else (args[0], args[1:])
    options = _parse(EvaluateFlags, flags, f"minipg evaluate {run}", (EvaluateFlags,))
    result = evaluate(load(run), options.episodes, options.seed, not options.stochastic)
    if options.json:
        print(json.dumps(result))
    else:
        print(
            f"{result['env']}: mean return {result['mean_return']:.1f} ± {result['std_return']:.1f} "
            f"(min {result['min_return']:.1f}, max {result['max_return']:.1f}) over {result['episodes']} episodes"
        )
    return 0


def _check(args: list[str]) -> int:
    from rich.console import Console

    from minipg.backend import Backend, installed_backends
    from minipg.laws.report import hold_all, table

    options = _parse(CheckFlags, args, "minipg check", (CheckFlags,))
    if options.examples < 1:
        raise ConfigError(f"examples: expected an integer ≥ 1, got {options.examples}")
    if options.seed < 0:
        raise ConfigError(f"seed: expected an integer ≥ 0, got {options.seed}")
    backends = [Backend(name) for name in ([options.backend] if options.backend else installed_backends())]
    console = Console(stderr=options.json)
    began = time.perf_counter()
    verdicts = hold_all(backends, options.examples, options.seed, console)
    seconds, failed = time.perf_counter() - began, [v for v in verdicts if not v.held]
    if options.json:
        rows = [v._asdict() | {"worst": v.worst if math.isfinite(v.worst) else None} for v in verdicts]
        print(json.dumps({"held": not failed, "seconds": seconds, "seed": options.seed, "laws": rows}))
    else:
        print(table(verdicts))
        print(f"{len(verdicts) - len(failed)} of {len(verdicts)} held in {seconds:.1f} s")
    for verdict in failed:
        where = f"{verdict.backend} {verdict.dtype}"
        print(f"minipg: {verdict.law} does not hold on {where}: {verdict.failure}", file=sys.stderr)
    return 1 if failed else 0


def _list(args: list[str]) -> int:
    from minipg.algorithms.presets import PRESETS

    if args:
        return _usage("usage: minipg list", "--help" in args or "-h" in args)
    for algorithm, presets in PRESETS.items():
        print(f"{algorithm}\n  presets: {', '.join(presets)}")
    return 0


def _usage(line: str, asked: bool) -> int:
    print(line, file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


def _value_of(flag: str, args: list[str]) -> str | None:
    """The value of one flag, looked up before the rest can be parsed."""
    for index, arg in enumerate(args):
        if arg.startswith(f"{flag}="):
            return arg[len(flag) + 1 :]
        if arg == flag and index + 1 < len(args):
            return args[index + 1]
    return None


def _parse(options: type[Any], args: list[str], prog: str, parts: Sequence[type[Any]]) -> Any:
    """tyro's parse of `args`, its error boxes turned into one line."""
    names = {field.name.replace("_", "-"): field for part in parts for field in dataclasses.fields(part)}
    known = [f"--{name}" for name in names] + [f"--no-{n}" for n, f in names.items() if isinstance(f.default, bool)]
    for arg in args:
        flag = arg.partition("=")[0].replace("_", "-")
        if flag.startswith("--") and flag not in (*known, "--help"):
            raise unknown_name("flag", flag, known)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(options, args=args, prog=prog, description="")
    except SystemExit as stop:
        if not stop.code:
            raise
        body = [line.strip("│╭╮╰╯─ ") for line in said.getvalue().splitlines()[1:]]
        sentence = " ".join(body[: body.index("")] if "" in body else body)
        raise ConfigError(f"{sentence.rstrip('.')}; see {prog} --help") from stop


if __name__ == "__main__":
    sys.exit(main())
