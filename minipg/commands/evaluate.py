"""`minipg evaluate`: play whole episodes with a trained agent."""

from __future__ import annotations

import json
from dataclasses import dataclass

from minipg.commands.parsing import find_modules_here, import_modules, parse, usage
from minipg.runs.evaluate import MAX_STEPS
from minipg.runtime.progress import printable


@dataclass(frozen=True, kw_only=True)
class EvaluateFlags:
    """Flags of `minipg evaluate`."""

    episodes: int | None = None
    """Whole episodes to play; by default 20, with --render 1."""
    seed: int = 0
    """Seed of the environments."""
    env: str | None = None
    """The environment, by default that of the training. An id module:name has to be given: its module is imported."""
    imports: tuple[str, ...] = ()
    """Modules to import first, for the environments and wrappers in them. No file of a run has anything imported."""
    max_steps: int = MAX_STEPS
    """Steps that an episode may take; a longer one is an error."""
    stochastic: bool = False
    """Sample actions from the policy, instead of its most likely ones."""
    render: str | None = None
    """Show the episodes in a window (human), or record them in a file that ends in .mp4 or .gif."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""


def run(args: list[str]) -> int:
    """`minipg evaluate RUN [flags]`. Returns the exit status."""
    from minipg.envs import silence_noticed
    from minipg.runs import evaluate, load
    from minipg.runs.render import render, target_of

    if (not args or args[0].startswith("-")) and not ("--help" in args or "-h" in args):
        names = "[--episodes N] [--seed S] [--max-steps N] [--stochastic] [--render human|FILE] [--json]"
        return usage(f"usage: minipg evaluate RUN {names}", False)
    run, flags = ("RUN", args) if args[0].startswith("-") else (args[0], args[1:])
    (options,) = parse((EvaluateFlags(),), flags, f"minipg evaluate {run}")
    find_modules_here(options.env or "")
    import_modules(options.imports)
    alike = options.seed, not options.stochastic, options.max_steps
    with silence_noticed("Ctrl-C, once or twice, ends this"):
        if options.render is None:
            episodes = 20 if options.episodes is None else options.episodes
            result = evaluate(load(run, options.env, playing=True), episodes, *alike)
        else:
            target = target_of(options.render)  # refuses a wrong one before an environment is made
            episodes = 1 if options.episodes is None else options.episodes
            result = render(load(run, options.env, playing=True), target, episodes, *alike)
    if options.json:
        print(json.dumps(result))
    else:
        count = "1 episode" if episodes == 1 else f"{episodes} episodes"
        print(
            f"{printable(result['env'], 100)}: mean return {result['mean_return']:.1f} ± {result['std_return']:.1f} "
            f"(min {result['min_return']:.1f}, max {result['max_return']:.1f}) over {count}, seed {options.seed}"
        )
    return 0
