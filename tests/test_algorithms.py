"""What every algorithm owes its user, and what each of them says it does."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from cases import close, given_kinds, networks, policies
from environments import Counting, Ending
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from minipg.kernels.arguments import Acted, SurrogateTerms
from minipg.kernels.cpu import surrogate_epochs

import minipg
from minipg import (
    ALGORITHMS,
    MLP,
    A2CConfig,
    NPGConfig,
    PPOConfig,
    REINFORCEConfig,
    TRPOConfig,
    ValueNetwork,
    VPGConfig,
    conjugate_gradient,
    fisher_operator,
)
from minipg.algorithms import a2c, npg, ppo, reinforce, vpg
from minipg.algorithms.advantages import Samples, estimate_advantages, normalize
from minipg.algorithms.critic import Outcome
from minipg.algorithms.dual import DualState, dual_update, next_multiplier
from minipg.algorithms.optimizers import StepInfo, adam_step, new_adam
from minipg.algorithms.surrogate_epochs import ascend, surrogate_gradient
from minipg.distribution import categorical, gaussian
from minipg.errors import EnvironmentFault, ShapeError
from minipg.objective import gradient_and_entropy, policy_gradient, surrogate_and_kl
from minipg.policy import policy_for
from minipg.rollout.batch import Batch, episode_starts, joined
from minipg.runtime.backend import Backend
from minipg.value import ValueState

SMALL = {"num_envs": 2, "hidden": (8,), "n_steps": 64, "vf_epochs": 2, "learning_starts": 50, "batch_size": 16,
         "buffer_size": 1000}  # fmt: skip
DETERMINISTIC = ("dpg", "ddpg", "td3")
STOCHASTIC = tuple(name for name in ALGORITHMS if name not in DETERMINISTIC)


def small(name, **options):
    known = {f.name for f in dataclasses.fields(ALGORITHMS[name].Config)}
    return {k: v for k, v in {**SMALL, **options}.items() if k in known or k in ("seed", "threads", "backend")}


def make(name, env=None, **options):
    env = env or ("Pendulum-v1" if name in DETERMINISTIC else "CartPole-v1")
    return ALGORITHMS[name](env, **small(name, **{"seed": 3, "threads": 1, **options}))


def numbers(agent):
    return [agent.theta, *map(np.asarray, agent.value), *map(np.asarray, agent.state)]


# ---- every algorithm -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name,env", [*((name, "Pendulum-v1") for name in ALGORITHMS), *((name, "CartPole-v1") for name in STOCHASTIC)]
)
def test_the_same_seed_gives_the_same_bits_whatever_the_number_of_threads(name, env):
    alone = {"workers": 1} if name == "a3c" else {}  # with several its bits depend on time
    agents = [make(name, env, threads=threads, **alone).learn(500) for threads in (1, 2)]
    for a, b in zip(*map(numbers, agents), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(agents[0].theta).all()
    assert agents[0].updates > 0


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_saved_agent_comes_back_whole_and_learns_on(name, tmp_path):
    agent = make(name).learn(500)
    agent.save(tmp_path / "agent.npz")
    again = minipg.load(tmp_path / "agent.npz", threads=1)
    assert type(again) is ALGORITHMS[name]
    assert again.config == agent.config
    for a, b in zip(numbers(agent), numbers(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert type(again.state) is type(agent.state)
    again.learn(200)
    assert np.isfinite(again.theta).all()


@pytest.mark.parametrize(
    "name,penalty,options", [("ppo", "beta", {}), ("trpo", "multiplier", {"solver": "dual"})]
)  # fmt: skip
def test_a_file_with_a_negative_penalty_is_refused(name, penalty, options, tmp_path):
    agent = make(name, **options)
    agent.state = agent.state._replace(**{penalty: -1.0})
    agent.save(tmp_path / "agent.npz")
    with pytest.raises(minipg.MinipgError, match=f"state.{penalty} has negative numbers"):
        minipg.load(tmp_path / "agent.npz")


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_few_thousand_steps_of_cartpole_help(name):
    rows = []
    ALGORITHMS[name]("CartPole-v1", seed=0, threads=1).learn(20_000, on_update=lambda agent, row: rows.append(row))
    assert rows[-1]["mean_return"] > 60 > 40 > rows[0]["batch_return"] or name in ("a2c", "a3c")
    assert {"status", "entropy"} <= set(rows[-1])
    assert all(row["status"] in ("ok", "target KL") for row in rows)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_gradient_that_is_not_finite_leaves_the_parameters_as_they_were(name):
    agent = make(name).learn(100)
    before = [part.copy() for part in numbers(agent)]
    batch = agent._collect(agent._new_collector())
    batch.rew[0, 0] = np.nan
    row = agent._update(batch, 0.5).metrics(agent.backend)
    assert row["status"] != "ok"
    for a, b in zip(before, numbers(agent), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
@pytest.mark.parametrize("name,options", [*((name, {}) for name in ALGORITHMS), ("trpo", {"solver": "dual"})])
def test_squares_that_overflow_never_enter_an_optimizers_state(name, options, tmp_path):
    agent = make(name, max_grad_norm=float("inf"), normalize_advantage=False, **options)
    batch = agent._collect(agent._new_collector())
    agent._update(batch._replace(rew=batch.rew * np.float32(1e22)), 0.5)  # a gradient that is finite, its square not
    assert all(np.isfinite(part).all() for part in numbers(agent))
    agent.save(tmp_path / "agent.npz")
    minipg.load(tmp_path / "agent.npz")


# ---- single updates ------------------------------------------------------------------------------------------------


def samples(case):
    params = case.policy.forward(case.theta, case.obs).params
    return Samples(case.obs, case.act, case.adv, case.adv, 0 * case.adv, params)


def order(rows, epochs=2):
    return np.stack([np.random.default_rng(e).permutation(rows) for e in range(epochs)])


def ppo_update(case, **settings):
    config = PPOConfig(**{"minibatch_size": 4, "normalize_advantage": False, **settings})
    return ppo.update(case.policy, case.theta, ppo_state(case, config), samples(case), config, order(len(case.obs)))


def ppo_state(case, config):
    return ppo.PPOState(*new_adam(case.theta), config.kl_coef)


@given(policies())
def test_an_update_changes_nothing_that_came_in(case):
    theta, batch = case.theta.copy(), [part.copy() for part in samples(case)]
    state, config = new_adam(case.theta), PPOConfig(minibatch_size=4)
    ppo.update(case.policy, case.theta, ppo.PPOState(*state, 1.0), samples(case), config, order(len(case.obs)))
    vpg.update(case.policy, case.theta, state, samples(case), VPGConfig())
    npg.update(case.policy, case.theta, samples(case), NPGConfig())
    a2c.update(case.policy, case.theta, a2c.A2CState(state.second), samples(case), A2CConfig())
    np.testing.assert_array_equal(case.theta, theta)
    assert not state.first.any()
    assert not state.second.any()
    for before, after in zip(batch, samples(case), strict=True):
        np.testing.assert_array_equal(before, after)


@given(policies(), st.sampled_from([0.0, 0.1]))
def test_vpg_takes_one_adam_step_along_the_policy_gradient_PG9_AC3(case, ent_coef):
    config = VPGConfig(learning_rate=0.01, ent_coef=ent_coef, normalize_advantage=False)
    theta, state, _ = vpg.update(case.policy, case.theta, new_adam(case.theta), samples(case), config)
    tape = case.policy.forward(case.theta, case.obs)
    g = policy_gradient(case.policy, case.theta, tape, case.act, case.adv, ent_coef)
    # the first step of Adam has the length of the learning rate in every coordinate
    close(theta, case.policy.project(case.theta + 0.01 * g / (np.abs(g) + 1e-8)), 1e-9)
    assert state.step == 1


@given(policies())
def test_a2c_takes_one_step_of_rmsprop_along_the_clipped_gradient_PG11_AC3(case):
    config, second = A2CConfig(learning_rate=0.1, max_grad_norm=0.05, ent_coef=0.2), np.full_like(case.theta, 0.3)
    theta, state, info = a2c.update(case.policy, case.theta, a2c.A2CState(second), samples(case), config, 0.5)
    tape = case.policy.forward(case.theta, case.obs)
    g = policy_gradient(case.policy, case.theta, tape, case.act, case.adv, 0.2)
    close(info.grad_norm, np.linalg.norm(g), 1e-12)
    g = g * min(1, 0.05 / max(np.linalg.norm(g), 1e-300))
    s = 0.99 * second + 0.01 * g * g
    close(theta, case.policy.project(case.theta + 0.1 * g / np.sqrt(s + 1e-5)), 1e-10)  # no schedule: constant
    close(state.second, s, 1e-12)


@given(policies(), st.sampled_from([1e-4, 1e-2]))
def test_an_npg_step_is_the_damped_natural_step_of_length_delta_or_a_fixed_multiple_of_it_TR7(case, delta):
    tape = case.policy.forward(case.theta, case.obs)
    fisher = fisher_operator(case.policy, case.theta, tape, 0.1)
    g = policy_gradient(case.policy, case.theta, tape, case.act, case.adv)
    x = conjugate_gradient(fisher, g, 100).x
    settings = {"damping": 0.1, "cg_iters": 100, "normalize_advantage": False}
    step = npg.update(case.policy, case.theta, samples(case), NPGConfig(max_kl=delta, **settings))[0] - case.theta
    fixed = NPGConfig(step_rule="fixed", learning_rate=0.01, **settings)
    assume(np.linalg.norm(g) > 1e-6 and (case.policy.project(case.theta + step) == case.theta + step).all())
    close(0.5 * step @ fisher(step), delta, 1e-6)
    close(step / np.linalg.norm(step), x / np.linalg.norm(x), 1e-6)
    close(npg.update(case.policy, case.theta, samples(case), fixed)[0], case.theta + 0.01 * x, 1e-6)


@given(policies())
def test_an_npg_account_is_measured_after_the_step_TR5(case):
    theta, info = npg.update(case.policy, case.theta, samples(case), NPGConfig(normalize_advantage=False))
    old = case.policy.forward(case.theta, case.obs).params
    value, kl = surrogate_and_kl(case.policy, case.obs, case.act, case.adv, old)(theta)
    close([info.improvement, info.kl], [value - case.adv.mean(), kl], 1e-12)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
@pytest.mark.parametrize(
    "adv,settings,status",
    [(1.0, {}, "zero gradient"), (np.nan, {}, "gradient not finite"),
     (None, {"step_rule": "fixed", "learning_rate": 1e300}, "step not finite")],
)  # fmt: skip
def test_an_npg_update_without_a_step_says_why_and_returns_the_theta_that_came_in(adv, settings, status):
    agent = make("npg", backend="numpy")
    batch = agent._collect(agent._new_collector())
    obs, act = batch.obs.reshape(-1, 4), batch.act.reshape(-1)
    weight = np.random.default_rng(0).normal(size=len(act)) if adv is None else np.full(len(act), adv)
    rows = Samples(obs, act, weight.astype(np.float32), None, None, None)
    theta, info = npg.update(agent.actor, agent.theta, rows, NPGConfig(**settings))
    assert theta is agent.theta
    assert info.status == status


@given(networks(activations=("tanh",)))
def test_a2cs_critic_step_goes_down_its_squared_error_AC1_AC3(case):
    critic = ValueNetwork(MLP((*case.mlp.sizes[:-1], 1), "tanh", case.mlp.backend))
    theta, target = case.theta[: critic.mlp.layout.size], case.g[:, 0]
    state = ValueState(theta, np.zeros_like(theta), np.zeros_like(theta), 0)
    rows = Samples(case.obs, target, target, target, -target, None)
    fit = a2c.critic_update(critic, state, rows, A2CConfig(vf_learning_rate=1e-6, max_grad_norm=1e9))
    loss, gradient = critic.loss_and_gradient(theta, case.obs, target)
    close(fit.loss, loss, 1e-12)
    close(fit.value.theta, theta - 1e-6 * gradient / np.sqrt(0.01 * gradient**2 + 1e-5), 1e-12)


@given(policies(), st.sampled_from([0.1, float("inf")]))
def test_adam_counts_its_steps_and_shortens_long_gradients_AC3(case, limit):
    theta, state = case.theta, new_adam(case.theta)
    first, second, expected = 0 * theta, 0 * theta, theta
    for step, g in enumerate((case.v, 3 * case.v), start=1):
        theta, state = adam_step(case.policy.backend, theta, state, g, 0.01, limit)
        g = g * min(1, limit / np.linalg.norm(g))
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        root = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        expected = expected + 0.01 * first / (1 - 0.9**step) / root
    close(theta, expected, 1e-10)
    assert state.step == 2


@pytest.mark.parametrize("threads", [1, 2])
def test_values_on_two_threads_are_those_of_all_rows_PG12(threads):
    rng, critic = np.random.default_rng(0), ValueNetwork(MLP((3, 4, 1), "tanh", Backend("numba", threads)))
    theta, zero, never = critic.init(rng, np.float64).theta, np.zeros((650, 2, 1)), np.zeros((650, 2), bool)
    obs, rew = rng.normal(size=(651, 2, 3)), rng.normal(size=(650, 2))
    batch = Batch(obs[:-1], zero, zero, rew, never, never, ~never, never, never, obs[-1], obs[0, :0], np.zeros(0, int),
                  np.zeros(0), np.zeros(0, int))  # fmt: skip
    found, value = estimate_advantages(critic, theta, batch, 0.9, 0.0), critic.predict(theta, obs.reshape(-1, 3))
    close(found.value, value[:-2], 1e-12)
    close(found.adv, rew.ravel() + 0.9 * value[2:] - value[:-2], 1e-12)  # λ = 0: the TD error
    close(found.ret, rew.ravel() + 0.9 * value[2:], 1e-12)


# ---- PPO -----------------------------------------------------------------------------------------------------------


@given(policies(), st.sampled_from(["unclipped", "clip", "kl", "adaptive-kl"]))
def test_the_first_step_is_the_same_for_every_objective_PP1_PP2_PP3(case, objective):
    # at the old policy r = 1, the clip is open and the KL flat: all of them have the policy gradient
    config = PPOConfig(objective=objective, minibatch_size=100, learning_rate=1e-3, max_grad_norm=float("inf"),
                       normalize_advantage=False)  # fmt: skip
    state = ppo.PPOState(*new_adam(case.theta), config.kl_coef)
    rows = order(len(case.obs), 1)
    theta, state, info = ppo.update(case.policy, case.theta, state, samples(case), config, rows)
    tape = case.policy.forward(case.theta, case.obs)
    g = policy_gradient(case.policy, case.theta, tape, case.act, case.adv)
    assert info.policy_steps == state.step == 1
    clear = np.abs(g) > 1e-6 * np.abs(g).max(initial=1e-6)  # rows are added in another order: elsewhere g is rounding
    close(theta[clear], case.policy.project(case.theta + 1e-3 * g / (np.abs(g) + 1e-8))[clear], 1e-7)


@given(policies())
def test_epochs_stop_before_the_step_once_the_kl_is_beyond_its_target(case):
    eager = {"learning_rate": 0.5, "objective": "unclipped"}
    _, state, info = ppo_update(case, **eager)
    assert info.policy_steps == state.step == 2 * -(-len(case.obs) // 4)
    _, held, info = ppo_update(case, **eager, target_kl=1e-9)
    assert held.step < state.step or info.kl <= 1.5e-9
    assert info.status == ("target KL" if held.step < state.step else "ok")
    # where a minibatch is the batch, what stops the epochs is what the account says of the last step
    for rate in (0.5, 0.005):
        _, _, info = ppo_update(case, objective="unclipped", learning_rate=rate, target_kl=0.01, minibatch_size=100)
        assert info.policy_steps == 2 or (info.status == "target KL" and info.kl > 0.015)


@settings(max_examples=10)
@given(policies())
def test_two_epochs_at_once_are_one_after_the_other_AC3(case):
    acted, rows, terms = samples(case).acted, order(len(case.obs), 2), SurrogateTerms(0.2, 0.5, 0.1)
    both = ascend(case.policy, case.theta, new_adam(case.theta), acted, terms, rows, 3, 0.01)
    first = ascend(case.policy, case.theta, new_adam(case.theta), acted, terms, rows[:1], 3, 0.01)
    second = ascend(case.policy, first.theta, first.adam, acted, terms, rows[1:], 3, 0.01)
    close(both.theta, second.theta, 1e-12)
    close(both.adam.second, second.adam.second, 1e-12)
    assert both.adam.step == second.adam.step == 2 * -(-len(case.obs) // 3)


def test_policy_and_critic_visit_the_rows_in_orders_of_their_own(monkeypatch):
    orders, update, fit = [], ppo.update, ppo.fit_critic
    monkeypatch.setattr(ppo, "update", lambda *args: orders.append(args[5]) or update(*args))
    monkeypatch.setattr(ppo, "fit_critic", lambda *args, **options: orders.append(args[4]) or fit(*args, **options))
    make("ppo", backend="numpy", n_epochs=1, vf_epochs=1).learn(1)
    policy, critic = orders
    assert (np.sort(policy) == np.sort(critic)).all()
    assert (policy != critic).any()


@settings(max_examples=10)
@given(policies())
def test_ppo_tells_the_kl_to_and_the_entropy_of_the_policy_it_ends_with_DI6_DI7(case):
    theta, _, info = ppo_update(case, learning_rate=0.05)
    old, new = (case.policy.forward(x, case.obs).params for x in (case.theta, theta))
    close(info.kl, case.policy.distribution.kl(old, new).mean(), 1e-10)
    close(info.entropy, case.policy.distribution.entropy(new).mean(), 1e-10)


@pytest.mark.parametrize("twin", ["numpy", "numba"])
@pytest.mark.parametrize("box", [False, True])
def test_the_gradient_of_many_tiles_is_the_mean_over_their_rows_PP1(twin, box):
    rng, backend = np.random.default_rng(0), Backend(twin)
    policy = policy_for((gaussian if box else categorical)(3, backend), (4, 8))
    theta, obs = rng.normal(size=policy.layout.size) / 2, rng.normal(size=(1300, 4))
    old = policy.forward(theta, obs).params
    act = policy.distribution.sample(old, policy.distribution.noise(rng, (1300,), np.float64))
    acted, terms = Acted(obs, act, rng.normal(size=1300), old), SurrogateTerms(0.2, 1.0, 0.1)
    rows, moved = rng.permutation(1300)[:1200], theta + 0.1
    gradient, kl, beyond = surrogate_gradient(policy, moved, acted, terms, rows)
    parts = [surrogate_gradient(policy, moved, acted, terms, some) for some in np.split(rows, [100, 500, 900])]
    shares = np.array([100, 400, 400, 300]) / 1200
    close(gradient, sum(share * part[0] for share, part in zip(shares, parts, strict=True)), 1e-12)
    close(kl, shares @ [part[1] for part in parts], 1e-12)
    close(beyond, shares @ [part[2] for part in parts], 1e-12)
    assert 0 < beyond < 1


@pytest.mark.parametrize("twin", ["numpy", "numba"])
@pytest.mark.parametrize("box", [False, True])
def test_the_policy_gradient_of_many_rows_is_the_mean_over_them_PG9(twin, box):
    rng, backend = np.random.default_rng(0), Backend(twin)
    policy = policy_for((gaussian if box else categorical)(3, backend), (4, 8))
    theta, obs, weight = rng.normal(size=policy.layout.size) / 2, rng.normal(size=(1300, 4)), rng.normal(size=1300)
    act = policy.distribution.sample(policy.forward(theta, obs).params, rng.random((1300, *[3] * box)))

    def over(rows):
        return policy_gradient(policy, theta, policy.forward(theta, obs[rows]), act[rows], weight[rows], 0.1)

    parts = [len(rows) / 1300 * over(rows) for rows in np.split(np.arange(1300), [100, 500, 900])]
    close(over(slice(None)), sum(parts), 1e-12)


@given_kinds(policies(), st.sampled_from([0.0, 0.1]))
def test_the_gradient_of_a_policy_that_is_only_climbed_is_the_policy_gradient_PG9_DI7(case, ent_coef):
    g, entropy = gradient_and_entropy(case.policy, case.theta, case.obs, case.act, case.adv, ent_coef)
    tape = case.policy.forward(case.theta, case.obs)
    expected = policy_gradient(case.policy, case.theta, tape, case.act, case.adv, ent_coef)
    close(g, expected, 1e-12, scale=np.abs(expected).max() + 1)
    close(entropy, case.policy.distribution.entropy(tape.params).mean(), 1e-12)


@pytest.mark.parametrize("act", [np.full(5, 3), np.zeros(4, int)])
def test_a_policy_gradient_of_actions_that_are_none_is_refused(act):
    policy = policy_for(categorical(3, Backend("numba", 1)), (4, 8))
    theta, obs = policy.init(np.random.default_rng(0)), np.ones((5, 4), np.float32)
    with pytest.raises(ShapeError, match="act"):
        policy_gradient(policy, theta, policy.forward(theta, obs), act, np.ones(5))


def three_rows():
    """A policy, a θ far from the one that acted, and three rows in single precision."""
    rng, policy = np.random.default_rng(0), policy_for(categorical(3, Backend("numba", 1)), (4, 8))
    theta, obs = policy.init(rng), rng.normal(size=(3, 4)).astype(np.float32)
    old, act = policy.forward(theta, obs).params, np.zeros(3, np.int64)
    return policy, theta + np.float32(2), Acted(obs, act, np.ones(3, np.float32), old)


def test_of_three_rows_beyond_the_clip_range_the_share_is_one_and_no_more():
    policy, moved, acted = three_rows()
    found = surrogate_gradient(policy, moved, acted, SurrogateTerms(1e-9, 0.0, 0.0), np.arange(3))
    assert found.clip_fraction == 1


def test_whole_numbers_among_the_settings_compile_nothing_anew():
    policy, moved, acted = three_rows()

    def compiled_for(one):
        terms = SurrogateTerms(one, 0 * one, 0 * one)
        surrogate_gradient(policy, moved, acted, terms, np.arange(3))
        ascend(policy, moved, new_adam(moved), acted, terms, order(3), 2, one, max_kl=one, max_grad_norm=one)
        return [kernel.signatures[:] for kernel in (surrogate_epochs.gradient, surrogate_epochs.ascend)]

    assert compiled_for(1.0) == compiled_for(1)


@given(policies(), st.sampled_from([1e-3, float("inf")]))
def test_minibatch_ascent_shortens_long_gradients_and_keeps_log_std_in_its_range_AC3(case, limit):
    tape = case.policy.forward(case.theta, case.obs)
    acted, terms, rows = samples(case).acted, SurrogateTerms(float("inf"), 0.0, 0.0), order(len(case.obs), 1)
    start = new_adam(case.theta)
    found = ascend(case.policy, case.theta, start, acted, terms, rows, len(case.obs), 100.0, max_grad_norm=limit)
    g = policy_gradient(case.policy, case.theta, tape, case.act, case.adv)
    close(found.adam.first, 0.1 * g * min(1, limit / max(np.linalg.norm(g), 1e-300)), 1e-12)
    np.testing.assert_array_equal(found.theta, case.policy.project(found.theta))
    assert found.adam.step == 1


@settings(max_examples=10)
@given(policies())
def test_a_row_beyond_the_clip_range_stops_pushing_PP2(case):
    # one row, a good action: its probability grows, with a clip only until the ratio passes 1 + ε
    one = case._replace(obs=case.obs[:1], act=case.act[:1], adv=np.ones(1))
    logp = lambda theta: one.policy.distribution.log_prob(one.policy.forward(theta, one.obs).params, one.act)[0]
    gained = {}
    for objective in ("clip", "unclipped"):
        config = PPOConfig(objective=objective, normalize_advantage=False, learning_rate=1e-3, clip_range=0.05)
        state, visits = ppo.PPOState(*new_adam(one.theta), 1.0), np.zeros((100, 1), np.int64)
        theta, _, info = ppo.update(one.policy, one.theta, state, samples(one), config, visits)
        gained[objective] = logp(theta) - logp(one.theta)
        assert (info.clip_fraction > 0) == (objective == "clip" and gained[objective] > np.log(1.05))
    assert gained["clip"] <= gained["unclipped"]


def test_beta_adapts_to_the_kl_of_the_whole_update_and_the_fixed_one_does_not_PP3_PP4():
    for objective, target, expected in (("kl", 1.0, 3.0), ("adaptive-kl", 1.0, 1.5), ("adaptive-kl", 1e-9, 6.0)):
        agent = minipg.PPO("CartPole-v1", objective=objective, kl_coef=3.0, target_kl=target, n_steps=64)
        rows = []
        agent.learn(1, on_update=lambda agent, row, rows=rows: rows.append(row))
        assert agent.state.beta == rows[0]["beta"] == expected


def test_beta_rests_where_no_step_was_taken_and_cannot_begin_at_zero_PP4():
    agent = minipg.PPO("CartPole-v1", objective="adaptive-kl", kl_coef=3.0, n_steps=64, threads=1)
    batch = agent._collect(agent._new_collector())
    batch.rew[0, 0] = np.nan
    assert agent._update(batch, 0.0).info.policy_steps == 0
    assert agent.state.beta == 3.0
    with pytest.raises(minipg.MinipgError, match="kl_coef: expected a number > 0 for adaptive-kl"):
        PPOConfig(objective="adaptive-kl", kl_coef=0.0)


def test_a_large_penalty_keeps_the_policy_nearer_PP3():
    kls = []
    for beta in (0.0, 100.0):
        agent = minipg.PPO("CartPole-v1", objective="kl", kl_coef=beta, learning_rate=1e-3, n_steps=64)
        agent.learn(1, on_update=lambda agent, row: kls.append(row["kl"]))
    assert kls[1] < 0.2 * kls[0]


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_a_linear_schedule_ends_at_zero(name):
    agent = make(name, schedule="linear").learn(300)
    before = agent.theta.copy()
    batch = agent._collect(agent._new_collector())
    agent._update(batch, 1.0)
    close(agent.theta, before, 1e-12)


# ---- TRPO's dual form ----------------------------------------------------------------------------------------------


@given(st.floats(0, 10), st.floats(0, 0.1), st.floats(1e-3, 0.1), st.floats(0.1, 100))
def test_the_dual_variable_rises_beyond_the_radius_falls_within_and_is_never_negative_TR12(dual, kl, delta, rate):
    after = next_multiplier(dual, kl, delta, rate)
    assert after >= 0
    assert (after - dual) * (kl - delta) >= 0
    close(after, max(0, dual + rate * (kl - delta)), 1e-12, scale=1)


def dual(case, multiplier, **settings):
    as_it_is = {"minibatch_size": 4, "learning_rate": 1e-2, "normalize_advantage": False}
    config = TRPOConfig(solver="dual", **as_it_is | settings)
    state = DualState(*new_adam(case.theta), multiplier)
    return dual_update(case.policy, case.theta, state, samples(case), config, order(len(case.obs), 4))


@given(policies())
def test_the_dual_form_follows_the_kl_it_measures_pass_by_pass_TR12(case):
    theta, state, info = dual(case, 1.0)
    old = case.policy.forward(case.theta, case.obs).params
    value, kl = surrogate_and_kl(case.policy, case.obs, case.act, case.adv, old)(theta)
    close([info.improvement, info.kl], [value - case.adv.mean(), kl], 1e-12)
    assert info.multiplier == state.multiplier
    # with no radius every pass ends outside of it, with a huge one inside
    assert dual(case, 1.0, max_kl=1e-12)[1].multiplier > 1 - 1e-6
    assert dual(case, 1.0, max_kl=1e3)[1].multiplier == 0.0


# ---- REINFORCE -----------------------------------------------------------------------------------------------------


def played(steps=14, envs=2, episodes=2):
    """A batch of whole episodes, rewards at random."""
    rng = np.random.default_rng(0)
    done = rng.random((steps, envs)) < 0.3
    done[-1] = True
    valid = np.cumsum(done, 0) - done < episodes
    zero = np.zeros((steps, envs))
    never = np.zeros_like(done)
    of, rew, none = zero[..., None], rng.normal(size=(steps, envs)), np.zeros(0, int)
    return Batch(of, zero, of, rew, done, never, valid, never, never, zero[:1], zero[:0], none, np.zeros(0), none)


@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize("kind", ["return", "reward-to-go", "discounted"])
def test_weights_are_sums_over_the_episode_PG5_PG7(kind, gamma):
    batch = played()
    weight, G = reinforce.weights(batch, gamma, kind, minipg.Backend("numpy", 1))
    for n in range(batch.rew.shape[1]):
        start = 0
        for end in np.flatnonzero(batch.terminated[:, n]):
            r = batch.rew[start : end + 1, n]
            for t in range(len(r)):
                to_go = sum(gamma ** (k - t) * r[k] for k in range(t, len(r)))
                whole = sum(gamma**k * r[k] for k in range(len(r)))
                expected = {"return": whole, "reward-to-go": to_go, "discounted": gamma**t * to_go}[kind]
                if batch.valid[start + t, n]:
                    close(weight[start + t, n], expected, 1e-12, scale=5)
                    close(G[start + t, n], to_go, 1e-12, scale=5)
            start = end + 1


def test_until_reward_sums_no_further_than_the_next_reward_that_is_not_zero_PG7():
    batch, gamma = played(), 0.9
    batch.rew[::2] = 0
    weight, G = reinforce.weights(batch, gamma, "until-reward", minipg.Backend("numpy", 1))
    for t, n in np.argwhere(batch.valid):
        for k in range(t, len(batch.rew)):
            if batch.rew[k, n] != 0 or batch.terminated[k, n]:
                break
        close(weight[t, n], gamma ** (k - t) * batch.rew[k, n], 1e-12, scale=1)
    np.testing.assert_array_equal(G, weight)


@pytest.mark.parametrize("n_steps", [3, 20])
def test_an_update_sees_just_the_episodes_asked_for_of_every_environment(n_steps):
    script = (Ending(3, True, False), Ending(5, False, True), Ending(2, True, False))
    envs = gym.vector.SyncVectorEnv([lambda i=i: Counting(i, script) for i in range(2)], autoreset_mode="SameStep")
    batches = []
    with pytest.MonkeyPatch.context() as patch:
        nothing = Outcome(StepInfo("ok", 0.0, 0.0))
        patch.setattr(
            minipg.REINFORCE, "_update", lambda self, batch, progress, measure: batches.append(batch) or nothing
        )
        minipg.REINFORCE(envs, episodes=2, n_steps=n_steps, hidden=(4,)).learn(60)
    for batch in batches:
        critic = ValueNetwork(MLP((3, 4, 1)))
        learnt = reinforce.samples_of(batch, critic, critic.mlp.init(np.random.default_rng(0)), REINFORCEConfig())
        assert len(learnt.obs) == len(learnt.adv) == len(learnt.act) == batch.valid.sum()
        assert (batch.terminated | batch.truncated)[batch.valid].sum() == 4
        assert len(batch.episode_returns) == 4
        assert batch.episode_lengths.sum() == batch.valid.sum()
        close(batch.episode_returns.sum(), batch.rew[batch.valid].sum(dtype=float), 1e-6)
        for n in range(2):
            times = batch.obs[batch.valid[:, n], n, 2].astype(int).tolist()
            assert times[0] == 0  # from a reset
            assert sorted(t for t in times if t == 0) == [0, 0]
    assert len(batches) > 1


def test_joined_batches_keep_final_observations_in_their_place_and_starts_follow_ends():
    script = (Ending(3, True, False), Ending(5, False, True), Ending(2, False, True))
    envs = gym.vector.SyncVectorEnv([lambda i=i: Counting(i, script) for i in range(2)], autoreset_mode="SameStep")
    agent = minipg.REINFORCE(envs, hidden=(4,))
    collector = agent._new_collector()
    parts = [collector.collect(agent.theta, n) for n in (4, 3, 5)]
    whole = joined(parts)
    assert len(whole.rew) == 12
    for at, final in zip(whole.final_at, whole.final_obs, strict=True):
        t, n = divmod(int(at), 2)
        assert whole.truncated[t, n]
        np.testing.assert_array_equal(final, whole.obs[t, n] + [0, 0, 1])  # the same episode, a step later
    np.testing.assert_array_equal(whole.last_obs, parts[-1].last_obs)
    np.testing.assert_array_equal(episode_starts(whole), whole.obs[..., 2] == 0)


def test_episodes_that_do_not_end_are_named(monkeypatch):
    monkeypatch.setattr("minipg.rollout.collector._ENDLESS", 50)
    env = Counting(0, (Ending(10**9, True, False),))
    with pytest.raises(EnvironmentFault, match="has not ended 2 episodes in 100 steps"):
        minipg.REINFORCE(env, n_steps=10, hidden=(4,)).learn(100)


def test_a_baseline_of_the_average_centres_the_weights_PG6():
    agent = make("reinforce", baseline="average")
    batch = agent._collect(agent._new_collector())
    plain, centred = (
        reinforce.samples_of(batch, agent.critic, agent.value.theta, dataclasses.replace(agent.config, baseline=b))
        for b in ("none", "average")
    )
    close(centred.adv, plain.adv - plain.adv.mean(), 1e-6)
    valued = reinforce.samples_of(batch, agent.critic, agent.value.theta, agent.config.__class__())
    close(valued.adv, valued.ret - agent.critic.predict(agent.value.theta, valued.obs), 1e-6)


def test_the_baseline_of_a_discounted_weight_is_discounted_alike_PG6_PG9():
    agent = make("reinforce", gamma=0.9)
    batch = agent._collect(agent._new_collector())
    plain, discounted = (
        reinforce.samples_of(batch, agent.critic, agent.value.theta, dataclasses.replace(agent.config, weight=weight))
        for weight in ("reward-to-go", "discounted")
    )
    power = reinforce.discounts(batch, 0.9)[batch.valid]
    close(discounted.adv, power * plain.adv, 1e-5, scale=10)  # γᵗ (G − V), not γᵗ G − V
    close(discounted.value, plain.value, 1e-6)  # the critic's own V, of G


@pytest.mark.parametrize("normalized", [False, True])
def test_without_a_baseline_equal_weights_still_push_PG5_PG6(normalized):
    # all returns are 3: the average takes everything away, no baseline nothing
    agent = make("reinforce", backend="numpy")
    batch = agent._collect(agent._new_collector())
    obs, act = batch.obs[batch.valid], batch.act[batch.valid]
    rows = Samples(obs, act, np.full(len(act), 3, np.float32), None, None, None)
    moved = {}
    for baseline in ("none", "average"):
        config = dataclasses.replace(agent.config, baseline=baseline, normalize_advantage=normalized)
        weighed = rows._replace(adv=rows.adv - (rows.adv.mean() if baseline == "average" else 0))
        theta, _, info = reinforce.update(agent.actor, agent.theta, agent.state, weighed, config)
        moved[baseline] = info.grad_norm, (theta != agent.theta).any()
    assert moved["average"] == (0, False)
    assert moved["none"][0] > 0
    assert moved["none"][1]


def test_reinforce_config_is_validated_by_name():
    with pytest.raises(minipg.MinipgError, match=r"weight: expected return, .*, until-reward or discounted, got 'x'"):
        REINFORCEConfig(weight="x")


def test_normalize_is_what_every_algorithm_means_by_it():
    adv = np.array([1.0, 2, 6])
    close(normalize(adv).mean(), 0, 1e-12, scale=1)
