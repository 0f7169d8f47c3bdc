"""What several exercises need: formulas in NumPy that take complex numbers, for derivatives by a complex step."""

from __future__ import annotations

import numpy as np

from minipg.checks import Array
from minipg.network import MLP
from minipg.policy import CategoricalPolicy
from minipg.returns import discounted_returns
from minipg.runtime.backend import Backend
from minipg.theory.finite_mdp import MDP, finite_mdp

NUMPY = Backend("numpy")


def log_softmax(logits: Array) -> Array:
    """log π of every action.   logits (…, A) → (…, A)."""
    shifted = logits - logits.real.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def taken(rows: Array, act: Array) -> Array:
    """The number of every row that belongs to its action.   rows (B, A), act (B,) → (B,)."""
    result: Array = rows[np.arange(len(act)), act]
    return result


def linear_policy(W: Array) -> tuple[CategoricalPolicy, Array]:
    """The policy π = softmax(s W) of the library, whose biases are 0, and its θ.   W (O, A)."""
    policy = CategoricalPolicy(MLP(W.shape, "tanh", NUMPY))
    return policy, np.concatenate([W.ravel(), np.zeros(W.shape[1])])


def random_mdp(rng: np.random.Generator, states: int, actions: int = 2) -> MDP:
    """A random MDP in which every state is reached."""
    rows = lambda *shape: rng.dirichlet(np.ones(states), shape)
    return finite_mdp(rows(states, actions), rng.normal(size=(states, actions)), rows(1)[0], 0.8)


def same(x: Array) -> Array:
    """x itself, for an argument that is the point of the check."""
    return x


def returns_of(rew: Array, gamma: float, last_value: float = 0.0) -> Array:
    """G_t = r_t + γ G_{t+1} by the definition, a sum; complex numbers too.   rew (T,) → (T,)."""
    steps = len(rew)
    powers = gamma ** (np.arange(steps) - np.arange(steps)[:, None]).clip(0) * np.triu(np.ones((steps, steps)))
    result: Array = powers @ rew + last_value * gamma ** np.arange(steps, 0, -1)
    return result


def library_returns(rew: Array, last_value: float, gamma: float) -> Array:
    """The same by the library's recursion.   rew (T,) → (T,)."""
    column, none = rew[:, None], np.zeros((len(rew), 1), bool)
    return discounted_returns(column, np.full_like(column, last_value), none, none, gamma, NUMPY)[:, 0]
