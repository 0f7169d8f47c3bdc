"""The command line: `minipg COMMAND ...`, or `python -m minipg COMMAND ...`.

Errors are one line on standard error with status 2.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from collections.abc import Sequence

from minipg.commands import COMMANDS, run_command
from minipg.errors import ConfigError, MinipgError, unknown_name
from minipg.runtime.progress import print_error
from minipg.runtime.signals import signals_raised
from minipg.runtime.startup import collect_garbage_again

USAGE = """\
usage: minipg COMMAND ...

  minipg train ALGORITHM ENV [--steps N] [--seed S] [--out DIR] ...   train an agent into a run folder
  minipg train --resume RUN [--steps N]                               continue a run
  minipg tune ALGORITHM ENV [--steps N] [--trials N] [--minutes M]    search settings; --resume DIR goes on
  minipg evaluate RUN [--episodes N] [--render human|FILE] ...        play whole episodes with the trained agent
  minipg watch RUN                                                    show a run while it trains
  minipg plot RUN... [-o FILE.png]                                    learning curves; of one run, its diagnostics
  minipg export RUN FILE                                              its policy, as .py, .c or .onnx
  minipg check [--examples N] [--json]                                test the laws on this machine
  minipg exercise [N] [--solution]                                    two derivatives to write, or check yours
  minipg bench [--quick] [--only ROW...] [-o FILE.png] [--json] ...   measure speed, beside other libraries
  minipg list [runs [DIR]]                                            algorithms and presets; the runs in a folder

Each command explains its flags with --help; for `train`, name the algorithm first: minipg train trpo --help
"""
_REPORTING = {"triton", "jaxlib"}  # libraries that print a page at exit if objects of theirs were not collected


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    The status is 0, 1 if a law does not hold or an exercise is not solved, 2 for an error, 130 after Ctrl-C, 143 after
    SIGTERM.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    atexit.unregister(_collect_once)
    atexit.register(_collect_once)
    for name in ("stdin", "stdout", "stderr"):  # in this order they have their numbers again, if they were closed
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # for terminals that have no Greek letters
    try:
        with signals_raised():
            status = _run(args)
            sys.stdout.flush()
            return status
    except BrokenPipeError:  # the reader of the output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for the flush at exit
        return 0
    except (MinipgError, OSError, OverflowError) as error:
        return _failed(str(error), 2)
    except MemoryError as error:
        return _failed(f"not enough memory: {error}", 2)
    except KeyboardInterrupt as stop:
        return _failed("interrupted", 128 + next((number for number in stop.args if isinstance(number, int)), 2))


def run_module() -> None:
    """Run the command and exit, as `python -m minipg` does."""
    status = main()
    exec("")  # Python raises a KeyboardInterrupt that came during an earlier exec again, until the next exec
    sys.exit(status)


def _collect_once() -> None:
    """Collect garbage once at exit. Python would search all that the compiler has left, for half a second."""
    gc.collect()
    if not sys.modules.keys() & _REPORTING:
        gc.freeze()


def _failed(line: str, status: int) -> int:
    """Print one line on standard error, and return the status."""
    print_error(line)
    return status


def _run(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if args else 2
    if args[0] == "--version":
        from minipg import __version__

        print(f"minipg {__version__}")
        return 0
    if args[0] not in COMMANDS:
        raise unknown_name("command", args[0], COMMANDS)
    _require_compiler()
    if args[0] != "train":  # train turns it on later, after more imports
        collect_garbage_again()
    return run_command(args[0], args[1:])


def _require_compiler() -> None:
    """Raise ConfigError for variables with which Numba does not compile, or cannot be imported."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        raise ConfigError("NUMBA_DISABLE_JIT: expected it unset, as kernels have to be compiled")
    threads = os.environ.get("NUMBA_NUM_THREADS") or "1"
    try:
        usable = int(threads) >= 1
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"NUMBA_NUM_THREADS: expected an integer ≥ 1, got {threads}")


if __name__ == "__main__":
    run_module()
