"""`minipg watch`: a run while it trains."""

from __future__ import annotations

import contextlib
from pathlib import Path

from minipg.commands.parsing import usage


def watch_command(args: list[str]) -> int:
    """`minipg watch RUN`, and its exit status: Ctrl-C is how one stops looking, not an error."""
    from rich.console import Console

    from minipg.runs import RunFolder
    from minipg.runs.watch import watch

    if len(args) != 1 or args[0].startswith("-"):
        return usage("usage: minipg watch RUN", "--help" in args or "-h" in args)
    with contextlib.suppress(KeyboardInterrupt):
        watch(RunFolder.existing(Path(args[0])), Console())
    return 0
