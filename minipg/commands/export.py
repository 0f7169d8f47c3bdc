"""`minipg export`: write a trained policy to a file that needs no minipg."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minipg.commands.parsing import find_modules_here, import_modules, parse, usage
from minipg.runtime.progress import printable

_USAGE = "usage: minipg export RUN FILE, where FILE ends in .py, .c or .onnx"


@dataclass(frozen=True, kw_only=True)
class ExportFlags:
    """Flags of `minipg export RUN FILE`: a module for NumPy (.py), a C99 source (.c), or an ONNX graph (.onnx)."""

    env: str | None = None
    """The environment, by default that of the training. An id module:name has to be given: its module is imported."""
    imports: tuple[str, ...] = ()
    """Modules to import first, for the environments and wrappers in them. No file of a run has anything imported."""


def run(args: list[str]) -> int:
    """`minipg export RUN FILE [--env ENV]`. Returns the exit status."""
    wants_help = "--help" in args or "-h" in args
    names = args[: next((k for k, word in enumerate(args) if word.startswith("-")), len(args))]
    if len(names) != 2 and not wants_help:
        return usage(_USAGE, False)
    (options,) = parse((ExportFlags(),), args[len(names) :], "minipg export RUN FILE")

    from minipg.export import export
    from minipg.runs import load

    find_modules_here(options.env or "")
    import_modules(options.imports)
    source, target = names
    export(load(source, options.env, playing=True), Path(target))
    print(f"{printable(target)}: the deterministic policy of {printable(source)}")
    return 0
