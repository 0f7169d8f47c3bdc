"""Finite MDPs, solved exactly: for the theorems that need the model.

Expectations are sums and infinite series are linear systems, in float64. A policy is its table π(a|s) (S, A). A policy
with P parameters also has the Jacobian of its table (S, A, P). Time starts at t = 0. Functions that compute no KL take
complex tables too, so that a complex step gives their derivatives to the last digit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minipg.checks import Array, as_array, require
from minipg.line_search import step_scale


class MDP(NamedTuple):
    """P(s′|s,a) (S, A, S), R(s,a) (S, A), the start distribution μ(s) (S,) and the discount γ."""

    transitions: Array
    rewards: Array
    start: Array
    gamma: float


def _probabilities(name: str, value: Array, shape: tuple[int | None, ...]) -> Array:
    array = as_array(name, value, shape, np.complex128 if np.iscomplexobj(value) else np.float64)
    good = (array.real >= 0).all(axis=-1) & (np.abs(array.sum(axis=-1) - 1) <= 1e-9)
    require(bool(good.all()), name, "rows ≥ 0 that sum to 1", array[~good][:1].ravel().tolist())
    return array


def finite_mdp(transitions: Array, rewards: Array, start: Array, gamma: float) -> MDP:
    """Check the arguments and make an MDP of them.   transitions (S, A, S), rewards (S, A), start (S,), 0 ≤ γ < 1.

    Raises ConfigError or ShapeError with the name of the argument that is wrong.
    """
    rewards = as_array("rewards", rewards, (None, None), np.float64)
    require(rewards.size > 0, "rewards", "at least one state and one action", rewards.shape)
    require(bool(np.isfinite(rewards).all()), "rewards", "finite numbers", rewards[~np.isfinite(rewards)][:1].tolist())
    require(0 <= gamma < 1, "gamma", "0 ≤ gamma < 1", gamma)
    transitions = _probabilities("transitions", transitions, (*rewards.shape, len(rewards)))
    return MDP(transitions, rewards, _probabilities("start", start, (len(rewards),)), float(gamma))


# policies and trajectories


def softmax_policy(theta: Array) -> Array:
    """π(a|s) = exp θ(s,a) / Σ_b exp θ(s,b)  (DI-1).   theta (S, A) → (S, A)."""
    weights: Array = np.exp(theta - theta.real.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def softmax_jacobian(theta: Array) -> Array:
    """∂π(a|s)/∂θ(t,b) = [s=t] π(a|s) ([a=b] − π(b|s))  (DI-1).   theta (S, A) → (S, A, S·A)."""
    p, (states, actions) = softmax_policy(theta), theta.shape
    own_state = p[:, :, None] * (np.eye(actions) - p[:, None, :])
    return np.einsum("st,sab->satb", np.eye(states), own_state).reshape(states, actions, -1)


def score(policy: Array, jacobian: Array) -> Array:
    """∇log π = ∇π / π  (PG-4), and 0 where π = 0.   policy (S, A), jacobian (S, A, P) → (S, A, P)."""
    return jacobian / np.where(policy == 0, np.inf, policy)[:, :, None]


def trajectory_log_prob(mdp: MDP, policy: Array, obs: Array, act: Array) -> Array:
    """log p(τ) = log μ(s₀) + Σ_t log π(a_t|s_t) + Σ_t log P(s_{t+1}|s_t,a_t)  (PG-1).   obs (T+1,), act (T,) → ()."""
    moves = mdp.transitions[obs[:-1], act, obs[1:]]
    return np.log(mdp.start[obs[0]]) + np.log(policy[obs[:-1], act]).sum() + np.log(moves).sum()


def trajectory_score(policy: Array, jacobian: Array, obs: Array, act: Array) -> Array:
    """∇log p(τ) = Σ_t ∇log π(a_t|s_t): the environment drops out  (PG-1).   obs (T+1,), act (T,) → (P,)."""
    return score(policy, jacobian)[obs[:-1], act].sum(axis=0)


# values and state distributions


def chain(mdp: MDP, policy: Array) -> tuple[Array, Array]:
    """P_π(s′|s) = Σ_a π(a|s) P(s′|s,a) and R_π(s) = Σ_a π(a|s) R(s,a).   policy (S, A) → (S, S), (S,)."""
    policy = _probabilities("policy", policy, mdp.rewards.shape)
    return np.einsum("sa,sat->st", policy, mdp.transitions), np.einsum("sa,sa->s", policy, mdp.rewards)


def values(mdp: MDP, policy: Array) -> Array:
    """V = (I − γ P_π)⁻¹ R_π  (PG-3).   policy (S, A) → (S,)."""
    P, R = chain(mdp, policy)
    return np.linalg.solve(np.eye(len(P)) - mdp.gamma * P, R)


def action_values(mdp: MDP, policy: Array) -> Array:
    """Q(s,a) = R(s,a) + γ Σ_s′ P(s′|s,a) V(s′)  (PG-7).   policy (S, A) → (S, A)."""
    return mdp.rewards + mdp.gamma * mdp.transitions @ values(mdp, policy)


def advantages(mdp: MDP, policy: Array) -> Array:
    """A(s,a) = Q(s,a) − V(s)  (PG-8).   policy (S, A) → (S, A)."""
    return action_values(mdp, policy) - values(mdp, policy)[:, None]


def state_distribution(mdp: MDP, policy: Array, t: int) -> Array:
    """p(s_t) = μᵀ P_πᵗ  (IS-4).   policy (S, A) → (S,)."""
    return mdp.start @ np.linalg.matrix_power(chain(mdp, policy)[0], t)


def visits(mdp: MDP, policy: Array) -> Array:
    """ρ = Σ_t γᵗ p(s_t) = (I − γ P_πᵀ)⁻¹ μ, which sums to 1/(1−γ)  (TR-1).   policy (S, A) → (S,)."""
    P, _ = chain(mdp, policy)
    return np.linalg.solve(np.eye(len(P)) - mdp.gamma * P.T, mdp.start)


def stationary(mdp: MDP, policy: Array) -> Array:
    """d = P_πᵀ d, Σ_s d(s) = 1  (PG-2).   policy (S, A) → (S,).

    Raises ConfigError if no state can be reached from every state: then d is not unique.
    """
    P, _ = chain(mdp, policy)
    reach = np.linalg.matrix_power((P != 0) | np.eye(len(P), dtype=bool), len(P))
    require(bool(reach.all(axis=0).any()), "policy", "a state that is reached from every state", "several closed sets")
    return np.linalg.solve(np.eye(len(P)) - P.T + 1, np.ones(len(P)))  # dᵀ(I − P + 𝟙𝟙ᵀ) = 𝟙ᵀ


def differential_action_values(mdp: MDP, policy: Array) -> Array:
    """Q̄(s,a) = R(s,a) − J_avR + Σ_s′ P(s′|s,a) h(s′), h = Σ_a π Q̄, dᵀh = 0  (PG-9).   policy (S, A) → (S, A)."""
    (P, R), d = chain(mdp, policy), stationary(mdp, policy)
    h = np.linalg.solve(np.eye(len(P)) - P + d, R - d @ R)  # (I − P + 𝟙dᵀ) h = R_π − J_avR
    return mdp.rewards - d @ R + mdp.transitions @ h


# three objectives and their gradients


def start_value(mdp: MDP, policy: Array) -> Array:
    """J₁ = Σ_s μ(s) V(s)  (PG-2).   policy (S, A) → ()."""
    return mdp.start @ values(mdp, policy)


def average_value(mdp: MDP, policy: Array) -> Array:
    """J_avV = Σ_s d(s) V(s) = J_avR / (1 − γ)  (PG-2).   policy (S, A) → ()."""
    return stationary(mdp, policy) @ values(mdp, policy)


def average_reward(mdp: MDP, policy: Array) -> Array:
    """J_avR = Σ_s d(s) Σ_a π(a|s) R(s,a)  (PG-2).   policy (S, A) → ()."""
    return stationary(mdp, policy) @ chain(mdp, policy)[1]


def start_value_gradient(mdp: MDP, policy: Array, jacobian: Array) -> Array:
    """∇J₁ = Σ_s ρ(s) Σ_a ∇π(a|s) Q(s,a)  (PG-9).   policy (S, A), jacobian (S, A, P) → (P,)."""
    return np.einsum("s,sap,sa->p", visits(mdp, policy), jacobian, action_values(mdp, policy))


def average_reward_gradient(mdp: MDP, policy: Array, jacobian: Array) -> Array:
    """∇J_avR = Σ_s d(s) Σ_a ∇π(a|s) Q̄(s,a), and ∇J_avV = ∇J_avR / (1−γ)  (PG-9).   (S, A), (S, A, P) → (P,).

    With the discounted Q in place of Q̄, the change of d would be missing.
    """
    return np.einsum("s,sap,sa->p", stationary(mdp, policy), jacobian, differential_action_values(mdp, policy))


# distances, and the natural step


def kl(old: Array, new: Array) -> Array:
    """KL(old‖new) = Σ_a old log(old/new), ∞ where new(a) = 0 < old(a)  (TR-3).   old, new (…, S, A) → (…, S).

    Summed as old (x − log(1+x)) with x = new/old − 1: no term is negative, and a small KL keeps its digits.
    """
    old, new = np.broadcast_arrays(old, new)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (new - old) / old
        return np.where(old > 0, old * (x - np.log1p(x)), new).sum(axis=-1)


def total_variation(old: Array, new: Array) -> Array:
    """½ Σ_a |new − old|  (IS-4).   old, new (…, S, A) → (…, S)."""
    return np.abs(new - old).sum(axis=-1) / 2


def mean_kl(mdp: MDP, old: Array, new: Array) -> Array:
    """Σ_s (1−γ) ρ_old(s) KL(old‖new)(s)  (TR-5).   old, new (S, A) → ()."""
    return (1 - mdp.gamma) * visits(mdp, old) @ kl(old, new)


def fisher(mdp: MDP, policy: Array, jacobian: Array) -> Array:
    """F = Σ_s (1−γ) ρ(s) Σ_a π(a|s) ∇log π ∇log πᵀ  (DI-8).   policy (S, A), jacobian (S, A, P) → (P, P)."""
    dlogp = score(policy, jacobian)
    return (1 - mdp.gamma) * np.einsum("s,sa,sap,saq->pq", visits(mdp, policy), policy, dlogp, dlogp, optimize=True)


def natural_step(gradient: Array, fisher: Array, max_kl: float) -> Array:
    """Δ = √(2δ / gᵀF⁻¹g) F⁻¹g, with the pseudo-inverse of F; 0 if g = 0  (TR-7).   g (P,), F (P, P) → (P,)."""
    x = np.linalg.pinv(fisher, rcond=1e-13, hermitian=True) @ gradient
    return step_scale(float(gradient @ x), max_kl) * x


# trust regions


def local_objective(mdp: MDP, policy: Array, new: Array) -> Array:
    """L_π(new) = J₁(π) + Σ_s ρ_π(s) Σ_a new(a|s) A_π(s,a)  (TR-2).   policy (S, A), new (…, S, A) → (…)."""
    new = _probabilities("new", new, (None,) * (np.ndim(new) - 2) + mdp.rewards.shape)
    gain = np.einsum("s,...sa,sa->...", visits(mdp, policy), new, advantages(mdp, policy))
    return start_value(mdp, policy) + gain


def penalty_constant(mdp: MDP, policy: Array) -> float:
    """C = 4εγ/(1−γ)², ε = max |A_π|  (TR-3).   policy (S, A)."""
    return float(4 * np.abs(advantages(mdp, policy)).max() * mdp.gamma / (1 - mdp.gamma) ** 2)


def lower_bound(mdp: MDP, policy: Array, new: Array) -> Array:
    """M_π(new) = L_π(new) − C max_s KL(π‖new) ≤ J₁(new)  (TR-3).   policy (S, A), new (…, S, A) → (…)."""
    constant = penalty_constant(mdp, policy)
    penalty = constant * kl(policy, new).max(axis=-1) if constant else 0.0  # 0·∞ is 0
    return local_objective(mdp, policy, new) - penalty


def minorize_maximize(mdp: MDP, policy: Array) -> Array:
    """argmax M_π over the policies that take only actions which π takes  (TR-4).   policy (S, A) → (S, A).

    Within max KL ≤ κ the states are independent. Lagrange's condition gives the best policy of a state as
    π(a)/(1 + t gap(a)), normalised, with gap = max A − A and the t ≥ 0 at which the KL is κ. The best bound is concave
    in κ, so κ is searched on a grid that is refined around its best point. κ = 0 is π itself, so J never falls.
    """
    adv = np.where(policy > 0, advantages(mdp, policy), -np.inf)
    gap = np.where(policy > 0, adv.max(axis=1, keepdims=True) - adv, 0.0)
    gap /= np.maximum(gap.max(axis=1, keepdims=True), np.finfo(float).tiny)

    def tilted(log_t: Array) -> Array:  # (K, S) → (K, S, A)
        weights: Array = policy / (1 + np.exp(log_t)[..., None] * gap)
        return weights / weights.sum(axis=-1, keepdims=True)

    def best_within(kappa: Array) -> Array:  # (K,) → (K, S, A): the KL grows with t, so bisect
        low, high = np.full((2, len(kappa), len(policy)), [[[-40.0]], [[40.0]]])
        for _ in range(50):
            middle = (low + high) / 2
            inside = kl(policy, tilted(middle)) <= kappa[:, None]
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        return tilted(low)

    best, value = policy, lower_bound(mdp, policy, policy)
    most = (1 - mdp.gamma) / max(4 * mdp.gamma, 1e-2)  # a larger κ costs more than ε/(1−γ), the largest possible gain
    kappa = np.geomspace(1e-16 * most, most, 33)
    for _ in range(5):
        candidates = best_within(kappa)
        bounds = lower_bound(mdp, policy, candidates)
        k = int(bounds.argmax())
        if bounds[k] > value:
            best, value = candidates[k], bounds[k]
        kappa = np.geomspace(kappa[max(k - 1, 0)], kappa[min(k + 1, 32)], 33)
    return best


# importance sampling, state drift, Q-learning


def importance_mean(p: Array, q: Array, f: Array) -> Array:
    """E_q[f p/q], which is E_p[f] if q > 0 wherever p f ≠ 0  (IS-1).   p, q, f (N,) → ()."""
    return (q * f * _ratio(p, q, f)).sum()


def importance_variance(p: Array, q: Array, f: Array) -> Array:
    """Var_q[f p/q] = E_p[f² p/q] − (E_p[f])²  (IS-2).   p, q, f (N,) → ()."""
    return (p * f**2 * _ratio(p, q, f)).sum() - (p * f).sum() ** 2


def _ratio(p: Array, q: Array, f: Array) -> Array:
    uncovered = (q == 0) & (p * f != 0)
    require(not uncovered.any(), "q", "q > 0 wherever p f ≠ 0", f"q = 0 at index {uncovered.argmax()}")
    return p / np.where(q == 0, np.inf, q)


def drift_bound(old: Array, new: Array, t: int) -> float:
    """|p_new(s_t) − p_old(s_t)|₁ ≤ 2(1 − (1−ε)ᵗ) ≤ 2εt, ε = max_s ½|new − old|₁  (IS-4).   old, new (S, A)."""
    return float(2 * (1 - (1 - total_variation(old, new).max()) ** t))


def optimality_target(mdp: MDP, q: Array) -> Array:
    """E[r + γ max_a′ Q(s′,a′)], the expected target of Q-learning  (PG-13).   q (S, A) → (S, A)."""
    return mdp.rewards + mdp.gamma * mdp.transitions @ q.max(axis=1)


def optimal_action_values(mdp: MDP) -> Array:
    """Q* by policy iteration: evaluate the greedy policy until Q no longer grows  (PG-13).   → (S, A)."""
    greedy = lambda q: np.eye(q.shape[1])[q.argmax(axis=1)]
    q = action_values(mdp, greedy(mdp.rewards))
    while (better := action_values(mdp, greedy(q))).sum() > q.sum():
        q = better
    return q
