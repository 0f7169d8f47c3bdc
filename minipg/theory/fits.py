"""Laws of the optimizers, of the critic's fit, and of running statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.kernels.arguments import Adam, RMSProp
from minipg.network import MLP
from minipg.runtime.backend import Backend, to_host
from minipg.theory.case import Case, error_ratio, slope_error_ratio
from minipg.value import ValueNetwork, ValueState


def momentum_adds_up_past_gradients_AC3(case: Case) -> float:
    """u ← μ u + g, θ ← θ + α u: after three steps θ is the double sum written out."""
    size, alpha, mu = case.count(9), 0.1, case.one_of(0.0, 0.9)
    theta, velocity, gradients = case.normal(size), np.zeros(size, case.dtype), [case.normal(size) for _ in range(3)]
    g1, g2, g3 = (g.astype(float) for g in gradients)
    expected = theta + alpha * (g1 + (mu * g1 + g2) + (mu * mu * g1 + mu * g2 + g3))
    for g in gradients:
        case.backend.kernels("optimizer").sgd(g, alpha, mu, theta, velocity)
    return error_ratio(case, theta, expected, 1 + np.abs(theta) + np.abs(expected))


def rmsprop_divides_by_the_root_of_the_running_square_AC3(case: Case) -> float:
    """s ← ρ s + (1 − ρ) g², θ ← θ + α g/√(s + ε), over three steps."""
    size, alpha, rho, epsilon = case.count(9), 0.1, 0.9, case.one_of(1e-5, 0.1)
    theta, second = case.normal(size), (case.normal(size) ** 2).astype(case.dtype)
    expected, s = theta.astype(float), second.astype(float)
    for g in [case.normal(size) for _ in range(3)]:
        case.backend.kernels("optimizer").rmsprop(g, RMSProp(alpha, rho, epsilon), theta, second)
        s = rho * s + (1 - rho) * g.astype(float) ** 2
        expected = expected + alpha * g / np.sqrt(s + epsilon)
    return max(error_ratio(case, theta, expected, 1 + np.abs(expected) / epsilon), error_ratio(case, second, s, 1 + s))


def adam_follows_bias_corrected_moments_AC3(case: Case) -> float:
    """θ ← θ + α m̂/(√v̂ + ε), over three steps: m̂ and v̂ are weighted means of g and g²."""
    size, alpha, (b1, b2), epsilon = case.count(9), 0.1, (0.8, 0.95), case.one_of(1e-5, 0.1)
    theta, gradients = case.normal(size), [case.normal(size) for _ in range(3)]
    first, second, expected = np.zeros_like(theta), np.zeros_like(theta), theta.astype(float)
    mean_of = lambda xs, b: np.average(xs, 0, b ** np.arange(len(xs) - 1.0, -1.0, -1.0))
    for step, g in enumerate(gradients, start=1):
        case.backend.kernels("optimizer").adam(g, Adam(alpha, b1, b2, epsilon), step, theta, first, second)
        past = [h.astype(float) for h in gradients[:step]]
        mean, square = mean_of(past, b1), mean_of([h * h for h in past], b2)
        expected = expected + alpha * mean / (np.sqrt(square) + epsilon)
    return error_ratio(case, theta, expected, 1 + np.abs(expected) + 1 / epsilon)


def the_global_norm_is_clipped_only_from_above_AC3(case: Case) -> float:
    """g · min(1, c/‖g‖)."""
    grad, limit = case.normal(case.count(9)), case.one_of(0.5, 50.0)
    out, norm = np.empty_like(grad), np.linalg.norm(grad.astype(float))
    case.backend.kernels("optimizer").clip_global_norm(grad, limit, out)
    return error_ratio(case, out, grad * min(1.0, limit / norm), np.abs(grad))


def _critic(case: Case) -> ValueNetwork:
    return ValueNetwork(MLP((case.count(4), *[case.count(5)] * case.count(2), 1), "tanh", case.backend))


def the_critics_gradient_is_that_of_the_mean_squared_error_AC1(case: Case) -> float:
    """⟨∇ mean (V − target)² + l2 ‖θ‖², v⟩ = its slope along v."""
    critic = _critic(case)
    theta, v, l2 = case.normal(critic.mlp.layout.size), case.normal(critic.mlp.layout.size), case.one_of(0.0, 0.1)
    obs = case.normal(case.count(9), critic.mlp.sizes[0])
    target = case.normal(len(obs))
    loss, gradient = critic.loss_and_gradient(theta, obs, target, l2)
    terms = gradient * v
    f = lambda x: critic.loss_and_gradient(x, obs.astype(float), target.astype(float), l2)[0]
    reach = (1 + np.abs(v).sum()) * (1 + np.abs(theta).sum()) * (1 + np.abs(obs).max())
    size = np.abs(terms).sum() + (1 + loss) * reach
    return max(
        error_ratio(case, loss, f(theta.astype(float)), size),
        slope_error_ratio(case, [terms.sum(dtype=float)], f, theta, v, size),
    )


def a_fit_is_adam_on_the_gradient_of_every_minibatch_AC1_AC3(case: Case) -> float:
    """A fit is the Adam steps over all epochs and minibatches, written out; the last minibatch may be smaller.

    With `max_norm`, gradients are clipped. With `clip_range`, a row whose V is beyond the clip with a smaller loss than
    at the clip adds nothing to the gradient.
    """
    critic, (b1, b2), epsilon = _critic(case), (0.8, 0.9), 0.1
    theta, rows = case.normal(critic.mlp.layout.size), case.count(9)
    obs, target, minibatch = case.normal(rows, critic.mlp.sizes[0]), case.normal(rows), case.count(9)
    order = np.stack([case.rng.permutation(rows) for _ in range(2)])
    state = ValueState(theta, case.normal(len(theta), scale=0.1), case.normal(len(theta)) ** 2, 5)
    old, clip_range, max_norm = case.normal(rows), case.one_of(np.inf, 0.5), case.one_of(np.inf, 1.0)
    adam = 1e-2, (b1, b2), epsilon
    fitted, losses, _ = critic.fit_adam(state, obs, target, order, minibatch, *adam, old, clip_range, max_norm)
    (x, m, s), step, expected = (a.astype(float) for a in state[:3]), state.step, []
    for epoch in order:
        squares = 0.0
        for start in range(0, rows, minibatch):
            some, step = epoch[start : start + minibatch], step + 1
            y, before = target[some].astype(float), old[some].astype(float)
            V = critic.predict(x, obs[some].astype(float))
            clipped = (np.clip(V, before - clip_range, before + clip_range) - y) ** 2
            aim = np.where((V - y) ** 2 < clipped, V, y)  # a target equal to V adds nothing to the gradient
            loss = ((V - y) ** 2).mean()
            g = critic.loss_and_gradient(x, obs[some].astype(float), aim)[1]
            g = g * min(1.0, max_norm / max(np.linalg.norm(g), 1e-300))
            squares += loss * len(some)
            m, s = b1 * m - (1 - b1) * g, b2 * s + (1 - b2) * g * g  # −g: the kernel's Adam ascends
            x = x + 1e-2 * m / (1 - b1**step) / (np.sqrt(s / (1 - b2**step)) + epsilon)
        expected.append(squares / rows)
    reach = (1 + np.abs(theta).sum() * (1 + np.abs(obs).max())) ** 2
    pairs = zip((*fitted[:3], losses), (x, m, s, np.array(expected)), strict=True)
    worst = max(error_ratio(case, got, want, reach + np.abs(want)) for got, want in pairs)
    return worst if fitted.step == step else np.inf


def a_critic_step_is_rmsprop_down_the_squared_error_AC1_AC2_AC3(case: Case) -> float:
    """One step along −∇ mean (V − target)² at θ′, shortened to the largest norm, and the loss before it."""
    critic = ValueNetwork(MLP((case.count(4), case.count(5), 1), "tanh", case.backend))
    theta = case.normal(critic.mlp.layout.size)
    second, max_norm = (case.normal(len(theta)) ** 2).astype(case.dtype), case.one_of(np.inf, 0.5)
    obs = case.normal(case.count(9), critic.mlp.sizes[0])
    target, x = case.normal(len(obs)), theta.astype(float)
    loss, gradient = critic.loss_and_gradient(x, obs.astype(float), target.astype(float))
    g = -gradient * min(1.0, max_norm / max(np.linalg.norm(gradient), 1e-300))
    s, reach = 0.9 * second.astype(float) + 0.1 * g * g, 1 + np.abs(theta).sum()
    moved = theta + case.dtype(case.one_of(0.0, 0.5)) * case.normal(len(theta))
    start = moved.astype(float)
    stats = _step(critic, theta, obs, target, max_norm, moved, second)
    size = (reach * (1 + np.abs(obs).max()) + np.abs(target).max()) ** 2
    pairs = (moved, start + 0.01 * g / np.sqrt(s + 0.1)), (second, s), (stats, [loss, 1.0])
    return max(error_ratio(case, got, want, size * (1 + np.abs(want))) for got, want in pairs)


def _step(
    critic: ValueNetwork, at: Array, obs: Array, target: Array, max_norm: float, theta: Array, second: Array
) -> Array:
    """A step of the kernel: θ and the running squares change in place. → its metrics."""
    kernels, stats = critic.mlp.backend.kernels("actor_critic"), np.empty(2)
    work = np.empty(kernels.work_size(critic.mlp.sizes, len(theta), len(obs)), theta.dtype)
    rmsprop = RMSProp(0.01, 0.9, 0.1)
    kernels.critic_step(critic.mlp.spec, at, obs, target, rmsprop, max_norm, theta, second, stats, work)
    return stats


def fitted(
    backend: Backend, dtype: Any, sizes: tuple[int, ...], state: ValueState, obs: Array, target: Array
) -> list[Array]:
    """θ, the running squares and the metrics of a critic's step, then its state, losses and flag after a fit."""
    critic, obs, target = ValueNetwork(MLP(sizes, "tanh", backend)), obs.astype(dtype), target.astype(dtype)
    state = state._replace(**{name: getattr(state, name).astype(dtype) for name in ("theta", "first", "second")})
    theta, second, rows = state.theta.copy(), state.second.copy(), np.arange(len(obs))
    stats = _step(critic, state.theta, obs, target, 0.5, theta, second)
    fit = critic.fit_adam(state, obs, target, np.stack([rows, rows[::-1]]), 3, 1e-2, epsilon=0.1, max_grad_norm=0.5)
    return [theta, second, stats, *fit.state[:3], fit.losses, fit.finite]


def a_critics_update_that_is_not_finite_says_so_AC1(case: Case) -> float:
    """With a target or a running square that is not finite, the flags of a step and of a fit are 0; else they are 1."""
    sizes = case.count(4), case.count(5), 1
    theta, rows = case.normal(MLP(sizes).layout.size), case.count(9)
    state = ValueState(theta, case.normal(len(theta), scale=0.1), case.normal(len(theta)) ** 2, 5)
    obs, target = case.normal(rows, sizes[0]), case.normal(rows)
    sound = fitted(case.backend, case.dtype, sizes, state, obs, target)
    (target if case.one_of(True, False) else state.second)[-1] = case.one_of(np.nan, np.inf)
    with np.errstate(all="ignore"):
        unsound = fitted(case.backend, case.dtype, sizes, state, obs, target)
    flags = [found[at][-1] for found in (sound, unsound) for at in (2, -1)]
    return 0.0 if flags == [1, 1, 0, 0] else np.inf


def one_number_that_is_not_finite_is_found_wherever_it_is(case: Case) -> float:
    """`is_finite` is true of the largest numbers, and false where one is NaN or infinite."""
    array, kernels = case.normal(case.count(12)), case.backend.kernels("optimizer")
    array[case.rng.integers(len(array))] = np.finfo(case.dtype).max
    sound = to_host(kernels.is_finite(array))
    array[case.rng.integers(len(array))] = case.one_of(np.nan, np.inf, -np.inf)
    return 0.0 if sound and not to_host(kernels.is_finite(array)) else np.inf


def moments_merged_in_parts_are_those_of_the_whole(case: Case) -> float:
    """Chan's merge: count, mean and sum of squared deviations do not depend on how the rows are split."""
    rows, more = case.count(9), case.count(9)
    x = (case.normal(rows + more, 3) * np.array([1, 1e-3, 100]) + [0, 1, -10]).astype(case.dtype)
    kernels, state = case.backend.kernels("moments"), [np.zeros(1), np.zeros(3), np.zeros(3)]
    kernels.merge(x[:rows], *state)
    kernels.merge(x[rows:], *state)
    whole, size = x.astype(float), np.abs(x).astype(float).max(0)
    case = case.in_double
    return max(
        error_ratio(case, state[0], rows + more),
        error_ratio(case, state[1], whole.mean(0), size),
        error_ratio(case, state[2], ((whole - whole.mean(0)) ** 2).sum(0), size**2 * len(x)),
    )
