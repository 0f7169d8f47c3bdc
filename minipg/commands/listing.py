"""`minipg list`: what there is."""

from __future__ import annotations

from minipg.commands.parsing import usage


def list_command(args: list[str]) -> int:
    """`minipg list`, and its exit status."""
    from minipg.algorithms.presets import PRESETS

    if args:
        return usage("usage: minipg list", "--help" in args or "-h" in args)
    for algorithm, presets in PRESETS.items():
        print(f"{algorithm}\n  presets: {', '.join(presets)}")
    return 0
