"""What a rollout stores is what happened, and what is learnt from it is what the equations say."""

import itertools
from typing import NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from environments import SCRIPT, Counting, Ending, Faulty, asynchronous, observation, reward, sync
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorWrapper
from hypothesis import given
from hypothesis import strategies as st
from minipg.kernels.cpu.classic_control import PROBLEMS

import minipg
from minipg import (
    MLP,
    TRPO,
    Backend,
    CategoricalPolicy,
    GaussianPolicy,
    ValueNetwork,
    bernoulli,
    gaussian,
    multicategorical,
    squashed,
)  # fmt: skip
from minipg.algorithms.advantages import estimate_advantages
from minipg.algorithms.critic import Outcome
from minipg.algorithms.optimizers import StepInfo
from minipg.envs import ActionCodec, ObservationCodec, make_vector
from minipg.errors import EnvironmentFault, ShapeError
from minipg.policy import policy_for
from minipg.rollout import Batch, Collector, Moments, ObservationNormalizer, RewardScaler
from minipg.rollout.compiled import compiled_rollout
from minipg.runs import evaluate

SAME, NEXT = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP
REFERENCE = Backend("numpy", 1)
SMALL = {"n_steps": 8, "hidden": (4,), "vf_epochs": 1, "threads": 1}


class Row(NamedTuple):
    """One row that the rollout of an environment should hold; `next_obs` is what followed, before any reset."""

    episode: int
    time: int
    obs: np.ndarray
    next_obs: np.ndarray
    terminated: bool
    truncated: bool
    valid: bool


def life(number, script, mode):
    """Row after row of a Counting environment, from its rules alone."""
    for episode in itertools.count():
        length, terminated, truncated = script[episode % len(script)]
        at = [observation(number, episode, time) for time in range(length + 1)]
        for time in range(length):
            last = time == length - 1
            end = (last and terminated, last and truncated and not terminated)
            yield Row(episode, time, at[time], at[time + 1], *end, True)
        if mode == NEXT:
            yield Row(episode, length, at[length], at[length], False, False, False)


def known(n_envs, script, mode, rows):
    """The first `rows` rows of each environment, [n][t], and the observation after them, (N, 3)."""
    lives = [list(itertools.islice(life(n, script, mode), rows + 1)) for n in range(n_envs)]
    return [rows[:-1] for rows in lives], np.stack([rows[-1].obs for rows in lives])


def paid(number, row, act):
    return reward(number, row.episode, row.time, act) if row.valid else 0.0


def collector(envs, hidden=(4,), **options):
    """A collector with a small policy in float64, so that what is stored can be compared exactly, and its θ."""
    space = envs.single_action_space
    discrete = isinstance(space, spaces.Discrete)
    network = MLP((3, *hidden, int(space.n if discrete else space.shape[0])), "tanh", REFERENCE)
    policy = (CategoricalPolicy if discrete else GaussianPolicy)(network)
    theta = policy.init(np.random.default_rng(0), np.float64)
    rng = np.random.default_rng(1)
    return Collector(envs, policy, seed=3, rng=rng, dtype=np.float64, **options), theta


def joined(batches):
    """Rollouts one after the other, the positions of final observations counted through."""
    stacked = {f: np.concatenate([getattr(b, f) for b in batches]) for f in batches[0]._fields if f != "branches"}
    starts = np.cumsum([0, *(b.rew.size for b in batches)])
    stacked["final_at"] = np.concatenate([b.final_at + start for b, start in zip(batches, starts, strict=False)])
    return batches[0]._replace(**{**stacked, "last_obs": batches[-1].last_obs})


def assert_known(batch, n_envs, script, mode, start=0):
    steps = len(batch.rew)
    rows, last_obs = known(n_envs, script, mode, steps)
    finals, ended = {}, []
    for t, n in itertools.product(range(steps), range(n_envs)):
        row = rows[n][t]
        np.testing.assert_array_equal(batch.obs[t, n], row.obs)
        stored = batch.terminated[t, n], batch.truncated[t, n], batch.valid[t, n]
        assert stored == (row.terminated, row.truncated, row.valid), (t, n)
        assert batch.rew[t, n] == paid(n, row, batch.act[t, n] + start), (t, n)
        if row.truncated:
            finals[t * n_envs + n] = row.next_obs
        if row.terminated or row.truncated:
            of_episode = [r for r, x in enumerate(rows[n][: t + 1]) if x.episode == row.episode and x.valid]
            ended.append((sum(batch.rew[r, n] for r in of_episode), row.time + 1))
    np.testing.assert_array_equal(batch.last_obs, last_obs)
    assert list(batch.final_at) == list(finals)
    np.testing.assert_array_equal(batch.final_obs, np.array(list(finals.values())).reshape(-1, 3))
    np.testing.assert_array_equal(batch.episode_returns, [r for r, _ in ended])
    np.testing.assert_array_equal(batch.episode_lengths, [k for _, k in ended])


VECTORS = {
    "sync, same step": lambda envs: sync(envs, SAME),
    "sync, same step, one buffer": lambda envs: sync(envs, SAME, copy=False),
    "sync, next step": lambda envs: sync(envs, NEXT),
    "sync, next step, one buffer": lambda envs: sync(envs, NEXT, copy=False),
    "async, same step": lambda envs: asynchronous(envs, SAME),
    "async, same step, no shared memory": lambda envs: asynchronous(envs, SAME, shared_memory=False),
    "async, next step": lambda envs: asynchronous(envs, NEXT),
    "async, next step, one buffer": lambda envs: asynchronous(envs, NEXT, copy=False),
}


@pytest.mark.parametrize("vector", VECTORS)
def test_every_stored_number_is_the_known_one_across_resets_and_rollouts(vector):
    envs = VECTORS[vector]([Counting(n) for n in range(3)])
    collect, theta = collector(envs)
    batches = [collect.collect(theta, 7) for _ in range(6)]
    envs.close()
    assert_known(joined(batches), 3, SCRIPT, envs.metadata["autoreset_mode"])


class World(NamedTuple):
    """Environments, how their episodes end, and how they are collected."""

    n_envs: int
    script: tuple[Ending, ...]
    mode: AutoresetMode
    n_steps: int


worlds = st.builds(
    World,
    st.integers(1, 3),
    st.lists(
        st.builds(lambda length, ends: Ending(length, *ends), st.integers(1, 4), st.sampled_from(
            [(True, False), (False, True), (True, True)])), min_size=1, max_size=4).map(tuple),
    st.sampled_from([SAME, NEXT]),
    st.integers(1, 9),
)  # fmt: skip


def rollouts(world, count, **options):
    envs = sync([Counting(n, world.script) for n in range(world.n_envs)], world.mode)
    collect, theta = collector(envs, hidden=(), **options)
    return [collect.collect(theta, world.n_steps) for _ in range(count)]


@given(worlds)
def test_what_is_stored_does_not_depend_on_where_a_rollout_is_cut(world):
    assert_known(joined(rollouts(world, 3)), world.n_envs, world.script, world.mode)


V_WEIGHTS = np.array([1.0, 0.5, -0.25, 2.0])


def V(obs):
    """The value function of the tests: linear, so known everywhere."""
    return obs @ V_WEIGHTS[:3] + V_WEIGHTS[3]


def samples_of(batch, gamma, gae_lambda):
    critic = ValueNetwork(MLP((3, 1), "tanh", REFERENCE))
    return estimate_advantages(critic, V_WEIGHTS, batch, gamma, gae_lambda)


def slow_advantages(rows, rew, gamma, gae_lambda):
    """Σ_l (γλ)ˡ δ_{t+l} up to the end of the episode or of the rows, for each row of one environment."""
    adv = []
    for t in range(len(rows)):
        total = 0.0
        for power, k in enumerate(range(t, len(rows))):
            following = 0.0 if rows[k].terminated else V(rows[k].next_obs)
            total += (gamma * gae_lambda) ** power * (rew[k] + gamma * following - V(rows[k].obs))
            if rows[k].terminated or rows[k].truncated:
                break
        adv.append(total)
    return adv


@given(worlds, st.sampled_from([0.0, 0.5, 0.99, 1.0]), st.sampled_from([0.0, 0.9, 1.0]))
def test_advantages_are_those_of_each_episode_by_itself_PG12(world, gamma, gae_lambda):
    rows, _ = known(world.n_envs, world.script, world.mode, 2 * world.n_steps)
    for number, batch in enumerate(rollouts(world, 2)):
        mine = [one[number * world.n_steps :][: world.n_steps] for one in rows]
        slow = np.array([slow_advantages(r, batch.rew[:, n], gamma, gae_lambda) for n, r in enumerate(mine)]).T
        keep = np.array([[row.valid for row in r] for r in mine]).T.ravel()
        value = np.array([[V(row.obs) for row in r] for r in mine]).T.ravel()[keep]
        samples = samples_of(batch, gamma, gae_lambda)
        np.testing.assert_allclose(samples.adv, slow.ravel()[keep], rtol=1e-12, atol=1e-11)
        np.testing.assert_allclose(samples.value, value, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(samples.ret, slow.ravel()[keep] + value, rtol=1e-12, atol=1e-11)
        np.testing.assert_array_equal(samples.obs, batch.obs.reshape(-1, 3)[keep])
        np.testing.assert_array_equal(samples.act, batch.act.ravel()[keep])


GAMMA = 0.9
modes = pytest.mark.parametrize("mode", [SAME, NEXT], ids=lambda mode: mode.name)


def target_of_last_step(ending, mode):
    """The critic's target, less the reward, for the last step of a first episode of two steps, λ = 1."""
    (batch,) = rollouts(World(1, (ending,), mode, 4), 1)
    return samples_of(batch, GAMMA, 1.0).ret[1] - batch.rew[1, 0]


@modes
def test_a_truncated_episode_is_bootstrapped_from_its_final_observation(mode):
    assert target_of_last_step(Ending(2, False, True), mode) == pytest.approx(GAMMA * V(observation(0, 0, 2)), 1e-12)


@modes
def test_nothing_follows_a_terminated_episode(mode):
    assert target_of_last_step(Ending(2, True, False), mode) == pytest.approx(0, abs=1e-12)


@modes
def test_an_episode_that_ends_both_ways_is_terminated(mode):
    assert target_of_last_step(Ending(2, True, True), mode) == pytest.approx(0, abs=1e-12)


@modes
def test_a_rollout_that_cuts_an_episode_is_bootstrapped_from_the_observation_after_it(mode):
    (batch,) = rollouts(World(1, (Ending(9, True, False),), mode, 3), 1)
    rest = samples_of(batch, GAMMA, 1.0).ret[2] - batch.rew[2, 0]
    assert rest == pytest.approx(GAMMA * V(observation(0, 0, 3)), 1e-12)


@pytest.mark.parametrize("ends", [(True, False), (False, True)], ids=["terminated", "truncated"])
@modes
def test_nothing_flows_back_over_the_end_of_an_episode(ends, mode):
    (batch,) = rollouts(World(1, (Ending(2, *ends), Ending(5, True, False)), mode, 6), 1)
    before = samples_of(batch, GAMMA, 1.0).adv[:2]
    dearer = batch.rew.copy()
    dearer[2:] += 1000
    np.testing.assert_array_equal(samples_of(batch._replace(rew=dearer), GAMMA, 1.0).adv[:2], before)


def test_the_step_that_only_resets_is_never_learnt_from():
    (batch,) = rollouts(World(2, (Ending(2, True, False),), NEXT, 6), 1)
    assert np.flatnonzero(~batch.valid[:, 0]).tolist() == [2, 5]
    samples = samples_of(batch, GAMMA, 0.95)
    assert [len(part) for part in samples] == [8] * 6
    assert not (samples.obs[:, 2] == 2).any()


@modes
def test_actions_are_sampled_from_the_policy_at_the_stored_observations(mode):
    envs = sync([Counting(n) for n in range(3)], mode)
    collect, theta = collector(envs)
    batch = collect.collect(theta, 6)
    distribution = collect.policy.distribution
    noise = distribution.noise(np.random.default_rng(1), (6, 3), np.float64)
    for t in range(6):
        act = distribution.sample(collect.policy.forward(theta, batch.obs[t]).params, noise[t])
        np.testing.assert_array_equal(batch.act[t], act)


def test_the_raw_action_is_stored_and_only_the_environment_receives_the_clipped_one():
    low, high = np.array([-0.5, -np.inf], np.float32), np.array([0.25, 0.0], np.float32)
    envs = sync([Counting(n, action_space=spaces.Box(low, high)) for n in range(2)])
    collect, theta = collector(envs)
    batch = collect.collect(theta, 20)
    assert (batch.act[..., 0] > 0.25).any()
    assert (batch.act[..., 0] < -0.5).any()
    assert (batch.act[..., 1] > 0).any()
    assert (batch.act[..., 1] < -1).any()
    received = np.stack([env.received for env in envs.envs], axis=1)
    np.testing.assert_array_equal(received, np.clip(batch.act, low, high).astype(np.float32))


def test_the_raw_action_is_stored_and_only_the_environment_receives_its_tanh_scaled_to_the_box():
    space = spaces.Box(np.array([-0.5, 1], np.float32), np.array([0.25, 5], np.float32))
    envs = sync([Counting(n, action_space=space) for n in range(2)])
    policy = policy_for(squashed(2, REFERENCE), (3, 4))
    collect = Collector(envs, policy, seed=3, rng=np.random.default_rng(1), dtype=np.float64)
    batch = collect.collect(policy.init(np.random.default_rng(0), np.float64), 20)
    assert (np.abs(batch.act) > 1).any()
    received = np.stack([env.received for env in envs.envs], axis=1)
    expected = space.low + (space.high - space.low) * (1 + np.tanh(batch.act)) / 2
    np.testing.assert_allclose(received, expected, rtol=1e-6)


@pytest.mark.parametrize("family", [multicategorical([2, 3], REFERENCE), bernoulli(2, REFERENCE)])
def test_several_choices_are_stored_from_zero_as_integers(family):
    space = spaces.MultiBinary(2) if family.name == "bernoulli" else spaces.MultiDiscrete([2, 3], start=[4, -1])
    envs = sync([Counting(n, action_space=space) for n in range(2)])
    policy = policy_for(family, (3, 4))
    collect = Collector(envs, policy, seed=3, rng=np.random.default_rng(1), dtype=np.float64)
    batch = collect.collect(policy.init(np.random.default_rng(0), np.float64), 40)
    assert (batch.act.dtype, batch.act.shape) == (np.int64, (40, 2, 2))
    assert (batch.act.min(axis=(0, 1)) == 0).all()
    assert batch.act.max(axis=(0, 1)).tolist() == [1, 1 if family.name == "bernoulli" else 2]
    start = np.zeros(2, int) if family.name == "bernoulli" else space.start
    assert_known(batch, 2, SCRIPT, SAME, start=start)
    np.testing.assert_array_equal(np.stack([env.received for env in envs.envs], axis=1), batch.act + start)


def test_discrete_actions_are_stored_from_zero_and_taken_from_the_start_of_their_space():
    envs = sync([Counting(n, action_space=spaces.Discrete(3, start=-7)) for n in range(2)])
    collect, theta = collector(envs)
    batch = collect.collect(theta, 40)
    assert sorted(set(batch.act.ravel().tolist())) == [0, 1, 2]
    assert_known(batch, 2, SCRIPT, SAME, start=-7)
    np.testing.assert_array_equal(np.stack([env.received for env in envs.envs], axis=1), batch.act - 7)


# ---- statistics ----------------------------------------------------------------------------------------------------

twins = st.sampled_from([Backend("numpy", 1), Backend("numba", 1)])


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.lists(st.integers(1, 5), min_size=1, max_size=6), twins)
def test_moments_are_the_mean_and_variance_of_everything_merged(seed, size, batches, backend):
    rng, moments = np.random.default_rng(seed), Moments(size, backend)
    parts = [rng.normal(100, rng.uniform(0.1, 10), (rows, size)) for rows in batches]
    for part in parts:
        moments.merge(part)
    everything = np.concatenate(parts)
    assert moments.count[0] == len(everything)
    np.testing.assert_allclose(moments.mean, everything.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(moments.square / moments.count, everything.var(axis=0), rtol=1e-10, atol=1e-10)


def acted_in(rows, last_obs, mode=SAME):
    """The observations an action was, or is about to be, chosen in: not those that only wait for a reset."""
    waiting = [mode == NEXT and (r[-1].terminated or r[-1].truncated) for r in rows]
    return np.concatenate([[row.obs for r in rows for row in r if row.valid], last_obs[~np.array(waiting)]])


def test_observations_are_standardised_by_all_that_was_seen_up_to_then():
    normalizer = ObservationNormalizer(3, REFERENCE)
    envs = sync([Counting(n) for n in range(3)])
    collect, theta = collector(envs, normalizer=normalizer)
    batch = joined([collect.collect(theta, 5) for _ in range(4)])
    rows, last_obs = known(3, SCRIPT, SAME, 20)
    everything = np.concatenate([np.array([[r[t].obs for r in rows] for t in range(20)]), last_obs[None]])

    for t in range(21):
        seen = everything[: t + 1].reshape(-1, 3)
        scale = np.where(seen.std(axis=0) > 0, seen.std(axis=0), 1)
        expected = np.clip((everything[t] - seen.mean(axis=0)) / scale, -10, 10)
        np.testing.assert_allclose(batch.obs[t] if t < 20 else batch.last_obs, expected, rtol=1e-10, atol=1e-12)
    assert normalizer.moments.count[0] == 21 * 3
    np.testing.assert_allclose(normalizer.moments.mean, acted_in(rows, last_obs).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(normalizer.moments.square / 63, acted_in(rows, last_obs).var(axis=0), rtol=1e-10)


def test_final_observations_are_standardised_by_the_statistics_of_the_rollouts_end():
    normalizer = ObservationNormalizer(3, REFERENCE)
    collect, theta = collector(sync([Counting(n) for n in range(3)]), normalizer=normalizer)
    batch = collect.collect(theta, 12)
    rows, _ = known(3, SCRIPT, SAME, 12)
    finals = np.array([rows[at % 3][at // 3].next_obs for at in batch.final_at])
    assert len(finals) > 3
    moments = normalizer.moments
    expected = (finals - moments.mean) / np.sqrt(moments.square / moments.count)
    np.testing.assert_allclose(batch.final_obs, np.clip(expected, -10, 10), rtol=1e-10)


@modes
def test_observation_statistics_come_from_the_states_acted_in_however_environments_reset(mode):
    normalizer = ObservationNormalizer(3, REFERENCE)
    collect, theta = collector(sync([Counting(n) for n in range(2)], mode), normalizer=normalizer)
    collect.collect(theta, 30)
    rows, last_obs = known(2, SCRIPT, mode, 30)
    expected = acted_in(rows, last_obs, mode)
    np.testing.assert_allclose(normalizer.moments.count, len(expected))
    np.testing.assert_allclose(normalizer.moments.mean, expected.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(normalizer.moments.square / len(expected), expected.var(axis=0), rtol=1e-10)


def test_standardised_observations_are_clipped_to_ten():
    normalizer = ObservationNormalizer(1, REFERENCE)
    normalizer.update(np.random.default_rng(0).normal(size=(100, 1)))
    np.testing.assert_array_equal(normalizer(np.array([[1e6], [-1e6]])), [[10], [-10]])


def test_a_component_that_never_varies_is_centred_and_nothing_else():
    normalizer = ObservationNormalizer(1, REFERENCE)
    normalizer.update(np.full((4, 1), 7.0))
    np.testing.assert_array_equal(normalizer(np.full((4, 1), 7.0)), np.zeros((4, 1)))
    np.testing.assert_array_equal(normalizer(np.array([[9.5]])), [[2.5]])


def state(agent):
    return {
        (prefix, name): array
        for prefix, part in (("obs", agent.normalizer), ("reward", agent.scaler))
        for name, array in part.moments.state().items()
    }


def test_statistics_are_frozen_in_prediction_and_evaluation():
    agent = TRPO("test/Counting-v0", normalize_obs=True, normalize_reward=True, num_envs=2, **SMALL).learn(16)
    before = state(agent)
    agent.predict(np.array([50.0, 60, 70]))
    agent.predict(np.array([[50.0, 60, 70]] * 3), deterministic=True)
    evaluate(agent, episodes=3)
    assert before[("obs", "count")][0] == 18
    for name, array in state(agent).items():
        np.testing.assert_array_equal(array, before[name])


def test_statistics_are_saved_and_restored(tmp_path):
    agent = TRPO("test/Counting-v0", normalize_obs=True, normalize_reward=True, num_envs=2, **SMALL).learn(16)
    agent.save(tmp_path / "agent.npz")
    for name, array in state(minipg.load(tmp_path / "agent.npz")).items():
        np.testing.assert_array_equal(array, state(agent)[name])


def slow_scaling(rew, done, valid, gamma):
    """Each step's rewards (T, N) over σ of every discounted return so far, a return starting anew with its episode."""
    running, returns, scaled = np.zeros(rew.shape[1]), [], []
    for r, d, v in zip(rew, done, valid, strict=True):
        running = gamma * running + r
        returns.extend(running[v])
        running[d] = 0
        deviation = np.std(returns)
        scaled.append(np.clip(r / deviation if deviation > 0 else r, -10, 10))
    return np.array(scaled)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 30), st.sampled_from([0.0, 0.9, 1.0]), twins)
def test_rewards_are_divided_by_the_deviation_of_the_discounted_return(seed, n, steps, gamma, backend):
    rng = np.random.default_rng(seed)
    rew, done = rng.normal(3, 1, (steps, n)), rng.random((steps, n)) < 0.2
    scaler = RewardScaler(n, gamma, backend)
    scaled = np.array([scaler(r, d) for r, d in zip(rew, done, strict=True)])
    np.testing.assert_allclose(scaled, slow_scaling(rew, done, np.ones_like(done), gamma), rtol=1e-9)


@given(st.integers(0, 2**32 - 1), twins)
def test_reward_scaling_subtracts_nothing(seed, backend):
    rng = np.random.default_rng(seed)
    scaler = RewardScaler(2, 0.99, backend)
    for r in rng.choice([-2.0, 0.0, 5.0], (20, 2)):
        np.testing.assert_array_equal(np.sign(scaler(r, np.zeros(2, bool))), np.sign(r))


def test_rewards_that_never_vary_are_left_as_they_are():
    scaler = RewardScaler(2, 0.0, REFERENCE)
    for _ in range(3):
        np.testing.assert_array_equal(scaler(np.full(2, 3.0), np.zeros(2, bool)), [3, 3])


@modes
def test_the_rewards_learnt_from_are_scaled_and_the_returns_reported_are_not(mode):
    world = World(2, SCRIPT, mode, 15)
    plain = joined(rollouts(world, 2))
    scaled = joined(rollouts(world, 2, scaler=RewardScaler(2, 0.9, REFERENCE)))
    expected = slow_scaling(plain.rew, plain.terminated | plain.truncated, plain.valid, 0.9)
    assert not np.allclose(plain.rew, expected)
    np.testing.assert_array_equal(scaled.act, plain.act)
    np.testing.assert_array_equal(scaled.episode_returns, plain.episode_returns)
    np.testing.assert_allclose(scaled.rew, expected, rtol=1e-9)


def test_an_agent_scales_rewards_with_its_own_discount():
    agent = TRPO("test/Counting-v0", normalize_reward=True, num_envs=1, gamma=0.5, **SMALL)
    assert agent.scaler.gamma == 0.5


# ---- agents and vector environments --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [SAME, NEXT], ids=lambda mode: mode.name)
def test_an_agent_learns_from_the_valid_steps_alone(mode, monkeypatch):
    import minipg.algorithms.trpo as trpo

    seen = []

    def spy(policy, theta, samples, config, original=trpo.update):
        seen.append(samples.obs.copy())
        return original(policy, theta, samples, config)

    monkeypatch.setattr(trpo, "update", spy)
    TRPO(sync([Counting(n) for n in range(2)], mode), **SMALL).learn(32)
    rows, _ = known(2, SCRIPT, mode, 16)
    expected = [rows[n][t].obs for t, n in itertools.product(range(16), range(2)) if rows[n][t].valid]
    np.testing.assert_array_equal(np.concatenate(seen), expected)


@pytest.mark.parametrize("context", ["fork", "forkserver", "spawn"])
def test_environments_in_processes_give_the_agent_of_environments_in_line(context):
    in_line = TRPO(sync([Counting(n) for n in range(2)]), **SMALL | {"threads": 2}).learn(32)
    envs = asynchronous([Counting(n) for n in range(2)], context=context)
    apart = TRPO(envs, **SMALL | {"threads": 2}).learn(32)
    envs.close()
    np.testing.assert_array_equal(apart.theta, in_line.theta)


def test_an_instance_is_a_vector_of_one():
    env = Counting()
    agent = TRPO(env, **SMALL).learn(8)
    assert (agent.config.num_envs, agent.envs.num_envs, len(env.received)) == (1, 1, 8)


@modes
def test_a_vector_environment_decides_how_many_environments_there_are(mode):
    config = minipg.TRPOConfig(num_envs=8, n_steps=8, hidden=(4,), vf_epochs=1, normalize_reward=True)
    for options in ({"config": config}, {"normalize_reward": True, **{k: SMALL[k] for k in ("n_steps", "hidden")}}):
        agent = TRPO(sync([Counting(n) for n in range(3)], mode), **options).learn(24)
        assert agent.config.num_envs == 3
        assert agent.steps == 24


def test_a_vector_environment_that_never_resets_is_refused():
    with pytest.raises(EnvironmentFault, match="SAME_STEP or"):
        TRPO(sync([Counting()], AutoresetMode.DISABLED), **SMALL)


class Silent(VectorWrapper):
    """Says nothing of when it resets."""

    @property
    def metadata(self):
        return {}


def test_a_vector_environment_that_does_not_say_when_it_resets_is_refused():
    with pytest.raises(EnvironmentFault, match="autoreset_mode"):
        TRPO(Silent(sync([Counting()])), **SMALL)


class Forgetful(VectorWrapper):
    """Resets in the same step and keeps the final observations to itself."""

    def step(self, actions):
        *results, _ = self.env.step(actions)
        return *results, {}


def test_a_vector_environment_that_keeps_its_final_observations_to_itself_is_a_fault():
    with pytest.raises(EnvironmentFault, match="final_obs"):
        TRPO(Forgetful(sync([Counting()])), **SMALL).learn(8)


# ---- faults --------------------------------------------------------------------------------------------------------

LONG = (Ending(100, True, False),)


def faulty_agent(fault, **settings):
    """Two environments of which number 1 fails in the second rollout; and θ and the critic after the first."""
    agent = TRPO(sync([Counting(0, LONG), Faulty(fault, 11, number=1, script=LONG)]), **SMALL, **settings)
    after = []
    return agent, lambda agent, row: after.append((agent.theta.copy(), agent.value.theta.copy())), after


normalised = pytest.mark.parametrize("on", [False, True], ids=["as they are", "normalised"])


@normalised
@pytest.mark.parametrize(
    "fault,message",
    [
        ("nan observation", r"observation nan from environment 1, component 1 at step 22\b"),
        ("inf reward", r"reward -inf from environment 1 at step 22\b"),
    ],
)
def test_a_number_that_is_not_finite_is_named_and_nothing_is_learnt_from_it(fault, message, on):
    agent, callback, after = faulty_agent(fault, normalize_obs=on, normalize_reward=on)
    with pytest.raises(EnvironmentFault, match=message):
        agent.learn(100, on_update=callback)
    ((theta, critic),) = after
    np.testing.assert_array_equal(agent.theta, theta)
    np.testing.assert_array_equal(agent.value.theta, critic)
    assert (agent.updates, agent.steps) == (1, 16)
    assert not on or all(np.isfinite(array).all() for array in state(agent).values())


@modes
def test_a_final_observation_that_is_not_finite_is_named_too(mode):
    script = (Ending(3, False, True),)
    agent = TRPO(sync([Counting(0, LONG), Faulty("nan observation", 3, number=1, script=script)], mode), **SMALL)
    before = agent.theta.copy()
    with pytest.raises(EnvironmentFault, match=r"observation nan from environment 1, component 1 at step 6\b"):
        agent.learn(100)
    np.testing.assert_array_equal(agent.theta, before)


def test_a_first_observation_that_is_not_finite_is_named():
    class Broken(Counting):
        def reset(self, **_):
            return np.array([0, 0, np.inf]), {}

    with pytest.raises(EnvironmentFault, match=r"observation inf from environment 1, component 2 at step 0\b"):
        TRPO(sync([Counting(), Broken()]), **SMALL).learn(8)


@normalised
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("fault", ["huge observation", "huge reward"])
def test_a_number_too_large_for_single_precision_is_as_good_as_infinite(fault, on):
    agent, callback, after = faulty_agent(fault, normalize_obs=on, normalize_reward=on)
    with pytest.raises(EnvironmentFault, match="from environment 1"):
        agent.learn(100, on_update=callback)
    np.testing.assert_array_equal(agent.theta, after[0][0])
    np.testing.assert_array_equal(agent.value.theta, after[0][1])
    assert not on or all(np.isfinite(array).all() for array in state(agent).values())


def test_learning_on_after_an_interruption_pairs_actions_with_the_states_they_were_taken_in(monkeypatch):
    agent, callback, _ = faulty_agent("interrupt")
    with pytest.raises(KeyboardInterrupt):
        agent.learn(100, on_update=callback)
    batches, nothing = [], Outcome(StepInfo("ok", 0.0, 0.0))
    monkeypatch.setattr(TRPO, "_update", lambda agent, batch, progress, measure: batches.append(batch) or nothing)
    agent.learn(16)
    obs = np.concatenate([batches[0].obs, batches[0].last_obs[None]])
    # within an episode time goes on by one: no step is missing and none is doubled
    np.testing.assert_array_equal(np.diff(obs[..., 2], axis=0), np.ones((8, 2)))
    env = agent.envs.envs[0]
    assert (obs[-1, 0] == observation(0, env.episode, env.time)).all()


def test_an_environment_made_by_gymnasium_keeps_its_id():
    agent = TRPO(gym.make("CartPole-v1"), **SMALL)
    assert agent.env_id == "CartPole-v1"


def copied(batch):
    """A batch that stays as it is when the next one is collected."""
    return Batch(*(None if part is None else part.copy() for part in batch))


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("statistics", [False, True], ids=["plain", "normalized"])
def test_a_rollout_in_one_call_is_the_one_that_goes_step_by_step(name, statistics):
    def rollouts(at_once):
        envs = make_vector(name, 3)
        envs.time_limit = min(envs.time_limit, 20 if name == "CartPole-v1" else 300)  # some end as they are cut
        observations, actions = ObservationCodec(envs.single_observation_space), ActionCodec(envs.single_action_space)
        policy = policy_for(actions.distribution(Backend("numba", 1)), (observations.size, 5))
        theta = 3 * policy.init(np.random.default_rng(0), np.float64)
        normalizer = ObservationNormalizer(observations.size, policy.backend) if statistics else None
        scaler = RewardScaler(3, 0.9, policy.backend) if statistics else None
        collect = Collector(envs, policy, seed=1, rng=np.random.default_rng(2), dtype=np.float64,
                            normalizer=normalizer, scaler=scaler)  # fmt: skip
        assert compiled_rollout(envs, policy) is not None
        before_step = None if at_once else lambda t: None  # who looks on at every step has it go step by step
        batches = [copied(collect.collect(theta, steps, before_step)) for steps in (1, 450, 700, 700)]
        moments = [array for s in (normalizer, scaler) if s is not None for array in s.moments.arrays]
        return batches, [*collect.state().values(), *moments]

    (batches, after), (expected, expected_after) = rollouts(True), rollouts(False)
    for batch, plain in zip(batches, expected, strict=True):
        for field in set(Batch._fields) - {"branches"}:
            got, wanted = getattr(batch, field), getattr(plain, field)
            assert got.dtype == wanted.dtype, field
            np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9, err_msg=field)
    assert all(len(batch.final_at) for batch in batches[1:])
    assert name != "CartPole-v1" or all(batch.terminated.any() for batch in batches[1:])
    for got, wanted in zip(after, expected_after, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_a_rollout_in_two_halves_on_two_threads_is_the_one_that_goes_step_by_step(name):
    def rollouts(at_once, threads):
        envs = make_vector(name, 9)
        envs.time_limit = 20
        policy = policy_for(ActionCodec(envs.single_action_space).distribution(Backend("numba", threads)),
                            (envs.single_observation_space.shape[0], 5))  # fmt: skip
        theta = 3 * policy.init(np.random.default_rng(0), np.float64)
        collect = Collector(envs, policy, seed=1, rng=np.random.default_rng(2), dtype=np.float64)
        before_step = None if at_once else lambda t: None
        batches = [copied(collect.collect(theta, steps, before_step)) for steps in (120, 120, 150)]
        assert not at_once or len(collect._in_one_call._workspaces) == 2
        return batches, list(collect.state().values())

    one, two = rollouts(True, 1), rollouts(True, 2)
    for a, b in zip([*itertools.chain(*one[0]), *one[1]], [*itertools.chain(*two[0]), *two[1]], strict=True):
        np.testing.assert_array_equal(a, b)
    expected, after = rollouts(False, 1)
    for batch, plain in zip(two[0], expected, strict=True):
        order = np.argsort(batch.final_at)  # they come half by half
        batch = batch._replace(final_at=batch.final_at[order], final_obs=batch.final_obs[order])
        for field in set(Batch._fields) - {"branches"}:
            np.testing.assert_allclose(getattr(batch, field), getattr(plain, field), atol=1e-9, err_msg=field)
        assert len(batch.final_at) > 0
    for got, wanted in zip(two[1], after, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-9)


def test_a_rollout_in_one_call_that_is_not_finite_leaves_the_statistics_as_they_were():
    envs = make_vector("Pendulum-v1", 3)
    policy = policy_for(gaussian(1, Backend("numba", 1)), (3, 5))
    theta = policy.init(np.random.default_rng(0), np.float64)
    normalizer, scaler = ObservationNormalizer(3, policy.backend), RewardScaler(3, 0.9, policy.backend)
    collect = Collector(envs, policy, seed=1, rng=np.random.default_rng(2), dtype=np.float64,
                        normalizer=normalizer, scaler=scaler)  # fmt: skip
    collect.collect(theta, 4)
    before = [*normalizer.moments.state().values(), *scaler.moments.state().values()]
    with pytest.raises(EnvironmentFault, match="action nan from environment 0, component 0 at step 12"):
        collect.collect(np.where(np.arange(len(theta)) == 0, np.nan, theta), 4)
    after = [*normalizer.moments.arrays, *scaler.moments.arrays]
    for got, wanted in zip(after, before, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert collect.steps == 12


@pytest.mark.parametrize("vec", ["auto", "gymnasium"])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_an_action_that_is_not_finite_is_named_however_the_environment_is_stepped(vec, number):
    policy = policy_for(gaussian(1, Backend("numba", 1)), (3,))
    theta = policy.init(np.random.default_rng(0))
    collect = Collector(make_vector("Pendulum-v1", 3, vec), policy, seed=1, rng=np.random.default_rng(2))
    collect.collect(theta, 4)
    theta[3] = number  # the mean's bias
    with pytest.raises(EnvironmentFault, match=f"action {number} from environment 0, component 0 at step 12"):
        collect.collect(theta, 4)


def test_a_rollout_in_one_call_takes_parameters_of_its_policy_alone_and_of_either_precision():
    def collector():
        return Collector(make_vector("Pendulum-v1", 3), policy, seed=1, rng=np.random.default_rng(2))

    policy = policy_for(gaussian(1, Backend("numba", 1)), (3, 5))
    theta = policy.init(np.random.default_rng(0))
    for other in (theta[:-1], np.zeros(len(theta) + 1, np.float32)):
        with pytest.raises(ShapeError, match=r"theta: expected shape \(27,\)"):
            collector().collect(other, 4)
    acts = [collector().collect(precise, 4).act for precise in (theta, theta.astype(np.float64))]
    np.testing.assert_array_equal(*acts)


def test_a_state_that_was_saved_does_not_change_with_the_next_rollout():
    policy = policy_for(gaussian(1, Backend("numba", 1)), (3, 5))
    theta = policy.init(np.random.default_rng(0))
    collect = Collector(make_vector("Pendulum-v1", 3), policy, seed=1, rng=np.random.default_rng(2))
    collect.collect(theta, 4)
    state = collect.state()
    before = {name: array.copy() for name, array in state.items()}
    collect.collect(theta, 4)
    for name, array in state.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
