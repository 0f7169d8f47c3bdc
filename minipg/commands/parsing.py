"""Command-line arguments into dataclasses: every field is a flag, its docstring is the help. Errors are one line."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Annotated, Any, Literal

from minipg.checks import choices_of, declared_type
from minipg.errors import ConfigError, unknown_name
from minipg.field_docs import field_docs


def _integer(text: str) -> int:
    """1000, 1_000, or 1e3."""
    number = float(text) if "e" in text.lower() else int(text)
    if number != int(number):
        raise ValueError(text)
    return int(number)


_KINDS: dict[str, tuple[Callable[[str], Any], str]] = {
    "int": (_integer, "an integer"),
    "float": (float, "a number"),
    "str": (str, "a text"),
    "Path": (Path, "a path"),
}
_SHORT = {"-o": "--output"}
_YES_OR_NO = {"yes": True, "no": False}
_GROUP_OF = {
    **dict.fromkeys(("hidden", "activation", "conv", "sparse_input", "log_std_init", "state_dependent_std",
                     "squash"), "network"),
    **dict.fromkeys(("num_envs", "vec", "env_timeout", "env_kwargs", "wrapper", "frames", "imports",
                     "normalize_obs", "normalize_reward", "clip_reward"), "environment"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class AgentFlags:
    """Flags of the commands that make agents: which environment, which settings to start from, which twin."""

    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment: NAME=VALUE … Values are Python literals, or else texts; max_episode_steps too."""
    wrapper: tuple[str, ...] = ()
    """Wrappers around it, from the inside out: MODULE:CLASS or 'MODULE:CLASS(NAME=VALUE)' …"""
    frames: str | None = None
    """Of an Atari game, by its name (Pong): difference-80x80, stack-84x84x4 or trpo-52x40x4. Then --env-kwargs takes
    frame_skip=4 sticky=0.0 noop_max=30 life_loss=False max_episode_steps=27000 too."""
    imports: tuple[str, ...] = ()
    """Modules to import first, for the environments and wrappers in them. No file of a run has anything imported."""
    preset: str | None = None
    """The settings to start from, by name or from a file (.json); by default those of the environment. Flags replace
    single settings."""
    backend: Literal["numba", "numpy", "cupy"] = "numba"
    """The twin that computes: numba, numpy, or cupy on a GPU."""


def usage(line: str, asked: bool) -> int:
    """Print how a command is used: on request (status 0), or because the call was wrong (status 2)."""
    print(line, file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


def env_and_flags(args: list[str]) -> tuple[str | None, list[str]]:
    """What follows the algorithm, the first of `args`: the environment, None if it is missing, and the flags."""
    named = len(args) > 1 and not args[1].startswith("-")
    return (args[1], args[2:]) if named else (None, args[1:])


def find_modules_here(env: str) -> None:
    """Let Python find the module of an id module:Name in the working folder too, if it is nowhere else."""
    module, colon, _ = env.partition(":")
    if colon and module not in sys.modules and PathFinder.find_spec(module.partition(".")[0]) is None:
        sys.path.append(os.getcwd())


def import_modules(modules: Sequence[str]) -> None:
    """Import what --imports names, from the working folder too if it is nowhere else."""
    from minipg.envs import imported

    for module in modules:
        find_modules_here(f"{module}:")
        imported(module)


def value_of(flag: str, args: list[str]) -> str | None:
    """The value of one flag, before the others are parsed; None if it is not there."""
    for index, arg in enumerate(args):
        if arg.startswith(f"{flag}="):
            return arg[len(flag) + 1 :]
        if arg == flag and index + 1 < len(args):
            return args[index + 1]
    return None


def values_of(flag: str, args: list[str]) -> list[str]:
    """All values that are given to a flag that takes several, before the others are parsed."""
    values, taking = [], False
    for arg in args:
        if not _is_flag(arg):
            values += [arg] * taking
            continue
        name, equals, value = arg.partition("=")
        taking = name.replace("_", "-") == flag
        values += [value] if taking and equals else []
    return values


def given(args: list[str]) -> set[str]:
    """The names of the settings that flags among `args` set."""
    return {arg[2:].partition("=")[0].replace("-", "_") for arg in args if arg.startswith("--")}


def without(valued: Sequence[str], bare: Sequence[str], args: list[str]) -> list[str]:
    """`args` without the flags in `valued`, with their values, and without the flags in `bare`, with a yes or no."""
    kept, last = [], ""
    for arg in args:
        is_value = last in valued or (last in bare and arg in _YES_OR_NO)
        last = "" if is_value else arg.replace("_", "-")
        if not is_value and last.partition("=")[0] not in (*valued, *bare):
            kept.append(arg)
    return kept


def flags_of(settings: dict[str, Any]) -> list[str]:
    """The flags that give these settings: what `parse` reads."""
    flags = []
    for name, value in settings.items():
        no, values = "no-" if value is False else "", value if isinstance(value, tuple) else [value]
        flags += [f"--{no}{name.replace('_', '-')}", *([] if isinstance(value, bool) else map(str, values))]
    return flags


def parse(parts: Sequence[Any], args: list[str], prog: str) -> list[Any]:
    """`parts`, dataclass instances whose fields are the flags, with the values that `args` give to some of them.

    The field max_kl is the flag --max-kl (or --max_kl) with one value; a tuple takes several, a bool none: --json,
    --no-json (or yes or no: --json no). Arguments without a flag go to a field of type tuple[Path, ...]. "None" is None
    for optional fields. --help prints the help and raises SystemExit. Raises ConfigError, or UnknownNameError for an
    unknown flag.
    """
    if "--help" in args or "-h" in args:
        _help(parts, prog)
    fields = {field.name.replace("_", "-"): (part, field) for part, field in _fields(parts)}
    known = [f"--{name}" for name in fields]
    known += [f"--no-{name}" for name, (_, field) in fields.items() if declared_type(field) == "bool"]
    changes: list[dict[str, Any]] = [{} for _ in parts]
    rest, left = [], list(args)
    while left:
        arg = left.pop(0)
        flag, equals, value = _SHORT.get(arg, arg).partition("=")
        name = flag.replace("_", "-").removeprefix("--")
        if not flag.startswith("--"):
            rest.append(arg)
            continue
        if f"--{name}" not in known:
            raise unknown_name("flag", f"--{name}", known)
        part, field = fields.get(name) or fields[name.removeprefix("no-")]
        values = [value] if equals else []
        while left and not _is_flag(left[0]) and _takes(field, len(values), left[0]):
            values.append(left.pop(0))
        changes[part][field.name] = _value(field, values, name)
    for part, field in _fields(parts):
        if declared_type(field) == "tuple[Path, ...]":
            changes[part][field.name], rest = tuple(map(Path, rest)), []
    if rest:
        raise ConfigError(f"unexpected argument {rest[0]!r}; see {prog} --help")
    return [dataclasses.replace(part, **changed) for part, changed in zip(parts, changes, strict=True)]


def _fields(parts: Sequence[Any]) -> list[tuple[int, dataclasses.Field[Any]]]:
    return [(index, field) for index, part in enumerate(parts) for field in dataclasses.fields(part)]


def _is_flag(arg: str) -> bool:
    return arg.startswith("--") or arg in _SHORT


def _takes(field: dataclasses.Field[Any], values: int, text: str) -> bool:
    """Whether `text` is one more value of a flag that has so many."""
    return _several(field) or (not values and (declared_type(field) != "bool" or text in _YES_OR_NO))


def _several(field: dataclasses.Field[Any]) -> bool:
    return declared_type(field).startswith("tuple[")


def _value(field: dataclasses.Field[Any], texts: list[str], name: str) -> Any:
    declared = declared_type(field)
    if declared == "bool":
        if texts and texts[0] not in _YES_OR_NO:
            raise ConfigError(f"{field.name}: expected --{name} without a value, yes or no, got {texts[0]!r}")
        return (name == field.name.replace("_", "-")) == _YES_OR_NO.get("".join(texts), True)
    if declared.endswith(" | None") and texts == ["None"]:
        return None
    if choices_of(field):
        declared = "str"  # the config says which
    convert, expected = _KINDS[declared.removesuffix(" | None").removeprefix("tuple[").removesuffix(", ...]")]
    try:
        values = tuple(map(convert, texts))
    except (ValueError, OverflowError):
        several = f"{expected.split()[-1]}s with spaces between them" if _several(field) else expected
        raise ConfigError(f"{field.name}: expected {several}, got {' '.join(texts)!r}") from None
    if _several(field):
        return values
    if not values:
        raise ConfigError(f"{field.name}: expected a value after --{name}")
    return values[0]


def _help(parts: Sequence[Any], prog: str) -> None:
    """Print the flags in groups, each with its meaning, its choices and its default. Raises SystemExit."""
    import tyro

    groups: dict[str, list[Any]] = {name: [] for name in ("algorithm", "network", "environment", "run")}
    for index, field in _fields(parts):
        group = _GROUP_OF.get(field.name, "algorithm" if hasattr(parts[index], "gamma") else "run")
        groups[group if len(parts) > 1 else "run"].append(_shown(parts[index], field))
    made = {name: dataclasses.make_dataclass(name, fields) for name, fields in groups.items() if fields}
    grouped = [(name, kind, dataclasses.field(default_factory=kind)) for name, kind in made.items()]
    flags = dataclasses.make_dataclass("Flags", grouped) if len(parts) > 1 else made["run"]
    omitted = tyro.conf.OmitArgPrefixes, tyro.conf.PositionalRequiredArgs
    tyro.cli(flags, args=["--help"], prog=prog, description="", config=omitted)


def _shown(part: Any, field: dataclasses.Field[Any]) -> tuple[Any, ...]:
    """(name, type, default) of a flag as tyro shows it: by its docstring, its choices, or the type of its values."""
    import tyro

    declared = declared_type(field).removesuffix(" | None").removeprefix("tuple[").removesuffix(", ...]")
    value, choices, shown = getattr(part, field.name, None), choices_of(field), {}
    if choices:
        kind: Any = Literal[choices]
    elif declared == "bool":
        kind = bool
    else:
        kind, shown["metavar"] = (
            tuple[str, ...] if _several(field) else str,
            declared.upper() + " ..." * _several(field),
        )
        value = tuple(map(str, value or ())) if _several(field) else str(value)
    if getattr(part, field.name, None) in (None, ()):
        shown["help_behavior_hint"] = ""
    about = Annotated[kind, tyro.conf.arg(help=field_docs(type(part)).get(field.name, ""), **shown)]
    required = field.default is dataclasses.MISSING
    return (field.name, about) if required else (field.name, about, dataclasses.field(default=value))
