"""Chapters 1 to 5: policy gradients, baselines, actor and critic, A3C, importance sampling.

The docstring of a function is what a reader finds in the exercise, so it does not have the answer.
"""

from __future__ import annotations

import numpy as np

from minipg.checks import Array
from minipg.distribution import categorical
from minipg.exercises.exercise import Exercise, Problem
from minipg.exercises.parts import (
    NUMPY,
    library_returns,
    linear_policy,
    log_softmax,
    random_mdp,
    returns_of,
    same,
    taken,
)
from minipg.gradient_check import check_gradient, check_jvp, check_vjp
from minipg.kernels.reference import regression, returns, surrogate
from minipg.kernels.reference.categorical import score
from minipg.network import MLP
from minipg.objective import policy_gradient
from minipg.returns import discounted_returns, gae, td_errors
from minipg.theory.finite_mdp import (
    MDP,
    action_values,
    importance_variance,
    softmax_jacobian,
    softmax_policy,
    start_value,
    start_value_gradient,
    visits,
)
from minipg.value import ValueNetwork

# 1: the policy gradient and the log-derivative


def softmax_score(logits: Array, act: Array) -> Array:
    """∂/∂z of Σ_rows log π(a), where π = softmax(z)  (DI-1).

    logits z (B, A), act (B,) integers → (B, A).
    """
    return categorical(logits.shape[1], NUMPY).score(logits, act)


def _softmax_score(rng: np.random.Generator, size: int) -> Problem:
    z, act = rng.normal(size=(size, size + 1)), rng.integers(size + 1, size=size)
    return Problem(lambda logits: taken(log_softmax(logits), act).sum(), z, {"logits": same, "act": act})


def policy_gradient_theorem(theta: Array, mdp: MDP) -> Array:
    """∂J₁/∂θ of the policy whose π(·|s) is the softmax of row s of θ  (PG-9).

    theta (S, A); mdp has transitions P(s′|s,a) (S, A, S), rewards (S, A), start μ (S,), gamma → (S, A).
    softmax_policy(theta) is π; visits(mdp, π) is ρ (S,); action_values(mdp, π) is Q (S, A).
    """
    pi, jacobian = softmax_policy(theta), softmax_jacobian(theta)
    return start_value_gradient(mdp, pi, jacobian).reshape(theta.shape)


def _policy_gradient_theorem(rng: np.random.Generator, size: int) -> Problem:
    mdp, theta = random_mdp(rng, size), rng.normal(size=(size, 2))
    return Problem(lambda theta: start_value(mdp, softmax_policy(theta)), theta, {"theta": same, "mdp": mdp})


# 2: baselines and credit


def classifier_gradient(logits: Array, act: Array, G: Array) -> Array:
    """∂/∂z of −Σ_rows G log π(a), where π = softmax(z): a cross-entropy with weights  (PG-10).

    logits z (B, A), act (B,) integers, the returns G (B,) → (B, A).
    """
    return -G[:, None] * categorical(logits.shape[1], NUMPY).score(logits, act)


def _classifier_gradient(rng: np.random.Generator, size: int) -> Problem:
    z, act, G = rng.normal(size=(size, size + 1)), rng.integers(size + 1, size=size), rng.normal(size=size)
    f = lambda logits: -(G * taken(log_softmax(logits), act)).sum()
    return Problem(f, z, {"logits": same, "act": act, "G": G})


def credit(gamma: float, u: Array) -> Array:
    """∂⟨u, G⟩/∂r of an episode's returns G_t = r_t + γ G_{t+1}: which rewards the weights u give credit to  (PG-7).

    gamma, u (T,) → (T,).
    """
    backwards, none = u[::-1, None], np.zeros((len(u), 1), bool)
    return discounted_returns(backwards, 0 * backwards, none, none, gamma, NUMPY)[::-1, 0]


def _credit(rng: np.random.Generator, size: int) -> Problem:
    return Problem(lambda rew: returns_of(rew, 0.9), rng.normal(size=size + 1), {"gamma": 0.9})


# 3: actor, critic and GAE


def critic_gradient(theta: Array, obs: Array, target: Array) -> Array:
    """∂/∂θ of (1/B) Σ_rows (V(s) − y)², where V(s) = w·s + b and θ = (w, b)  (AC-1).

    theta (O + 1,), obs s (B, O), target y (B,) → (O + 1,).
    """
    return ValueNetwork(MLP((obs.shape[1], 1), "tanh", NUMPY)).loss_and_gradient(theta, obs, target)[1]


def _critic_gradient(rng: np.random.Generator, size: int) -> Problem:
    obs, target = rng.normal(size=(size + 1, size)), rng.normal(size=size + 1)
    f = lambda theta: ((obs @ theta[:-1] + theta[-1] - target) ** 2).mean()
    return Problem(f, rng.normal(size=size + 1), {"theta": same, "obs": obs, "target": target})


def gae_along(gamma: float, gae_lambda: float, v: Array) -> Array:
    """The derivative of Â along a change v of the critic's values, in T steps without an end of an episode  (PG-12).

    Â_t = Σ_l (γλ)ˡ δ_{t+l}, δ_t = r_t + γ V(s_{t+1}) − V(s_t).   gamma, gae_lambda, v (T + 1,) → (T,).
    """
    none, before, after = np.zeros((len(v) - 1, 1), bool), v[:-1, None], v[1:, None]
    delta = td_errors(0 * before, before, after, none, gamma, NUMPY)
    return gae(delta, none, none, gamma, gae_lambda, NUMPY)[:, 0]


def _gae_along(rng: np.random.Generator, size: int) -> Problem:
    rew = rng.normal(size=size)
    f = lambda value: returns_of(rew + 0.9 * value[1:] - value[:-1], 0.9 * 0.8)
    return Problem(f, rng.normal(size=size + 1), {"gamma": 0.9, "gae_lambda": 0.8})


# 4: A3C


def worker_policy_gradient(
    W: Array, obs: Array, act: Array, rew: Array, value: Array, last_value: float, gamma: float
) -> Array:
    """dθ, which a worker accumulates: ∂/∂W of Σ_i log π(a_i|s_i) (R_i − V(s_i)), where π = softmax(s W)  (AC-2).

    R_i = r_i + γ R_{i+1} begins with R = last_value; R and V are constants.
    W (O, A), obs (T, O), act (T,) integers, rew, value (T,), last_value, gamma → (O, A).
    """
    policy, theta = linear_policy(W)
    R = library_returns(rew, last_value, gamma)
    mean = policy_gradient(policy, theta, policy.forward(theta, obs), act, R - value)
    return len(obs) * mean[: W.size].reshape(W.shape)


def _worker_policy_gradient(rng: np.random.Generator, size: int) -> Problem:
    obs, act, W = rng.normal(size=(size, size)), rng.integers(size + 1, size=size), rng.normal(size=(size, size + 1))
    rew, value, last = rng.normal(size=size), rng.normal(size=size), float(rng.normal())
    adv = returns_of(rew, 0.9, last) - value
    inputs = {"W": same, "obs": obs, "act": act, "rew": rew, "value": value, "last_value": last, "gamma": 0.9}
    return Problem(lambda W: (adv * taken(log_softmax(obs @ W), act)).sum(), W, inputs)


def worker_critic_gradient(theta: Array, obs: Array, rew: Array, last_value: float, gamma: float) -> Array:
    """dθ_v, which a worker accumulates: ∂/∂θ of Σ_i (R_i − V(s_i))², where V(s) = w·s + b, θ = (w, b)  (AC-2).

    R_i = r_i + γ R_{i+1} begins with R = last_value, and is a constant.
    theta (O + 1,), obs (T, O), rew (T,), last_value, gamma → (O + 1,).
    """
    R, critic = library_returns(rew, last_value, gamma), ValueNetwork(MLP((obs.shape[1], 1), "tanh", NUMPY))
    return len(obs) * critic.loss_and_gradient(theta, obs, R)[1]


def _worker_critic_gradient(rng: np.random.Generator, size: int) -> Problem:
    obs, rew, last = rng.normal(size=(size, size)), rng.normal(size=size), float(rng.normal())
    R = returns_of(rew, 0.9, last)
    inputs = {"theta": same, "obs": obs, "rew": rew, "last_value": last, "gamma": 0.9}
    return Problem(lambda theta: ((R - obs @ theta[:-1] - theta[-1]) ** 2).sum(), rng.normal(size=size + 1), inputs)


# 5: importance sampling


def ratio_gradient(logits: Array, logp_old: Array, act: Array, adv: Array) -> Array:
    """∂/∂z of the surrogate (1/B) Σ_rows r Â, where r = π(a)/π_old(a) and π = softmax(z)  (IS-3).

    logits z (B, A), logp_old = log π_old(a) (B,), act (B,) integers, adv Â (B,) → (B, A).
    """
    d, slope = categorical(logits.shape[1], NUMPY), np.empty(len(adv))
    surrogate.surrogate(d.log_prob(logits, act), logp_old, adv, slope)  # its own derivative in log π
    return slope[:, None] * d.score(logits, act) / len(adv)


def _ratio_gradient(rng: np.random.Generator, size: int) -> Problem:
    z, act = rng.normal(size=(size, size + 1)), rng.integers(size + 1, size=size)
    logp_old, adv = np.log(rng.uniform(0.1, 0.9, size=size)), rng.normal(size=size)
    f = lambda logits: (np.exp(taken(log_softmax(logits), act) - logp_old) * adv).mean()
    return Problem(f, z, {"logits": same, "logp_old": logp_old, "act": act, "adv": adv})


def variance_gradient(p: Array, q: Array, f: Array) -> Array:
    """∂/∂q of Var_q[f p/q] = Σ_a p(a)² f(a)²/q(a) − (Σ_a p(a) f(a))², every q(a) a number of its own  (IS-2).

    p, q, f (N,) → (N,). Where is it largest, and what does that say about a good q?
    """
    return -((p * f / q) ** 2)


def _variance_gradient(rng: np.random.Generator, size: int) -> Problem:
    (p, q), f = rng.dirichlet(np.ones(size + 1), 2), rng.normal(size=size + 1)
    q = 0.8 * q + 0.2 / len(q)
    return Problem(lambda q: importance_variance(p, q, f), q, {"p": p, "q": same, "f": f})


MDP_TOOLS = softmax_policy, visits, action_values
FITTED = ValueNetwork.loss_and_gradient, regression.loss_and_gradient
EXERCISES = {
    1: (
        Exercise(check_gradient, softmax_score, _softmax_score, (score,)),
        Exercise(check_gradient, policy_gradient_theorem, _policy_gradient_theorem, (start_value_gradient,), MDP_TOOLS),
    ),
    2: (
        Exercise(check_gradient, classifier_gradient, _classifier_gradient, (score,)),
        Exercise(check_vjp, credit, _credit, (returns.discounted_returns,)),
    ),
    3: (
        Exercise(check_gradient, critic_gradient, _critic_gradient, FITTED),
        Exercise(check_jvp, gae_along, _gae_along, (returns.td_errors, returns.gae)),
    ),
    4: (
        Exercise(check_gradient, worker_policy_gradient, _worker_policy_gradient, (policy_gradient, score)),
        Exercise(check_gradient, worker_critic_gradient, _worker_critic_gradient, FITTED),
    ),
    5: (
        Exercise(check_gradient, ratio_gradient, _ratio_gradient, (surrogate.surrogate, score)),
        Exercise(check_gradient, variance_gradient, _variance_gradient, (importance_variance,)),
    ),
}
