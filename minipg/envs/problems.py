"""Between Gymnasium and the compiled problems: their spaces, their actions, their streams of random numbers."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from gymnasium import spaces

from minipg.checks import Array
from minipg.errors import ConfigError, ShapeError, unknown_name
from minipg.kernels.cpu.classic_control import PROBLEMS, Problem

_WORD = 2**64


def problem_of(name: str) -> Problem:
    """The problem that a Gymnasium id names. Raises UnknownNameError."""
    if name not in PROBLEMS:
        raise unknown_name("compiled environment", name, PROBLEMS)
    return PROBLEMS[name]


def dynamics_of(name: str) -> ModuleType:
    """The compiled `begin`, `observe` and `step` of that problem."""
    return import_module(f"minipg.kernels.cpu.classic_control.{problem_of(name).file}")


def spaces_of(problem: Problem) -> tuple[spaces.Box, spaces.Discrete | spaces.Box]:
    """The observation and the action space of one environment."""
    low, high = (np.array(bounds, np.float32) for bounds in (problem.obs_low, problem.obs_high))
    if problem.actions:
        return spaces.Box(low, high), spaces.Discrete(problem.actions)
    return spaces.Box(low, high), spaces.Box(-problem.act_high, problem.act_high, (1,), np.float32)


def actions_of(problem: Problem, actions: Any, count: int) -> Array:
    """Actions of `count` environments, (N,) indices or (N, 1) reals → (N,) float64 for the kernels.

    Raises ShapeError for another shape, and for an index out of range.
    """
    array = np.asarray(actions)
    expected = (count,) if problem.actions else (count, 1)
    if array.shape != expected:
        raise ShapeError(f"actions: expected shape {expected}, got {array.shape}")
    if not problem.actions:
        return array[:, 0].astype(np.float32).astype(np.float64)
    if array.dtype.kind not in "iu" or (array.astype(np.uint64) >= problem.actions).any():  # −1 wraps to 2⁶⁴ − 1
        raise ShapeError(f"actions: expected integers from 0 to {problem.actions - 1}, got {array}")
    return array.astype(np.float64)


def no_options(options: dict[str, Any] | None) -> None:
    """Raise ConfigError if there are reset options: the compiled environments take none."""
    if options:
        raise ConfigError(f"options: expected none for a compiled environment, got {', '.join(map(str, options))}")


def stream_of(generator: np.random.Generator) -> Array:
    """The state of a PCG64 generator → (4,) uint64, as the kernels draw from it."""
    state = generator.bit_generator.state["state"]
    return np.array([half for name in ("state", "inc") for half in divmod(state[name], _WORD)], np.uint64)


def generator_of(stream: Array) -> np.random.Generator:
    """The inverse of `stream_of`."""
    state, inc = (int(high) * _WORD + int(low) for high, low in stream.reshape(2, 2))
    bits = np.random.PCG64(0)
    bits.state = {**bits.state, "state": {"state": state, "inc": inc}}
    return np.random.Generator(bits)
