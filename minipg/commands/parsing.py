"""Command-line arguments into dataclasses, by tyro; whatever is wrong with them is one line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import sys
from collections.abc import Sequence
from typing import Any

import tyro

from minipg.errors import ConfigError, unknown_name


def usage(line: str, asked: bool) -> int:
    """Print how a command is called, because that was `asked` for or because the call was wrong; its exit status."""
    print(line, file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


def value_of(flag: str, args: list[str]) -> str | None:
    """The value of one flag, looked up before the rest can be parsed."""
    for index, arg in enumerate(args):
        if arg.startswith(f"{flag}="):
            return arg[len(flag) + 1 :]
        if arg == flag and index + 1 < len(args):
            return args[index + 1]
    return None


def without(valued: Sequence[str], bare: Sequence[str], args: list[str]) -> list[str]:
    """`args` less the flags of these names, and the values of the first kind."""
    kept, skip = [], False
    for arg in args:
        if not skip and arg.partition("=")[0] not in (*valued, *bare):
            kept.append(arg)
        skip = arg in valued
    return kept


def parse(options: type[Any], args: list[str], prog: str, parts: Sequence[type[Any]]) -> Any:
    """tyro's parse of `args`, its error boxes turned into one line."""
    names = {field.name.replace("_", "-"): field for part in parts for field in dataclasses.fields(part)}
    known = [f"--{name}" for name in names] + [f"--no-{n}" for n, f in names.items() if isinstance(f.default, bool)]
    for arg in args:
        flag = arg.partition("=")[0].replace("_", "-")
        if flag.startswith("--") and flag not in (*known, "--help"):
            raise unknown_name("flag", flag, known)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(options, args=args, prog=prog, description="")
    except SystemExit as stop:
        if not stop.code:
            raise
        body = [line.strip("│╭╮╰╯─ ") for line in said.getvalue().splitlines()[1:]]
        sentence = " ".join(body[: body.index("")] if "" in body else body)
        raise ConfigError(f"{sentence.rstrip('.')}; see {prog} --help") from stop
