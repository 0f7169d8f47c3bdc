"""What an exported policy consists of: numbers and a few words, the same for every format."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from minipg.checks import Array
from minipg.envs.spaces import layout_of
from minipg.errors import ConfigError
from minipg.rollout.normalizer import LIMIT
from minipg.runtime.backend import to_host


class Standardize(NamedTuple):
    """x ← (x − mean) · scale, clipped to ±limit.

    A mean is two floats, the second what rounding has left of it: x − mean[0] − mean[1] loses no digits where a mean is
    much larger than the deviation.
    """

    mean: Array  # (2, O) float32
    scale: Array  # (O,) float32
    limit: float


class Choices(NamedTuple):
    """A = len(sizes) numbers: each the place of the largest of its `sizes[k]` outputs, counted from `start[k]`.

    `masked`: the observation begins with a number for each output, and outputs where it is 0 are replaced by MASKED.
    """

    sizes: tuple[int, ...]
    start: tuple[int, ...]
    masked: bool


class Bits(NamedTuple):
    """A numbers: 1 where an output is above 0, else 0."""

    size: int


class Reals(NamedTuple):
    """A real numbers: the outputs, clipped to the bounds; with `scaled`, tanh of them, scaled to the bounds."""

    low: Array  # (A,) float32
    high: Array  # (A,) float32
    scaled: bool


class Blueprint(NamedTuple):
    """Observation (O,) → layers → outputs → action.

    layers: weights (n, m) and biases (m,) of h ← activation(h W + b), the last without the activation.
    """

    title: str
    observation: list[str]
    """The layout of an observation: that of its space flattened, a line for each part."""
    standardize: Standardize | None
    layers: list[tuple[Array, Array]]
    activation: str
    action: Choices | Bits | Reals
    shape: tuple[int, ...]
    """Of an action; () for a single number."""
    dtype: str

    @property
    def sizes(self) -> tuple[int, ...]:
        """The layer sizes, from O to the number of outputs."""
        return (len(self.layers[0][0]), *(len(bias) for _, bias in self.layers))


def blueprint_of(agent: Any) -> Blueprint:
    """The deterministic policy of an agent, as `predict(obs, deterministic=True)` computes it."""
    if getattr(agent.actor.distribution, "functions", None) is not None:
        name = agent.actor.distribution.name
        raise ConfigError(f"export: expected a family of minipg's own, whose mode is known, got {name}")
    action = _action_of(agent)
    outputs = action.size if isinstance(action, Bits) else len(action.low) if isinstance(action, Reals) else None
    layers = [(weight.copy(), bias.copy()) for weight, bias in _layers_of(agent)]
    weight, bias = layers[-1]
    layers[-1] = np.ascontiguousarray(weight[:, :outputs]), bias[:outputs]  # not those of a σ that depends on the state
    space = agent.observations.space  # in which a mask comes first
    return Blueprint(
        _plain(f"{agent.name} on {agent.env_id}"), [_plain(line) for line in layout_of(space, "observation")],
        _standardize(agent), layers,
        agent.actor.mlp.activation, action, agent.actions.shape, str(np.dtype(agent.actions.space.dtype)),
    )  # fmt: skip


def _plain(text: str) -> str:
    """The text without characters that could end a comment or a string."""
    return re.sub(r"[^\w .,:;()\[\]{}'=+/<>|-]", "_", text, flags=re.ASCII)


def _layers_of(agent: Any) -> list[tuple[Array, Array]]:
    if agent.actor.mlp.convs:
        raise ConfigError("export: expected a policy of dense layers; convolutions are not exported")
    parts = agent.actor.mlp.layout.views(to_host(agent.theta)[: agent.actor.mlp.layout.size])
    found = list(parts.values())
    (first, bias), *others = zip(found[::2], found[1::2], strict=True)
    return [(first * first.dtype.type(agent.actor.mlp.scale), bias), *others]


def _action_of(agent: Any) -> Choices | Bits | Reals:
    space, codec = agent.actions.space, agent.actions
    if isinstance(space, spaces.Discrete):
        return Choices((int(space.n),), (int(space.start),), agent.masked)
    if isinstance(space, spaces.MultiDiscrete):
        return Choices(tuple(np.ravel(space.nvec).tolist()), tuple(np.ravel(space.start).tolist()), agent.masked)
    if isinstance(space, spaces.MultiBinary):
        return Bits(codec.size)
    low, high = (np.ravel(bound).astype(np.float32) for bound in (space.low, space.high))
    return Reals(low, high, codec.squash or codec.scale)


def _standardize(agent: Any) -> Standardize | None:
    if agent.normalizer is None:
        return None
    moments = agent.normalizer.moments.state()
    variance = moments["square"] / np.maximum(moments["count"], 1)
    scale = 1 / np.sqrt(np.where(variance > 0, variance, 1))
    mask = agent.normalizer.mask
    moments["mean"][:mask], scale[:mask] = 0, 1
    mean = moments["mean"].astype(np.float32)
    left = (moments["mean"] - mean).astype(np.float32)
    return Standardize(np.stack([mean, left]), scale.astype(np.float32), LIMIT)
