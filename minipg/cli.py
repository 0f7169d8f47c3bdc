"""The command line: `minipg train`, `evaluate`, `watch`, `plot`, `check`, `bench`, `list`.

Errors a user can cause are one line on standard error and exit status 2.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import sys
from collections.abc import Sequence

from minipg.commands import COMMANDS
from minipg.errors import MinipgError, unknown_name
from minipg.runtime.signals import signals_raised

USAGE = """\
usage: minipg COMMAND ...

  minipg train ALGORITHM ENV [--steps N] [--seed S] [--out DIR] ...   train an agent into a run folder
  minipg train --resume RUN [--steps N]                               go on with a run that was stopped
  minipg evaluate RUN [--episodes N] [--render human|FILE] ...        play whole episodes with it
  minipg watch RUN                                                    look on while it trains
  minipg plot RUN... [-o FILE.png]                                    learning curves; of one run, its diagnostics
  minipg check [--examples N] [--json]                                hold the laws on this machine
  minipg bench [--quick] [--only ROW...] [-o FILE.png] [--json] ...   how fast it is here, beside its peers
  minipg list [runs [DIR]]                                            algorithms and presets; the runs in a folder

Each command explains its flags with --help; for `train`, name the algorithm first: minipg train trpo --help
"""
_REPORTING = {"triton", "jaxlib"}  # libraries that report, in a page of lines, what nobody looked at in the end


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0, 1 for a law that does not hold, 2 for an error of the caller's, 130 after Ctrl-C, 143 after SIGTERM.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    atexit.unregister(_leave)
    atexit.register(_leave)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters is no reason to stop
    if not args or args[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if args else 2
    try:
        with signals_raised():
            return _run(args)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the flush at exit has somewhere to go
        return 0
    except (MinipgError, OSError, OverflowError) as error:
        return _told(str(error), 2)
    except MemoryError as error:
        return _told(f"not enough memory: {error}", 2)
    except KeyboardInterrupt as stop:
        return _told("interrupted", 128 + next((number for number in stop.args if isinstance(number, int)), 2))


def _leave() -> None:
    """Look once for garbage to be closed; Python would look on, at all that the compiler left, for half a second."""
    gc.collect()
    if not sys.modules.keys() & _REPORTING:
        gc.freeze()


def _told(line: str, status: int) -> int:
    """One line on standard error, whatever names are in it and whether or not it can be read; the exit status."""
    with contextlib.suppress(OSError):  # a terminal that was closed
        print("minipg: " + line.replace("\n", "\\n"), file=sys.stderr)
    return status


def _run(args: list[str]) -> int:
    if args[0] == "--version":
        from minipg import __version__

        print(f"minipg {__version__}")
        return 0
    if args[0] not in COMMANDS:
        raise unknown_name("command", args[0], COMMANDS)
    return COMMANDS[args[0]](args[1:])


if __name__ == "__main__":
    status = main()
    exec("")  # a KeyboardInterrupt that met an exec is recalled until the next one: `python -m` would die of it
    sys.exit(status)
