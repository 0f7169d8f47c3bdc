"""The commands of the command line: each has a module of its name with a function `run`, imported when it is called."""

from __future__ import annotations

from importlib import import_module

COMMANDS = ("train", "tune", "evaluate", "plot", "watch", "export", "check", "exercise", "bench", "list")


def run_command(name: str, args: list[str]) -> int:
    """Run one of COMMANDS with the arguments that follow its name. Returns the exit status."""
    status: int = import_module(f"minipg.commands.{name}").run(args)
    return status
