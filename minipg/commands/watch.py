"""`minipg watch`: show a run while it trains."""

from __future__ import annotations

import signal
from pathlib import Path

from minipg.commands.parsing import usage


def run(args: list[str]) -> int:
    """`minipg watch RUN`. Returns the exit status, which is 0 after Ctrl-C: that is how watching ends."""
    from rich.console import Console

    from minipg.runs import RunFolder
    from minipg.runs.watch import watch

    if len(args) != 1 or args[0].startswith("-"):
        return usage("usage: minipg watch RUN", "--help" in args or "-h" in args)
    try:
        watch(RunFolder.existing(Path(args[0])), Console())
    except KeyboardInterrupt as stop:
        if stop.args not in ((), (signal.SIGINT,)):
            raise
    return 0
