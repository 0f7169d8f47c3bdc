"""Between Gymnasium and the compiled problems: their spaces, their actions, their streams of random numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from minipg.checks import Array, require
from minipg.errors import ConfigError, ShapeError, unknown_name
from minipg.kernels.cpu.classic_control import PROBLEMS, Problem

_WORD = 2**64
_LARGEST = 2.0**53  # of an argument: integers up to it are exact
_OPTIONS = ("low", "high", "x_init", "y_init")
_OTHERS = ("draws", *_OPTIONS)  # what of `dynamics` is no argument of Gymnasium's class
_NOTHING: Mapping[str, Any] = {}


def problem_of(name: str, physics: Mapping[str, Any] = _NOTHING) -> Problem:
    """The problem that a Gymnasium id names, with arguments that Gymnasium's class takes, such as g of Pendulum-v1.

    Raises UnknownNameError for another id, ConfigError for another argument, or a value that kernels cannot take.
    """
    if name not in PROBLEMS:
        raise unknown_name("compiled environment", name, PROBLEMS)
    problem = PROBLEMS[name]
    known = problem.dynamics._asdict()
    values = {}
    for key, value in physics.items():
        if key not in known or key in _OTHERS:
            names = ", ".join(field for field in known if field not in _OTHERS) or "none"
            raise ConfigError(f"{name}: expected the arguments {names}, got {key}")
        if isinstance(known[key], bool):
            require(type(value) is bool, key, "True or False", value)
        else:
            # NumPy's scalars would change the precision of Gymnasium's numbers
            numeric = type(value) in (int, float) and -_LARGEST <= value <= _LARGEST
            require(numeric, key, "a finite Python number", value)
        values[key] = type(known[key])(value)
    return problem._replace(dynamics=problem.dynamics._replace(**values))


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


def with_options(problem: Problem, options: Mapping[str, Any] | None) -> Any:
    """The problem's `dynamics` with the bounds of first states from the options of `reset`, as Gymnasium takes them.

    Raises ConfigError for an option that Gymnasium does not have, or bounds in the wrong order.
    """
    dynamics = problem.dynamics
    known = [name for name in dynamics._fields if name in _OPTIONS]
    require(options is None or isinstance(options, Mapping), "options", "a dictionary", options)
    for name, value in (options or {}).items():
        if name not in known:
            raise ConfigError(f"options: expected {' and '.join(known)}, got {name}")
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        require(abs(number) <= _LARGEST, f"options[{name!r}]", "a finite number", value)
        dynamics = dynamics._replace(**{name: number})
    if "low" in known:
        require(dynamics.low <= dynamics.high, "options['low']", f"a number ≤ {dynamics.high}", dynamics.low)
    else:
        for name in known:
            require(getattr(dynamics, name) >= 0, f"options[{name!r}]", "a number ≥ 0", getattr(dynamics, name))
    return dynamics


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
