"""A policy as a module of Python: one function, and NumPy is all that it imports."""

from __future__ import annotations

import base64
import textwrap

import numpy as np

from minipg.checks import Array
from minipg.export.blueprint import Blueprint, Choices, Reals
from minipg.kernels.arguments import MASKED

_MODULE = '''\
"""The policy of {title}, exported by minipg. It needs NumPy alone.

    action = act(obs)          # one observation ({inputs},), or a batch of them (B, {inputs})

An observation is flat, as gymnasium.spaces.flatten makes it:
{observation}
An action has the shape {shape} and the dtype {dtype}.
"""

import base64

import numpy as np


def _array(shape, text):
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(shape)


{arrays}


def act(obs):
    """The action for one observation, or for a batch of them."""
    x = np.asarray(obs, np.float32)
    single = x.ndim == 1
    x = x.reshape(-1, {inputs})
{steps}
    return action[0] if single else action
'''


def python_source(policy: Blueprint) -> str:
    """The text of the module."""
    arrays: dict[str, Array] = {}
    steps = []
    if isinstance(policy.action, Choices) and policy.action.masked:
        steps.append(f"mask = x[:, :{policy.sizes[-1]}] != 0")
    if policy.standardize is not None:
        arrays |= {"MEAN": policy.standardize.mean, "SCALE": policy.standardize.scale}
        limit = policy.standardize.limit
        steps.append(f"x = np.clip((x - MEAN[0] - MEAN[1]) * SCALE, -{limit}, {limit})")
    for k, (weight, bias) in enumerate(policy.layers):
        arrays |= {f"WEIGHT_{k}": weight, f"BIAS_{k}": bias}
        y = f"x @ WEIGHT_{k} + BIAS_{k}"
        activation = {"tanh": f"np.tanh({y})", "relu": f"np.maximum({y}, 0)"}[policy.activation]
        steps.append(f"x = {activation if k < len(policy.layers) - 1 else y}")
    found, numbers = _action(policy)
    arrays |= numbers
    steps += [*found, f"action = x.reshape(-1, *{policy.shape}).astype({policy.dtype!r})"]
    return _MODULE.format(
        title=policy.title,
        inputs=policy.sizes[0],
        observation="\n".join(f"    {line}" for line in policy.observation),
        shape=policy.shape,
        dtype=policy.dtype,
        arrays="\n".join(f"{name} = {_literal(array)}" for name, array in arrays.items()),
        steps=textwrap.indent("\n".join(steps), "    "),
    )


def _action(policy: Blueprint) -> tuple[list[str], dict[str, Array]]:
    """The lines that make actions from the outputs, and the arrays that they need."""
    action = policy.action
    if isinstance(action, Choices):
        steps = [f"x = np.where(mask, x, {MASKED})"] if action.masked else []
        ends = np.cumsum(action.sizes).tolist()
        places = zip([0, *ends], ends, action.start, strict=False)
        each = ", ".join(f"x[:, {first}:{end}].argmax(axis=1) + {start}" for first, end, start in places)
        return [*steps, f"x = np.stack([{each}], axis=1)"], {}
    if isinstance(action, Reals):
        scaled = ["share = (1 + np.tanh(x)) / 2", "x = (1 - share) * LOW + share * HIGH"] if action.scaled else []
        return [*scaled, "x = np.clip(x, LOW, HIGH)"], {"LOW": action.low, "HIGH": action.high}
    return ["x = x > 0"], {}


def _literal(array: Array) -> str:
    text = base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()
    lines = "\n".join(f'    "{line}"' for line in textwrap.wrap(text, 100))
    return f"_array({array.shape}, (\n{lines}\n))"
