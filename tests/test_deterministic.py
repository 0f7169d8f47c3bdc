"""Deterministic policies: the policy gradient theorem in closed form, and what DDPG and TD3 learn from."""

import gymnasium as gym
import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss

from minipg import DPG, MLP, DeterministicPolicy
from minipg.algorithms.advantages import Samples
from minipg.algorithms.dpg import DPGConfig, fit_compatible, update
from minipg.algorithms.optimizers import new_adam
from minipg.theory import lqr


def problem(seed, gamma=0.9):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    a *= 0.9 / np.abs(np.linalg.eigvals(a)).max()
    half, other, start = rng.normal(size=(3, 3)), rng.normal(size=(2, 2)), rng.normal(size=(3, 3))
    return lqr.LQR(a, b, half @ half.T, other @ other.T + np.eye(2), start @ start.T, gamma), rng


@pytest.mark.parametrize("seed", range(5))
def test_the_deterministic_gradient_of_a_regulator_is_the_slope_of_its_return_DP1(seed):
    task, rng = problem(seed)
    gain, direction, step = 0.05 * rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), 1e-5
    slope = (
        lqr.expected_return(task, gain + step * direction) - lqr.expected_return(task, gain - step * direction)
    ) / (2 * step)
    np.testing.assert_allclose((lqr.policy_gradient(task, gain) * direction).sum(), slope, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_vanishes_at_the_gain_of_riccati_and_points_to_it_nearby_DP1(seed):
    task, rng = problem(seed)
    best = lqr.best_gain(task)
    size = np.abs(lqr.policy_gradient(task, np.zeros((2, 3)))).max()
    np.testing.assert_allclose(lqr.policy_gradient(task, best), 0, atol=1e-9 * size)
    away = 1e-3 * rng.normal(size=(2, 3))
    assert (lqr.policy_gradient(task, best + away) * away).sum() < 0
    assert lqr.expected_return(task, best + away) < lqr.expected_return(task, best)


@pytest.mark.parametrize("seed", range(5))
def test_the_stochastic_gradient_tends_to_the_deterministic_one_as_the_noise_vanishes_DP1_PG9(seed):
    """E[∇log π(a|s) Q(s, a)] of a Gaussian with mean K s and deviation σ, by quadrature, which is exact for this Q."""
    task, rng = problem(seed)
    gain, state = 0.05 * rng.normal(size=(2, 3)), rng.normal(size=3)
    p, mean = lqr.value_matrix(task, gain), gain @ state
    nodes, weights = hermegauss(8)
    weights = weights / weights.sum()

    def q(a):
        after = task.a @ state + task.b @ a
        return -(state @ task.q @ state + a @ task.r @ a + task.gamma * after @ p @ after)

    def skewed(a):  # not quadratic, so that the limit is not reached at once
        return q(a) + np.sin(a).sum()

    exact = lqr.action_gradient(task, gain, state, mean) + np.cos(mean)
    errors = []
    for sigma in (0.1, 0.01):
        stochastic = np.zeros(2)
        for z0, w0 in zip(nodes, weights, strict=True):
            for z1, w1 in zip(nodes, weights, strict=True):
                z = np.array([z0, z1])
                stochastic += w0 * w1 * z / sigma * skewed(mean + sigma * z)
        errors.append(np.abs(stochastic - exact).max())
    assert errors[1] < errors[0] / 50  # of order σ²
    assert errors[1] < 1e-3


def actor_and_noise(seed, sigma=0.1, states=40):
    """A policy in float64, and every state four times, with noise ±σ along each of the two numbers of an action."""
    rng, policy = np.random.default_rng(seed), DeterministicPolicy(MLP((3, 4, 2), "tanh"))
    theta, obs = policy.init(rng, np.float64) * 3, np.repeat(rng.normal(size=(states, 3)), 4, axis=0)
    noise = np.tile(sigma * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]), (states, 1))
    return rng, policy, theta, policy.forward(theta, obs), noise


@pytest.mark.parametrize("seed", range(5))
def test_a_compatible_critic_gives_the_gradient_of_the_true_one_DP1c_DP1(seed):
    """Theorem 3: its slope ∇_θμᵀw is not that of Q, which no w can give here, but the mean of ∇_θμ times it is."""
    rng, policy, theta, tape, noise = actor_and_noise(seed)
    slope, value = rng.normal(size=(40, 2)).repeat(4, axis=0), rng.normal(size=40).repeat(4)
    q = value + (slope * noise).sum(1)  # any V(s): the noise of every state sums to 0
    cg = fit_compatible(policy, theta, tape, tape.params + noise, q, DPGConfig(damping=0, cg_iters=200))
    fitted = policy.jvp(theta, tape, cg.x)
    assert np.abs(fitted - slope).max() > 0.1  # 80 slopes of Q, and 26 parameters
    np.testing.assert_allclose(policy.vjp(theta, tape, fitted), policy.vjp(theta, tape, slope), rtol=1e-5, atol=1e-6)


def test_an_update_steps_along_the_slope_of_the_compatible_critic_DP1_DP1c():
    rng, policy, theta, tape, noise = actor_and_noise(0)
    adv = rng.normal(size=len(noise))
    samples = Samples(tape.obs, tape.params + noise, adv, adv, np.zeros_like(adv), tape.params)
    config = DPGConfig(direction="plain", learning_rate=0.01)
    new, adam, advantage, info = update(policy, theta, new_adam(theta), samples, config)
    w = fit_compatible(policy, theta, tape, samples.act, adv, config).x
    slope = policy.jvp(theta, tape, w)
    g = policy.vjp(theta, tape, slope) / len(noise)
    assert info.status == "ok"
    np.testing.assert_allclose(adam.first, 0.1 * g, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(new - theta, 0.01 * np.sign(g), rtol=1e-3)
    np.testing.assert_allclose(advantage, (noise * slope).sum(1), rtol=1e-10, atol=1e-15)


def test_a_natural_step_goes_along_w_and_changes_actions_by_what_was_asked_DP1_DP1c():
    """w = M⁻¹ g, with M = E[∇μ ∇μᵀ]: of all steps that change the actions as much, none has a larger ⟨g, step⟩."""
    rng, policy, theta, tape, noise = actor_and_noise(0)
    adv = rng.normal(size=len(noise))
    samples = Samples(tape.obs, tape.params + noise, adv, adv, np.zeros_like(adv), tape.params)
    config = DPGConfig(action_step=1e-4)
    new, *_ = update(policy, theta, new_adam(theta), samples, config)
    w = fit_compatible(policy, theta, tape, samples.act, adv, config).x
    np.testing.assert_allclose((new - theta) / np.linalg.norm(new - theta), w / np.linalg.norm(w), atol=1e-9)
    moved = policy.forward(new, tape.obs).params - tape.params
    np.testing.assert_allclose(np.sqrt(np.square(moved).mean()), 1e-4, rtol=1e-3)
    g, size = policy.vjp(theta, tape, policy.jvp(theta, tape, w)), lambda v: np.linalg.norm(policy.jvp(theta, tape, v))
    gains = [g @ v / size(v) for v in rng.normal(size=(100, len(theta)))]
    assert g @ w / size(w) > max(gains)


def test_steps_shrink_to_nothing_on_a_linear_schedule():
    rng, policy, theta, tape, noise = actor_and_noise(0)
    adv = rng.normal(size=len(noise))
    samples = Samples(tape.obs, tape.params + noise, adv, adv, np.zeros_like(adv), tape.params)
    for direction in ("natural", "plain"):
        config = DPGConfig(schedule="linear", direction=direction)
        steps = [update(policy, theta, new_adam(theta), samples, config, share)[0] - theta for share in (0, 0.5, 1)]
        np.testing.assert_allclose(steps[1], steps[0] / 2, rtol=1e-6)
        assert not steps[2].any()


def test_without_an_advantage_there_is_no_step():
    _, policy, theta, tape, noise = actor_and_noise(0)
    none = np.zeros(len(noise))
    samples = Samples(tape.obs, tape.params + noise, none, none, none, tape.params)
    new, *_, info = update(policy, theta, new_adam(theta), samples, DPGConfig())
    assert info.status == "ok"
    np.testing.assert_array_equal(new, theta)


def test_what_is_not_finite_is_not_learnt():
    _, policy, theta, tape, noise = actor_and_noise(0)
    adv = np.full(len(noise), np.nan)
    samples = Samples(tape.obs, tape.params + noise, adv, adv, adv, tape.params)
    new, adam, advantage, info = update(policy, theta, new_adam(theta), samples, DPGConfig())
    assert info.status == "step not finite"
    np.testing.assert_array_equal(new, theta)
    assert adam.step == 0
    assert not advantage.any()


class Target(gym.Env):
    """One step: observe x in ±1, and the nearer the action is to x/2 the better."""

    observation_space = action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._x = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self._x, {}

    def step(self, action):
        return self._x, -float((action - self._x / 2).item() ** 2), True, False, {}


def test_it_learns_the_best_action_of_every_state_DP1():
    agent = DPG(Target, seed=0, action_noise_std=0.2, schedule="linear", threads=1).learn(40_000, progress=False)
    x = np.linspace(-1, 1, 21, dtype=np.float32)[:, None]
    assert np.abs(agent.predict(x)[0] - x / 2).max() < 0.1


def test_the_value_is_that_of_the_policy_without_noise_DP1c():
    """V is fitted to Â + V − A_w. Where the reward is the action, A_w is the noise and V the action without it.

    Near the bound the clipped noise has a mean.
    """
    agent = DPG(Payoff, seed=0, action_step=1e-6, damping=1e-6, threads=1)
    agent.theta[-1] = 1.5  # μ is about 0.9
    agent.learn(60_000, progress=False)
    mu = agent.actor.forward(agent.theta, np.ones((1, 1), np.float32)).params.item()
    np.testing.assert_allclose(agent.critic.predict(agent.value.theta, np.ones((1, 1), np.float32)), mu, atol=0.01)


class Payoff(Target):
    """One step: the reward is the action."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._x = np.ones(1, np.float32)
        return self._x, {}

    def step(self, action):
        return self._x, float(action.item()), True, False, {}
