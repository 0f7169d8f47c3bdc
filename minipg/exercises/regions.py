"""Chapters 6 to 10: the bound, the natural gradient, conjugate gradient, TRPO and PPO.

The docstring of a function is what a reader finds in the exercise, so it does not have the answer.
"""

from __future__ import annotations

import numpy as np

from minipg.algorithms.dual import dual_update
from minipg.checks import Array
from minipg.conjugate_gradient import conjugate_gradient
from minipg.distribution import categorical, gaussian
from minipg.exercises.exercise import Exercise, Problem
from minipg.exercises.parts import NUMPY, linear_policy, log_softmax, random_mdp, same, taken
from minipg.fisher import fisher_vector_product
from minipg.gradient_check import check_gradient, check_hessian_product, check_vjp
from minipg.kernels.reference import categorical as kernels
from minipg.kernels.reference import fisher as fisher_kernels
from minipg.kernels.reference import gaussian as gaussian_kernels
from minipg.kernels.reference import surrogate
from minipg.rollout.vine import branch_advantages
from minipg.theory.finite_mdp import (
    MDP,
    advantages,
    kl,
    local_objective,
    softmax_jacobian,
    softmax_policy,
    visits,
)

# 6: the performance difference, the surrogate and the bound


def local_objective_gradient(theta: Array, policy: Array, mdp: MDP) -> Array:
    """∂/∂θ of L_π(π_θ) = J₁(π) + Σ_s ρ_π(s) Σ_a π_θ(a|s) A_π(s,a), π_θ(·|s) the softmax of row s of θ  (TR-2).

    theta (S, A), policy π (S, A), mdp → (S, A). visits(mdp, policy) is ρ (S,), advantages(mdp, policy) is A (S, A).
    """
    weight, jacobian = visits(mdp, policy)[:, None] * advantages(mdp, policy), softmax_jacobian(theta)
    return np.einsum("sa,sap->p", weight, jacobian).reshape(theta.shape)


def _local_objective_gradient(rng: np.random.Generator, size: int) -> Problem:
    mdp, policy, theta = random_mdp(rng, size), softmax_policy(rng.normal(size=(size, 2))), rng.normal(size=(size, 2))
    f = lambda theta: local_objective(mdp, policy, softmax_policy(theta))
    return Problem(f, theta, {"theta": same, "policy": policy, "mdp": mdp})


def penalty_gradient(theta: Array, policy: Array) -> Array:
    """∂/∂θ of max_s KL(π‖π_θ)(s), the penalty of the bound, π_θ(·|s) the softmax of row s of θ  (TR-3, DI-6).

    theta (S, A), policy π (S, A) → (S, A). kl(policy, softmax_policy(theta)) is the KL of every state (S,).
    """
    gradient, worst = np.zeros_like(theta), [int(kl(policy, softmax_policy(theta)).argmax())]
    gradient[worst] = categorical(theta.shape[1], NUMPY).kl_gradient(np.log(policy[worst]), theta[worst])
    return gradient


def _penalty_gradient(rng: np.random.Generator, size: int) -> Problem:
    policy, theta = softmax_policy(rng.normal(size=(size, size + 1))), rng.normal(size=(size, size + 1))
    f = lambda theta: kl(policy, softmax_policy(theta)).max()
    return Problem(f, theta, {"theta": same, "policy": policy})


# 7: the natural gradient and Fisher products


def softmax_fisher_product(logits: Array, v: Array) -> Array:
    """The derivative along v of ∂/∂z KL(π_old‖π) in every row, π = softmax(z): the Fisher matrix times v  (DI-3, DI-8).

    logits z, v (B, A) → (B, A).
    """
    return categorical(logits.shape[1], NUMPY).fisher_product(logits, v)


def _softmax_fisher_product(rng: np.random.Generator, size: int) -> Problem:
    old = np.exp(log_softmax(rng.normal(size=(size, size + 1))))
    return Problem(lambda logits: np.exp(log_softmax(logits)) - old, rng.normal(size=old.shape), {"logits": same})


def policy_fisher_product(W: Array, obs: Array, v: Array) -> Array:
    """F v, the derivative along v of ∂/∂W of the mean KL(π_old‖π), π = softmax(s W), without forming F  (TR-9).

    W, v (O, A), obs s (B, O) → (O, A).
    """
    policy, theta = linear_policy(W)
    direction = np.concatenate([v.ravel(), np.zeros(W.shape[1])])
    return fisher_vector_product(policy, theta, obs, direction)[: W.size].reshape(W.shape)


def _policy_fisher_product(rng: np.random.Generator, size: int) -> Problem:
    obs, W = rng.normal(size=(size, size)), rng.normal(size=(size, size + 1))
    old = np.exp(log_softmax(rng.normal(size=(size, size + 1))))
    f = lambda W: obs.T @ (np.exp(log_softmax(obs @ W)) - old) / len(obs)
    return Problem(f, W, {"W": same, "obs": obs})


# 8: conjugate gradient


def energy_gradient(x: Array, A: Array, b: Array) -> Array:
    """∂/∂x of ½ xᵀA x − bᵀx, A symmetric, which conjugate gradient lowers in every step  (TR-10).

    x, b (P,), A (P, P) → (P,). What is its negative called?
    """
    return A @ x - b


def _spd(rng: np.random.Generator, size: int) -> Array:
    half = rng.normal(size=(size, size))
    result: Array = half @ half.T / size + np.eye(size)
    return result


def _energy_gradient(rng: np.random.Generator, size: int) -> Problem:
    (x, b), A = rng.normal(size=(2, size + 1)), _spd(rng, size + 1)
    return Problem(lambda x: 0.5 * x @ A @ x - b @ x, x, {"x": same, "A": A, "b": b})


def solve_pullback(A: Array, u: Array) -> Array:
    """∂⟨u, x⟩/∂b of the solution x of A x = b, A symmetric and positive definite  (TR-10).

    A (P, P), u (P,) → (P,).
    """
    return conjugate_gradient(lambda v: A @ v, u, iterations=4 * len(u), tol=1e-15).x


def _solve_pullback(rng: np.random.Generator, size: int) -> Problem:
    A = _spd(rng, size + 1)
    return Problem(lambda b: np.linalg.solve(A, b), rng.normal(size=size + 1), {"A": A})


# 9: TRPO, its dual form and vine


def dual_gradient(logits: Array, logits_old: Array, act: Array, adv: Array, multiplier: float) -> Array:
    """∂/∂z of (1/B) Σ_rows [r Â − λ KL(π_old‖π)], where r = π(a)/π_old(a) and π = softmax(z)  (TR-12).

    logits z, logits_old (B, A), act (B,) integers, adv Â (B,), multiplier λ → (B, A).
    """
    d, slope = categorical(logits.shape[1], NUMPY), np.empty(len(adv))
    surrogate.surrogate(d.log_prob(logits, act), d.log_prob(logits_old, act), adv, slope)
    leash = multiplier * d.kl_gradient(logits_old, logits)
    return (slope[:, None] * d.score(logits, act) - leash) / len(adv)


def _dual_gradient(rng: np.random.Generator, size: int) -> Problem:
    (z, old), act = rng.normal(size=(2, size, size + 1)), rng.integers(size + 1, size=size)
    adv, logp_old = rng.normal(size=size), log_softmax(old)

    def f(logits: Array) -> Array:
        logp = log_softmax(logits)
        divergence = (np.exp(logp_old) * (logp_old - logp)).sum(axis=1)
        result: Array = (np.exp(taken(logp - logp_old, act)) * adv - 0.7 * divergence).mean()
        return result

    inputs = {"logits": same, "logits_old": old, "act": act, "adv": adv, "multiplier": 0.7}
    return Problem(f, z, inputs)


def vine_gradient(logits: Array, q: Array) -> Array:
    """∂/∂z of Σ_s Σ_a π(a|s) Q̂(s,a), where π = softmax(z) and every action was tried in every state  (TR-13, TR-2).

    logits z (K, A), q (K, A) → (K, A).
    """
    probability = softmax_policy(logits).T
    return branch_advantages(q.T, probability).T / logits.shape[1]


def _vine_gradient(rng: np.random.Generator, size: int) -> Problem:
    z, q = rng.normal(size=(2, size, size + 1))
    return Problem(lambda logits: (np.exp(log_softmax(logits)) * q).sum(), z, {"logits": same, "q": q})


# 10: PPO's objectives


def clip_gradient(logp: Array, logp_old: Array, adv: Array, clip_range: float) -> Array:
    """∂/∂ log π of Σ_rows min(r Â, clip(r, 1 − ε, 1 + ε) Â), where r = exp(log π − log π_old)  (PP-2).

    logp, logp_old, adv (B,), clip_range ε → (B,).
    """
    out = np.empty_like(logp)
    surrogate.clipped_gradient(logp, logp_old, adv, clip_range, out)
    return out


def _clip_gradient(rng: np.random.Generator, size: int) -> Problem:
    logp, logp_old, adv = rng.normal(scale=0.4, size=(3, 2 * size))

    def f(logp: Array) -> Array:
        r, out = np.exp(logp - logp_old), np.empty_like(logp)
        out[...] = np.where(r.real > 1.2, 1.2, np.where(r.real < 0.8, 0.8, r))
        result: Array = np.where((r * adv).real < (out * adv).real, r * adv, out * adv).sum()
        return result

    return Problem(f, logp, {"logp": same, "logp_old": logp_old, "adv": adv, "clip_range": 0.2})


def gaussian_kl_gradient(params: Array, old: Array) -> Array:
    """∂ of Σ_rows KL(π_old‖π) in (μ, log σ) of π, the new policy: the gradient of the penalty of PP-3  (DI-6, PP-3).

    params = (μ, log σ) of π, old = (μ, log σ) of π_old (B, 2A), the A numbers of μ first → (B, 2A).
    """
    return gaussian(params.shape[1] // 2, NUMPY).kl_gradient(old, params)


def _gaussian_kl_gradient(rng: np.random.Generator, size: int) -> Problem:
    params, old = rng.normal(scale=0.5, size=(2, size, 2 * size))

    def f(params: Array) -> Array:
        (mean0, s0), (mean1, s1) = np.split(old, 2, axis=1), np.split(params, 2, axis=1)
        result: Array = (s1 - s0 + (np.exp(2 * s0) + (mean0 - mean1) ** 2) / (2 * np.exp(2 * s1)) - 0.5).sum()
        return result

    return Problem(f, params, {"params": same, "old": old})


EXERCISES = {
    6: (
        Exercise(check_gradient, local_objective_gradient, _local_objective_gradient,
                 (local_objective, softmax_jacobian), (softmax_policy, visits, advantages)),
        Exercise(check_gradient, penalty_gradient, _penalty_gradient, (kernels.kl_gradient,), (softmax_policy, kl)),
    ),
    7: (
        Exercise(check_hessian_product, softmax_fisher_product, _softmax_fisher_product, (kernels.fisher_product,)),
        Exercise(check_hessian_product, policy_fisher_product, _policy_fisher_product,
                 (fisher_vector_product, fisher_kernels.fisher_product)),
    ),
    8: (
        Exercise(check_gradient, energy_gradient, _energy_gradient, (conjugate_gradient,)),
        Exercise(check_vjp, solve_pullback, _solve_pullback, (conjugate_gradient,)),
    ),
    9: (
        Exercise(check_gradient, dual_gradient, _dual_gradient,
                 (dual_update, surrogate.surrogate, kernels.score, kernels.kl_gradient)),
        Exercise(check_gradient, vine_gradient, _vine_gradient, (branch_advantages,)),
    ),
    10: (
        Exercise(check_gradient, clip_gradient, _clip_gradient, (surrogate.clipped_gradient,)),
        Exercise(check_gradient, gaussian_kl_gradient, _gaussian_kl_gradient, (gaussian_kernels.kl_gradient,)),
    ),
}  # fmt: skip
