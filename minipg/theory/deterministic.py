"""Laws of deterministic policies and of their critics Q(s, a)."""

from __future__ import annotations

import numpy as np

from minipg.algorithms.dpg import DPGConfig, compatible_advantage, fit_compatible
from minipg.algorithms.optimizers import polyak
from minipg.checks import Array
from minipg.deterministic import DeterministicPolicy, deterministic_policy_gradient, targets
from minipg.kernels.arguments import Adam
from minipg.network import ACTIVATIONS, MLP
from minipg.q_value import CriticState, QNetwork
from minipg.theory.case import Case, error_ratio, slope_error_ratio


def networks(case: Case, count: int = 1) -> tuple[DeterministicPolicy, QNetwork, Array, Array, Array]:
    """A policy and a critic, their parameters (P,) and (count, P_q), and observations (B, O)."""
    inputs, actions, hidden = case.count(4), case.count(3), [case.count(6)] * case.count(2)
    activation = case.one_of(*ACTIVATIONS)
    policy = DeterministicPolicy(MLP((inputs, *hidden, actions), activation, case.backend))
    critic = QNetwork(MLP((inputs + actions, *hidden, 1), activation, case.backend), count)
    theta, theta_q = case.normal(policy.layout.size, scale=0.5), case.normal(count, critic.mlp.layout.size, scale=0.5)
    return policy, critic, theta, theta_q, case.normal(case.count(9), inputs)


def reach(*arrays: Array) -> float:
    """A bound of the sums in a product of these arrays."""
    return float(np.prod([1 + np.abs(array).sum(dtype=float) for array in arrays]))


def the_slope_in_the_action_is_that_of_q_DP1(case: Case) -> float:
    """⟨∇_a Q(s, a), v⟩ = the slope of Q along v, in every row."""
    _, critic, _, (theta_q,), obs = networks(case)
    act, v = (case.normal(len(obs), critic.mlp.sizes[0] - obs.shape[1]) for _ in range(2))
    q, gradient = critic.action_gradient(theta_q, obs, act)
    x, wide = theta_q.astype(float), obs.astype(float)
    size = reach(theta_q, obs, act, v)
    return max(
        error_ratio(case, q, critic.predict(x, wide, act.astype(float)), size),
        slope_error_ratio(case, (gradient * v).sum(1), lambda a: critic.predict(x, wide, a), act, v, size),
    )


def the_derivatives_of_mu_are_its_slope_and_its_transpose_DP1(case: Case) -> float:
    """jvp is the slope of μ along v, and ⟨u, jvp v⟩ = ⟨vjp u, v⟩."""
    policy, _, theta, _, obs = networks(case)
    v, tape = case.normal(len(theta)), policy.forward(theta, obs)
    u, along = case.normal(*tape.params.shape), policy.jvp(theta, tape, v)
    size = reach(theta, obs, v)
    return max(
        slope_error_ratio(case, along, lambda x: policy.forward(x, obs.astype(float)).params, theta, v, size),
        error_ratio(case, (u * along).sum(dtype=float), policy.vjp(theta, tape, u) @ v, size * reach(u)),
    )


def the_deterministic_gradient_is_the_slope_of_mean_q_DP1(case: Case) -> float:
    """⟨mean ∇_θ μ(s) ∇_a Q(s, μ(s)), v⟩ = the slope of mean Q(s, μ_θ(s)) along v, by the chain rule."""
    policy, critic, theta, (theta_q,), obs = networks(case)
    v, (gradient, value) = (
        case.normal(len(theta)),
        deterministic_policy_gradient(policy, critic, theta, theta_q, obs),
    )
    wide, xq = obs.astype(float), theta_q.astype(float)
    mean_q = lambda x: critic.predict(xq, wide, policy.forward(x, wide).params).mean()
    size = reach(theta, theta_q, obs, v)
    return max(
        slope_error_ratio(case, [(gradient * v).sum(dtype=float)], mean_q, theta, v, size),
        error_ratio(case, value, mean_q(theta.astype(float)), size),
    )


def the_error_of_a_compatible_critic_is_orthogonal_to_its_features_DP1c(case: Case) -> float:
    """E[φ (Â − A_w)] = damping w, φ = ∇_θ μ(s) (a − μ(s)): the minimum of E[(Â − A_w)²] + damping ‖w‖²."""
    policy, _, theta, _, obs = networks(case)
    tape, rows = policy.forward(theta, obs), len(obs)
    act, adv = tape.params + case.normal(*tape.params.shape, scale=0.5), case.normal(rows)
    # E[φφᵀ] has at most B eigenvalues that are not 0, so B + 1 products are enough
    config = DPGConfig(damping=0.5, cg_iters=rows + 1)
    w = fit_compatible(policy, theta, tape, act, adv, config).x
    error = adv - compatible_advantage(policy, theta, tape, act, w)
    gradient = policy.vjp(theta, tape, error[:, None] * (act - tape.params)) / rows
    # conjugate gradients in rounded numbers: an error of its own in each product
    return error_ratio(case, gradient, config.damping * w, 32 * reach(theta, obs) * np.abs(adv).sum())


def targets_are_reward_plus_the_smallest_q_of_a_clipped_action_DP2_DP3(case: Case) -> float:
    """y = r + γ min_k Q_k(s′, clip(μ(s′) + noise, ±1)), and y = r after a termination; with one critic, DDPG's."""
    policy, critic, theta, thetas_q, obs = networks(case, case.count(3))
    rows, gamma = len(obs), case.one_of(0.0, 0.9, 1.0)
    rew, terminated, noise = case.normal(rows), case.rng.random(rows) < 0.3, case.normal(rows, policy.mlp.sizes[-1])
    y = targets(policy, critic, theta, thetas_q, rew, terminated, obs, noise, gamma)
    wide = obs.astype(float)
    action = np.clip(policy.forward(theta.astype(float), wide).params + noise, -1, 1)
    values = np.array([critic.predict(x.astype(float), wide, action) for x in thetas_q])
    expected = rew.astype(float) + np.where(terminated, 0, gamma * values.min(axis=0))
    return error_ratio(case, y, expected, reach(theta, thetas_q, obs) + np.abs(rew))


def a_step_of_the_critics_is_adam_down_their_squared_errors_AC1_AC3(case: Case) -> float:
    """Each critic: one Adam step along −∇ mean (Q(s, a) − y)², whose gradient is the slope; and the loss before."""
    _, critic, _, theta, obs = networks(case, 2)
    act, target = case.normal(len(obs), critic.mlp.sizes[0] - obs.shape[1]), case.normal(len(obs))
    state = CriticState(theta, case.normal(*theta.shape, scale=0.1), case.normal(*theta.shape) ** 2, 5)
    new, losses, finite = critic.fit_step(state, obs, act, target, 0.01)
    x = np.concatenate([obs, act], axis=1).astype(float)
    worst, size = 0.0, reach(theta, x) ** 2 + np.abs(target).max() ** 2
    for k, row in enumerate(theta.astype(float)):
        tape = critic.mlp.forward(row, x)
        error = tape.out[:, 0] - target
        g = -critic.mlp.vjp(row, tape, 2 * error[:, None] / len(x))
        m, s = 0.9 * state.first[k] + 0.1 * g, 0.999 * state.second[k].astype(float) + 0.001 * g * g
        expected = row + 0.01 * m / (1 - 0.9**6) / (np.sqrt(s / (1 - 0.999**6)) + 1e-8)
        pairs = ((new.first[k], m), (new.second[k], s), (losses[k], (error**2).mean()))
        worst = max(worst, *(error_ratio(case, got, want, size * (1 + np.abs(want))) for got, want in pairs))
        # a step has length α at most where the moments are exact, and θ moves by no more than a few α here
        steep = 1 + np.abs(m) / np.sqrt(s + 1e-12)
        worst = max(worst, error_ratio(case, new.theta[k], expected, size * steep / np.sqrt(s + 1e-6)))
    return worst if finite and new.step == 6 else np.inf


def a_target_network_lies_between_its_old_self_and_the_new_parameters_DP2(case: Case) -> float:
    """θ′ ← τ θ + (1 − τ) θ′ is θ at τ = 1, θ′ at τ = 0, and k steps shrink θ′ − θ by (1 − τ)ᵏ."""
    theta, target = case.normal(case.count(9)), case.normal(1)
    target = np.broadcast_to(target, theta.shape).astype(case.dtype)
    tau, steps, moved = case.one_of(0.005, 0.5), case.count(9), target
    for _ in range(steps):
        moved = polyak(case.backend, theta, tau, moved)
    expected = theta + (1 - tau) ** steps * (target.astype(float) - theta)
    ends = [polyak(case.backend, theta, 1.0, target), polyak(case.backend, theta, 0.0, target)]
    size = steps * (np.abs(theta) + np.abs(target))
    exact = np.array_equal(ends[0], theta) and np.array_equal(ends[1], target)
    return error_ratio(case, moved, expected, size) if exact else np.inf


def adams_moments_are_never_subnormal_AC3(case: Case) -> float:
    """With a gradient of 0 the moments decay, and are 0 before they lose precision; θ stays finite."""
    size, tiny = case.count(9), np.finfo(case.dtype).tiny
    theta, gradient = case.normal(size), np.zeros(size, case.dtype)
    first, second = case.normal(size) * case.dtype(8 * tiny), case.normal(size) ** 2 * case.dtype(8 * tiny)
    kernels = case.backend.kernels("optimizer")
    for step in range(1, 60):
        kernels.adam(gradient, Adam(0.1, 0.5, 0.5), step, theta, first, second)
        for moment in (first, second):
            if ((moment != 0) & (np.abs(moment) < tiny)).any():
                return np.inf
    return 0.0 if np.isfinite(theta).all() and not first.any() and not second.any() else np.inf
