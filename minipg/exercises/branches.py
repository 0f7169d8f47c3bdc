"""Chapters 11, 12 and 14: distributed gradients, the deterministic branch, checking a gradient.

The docstring of a function is what a reader finds in the exercise, so it does not have the answer.
"""

from __future__ import annotations

import numpy as np

from minipg.algorithms.optimizers import mean
from minipg.checks import Array
from minipg.distribution import gaussian
from minipg.exercises.exercise import Exercise, Problem
from minipg.exercises.parts import NUMPY, linear_policy, log_softmax, same, taken
from minipg.gradient_check import check_gradient, check_vjp
from minipg.kernels.reference import gaussian as gaussian_kernels
from minipg.kernels.reference import mlp as mlp_kernels
from minipg.network import MLP
from minipg.objective import gradient_and_entropy, policy_gradient
from minipg.theory import lqr
from minipg.theory.lqr import LQR, expected_return, value_matrix, visits

# 11: distributed


def gradient_of_equal_shares(gradients: Array) -> Array:
    """∇ of the mean over all rows, from the gradients of W workers: g_w is ∇ of the mean over an equal share  (PP-5).

    gradients (W, P) → (P,).
    """
    result: Array = mean(list(gradients))
    return result


def gradient_of_unequal_shares(gradients: Array, rows: Array) -> Array:
    """∇ of the mean over all rows, from the gradients of W workers: g_w is ∇ of the mean over rows[w] rows  (PP-5).

    gradients (W, P), rows (W,) → (P,).
    """
    result: Array = (rows[:, None] * gradients).sum(axis=0) / rows.sum()
    return result


def _shares(rng: np.random.Generator, size: int, counts: Array, with_counts: bool) -> Problem:
    ends, total = np.cumsum(counts)[:-1], int(counts.sum())
    obs, act, adv = rng.normal(size=(total, size)), rng.integers(2, size=total), rng.normal(size=total)
    parts = list(zip(*(np.split(array, ends) for array in (obs, act, adv)), strict=True))

    def gradients(theta: Array) -> Array:
        policy, x = linear_policy(theta.reshape(size, 2))
        found = [policy_gradient(policy, x, policy.forward(x, s), a, weight) for s, a, weight in parts]
        return np.stack(found)[:, : theta.size]

    f = lambda theta: (adv * taken(log_softmax(obs @ theta.reshape(size, 2)), act)).mean()
    return Problem(f, rng.normal(size=2 * size), {"gradients": gradients} | ({"rows": counts} if with_counts else {}))


def _equal_shares(rng: np.random.Generator, size: int) -> Problem:
    return _shares(rng, size, np.full(size + 1, 3), False)


def _unequal_shares(rng: np.random.Generator, size: int) -> Problem:
    return _shares(rng, size, np.arange(1, size + 2), True)


# 12: the deterministic branch


def _regulator(rng: np.random.Generator, size: int) -> tuple[LQR, Array]:
    """A problem of `size` numbers in a state, and a gain K (1, S) with which the closed loop is stable."""
    a, b, half = rng.normal(size=(size, size)), rng.normal(size=(size, 1)), rng.normal(size=(size, size))
    a *= 0.7 / np.abs(np.linalg.eigvals(a)).max()
    return LQR(a, b, half @ half.T, np.eye(1), np.eye(size), 0.8), 0.1 * rng.normal(size=(1, size))


def action_gradient(action: Array, state: Array, gain: Array, problem: LQR) -> Array:
    """∇_a Q(s, a) = ∂/∂a of −(sᵀQ s + aᵀR a) + γ V(s′), where s′ = A s + B a and V(s′) = −s′ᵀP s′  (DP-1).

    action a (A,), state s (S,), gain K (A, S); problem has a (S, S), b (S, A), q (S, S), r (A, A), gamma: the matrices
    A, B, Q, R and γ; Q and R are symmetric.   → (A,). value_matrix(problem, gain) is P (S, S).
    """
    return lqr.action_gradient(problem, gain, state, action)


def _action_gradient(rng: np.random.Generator, size: int) -> Problem:
    problem, gain = _regulator(rng, size)
    P, state = value_matrix(problem, gain), rng.normal(size=size)

    def f(action: Array) -> Array:
        after = problem.a @ state + problem.b @ action
        result: Array = -state @ problem.q @ state - action @ problem.r @ action - problem.gamma * after @ P @ after
        return result

    return Problem(f, rng.normal(size=1), {"action": same, "state": state, "gain": gain, "problem": problem})


def deterministic_gradient(gain: Array, problem: LQR) -> Array:
    """∂J/∂K of the policy a = K s on a linear-quadratic regulator  (DP-1).

    gain K (A, S); problem has a (S, S), b (S, A), q (S, S), r (A, A), start Σ₀ (S, S), gamma → (A, S).
    value_matrix(problem, gain) is P, V(s) = −sᵀP s; visits(problem, gain) is Σ_t γᵗ E[s_t s_tᵀ] (S, S).
    """
    return lqr.policy_gradient(problem, gain)


def _deterministic_gradient(rng: np.random.Generator, size: int) -> Problem:
    problem, gain = _regulator(rng, size)
    return Problem(lambda gain: expected_return(problem, gain), gain, {"gain": same, "problem": problem})


# 14: checking a gradient


def gaussian_score(params: Array, act: Array) -> Array:
    """∂ of Σ_rows log π(a) in (μ, log σ) of a diagonal Gaussian  (DI-4).

    params = (μ, log σ) (B, 2A), the A numbers of μ first, act (B, A) → (B, 2A).
    """
    return gaussian(act.shape[1], NUMPY).score(params, act)


def _gaussian_score(rng: np.random.Generator, size: int) -> Problem:
    params, act = rng.normal(scale=0.5, size=(size, 2 * size)), rng.normal(size=(size, size))

    def f(params: Array) -> Array:
        mean, log_std = np.split(params, 2, axis=1)
        result: Array = -0.5 * (((act - mean) * np.exp(-log_std)) ** 2 + 2 * log_std + np.log(2 * np.pi)).sum()
        return result

    return Problem(f, params, {"params": same, "act": act})


def backward(theta: dict[str, Array], obs: Array, u: Array) -> dict[str, Array]:
    """Jᵀu: ∂⟨u, out⟩/∂θ of the network out = tanh(obs W0 + b0) W1 + b1  (TR-9).

    theta: {"W0": (O, H), "b0": (H,), "W1": (H, D), "b1": (D,)}, obs (B, O), u (B, D) → a dict like theta.
    """
    mlp = MLP((*theta["W0"].shape, theta["W1"].shape[1]), "tanh", NUMPY)
    flat = mlp.layout.flatten(theta, np.float64)
    return mlp.layout.views(mlp.vjp(flat, mlp.forward(flat, obs), u))


def _backward(rng: np.random.Generator, size: int) -> Problem:
    obs, shapes = rng.normal(size=(size, size)), {"W0": (size, 2), "b0": (2,), "W1": (2, size), "b1": (size,)}
    network = lambda theta: np.tanh(obs @ theta["W0"] + theta["b0"]) @ theta["W1"] + theta["b1"]
    theta = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return Problem(network, theta, {"theta": same, "obs": obs})


EXERCISES = {
    11: (
        Exercise(check_gradient, gradient_of_equal_shares, _equal_shares, (mean,)),
        Exercise(check_gradient, gradient_of_unequal_shares, _unequal_shares, (gradient_and_entropy,)),
    ),
    12: (
        Exercise(check_gradient, action_gradient, _action_gradient, (lqr.action_gradient,), (value_matrix,)),
        Exercise(check_gradient, deterministic_gradient, _deterministic_gradient, (lqr.policy_gradient,),
                 (value_matrix, visits)),
    ),
    14: (
        Exercise(check_gradient, gaussian_score, _gaussian_score, (gaussian_kernels.score,)),
        Exercise(check_vjp, backward, _backward, (MLP.vjp, mlp_kernels.vjp)),
    ),
}  # fmt: skip
