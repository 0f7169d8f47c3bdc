"""Laws of the network: the forward pass, its derivatives in forward and reverse mode, and how these agree."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.network import ACTIVATIONS, MLP, Tape
from minipg.theory.case import Case, error_ratio, slope_error_ratio


class Draw(NamedTuple):
    """A network, θ, a direction in θ, inputs, a covector for the outputs, and the forward pass."""

    mlp: MLP
    theta: Array
    v: Array
    obs: Array
    g: Array
    tape: Tape


def _draw(case: Case) -> Draw:
    """A network of zero to three hidden layers, random parameters and inputs; widths and batches down to one."""
    hidden = [case.count(7) for _ in range(case.rng.integers(4))]
    mlp = MLP((case.count(5), *hidden, case.count(4)), case.one_of(*ACTIVATIONS), case.backend)
    theta, v, rows = case.normal(mlp.layout.size), case.normal(mlp.layout.size), case.count(9)
    obs, g = case.normal(rows, mlp.sizes[0]), case.normal(rows, mlp.sizes[-1])
    return Draw(mlp, theta, v, obs, g, mlp.forward(theta, obs))


def forward_is_affine_maps_with_activations_between(case: Case) -> float:
    """out = φ(… φ(obs W₀ + b₀) …) W + b."""
    mlp, theta, _, obs, _, tape = _draw(case)
    arrays, h = mlp.layout.views(theta.astype(np.float64)), obs.astype(np.float64)
    layers = len(mlp.sizes) - 1
    for layer in range(layers):
        h = h @ arrays[f"W{layer}"] + arrays[f"b{layer}"]
        if layer + 1 < layers:
            h = np.tanh(h) if mlp.activation == "tanh" else np.maximum(h, 0)
    return error_ratio(case, tape.out, h, np.abs(h).max() + _reach(mlp, theta, obs))


def jvp_is_the_derivative_along_a_direction_TR9(case: Case) -> float:
    """J v = d/dt f_{θ+tv}."""
    mlp, theta, v, obs, _, tape = _draw(case)
    Jv = mlp.jvp(theta, tape, v)
    return slope_error_ratio(case, Jv, lambda x: mlp.forward(x, obs).out, theta, v, 1 + _reach(mlp, theta, obs, v))


def vjp_is_the_adjoint_of_jvp_TR9(case: Case) -> float:
    """⟨g, J v⟩ = ⟨Jᵀ g, v⟩."""
    mlp, theta, v, _, g, tape = _draw(case)
    left, right = g * mlp.jvp(theta, tape, v), mlp.vjp(theta, tape, g) * v
    terms = np.abs(left).sum() + np.abs(right).sum() + _reach(mlp, theta, tape.obs, v) * np.abs(g).sum()
    return error_ratio(case, left.sum(dtype=float), right.sum(dtype=float), terms)


def vjp_obs_is_the_gradient_in_the_inputs_TR9(case: Case) -> float:
    """Jᵀ g in the inputs = ∇_obs Σ g·out."""
    mlp, theta, _, obs, g, tape = _draw(case)
    u = case.normal(*obs.shape)
    terms = mlp.vjp_obs(theta, tape, g) * u
    value = lambda x: (g.astype(float) * mlp.forward(theta.astype(float), x).out).sum()
    size = np.abs(terms).sum() + _reach(mlp, theta, u) * np.abs(g).sum()
    return slope_error_ratio(case, [terms.sum(dtype=float)], value, obs, u, size)


def vjp_of_a_batch_is_the_sum_over_its_rows_in_any_order_TR9(case: Case) -> float:
    """Jᵀ g of a batch is Σ_i Jᵀ g of its rows."""
    mlp, theta, v, obs, g, tape = _draw(case)
    one = lambda i: mlp.vjp(theta, mlp.forward(theta, obs[i : i + 1]), g[i : i + 1]).astype(float)
    size = 1 + _reach(mlp, theta, obs, np.ones_like(v)) * np.abs(g).sum()
    return error_ratio(case, mlp.vjp(theta, tape, g), sum(one(i) for i in case.rng.permutation(len(obs))), size)


def _reach(mlp: MLP, theta: Array, obs: Array, v: Array | None = None) -> float:
    """A bound on the terms of the outputs, or of J v if v is given: absolute values passed through the network."""
    arrays, moves = mlp.layout.views(np.abs(theta).astype(float)), None
    if v is not None:
        moves = mlp.layout.views(np.abs(v).astype(float))
    h, dh = np.abs(obs).astype(float), 0 * obs.astype(float)
    for layer in range(len(mlp.sizes) - 1):
        W, b = arrays[f"W{layer}"], arrays[f"b{layer}"]
        if moves is not None:
            dh = dh @ W + h @ moves[f"W{layer}"] + moves[f"b{layer}"]
        h = h @ W + b
    return float((h if v is None else dh).max())
