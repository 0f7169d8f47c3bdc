"""`minipg check`: test the laws on this machine."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass

from minipg.commands.parsing import parse
from minipg.errors import ConfigError
from minipg.runtime.progress import print_error


@dataclass(frozen=True, kw_only=True)
class CheckFlags:
    """Flags of `minipg check`."""

    examples: int = 25
    """Random cases for each law, backend and dtype."""
    seed: int = 0
    """Seed of the cases."""
    backend: str | None = None
    """The backend to test; by default every one that is installed."""
    json: bool = False
    """Print one JSON object as the last line of standard output."""


def run(args: list[str]) -> int:
    """`minipg check [flags]`. Returns the exit status: 1 if a law does not hold."""
    from rich.console import Console

    from minipg.runtime.backend import Backend, installed_backends
    from minipg.theory.report import check_laws, table

    (options,) = parse((CheckFlags(),), args, "minipg check")
    if options.examples < 1:
        raise ConfigError(f"examples: expected an integer ≥ 1, got {options.examples}")
    if options.seed < 0:
        raise ConfigError(f"seed: expected an integer ≥ 0, got {options.seed}")
    backends = [Backend(name) for name in ([options.backend] if options.backend else installed_backends())]
    console = Console(stderr=options.json)
    start = time.perf_counter()
    verdicts = check_laws(backends, options.examples, options.seed, console)
    seconds, failed = time.perf_counter() - start, [v for v in verdicts if not v.held]
    if options.json:
        rows = [v._asdict() | {"worst": v.worst if math.isfinite(v.worst) else None} for v in verdicts]
        print(json.dumps({"held": not failed, "seconds": seconds, "seed": options.seed, "laws": rows}))
    else:
        print(table(verdicts))
        print(f"{len(verdicts) - len(failed)} of {len(verdicts)} held in {seconds:.1f} s")
    for verdict in failed:
        where = f"{verdict.backend} {verdict.dtype}"
        print_error(f"{verdict.law} does not hold on {where}: {verdict.failure}")
    return 1 if failed else 0
