"""Hypothesis strategies for distributions, episodes, networks and finite MDPs (needs the extra `check`).

Arrays are drawn entry by entry from numbers of few digits, so a failing example shrinks to small shapes and entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minipg.checks import Array
from minipg.gradient_check.strategies import Strategy, arrays
from minipg.network import ACTIVATIONS, MLP
from minipg.runtime.backend import Backend
from minipg.theory.finite_mdp import MDP, finite_mdp


def logits(rows: int = 4, actions: int = 5, size: float = 5.0, dtype: Any = np.float64) -> Strategy:
    """Logits (B, A) within ±size, with 1 ≤ B ≤ rows and 1 ≤ A ≤ actions."""
    return arrays(st.tuples(st.integers(1, rows), st.integers(1, actions)), size, dtype)


@st.composite
def gaussian_parameters(draw: Any, rows: int = 4, dims: int = 4, dtype: Any = np.float64) -> Array:
    """(μ, log σ) side by side (B, 2A): μ within ±3, log σ within ±2, 1 ≤ B ≤ rows and 1 ≤ A ≤ dims."""
    shape = draw(st.integers(1, rows)), draw(st.integers(1, dims))
    return np.concatenate([draw(arrays(shape, 3.0, dtype)), draw(arrays(shape, 2.0, dtype))], axis=1)


class Episodes(NamedTuple):
    """Rewards, values, next values and ends of both kinds, never both at once; all (T, N)."""

    rew: Array
    value: Array
    next_value: Array
    terminated: Array
    truncated: Array


@st.composite
def episodes(draw: Any, steps: int = 8, envs: int = 3) -> Episodes:
    """Episodes with ends anywhere, 1 ≤ T ≤ steps and 1 ≤ N ≤ envs."""
    shape = draw(st.integers(1, steps)), draw(st.integers(1, envs))
    end = draw(hnp.arrays(np.int8, shape, elements=st.sampled_from([0, 0, 0, 1, 2])))
    rew, value, next_value = (draw(arrays(shape)) for _ in range(3))
    return Episodes(rew, value, next_value, end == 1, end == 2)


class Network(NamedTuple):
    """A network, its parameters θ (P,) and a batch of inputs (B, O)."""

    mlp: MLP
    theta: Array
    obs: Array


@st.composite
def networks(
    draw: Any,
    activations: Sequence[str] = ACTIVATIONS,
    depth: int = 3,
    width: int = 6,
    rows: int = 6,
    backend: Backend | None = None,
    dtype: Any = np.float64,
) -> Network:
    """Networks of 0 to `depth` hidden layers with random parameters. Inputs of ReLU networks are not near a kink."""
    hidden = draw(st.lists(st.integers(1, width), max_size=depth))
    sizes = (draw(st.integers(1, width)), *hidden, draw(st.integers(1, width)))
    mlp = MLP(sizes, draw(st.sampled_from(list(activations))), backend or Backend("numpy", 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    theta = rng.normal(size=mlp.layout.size).astype(dtype)
    obs = rng.normal(size=(draw(st.integers(1, rows)), sizes[0])).astype(dtype)
    if mlp.activation == "relu":
        obs = draw(relu_inputs(mlp, theta, len(obs), dtype))
    return Network(mlp, theta, obs)


@st.composite
def relu_inputs(
    draw: Any, mlp: MLP, theta: Array, rows: int = 6, dtype: Any = np.float64, least: float = 1e-2
) -> Array:
    """Inputs (B, O), 1 ≤ B ≤ rows, of a ReLU network, at which no hidden unit's input is within ±least of its kink."""
    row = arrays((mlp.sizes[0],), dtype=dtype).filter(lambda x: clearance(mlp, theta, x[None]) > least)
    return np.stack(draw(st.lists(row, min_size=1, max_size=rows)))


def clearance(mlp: MLP, theta: Array, obs: Array) -> float:
    """The smallest |input| of any hidden unit: the distance of a ReLU network from its nearest kink.

    ∞ without hidden units.
    """
    views, h, least = mlp.layout.views(theta), obs, np.inf
    for layer in range(len(mlp.sizes) - 2):
        before = h @ views[f"W{layer}"] + views[f"b{layer}"]
        least, h = min(least, float(np.abs(before).min())), np.maximum(before, 0)
    return least


def integers(shape: tuple[int, ...], low: int, high: int) -> Strategy:
    """Integer arrays of this shape with entries from low to high, drawn one by one."""
    return hnp.arrays(np.int64, shape, elements=st.integers(low, high), fill=st.nothing())


def probabilities(shape: tuple[int, ...], least: int = 0) -> Strategy:
    """Rows of probabilities, made of small integers ≥ `least`: with 0, zeros and ones are common."""

    def normalise(weights: Array) -> Array:
        weights = weights + np.eye(shape[-1], dtype=int)[0] * (weights.sum(axis=-1, keepdims=True) == 0)
        return weights / weights.sum(axis=-1, keepdims=True)

    return integers(shape, least, 4).map(normalise)


discounts = st.sampled_from([0.0, 0.5, 0.9, 0.99]) | st.floats(0, 0.99)


@st.composite
def mdps(draw: Any, max_states: int = 6, max_actions: int = 4, connected: bool = False, anywhere: bool = False) -> MDP:
    """Finite MDPs. If `connected`, state 0 is reached from every state under every policy; if `anywhere`, every state
    has a positive start probability.

    Every entry is drawn, so that a failing example shrinks to few states, simple rewards and deterministic transitions.
    """
    states, actions = draw(st.integers(1, max_states)), draw(st.integers(1, max_actions))
    transitions = draw(probabilities((states, actions, states)))
    if connected:
        transitions = 7 / 8 * transitions + np.eye(states)[0] / 8
    start = draw(probabilities((states,), least=1 if anywhere else 0))
    return finite_mdp(transitions, draw(integers((states, actions), -4, 4)) / 2, start, draw(discounts))


class Tabular(NamedTuple):
    """An MDP, the logits of a policy (S, A), and the tables of two other policies, in which probabilities may be 0."""

    mdp: MDP
    theta: Array
    pi: Array
    other: Array


@st.composite
def mdps_with_policies(draw: Any, **kinds: Any) -> Tabular:
    """An MDP, drawn by `mdps(**kinds)`, and policies for it."""
    mdp = draw(mdps(**kinds))
    shape = mdp.rewards.shape
    return Tabular(mdp, draw(integers(shape, -4, 4)) / 2, draw(probabilities(shape)), draw(probabilities(shape)))
