"""A linear-quadratic regulator, solved exactly: the problem on which the deterministic policy gradient is a formula.

    s′ = A s + B a,   r = −(sᵀ Q s + aᵀ R a),   a = K s,   discount γ,   E[s₀ s₀ᵀ] = Σ₀.

V(s) = −sᵀ P s with P = Q + Kᵀ R K + γ (A + B K)ᵀ P (A + B K), and J(K) = −tr(P Σ₀).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

from minipg.checks import Array


class LQR(NamedTuple):
    """A problem with S numbers in a state and A in an action."""

    a: Array  # (S, S)
    b: Array  # (S, A)
    q: Array  # (S, S), positive semidefinite
    r: Array  # (A, A), positive definite
    start: Array  # (S, S), Σ₀
    gamma: float


def value_matrix(problem: LQR, gain: Array) -> Array:
    """P (S, S) of the policy a = K s.   gain K (A, S); the closed loop must be stable: γ ρ(A + B K)² < 1."""
    closed = np.sqrt(problem.gamma) * (problem.a + problem.b @ gain)
    solved: Array = linalg.solve_discrete_lyapunov(closed.T, problem.q + gain.T @ problem.r @ gain)
    return solved


def expected_return(problem: LQR, gain: Array) -> float:
    """J(K) = −tr(P Σ₀)."""
    return -float(np.trace(value_matrix(problem, gain) @ problem.start))


def best_gain(problem: LQR) -> Array:
    """K* (A, S), by the Riccati equation."""
    root = np.sqrt(problem.gamma)
    a, b = root * problem.a, root * problem.b
    p = linalg.solve_discrete_are(a, b, problem.q, problem.r)
    gain: Array = -np.linalg.solve(problem.r + b.T @ p @ b, b.T @ p @ a)
    return gain


def action_gradient(problem: LQR, gain: Array, state: Array, action: Array) -> Array:
    """∇_a Q(s, a) = −2 R a − 2 γ Bᵀ P (A s + B a)  for the policy K.   state (…, S), action (…, A) → (…, A)."""
    after = state @ problem.a.T + action @ problem.b.T
    slope: Array = -2 * action @ problem.r - 2 * problem.gamma * after @ value_matrix(problem, gain) @ problem.b
    return slope


def visits(problem: LQR, gain: Array) -> Array:
    """Σ_t γᵗ E[s_t s_tᵀ] (S, S): the discounted visits' second moment."""
    closed = np.sqrt(problem.gamma) * (problem.a + problem.b @ gain)
    solved: Array = linalg.solve_discrete_lyapunov(closed, problem.start)
    return solved


def policy_gradient(problem: LQR, gain: Array) -> Array:
    """∇J(K) = Σ_s ρ(s) ∇_a Q(s, a)|a=Ks sᵀ  (DP-1) → (A, S)."""
    # ∇_a Q is linear in s, so its rows on the unit vectors are its matrix
    unit = np.eye(len(problem.a))
    slope = action_gradient(problem, gain, unit, unit @ gain.T).T
    gradient: Array = slope @ visits(problem, gain)
    return gradient
