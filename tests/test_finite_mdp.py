"""The theory on random finite MDPs that are solved exactly: identities and inequalities hold up to rounding."""

from itertools import pairwise, product

import numpy as np
import pytest
from cases import close, seeds
from hypothesis import assume, given
from hypothesis import strategies as st

from minipg import MLP, Backend, CategoricalPolicy, conjugate_gradient
from minipg.errors import ConfigError, MinipgError, ShapeError
from minipg.line_search import step_scale
from minipg.objective import policy_gradient, surrogate_and_kl
from minipg.theory.finite_mdp import (
    action_values,
    advantages,
    average_reward,
    average_reward_gradient,
    average_value,
    chain,
    differential_action_values,
    drift_bound,
    finite_mdp,
    fisher,
    importance_mean,
    importance_variance,
    kl,
    local_objective,
    lower_bound,
    mean_kl,
    minorize_maximize,
    natural_step,
    optimal_action_values,
    optimality_target,
    penalty_constant,
    score,
    softmax_jacobian,
    softmax_policy,
    start_value,
    start_value_gradient,
    state_distribution,
    stationary,
    total_variation,
    trajectory_log_prob,
    trajectory_score,
    values,
    visits,
)
from minipg.theory.strategies import integers, mdps
from minipg.theory.strategies import mdps_with_policies as cases
from minipg.theory.strategies import probabilities as rows


@st.composite
def pairs(draw):
    """An MDP and two policies, far apart or near."""
    case, share = draw(cases()), draw(st.sampled_from([1.0, 0.1, 1e-3]))
    return case.mdp, case.pi, (1 - share) * case.pi + share * case.other


class Warp:
    """θ = h(φ) = W φ + ½ sin(U φ), smooth, with its Jacobian H; near the identity where `square`."""

    def __init__(self, shape, seed, square=True):
        rng, self.shape, size = np.random.default_rng(seed), shape, int(np.prod(shape))
        params = size if square else int(rng.integers(1, size + 3))
        self.U, self.phi = rng.normal(size=(size, params)) / size, rng.normal(size=params)
        self.W = np.eye(size) if square else rng.normal(size=(size, params))

    def __call__(self, phi):
        return (self.W @ phi + np.sin(self.U @ phi) / 2).reshape(self.shape)

    def jacobian(self, phi):
        return self.W + np.cos(self.U @ phi)[:, None] * self.U / 2


def complex_step(f, x):
    """∇f(x) without differences: Im f(x + ih) / h, a row a direction.   x (…) → (x.size, …)."""
    return np.array([np.imag(f(x + 1e-30j * e.reshape(x.shape))) * 1e30 for e in np.eye(x.size)])


def size(mdp, power=1):
    """The scale of values (power 1) and of sums of values over visits (power 2)."""
    return np.abs(mdp.rewards).max() / (1 - mdp.gamma) ** power


def at_most(a, b, scale=1.0):
    assert np.all(a <= b + 1e-12 * scale), (a, b)


def trajectories(mdp, policy, steps):
    """Every possible τ = (s₀, a₀, …, s_T) with its probability, multiplied out."""
    for obs in product(range(len(mdp.start)), repeat=steps + 1):
        for act in product(range(policy.shape[1]), repeat=steps):
            moves = zip(obs, act, obs[1:], strict=False)
            p = mdp.start[obs[0]] * np.prod([policy[s, a] * mdp.transitions[s, a, u] for s, a, u in moves])
            if p > 0:
                yield np.array(obs), np.array(act, int), p


def to_go(mdp, obs, act):
    """Σ_{k≥t} γ^{k−t} r_k of one trajectory, for every t.   → (T,)."""
    rew, gamma = mdp.rewards[obs[:-1], act], mdp.gamma
    return np.array([sum(gamma ** (k - t) * rew[k] for k in range(t, len(rew))) for t in range(len(rew))])


small = dict(max_states=2, max_actions=2)
steps = st.integers(1, 3)


# trajectories


@given(cases(**small), steps)
def test_the_environment_drops_out_of_the_score_of_a_trajectory_PG1(case, steps):
    policy, jacobian, total = softmax_policy(case.theta), softmax_jacobian(case.theta), 0
    for obs, act, p in trajectories(case.mdp, policy, steps):
        log_prob = lambda theta: trajectory_log_prob(case.mdp, softmax_policy(theta), obs, act)  # noqa: B023
        close(log_prob(case.theta), np.log(p), 1e-12, scale=20)
        close(trajectory_score(policy, jacobian, obs, act), complex_step(log_prob, case.theta), 1e-12, scale=steps)
        total += np.exp(log_prob(case.theta))
    close(total, 1, 1e-12)


def test_a_policy_that_is_certain_has_a_finite_score():
    theta = np.array([[800.0, -800]])
    np.testing.assert_array_equal(softmax_policy(theta), [[1, 0]])
    assert not score(softmax_policy(theta), softmax_jacobian(theta)).any()


@given(cases(**small), steps)
def test_the_return_of_trajectories_is_the_value_of_their_start_PG3(case, steps):
    mdp, V = case.mdp, values(case.mdp, case.pi)
    bootstrapped = lambda obs, act: to_go(mdp, obs, act)[0] + mdp.gamma**steps * V[obs[-1]]
    expected = sum(p * bootstrapped(obs, act) for obs, act, p in trajectories(mdp, case.pi, steps))
    close(start_value(mdp, case.pi), expected, 1e-12, scale=size(mdp))


@given(cases())
def test_the_discounted_rewards_of_every_step_add_up_to_the_start_value_PG3(case):
    (_, R), N = chain(case.mdp, case.pi), 60
    series = sum(case.mdp.gamma**t * state_distribution(case.mdp, case.pi, t) @ R for t in range(N))
    at_most(abs(start_value(case.mdp, case.pi) - series), case.mdp.gamma**N * size(case.mdp), size(case.mdp))


@given(cases())
def test_the_gradient_is_the_function_times_the_gradient_of_its_logarithm_PG4_DI1(case):
    policy, jacobian = softmax_policy(case.theta), softmax_jacobian(case.theta)
    by_step = lambda f: np.moveaxis(complex_step(f, case.theta), 0, -1)
    close(jacobian, by_step(softmax_policy), 1e-13, scale=1)
    close(score(policy, jacobian), by_step(lambda theta: np.log(softmax_policy(theta))), 1e-12, scale=1)
    close(policy[:, :, None] * score(policy, jacobian), jacobian, 1e-13, scale=1)


@given(cases(**small), steps, st.floats(-2, 2))
def test_whole_returns_rewards_to_go_and_baselines_all_give_the_gradient_PG5_PG6_PG7(case, steps, b):
    mdp, gamma_t = case.mdp, case.mdp.gamma ** np.arange(steps)
    policy, jacobian = softmax_policy(case.theta), softmax_jacobian(case.theta)
    baseline, estimates = b * np.arange(1, 3), np.zeros((3, case.theta.size))
    for obs, act, p in trajectories(mdp, policy, steps):
        G, dlogp = to_go(mdp, obs, act), score(policy, jacobian)[obs[:-1], act]
        estimates[0] += p * G[0] * trajectory_score(policy, jacobian, obs, act)
        estimates[1] += p * (gamma_t * G) @ dlogp
        estimates[2] += p * (gamma_t * (G - baseline[obs[:-1]])) @ dlogp

    def finite_return(theta):
        policy = softmax_policy(theta)
        R = chain(mdp, policy)[1]
        return sum(gamma_t[t] * state_distribution(mdp, policy, t) @ R for t in range(steps))

    gradient = complex_step(finite_return, case.theta)
    for estimate in estimates:
        close(estimate, gradient, 1e-12, scale=20 + size(mdp, 2))


@given(cases())
def test_a_baseline_leaves_the_gradient_and_the_score_has_mean_zero_PG6_DI2(case):
    mdp, policy, jacobian = case.mdp, softmax_policy(case.theta), softmax_jacobian(case.theta)
    close(np.einsum("sa,sap->sp", policy, score(policy, jacobian)), 0, 1e-13, scale=1)
    g = start_value_gradient(mdp, policy, jacobian)
    for b in (values(mdp, policy), np.full(len(mdp.start), start_value(mdp, policy))):
        weight = action_values(mdp, policy) - b[:, None]
        E = np.einsum("s,sa,sap,sa->p", visits(mdp, policy), policy, score(policy, jacobian), weight)
        close(E, g, 1e-12, scale=size(mdp, 2))


# values, objectives and their gradients


@given(cases())
def test_values_obey_the_recursion_of_returns_and_advantages_have_mean_zero_PG7_PG8(case):
    mdp, pi, scale = case.mdp, case.pi, size(case.mdp)
    V, Q, A = (f(mdp, pi) for f in (values, action_values, advantages))
    for s, a in np.ndindex(Q.shape):
        following = sum(mdp.transitions[s, a, u] * V[u] for u in range(len(V)))
        close(Q[s, a], mdp.rewards[s, a] + mdp.gamma * following, 1e-12, scale)
    close(V, (pi * Q).sum(axis=1), 1e-12, scale)
    close(A, Q - V[:, None], 1e-12, scale)
    close((pi * A).sum(axis=1), 0, 1e-12, scale)


@given(cases())
def test_visits_are_the_discounted_sum_of_the_state_distributions_TR1(case):
    rho, gamma, N = visits(case.mdp, case.pi), case.mdp.gamma, 60
    close(rho.sum(), 1 / (1 - gamma), 1e-12)
    series = sum(gamma**t * state_distribution(case.mdp, case.pi, t) for t in range(N))
    at_most(np.abs(rho - series).sum(), gamma**N / (1 - gamma), 1 / (1 - gamma))
    step = np.einsum("s,sa,sat->t", state_distribution(case.mdp, case.pi, 2), case.pi, case.mdp.transitions)
    close(state_distribution(case.mdp, case.pi, 3), step, 1e-13, scale=1)


@given(cases(connected=True))
def test_the_three_objectives_follow_from_one_another_PG2(case):
    mdp, pi, scale, rewards = case.mdp, case.pi, size(case.mdp), 20 * size(case.mdp, 0)
    (P, R), d = chain(mdp, pi), stationary(mdp, pi)
    close(d @ P, d, 1e-13, scale=1)
    close(d.sum(), 1, 1e-13)
    close(average_reward(mdp, pi), (1 - mdp.gamma) * average_value(mdp, pi), 1e-12, rewards)
    close(average_value(mdp, pi), start_value(mdp._replace(start=d), pi), 1e-12, scale)
    close(start_value(mdp, pi), mdp.start @ values(mdp, pi), 1e-12, scale)
    # what T steps earn: T times the average reward, and the difference between where they began and where they ended
    h, T = (pi * differential_action_values(mdp, pi)).sum(axis=1), 9
    earned = sum(state_distribution(mdp, pi, t) @ R for t in range(T))
    expected = T * average_reward(mdp, pi) + (mdp.start - state_distribution(mdp, pi, T)) @ h
    close(earned, expected, 1e-12, scale=T * rewards)
    close(d @ h, 0, 1e-12, scale=rewards)


@given(cases(connected=True), st.none() | seeds)
def test_the_policy_gradient_theorem_PG9(case, seed):
    mdp, h, phi, H = case.mdp, lambda theta: theta, case.theta, np.eye(case.theta.size)
    if seed is not None:  # any parametrisation: fewer parameters than logits, as many, or more
        h = Warp(case.theta.shape, seed, square=False)
        phi, H = h.phi, h.jacobian(h.phi)
    policy, jacobian = softmax_policy(h(phi)), softmax_jacobian(h(phi)) @ H
    scale = 1 + np.abs(H).sum(axis=0).max()
    numeric = lambda objective: complex_step(lambda phi: objective(mdp, softmax_policy(h(phi))), phi)
    close(start_value_gradient(mdp, policy, jacobian), numeric(start_value), 1e-12, scale * size(mdp, 2))
    gradient = average_reward_gradient(mdp, policy, jacobian)
    close(gradient, numeric(average_reward), 1e-12, 20 * scale * size(mdp, 0))
    close(gradient / (1 - mdp.gamma), numeric(average_value), 1e-12, scale * size(mdp, 2))


@given(cases())
def test_the_gradient_in_a_logit_is_visits_times_probability_times_advantage_PG9(case):
    mdp, policy = case.mdp, softmax_policy(case.theta)
    closed = visits(mdp, policy)[:, None] * policy * advantages(mdp, policy)
    close(start_value_gradient(mdp, policy, softmax_jacobian(case.theta)), closed.ravel(), 1e-12, size(mdp, 2))


def two_rooms(gamma=0.5):
    """Action a leads to room a, whichever the room; room 1 pays 1."""
    return finite_mdp(np.broadcast_to(np.eye(2), (2, 2, 2)), [[0.0, 0], [1, 1]], [1.0, 0], gamma)


def test_a_step_along_the_gradient_with_discounted_action_values_lowers_the_averages_PG9():
    """Room 0 pays 1 for entering room 1, which takes 3 to leave: a short-sighted Q is for it, the averages against."""
    moves = [[[1.0, 0], [0, 1]], [[1, 0], [1, 0]]]
    mdp, theta = finite_mdp(moves, [[0.0, 1], [-3, -3]], [1.0, 0], 0.25), np.zeros((2, 2))
    policy, jacobian = softmax_policy(theta), softmax_jacobian(theta)
    with_Q = np.einsum("s,sap,sa->p", stationary(mdp, policy), jacobian, action_values(mdp, policy))
    assert with_Q @ average_reward_gradient(mdp, policy, jacobian) < -0.01
    for objective in (average_reward, average_value):
        assert objective(mdp, softmax_policy(theta + with_Q.reshape(2, 2))) < objective(mdp, policy) - 0.01


@given(mdps())
def test_the_target_of_q_learning_has_the_optimal_action_values_for_its_fixed_point_PG13(mdp):
    Q, scale = optimal_action_values(mdp), size(mdp)
    close(optimality_target(mdp, Q), Q, 1e-12, scale)
    for s, a in np.ndindex(Q.shape):
        errors = mdp.rewards[s, a] + mdp.gamma * Q.max(axis=1) - Q[s, a]  # of each s′
        close(sum(p * error for p, error in zip(mdp.transitions[s, a], errors, strict=True)), 0, 1e-12, scale)


@given(mdps(), st.floats(0.1, 1))
def test_expected_q_learning_contracts_to_the_optimum_PG13(mdp, alpha):
    optimal, Q = optimal_action_values(mdp), np.zeros_like(mdp.rewards)
    for _ in range(30):  # with α = 1, value iteration
        following = Q + alpha * (optimality_target(mdp, Q) - Q)
        farthest = lambda Q: np.abs(Q - optimal).max()
        at_most(farthest(following), (1 - alpha * (1 - mdp.gamma)) * farthest(Q), size(mdp))
        Q = following


@given(cases())
def test_no_policy_is_worth_more_than_the_optimal_one_and_one_is_worth_as_much_PG13(case):
    mdp, Q = case.mdp, optimal_action_values(case.mdp)
    greedy = np.eye(Q.shape[1])[Q.argmax(axis=1)]
    close(action_values(mdp, greedy), Q, 1e-12, size(mdp))
    for policy in (case.pi, case.other, softmax_policy(case.theta)):
        at_most(action_values(mdp, policy), Q, size(mdp))


def test_optimal_values_reach_back_over_many_steps_PG13():
    """A line of rooms: action 0 stays and pays nothing, action 1 moves on, and the last room pays."""
    n, gamma = 8, 0.9
    moves = np.stack([np.eye(n), np.eye(n, k=1) + np.diag(np.arange(n) == n - 1)], axis=1)
    mdp = finite_mdp(moves, np.outer(np.arange(n) == n - 1, [1.0, 1]), np.eye(n)[0], gamma)
    close(optimal_action_values(mdp)[:, 1], gamma ** np.arange(n - 1, -1, -1) / (1 - gamma), 1e-12)


# trust regions


@given(pairs())
def test_the_performance_difference_is_the_old_advantage_under_the_new_visits_TR1(pair):
    mdp, pi, new = pair
    difference = start_value(mdp, new) - start_value(mdp, pi)
    expected = visits(mdp, new) @ (new * advantages(mdp, pi)).sum(axis=1)
    close(difference, expected, 1e-12, size(mdp, 2))


@given(cases())
def test_the_local_objective_touches_the_return_in_value_and_gradient_TR2(case):
    mdp, policy = case.mdp, softmax_policy(case.theta)
    close(local_objective(mdp, policy, policy), start_value(mdp, policy), 1e-12, size(mdp, 2))
    L = complex_step(lambda theta: local_objective(mdp, policy, softmax_policy(theta)), case.theta)
    J = complex_step(lambda theta: start_value(mdp, softmax_policy(theta)), case.theta)
    close(L, J, 1e-12, size(mdp, 2))


@given(pairs())
def test_the_local_objective_is_the_return_with_the_old_visits_TR2(pair):
    mdp, pi, new = pair
    written_out = start_value(mdp, pi)
    for s, a in np.ndindex(pi.shape):
        written_out += visits(mdp, pi)[s] * new[s, a] * advantages(mdp, pi)[s, a]
    close(local_objective(mdp, pi, new), written_out, 1e-12, size(mdp, 2))


@given(pairs())
def test_the_return_is_at_least_the_local_objective_less_the_penalty_TR3(pair):
    mdp, pi, new = pair
    J, L, scale = start_value(mdp, new), local_objective(mdp, pi, new), size(mdp, 2)
    at_most(lower_bound(mdp, pi, new), J, scale)
    # the theorem behind it: C TV² bounds the difference on both sides, and TV² ≤ ½ KL (Pinsker), so C/2 would do
    C, tv = penalty_constant(mdp, pi), total_variation(pi, new).max()
    close(penalty_constant(mdp._replace(rewards=-mdp.rewards), pi), C, 1e-12, size(mdp, 3))
    at_most(abs(J - L), C * tv**2, scale)
    at_most(tv**2, kl(pi, new).max() / 2)
    if np.isfinite(kl(pi, new)).all():
        close(lower_bound(mdp, pi, new), L - C * kl(pi, new).max(), 1e-12, scale)
        at_most(L - C / 2 * kl(pi, new).max(), J, scale)


def trap(alpha, gamma=0.9):
    """Nearly the worst case: with probability α the new policy enters a state in which it errs with probability α."""
    transitions = np.zeros((2, 3, 2))
    transitions[0, :2, 0] = transitions[0, 2, 1] = transitions[1, :, 1] = 1
    mdp = finite_mdp(transitions, [[-1.0, 1, 1], [-1, 1, 1]], [1.0, 0], gamma)
    return mdp, np.array([[0.5, 0.5, 0]] * 2), np.array([[0.5 - alpha, 0.5, alpha], [0.5 + alpha, 0.5 - alpha, 0]])


def test_no_smaller_constant_than_C_bounds_the_shortfall_in_total_variation_TR3():
    mdp, pi, new = trap(1e-4)
    shortfall = local_objective(mdp, pi, new) - start_value(mdp, new)
    C_tv2 = penalty_constant(mdp, pi) * total_variation(pi, new).max() ** 2
    assert 0.998 * C_tv2 < shortfall <= C_tv2
    mdp, pi, new = trap(0.2)  # and L alone is no bound: it rises while the return falls
    assert start_value(mdp, new) < start_value(mdp, pi) < local_objective(mdp, pi, new)


@given(pairs())
def test_kl_points_from_old_to_new_and_is_zero_only_for_equal_policies_TR3(pair):
    _, old, new = pair
    for s, divergence in enumerate(kl(old, new)):
        terms = [p * np.log(p / q) if q else np.inf for p, q in zip(old[s], new[s], strict=True) if p]
        close(divergence, sum(terms), 1e-13, scale=1) if np.isfinite(divergence) else close(np.inf, sum(terms))
    assert not kl(old, old).any()
    assert (kl(old, new) >= total_variation(old, new) ** 2).all()
    np.testing.assert_array_equal(kl(old, np.stack([old, new])), [kl(old, old), kl(old, new)])


@given(cases())
def test_the_mean_kl_is_the_kl_under_the_old_visits_TR5(case):
    mdp, old, new = case.mdp, softmax_policy(case.theta), softmax_policy(case.theta[::-1, ::-1] / 2)
    # with the reward log(old/new), the old policy's return is the discounted sum of KLs along its trajectories
    total = start_value(mdp._replace(rewards=np.log(old / new)), old)
    close(mean_kl(mdp, old, new), (1 - mdp.gamma) * total, 1e-12, scale=10)


def test_a_small_kl_keeps_its_digits():
    old, new = np.array([[0.5, 0.5]]), np.array([[0.5 - 2**-40, 0.5 + 2**-40]])
    close(kl(old, new), [2 * 2.0**-80], 1e-12)
    assert kl(np.array([[1.0, 0]]), np.array([[0.5, 0.5]])) == np.log(2)
    assert kl(np.array([[0.5, 0.5]]), np.array([[1.0, 0]])) == np.inf


@given(cases())
def test_the_return_never_falls_while_bounds_are_maximised_TR4(case):
    mdp, run = case.mdp, [case.pi]
    for _ in range(3):
        run.append(minorize_maximize(mdp, run[-1]))
    for old, new in pairwise(run):
        J, M = start_value(mdp, old), lower_bound(mdp, old, new)
        at_most(J, M, size(mdp, 2))
        at_most(M, start_value(mdp, new), size(mdp, 2))
        assert not new[old == 0].any()
    J = [start_value(mdp, policy) for policy in run]
    at_most(J[:-1], J[1:], size(mdp, 2))


@given(cases(anywhere=True))
def test_the_maximiser_of_the_bound_climbs_unless_nothing_is_better_TR4(case):
    mdp, pi = case.mdp, softmax_policy(case.theta)
    spread = ((pi * advantages(mdp, pi) ** 2).sum(axis=1)).max()
    new = minorize_maximize(mdp, pi)
    if spread > 1e-20 * size(mdp) ** 2:
        assert lower_bound(mdp, pi, new) > start_value(mdp, pi)
    else:
        close(new, pi, 1e-12)


@given(cases(), st.sampled_from([1.0, 0.1, 1e-3]))
def test_no_policy_has_a_higher_bound_than_the_maximiser_TR4(case, share):
    mdp, pi = case.mdp, softmax_policy(case.theta)
    best = minorize_maximize(mdp, pi)
    top = lower_bound(mdp, pi, best)
    greedy = np.eye(pi.shape[1])[advantages(mdp, pi).argmax(axis=1)]
    rivals = [(1 - share) * home + share * other for home in (best, pi) for other in (case.pi, case.other, pi, greedy)]
    for s in range(len(pi)):  # and those that change in one state only
        rivals.append(np.where(np.arange(len(pi))[:, None] == s, (1 - share) * best + share * greedy, best))
    at_most(lower_bound(mdp, pi, np.array(rivals)), top, size(mdp, 2))


@given(cases())
def test_with_gamma_0_the_maximiser_is_greedy_TR4(case):
    mdp = case.mdp._replace(gamma=0.0)
    for pi in (case.pi, softmax_policy(case.theta)):
        best = np.where(pi > 0, mdp.rewards, -np.inf).max(axis=1)
        close(start_value(mdp, minorize_maximize(mdp, pi)), mdp.start @ best, 1e-12, size(mdp))


@given(cases(), st.floats(0, 5))
def test_fisher_is_the_covariance_of_the_score_and_the_hessian_of_the_kl_DI8(case, stretch):
    mdp, old = case.mdp, softmax_policy(case.theta)
    J = softmax_jacobian(case.theta) * (1 + stretch)
    d, covariance = (1 - mdp.gamma) * visits(mdp, old), 0
    for s, a in np.ndindex(old.shape):
        covariance += d[s] * old[s, a] * np.outer(score(old, J)[s, a], score(old, J)[s, a])
    close(fisher(mdp, old, J), covariance, 1e-12, scale=(1 + stretch) ** 2)

    def kl_gradient(theta):  # of KL(old‖θ): −Σ_a old ∇log π_θ
        return -np.einsum("s,sa,sap->p", d, old, score(softmax_policy(theta), softmax_jacobian(theta)))

    close(kl_gradient(case.theta), 0, 1e-13, scale=1)
    close(fisher(mdp, old, softmax_jacobian(case.theta)), complex_step(kl_gradient, case.theta), 1e-12, scale=1)


@given(cases(), seeds)
def test_near_the_old_policy_the_mean_kl_is_half_of_the_quadratic_form_TR6(case, seed):
    mdp, old, h = case.mdp, softmax_policy(case.theta), 1e-4
    v = np.random.default_rng(seed).uniform(-1, 1, case.theta.shape)
    there, back = (mean_kl(mdp, old, softmax_policy(case.theta + t * v)) for t in (h, -h))
    quadratic = v.ravel() @ fisher(mdp, old, softmax_jacobian(case.theta)) @ v.ravel()
    close((there + back) / h**2, quadratic, 1e-7, scale=1)
    L = [local_objective(mdp, old, softmax_policy(case.theta + t * v)) for t in (h, -h)]
    g = start_value_gradient(mdp, old, softmax_jacobian(case.theta))
    close((L[0] - L[1]) / (2 * h), g @ v.ravel(), 1e-7, scale=size(mdp, 2))


def softmax_world(case):
    """J₁'s gradient and Fisher matrix in the logits."""
    policy, jacobian = softmax_policy(case.theta), softmax_jacobian(case.theta)
    return policy, start_value_gradient(case.mdp, policy, jacobian), fisher(case.mdp, policy, jacobian)


radii = st.sampled_from([1e-8, 1e-3, 1.0])


@given(cases(anywhere=True), radii)
def test_the_natural_step_spends_the_whole_radius_and_none_gains_more_TR7(case, delta):
    _, g, F = softmax_world(case)
    step = natural_step(g, F, delta)
    assume(np.abs(g).max() > 1e-9 * size(case.mdp))
    close(step @ F @ step / 2, delta, 1e-9)
    multiplier = np.sqrt(g @ np.linalg.pinv(F, rcond=1e-13, hermitian=True) @ g / (2 * delta))
    close(multiplier * F @ step, g, 1e-9)
    for rival in np.random.default_rng(0).normal(size=(20, len(g))):
        at_most(g @ rival * np.sqrt(2 * delta / (rival @ F @ rival)), g @ step, 1e3 * abs(g @ step))


@given(cases())
def test_the_natural_gradient_of_logits_is_the_advantage_TR7(case):
    _, g, F = softmax_world(case)
    A = advantages(case.mdp, softmax_policy(case.theta)).ravel()
    close(F @ A / (1 - case.mdp.gamma), g, 1e-12, size(case.mdp, 2))


@given(cases(anywhere=True))
def test_conjugate_gradient_finds_the_same_natural_step_TR7_TR10(case):
    _, g, F = softmax_world(case)
    assume(np.abs(g).max() > 1e-9 * size(case.mdp))
    cg = conjugate_gradient(lambda v: F @ v, g, iterations=200, tol=1e-11)
    step = step_scale(cg.curvature, 1e-3) * cg.x
    J = softmax_jacobian(case.theta)
    close(J @ step, J @ natural_step(g, F, 1e-3), 1e-5)


@given(cases(anywhere=True), radii)
def test_a_step_bounded_in_kl_improves_the_return_TR5(case, delta):
    mdp, (policy, g, F) = case.mdp, softmax_world(case)
    step = natural_step(g, F, delta).reshape(policy.shape)
    new = softmax_policy(case.theta + step)  # in logits, it improves at any length
    at_most(start_value(mdp, policy), start_value(mdp, new), size(mdp, 2))
    if g.any():  # near by, the radius and the gain are what the quadratic model says
        tiny = 1e-7 / np.abs(step).max()
        new = softmax_policy(case.theta + tiny * step)
        assume(np.abs(g).max() > 1e-9 * size(mdp))
        close(mean_kl(mdp, policy, new), tiny**2 * delta, 1e-4)
        gain = visits(mdp, new) @ (new * advantages(mdp, policy)).sum(axis=1)  # TR-1, which loses no digits
        close(gain, tiny * (g @ step.ravel()), 1e-2)


@given(cases(anywhere=True), seeds)
def test_the_natural_step_moves_the_policy_alike_in_any_coordinates_TR8(case, seed):
    mdp, h = case.mdp, Warp(case.theta.shape, seed)
    H, theta = h.jacobian(h.phi), h(h.phi)
    policy, g, F = softmax_world(case._replace(theta=theta))
    assume(np.abs(g).max() > 1e-9 * size(mdp))
    J, delta = softmax_jacobian(theta), 1e-12
    g_phi, F_phi = start_value_gradient(mdp, policy, J @ H), fisher(mdp, policy, J @ H)
    close(g_phi, H.T @ g, 1e-12, scale=10 * size(mdp, 2))
    close(F_phi, H.T @ F @ H, 1e-12, scale=10)
    step, step_phi = natural_step(g, F, delta), natural_step(g_phi, F_phi, delta)
    close(J @ (H @ step_phi), J @ step, 1e-7)
    moved = softmax_policy(theta + step.reshape(theta.shape)) - policy
    moved_phi = softmax_policy(h(h.phi + step_phi)) - policy
    close(moved_phi, moved, 1e-3)


def test_the_plain_gradient_moves_the_policy_elsewhere_in_other_coordinates_TR8():
    mdp, theta, stretch = two_rooms()._replace(start=np.ones(2) / 2), np.zeros((2, 2)), np.diag([1.0, 1, 3, 3])
    policy, J = softmax_policy(theta), softmax_jacobian(theta)
    g, F = start_value_gradient(mdp, policy, J), fisher(mdp, policy, J)
    direction = lambda dp: dp / np.linalg.norm(dp)
    plain, plain_phi = direction(J @ g), direction(J @ stretch @ stretch.T @ g)
    assert np.linalg.norm(plain - plain_phi) > 0.5
    natural = natural_step(g, F, 1e-3), stretch @ natural_step(stretch.T @ g, stretch.T @ F @ stretch, 1e-3)
    close(J @ natural[0], J @ natural[1], 1e-12)
    damped = lambda g, F: np.linalg.solve(F + 0.1 * np.eye(4), g)  # nor is a damped step the same in all coordinates
    in_phi = stretch @ damped(stretch.T @ g, stretch.T @ F @ stretch)
    assert np.linalg.norm(direction(J @ damped(g, F)) - direction(J @ in_phi)) > 0.1


# importance sampling


@st.composite
def weighted(draw):
    """p, q and f on a few points; q > 0 everywhere."""
    n = draw(st.integers(1, 6))
    return draw(rows((n,))), draw(rows((n,), least=1)), draw(integers((n,), -4, 4)) / 2


@given(weighted())
def test_importance_weights_give_the_mean_under_the_other_distribution_IS1(case):
    p, q, f = case
    close(importance_mean(p, q, f), p @ f, 1e-13, scale=10)
    q = np.where(p * f == 0, 0, q)  # where p f is 0, q may be too
    if q.any():
        close(importance_mean(p, q / q.sum(), f), p @ f, 1e-13, scale=10)


@given(weighted())
def test_the_variance_of_the_weighted_mean_IS2(case):
    p, q, f = case
    weighted_f = f * p / q
    close(importance_variance(p, q, f), q @ (weighted_f - q @ weighted_f) ** 2, 1e-12, scale=100)
    close(importance_variance(p, p, f), p @ (f - p @ f) ** 2, 1e-12, scale=100)


def test_the_variance_blows_up_as_p_leaves_q_IS2():
    p, f = np.array([0.5, 0.5]), np.ones(2)
    for left in (0.5, 1e-1, 1e-3, 1e-6):
        # Σ p²/q − 1: nothing when they agree, 1/(4·left) when q hardly ever goes where p does
        expected = 0.25 / left + 0.25 / (1 - left) - 1
        close(importance_variance(p, np.array([1 - left, left]), f), expected, 1e-12, scale=1 / left)
    with pytest.raises(ConfigError, match=r"q: expected q > 0 wherever p f ≠ 0, got 'q = 0 at index 1'"):
        importance_mean(p, np.array([1.0, 0]), f)


@given(pairs(), st.integers(0, 12))
def test_states_drift_no_faster_than_the_policies_differ_IS4(pair, t):
    mdp, old, new = pair
    drift = np.abs(state_distribution(mdp, new, t) - state_distribution(mdp, old, t)).sum()
    at_most(drift, drift_bound(old, new, t))
    at_most(drift_bound(old, new, t), 2 * total_variation(old, new).max() * t)


def test_the_bound_on_the_drift_is_reached_and_epsilon_is_the_total_variation_IS4():
    leave = np.zeros((2, 4, 2))
    leave[0, :2, 0] = leave[0, 2:, 1] = leave[1, :, 1] = 1
    mdp, old = finite_mdp(leave, np.zeros((2, 4)), [1.0, 0], 0.5), np.array([[0.5, 0.5, 0, 0]] * 2)
    new = old + np.array([[-0.1, -0.1, 0.1, 0.1], [0] * 4])  # the largest change is 0.1, the total variation 0.2
    for t in range(8):
        drift = np.abs(state_distribution(mdp, new, t) - state_distribution(mdp, old, t)).sum()
        close(drift, drift_bound(old, new, t), 1e-14, scale=1)
        close(drift, 2 * (1 - 0.8**t), 1e-14, scale=1)
    assert drift > 2 * (1 - 0.9**t)


@given(cases())
def test_the_surrogate_is_the_local_objective_sampled_from_the_old_policy_IS3(case):
    mdp, old = case.mdp, softmax_policy(case.theta)
    d, A = (1 - mdp.gamma) * visits(mdp, old), advantages(mdp, old)
    policy = CategoricalPolicy(MLP(old.shape, "tanh", Backend("numpy", 1)))  # one-hot states in, logits out
    flat = lambda theta: np.concatenate([theta.ravel(), np.zeros(theta.shape[1])])
    obs, act = np.repeat(np.eye(len(old)), old.shape[1], axis=0), np.tile(np.arange(old.shape[1]), len(old))
    tape = policy.forward(flat(case.theta), obs)
    adv = (old.size * d[:, None] * old * A).ravel()  # the mean over all (s, a) is then the mean under d and old
    surrogate = surrogate_and_kl(policy, obs, act, adv, tape.params)
    theta = case.theta[::-1] / 2
    new, scale = softmax_policy(theta), size(mdp, 2)
    gain = (local_objective(mdp, old, new) - start_value(mdp, old)) * (1 - mdp.gamma)
    close(surrogate(flat(theta))[0], gain, 1e-11, scale)
    close(surrogate(flat(theta))[1], kl(old, new).mean(), 1e-12, scale=1)
    g = policy_gradient(policy, flat(case.theta), tape, act, adv)[: old.size]
    exact = start_value_gradient(mdp, old, softmax_jacobian(case.theta)) * (1 - mdp.gamma)
    close(g, exact, 1e-12, scale)


# refused arguments


@pytest.mark.parametrize(
    "change,error,message",
    [
        ({"gamma": 1.0}, ConfigError, "gamma: expected 0 ≤ gamma < 1, got 1.0"),
        ({"gamma": float("nan")}, ConfigError, "gamma: expected"),
        ({"start": [0.5, 0.4]}, ConfigError, r"start: expected rows ≥ 0 that sum to 1, got \[0.5, 0.4\]"),
        ({"start": [1.5, -0.5]}, ConfigError, "start: expected rows"),
        ({"start": [1.0]}, ShapeError, r"start: expected shape \(2,\), got \(1,\)"),
        ({"transitions": np.ones((2, 2, 2))}, ConfigError, r"transitions: .* got \[1.0, 1.0\]"),
        ({"transitions": np.ones((2, 2, 3)) / 3}, ShapeError, r"transitions: expected shape \(2, 2, 2\)"),
        ({"rewards": [[np.nan, 0], [0, 0]]}, ConfigError, r"rewards: expected finite numbers, got \[nan\]"),
        ({"rewards": np.zeros((0, 2))}, ConfigError, "rewards: expected at least one state and one action"),
    ],
)
def test_arguments_that_make_no_mdp_are_refused_by_name(change, error, message):
    with pytest.raises(error, match=message):
        finite_mdp(**{**two_rooms()._asdict(), **change})


@pytest.mark.parametrize("policy", [np.ones((2, 2)), np.ones((2, 3)) / 3, np.ones(2) / 2, np.full((2, 2), np.nan)])
def test_tables_that_are_no_policy_are_refused(policy):
    for function in (values, visits, stationary, lambda mdp, new: local_objective(mdp, np.ones((2, 2)) / 2, new)):
        with pytest.raises(MinipgError):
            function(two_rooms(), policy)


def test_averages_need_a_state_that_every_state_reaches_PG2():
    line, anyhow = np.eye(4)[[1, 2, 3, 3]], np.ones((4, 1))
    mdp = finite_mdp(line[:, None], np.arange(4.0)[:, None], np.eye(4)[0], 0.9)
    np.testing.assert_allclose(stationary(mdp, anyhow), [0, 0, 0, 1], atol=1e-15)
    assert average_reward(mdp, anyhow) == pytest.approx(3)
    apart = mdp._replace(transitions=np.eye(4)[[1, 2, 2, 3]][:, None])
    with pytest.raises(ConfigError, match="a state that is reached from every state"):
        average_reward(apart, anyhow)
