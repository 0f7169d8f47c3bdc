"""Writes minipg/algorithms/settings.py from the configs: python tests/audit/typed_settings.py. A test holds it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from minipg.algorithms import ALGORITHMS
from minipg.algorithms.config import AgentConfig
from minipg.checks import declared_type

FILE = Path(__file__).parents[2] / "minipg" / "algorithms" / "settings.py"
_TYPES = {"tuple[int, ...]": "Sequence[int]", "tuple[str, ...]": "Sequence[str]"}  # lists are taken too
_HEAD = '''"""The settings of every algorithm as types: PPO("CartPole-v1", max_lk=1) is an error for mypy.

Written by tests/audit/typed_settings.py from the configs, where the meaning of each setting is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict


class AgentOptions(TypedDict, total=False):
    """What an agent takes besides settings; see `Agent`."""

    seed: int
    config: Any
    preset: str | None
    backend: str
    threads: int | None
'''


def text() -> str:
    """What the file has to hold: a TypedDict for each config, with the same bases and the same fields."""
    configs = {base: None for one in ALGORITHMS.values() for base in reversed(one.Config.__mro__)
               if issubclass(base, AgentConfig)}  # fmt: skip
    return "\n\n".join([_HEAD, *map(_class, configs)])


def _class(config: type[Any]) -> str:
    bases = [_name(base) for base in config.__bases__ if issubclass(base, AgentConfig)] or ["AgentOptions"]
    inherited = {field.name for base in config.__bases__ if issubclass(base, AgentConfig) for field in fields(base)}
    own = [field for field in fields(config) if field.name not in inherited]
    types = [f"    {field.name}: {_TYPES.get(declared_type(field), declared_type(field))}" for field in own]
    doc = [f'    """As in {config.__name__}."""', *[""] * bool(types)]
    return "\n".join([f"class {_name(config)}({', '.join(bases)}, total=False):", *doc, *types, ""]).replace("'", '"')


def _name(config: type[Any]) -> str:
    return config.__name__.replace("Config", "Settings")


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
