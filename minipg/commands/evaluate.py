"""`minipg evaluate`: whole episodes of a trained agent."""

from __future__ import annotations

import json
from dataclasses import dataclass

from minipg.commands.parsing import parse, usage


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


def evaluate_command(args: list[str]) -> int:
    """`minipg evaluate RUN [flags]`, and its exit status."""
    from minipg.runs import evaluate, load

    if (not args or args[0].startswith("-")) and not ("--help" in args or "-h" in args):
        return usage("usage: minipg evaluate RUN [--episodes N] [--seed S] [--stochastic] [--json]", False)
    run, flags = ("RUN", args) if args[0].startswith("-") else (args[0], args[1:])
    options = parse(EvaluateFlags, flags, f"minipg evaluate {run}", (EvaluateFlags,))
    result = evaluate(load(run), options.episodes, options.seed, not options.stochastic)
    if options.json:
        print(json.dumps(result))
    else:
        print(
            f"{result['env']}: mean return {result['mean_return']:.1f} ± {result['std_return']:.1f} "
            f"(min {result['min_return']:.1f}, max {result['max_return']:.1f}) over {result['episodes']} episodes"
        )
    return 0
