"""Environments on a device, on the processor (host_cuda.py): the compiled ones, with counter-based streams."""

import copy
import math
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from host_cuda import has_compiler, host_cupy
from hypothesis import given
from hypothesis import strategies as st
from minipg.kernels.cpu.classic_control import PROBLEMS
from minipg.kernels.cpu.classic_control.batch import begin_one
from minipg.kernels.cpu.classic_control.batch import kernels as compiled

from minipg import Backend
from minipg.distribution import Distribution
from minipg.envs import make_vector
from minipg.envs.compiled import CompiledVectorEnv
from minipg.envs.snapshots import snapshots_of
from minipg.errors import ConfigError, EnvironmentFault, ShapeError
from minipg.policy import policy_for
from minipg.rollout import Batch, Collector, ObservationNormalizer, RewardScaler
from minipg.rollout.vine import Follower

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no g++")
NAMES = st.sampled_from(list(PROBLEMS))
KEYS = st.integers(0, 2**64 - 1)
# tolerances: a square is x·x on a device, and differs from Python's power once in a thousand times
EXACT = {"Acrobot-v1": 1e-13, "Pendulum-v1": 1e-9}


@pytest.fixture(scope="module", autouse=True)
def cuda():
    """The CUDA twin over NumPy's own arrays."""
    with host_cupy():
        yield


def device_env(name, count=3, limit=None):
    from minipg.envs.device import DeviceVectorEnv

    return DeviceVectorEnv(name, count, limit)


def drawn(key, counter, count):
    """The uniforms of NumPy's Philox with that key and counter."""
    return np.random.Generator(np.random.Philox(key=key, counter=counter)).random(count)


def random_actions(rng, problem, count):
    """Actions within the bounds and beyond them, as kernels take them."""
    if problem.actions:
        return rng.integers(problem.actions, size=count).astype(float)
    return (2 * problem.act_high * rng.normal(size=count)).astype(np.float32).astype(float)


@given(KEYS, KEYS, st.integers(1, 2100), st.sampled_from([np.float32, np.float64]))
def test_uniform_noise_is_numpys_philox_to_the_bit(low, high, size, dtype):
    stream, out = import_module("minipg.kernels.gpu.classic_control.stream"), np.empty(size, dtype)
    stream.uniform(np.array([low, high], np.uint64), out)
    numpys = np.random.Generator(np.random.Philox(key=low + (high << 64))).random(size, dtype)
    np.testing.assert_array_equal(out, numpys)


@given(KEYS, KEYS, st.integers(1, 1100))
def test_normal_noise_is_made_of_pairs_of_the_same_uniforms(low, high, size):
    stream, out, single = (
        import_module("minipg.kernels.gpu.classic_control.stream"),
        np.empty(size),
        np.empty(size, "f4"),
    )
    stream.normal(np.array([low, high], np.uint64), out)
    stream.normal(np.array([low, high], np.uint64), single)
    u, v = np.random.Generator(np.random.Philox(key=low + (high << 64))).random(size + size % 2).reshape(-1, 2).T
    radius = np.sqrt(-2 * np.log(1 - u))
    expected = np.stack([radius * np.cos(2 * np.pi * v), radius * np.sin(2 * np.pi * v)], axis=1).ravel()[:size]
    np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_array_equal(single, out.astype(np.float32))


@given(KEYS, KEYS, st.integers(1, 4), st.integers(1, 300))
def test_an_order_of_rows_is_that_of_the_same_uniforms(low, high, epochs, rows):
    stream, out = import_module("minipg.kernels.gpu.classic_control.stream"), np.empty((epochs, rows), np.int64)
    stream.permutation(np.array([low, high], np.uint64), out)
    uniforms = np.random.Generator(np.random.Philox(key=low + (high << 64))).random((epochs, rows))
    np.testing.assert_array_equal(out, np.argsort(uniforms, axis=1))
    np.testing.assert_array_equal(np.sort(out, axis=1), np.broadcast_to(np.arange(rows), out.shape))


def test_normal_noise_is_normal():
    stream, out = import_module("minipg.kernels.gpu.classic_control.stream"), np.empty(200_000)
    stream.normal(np.array([1, 2], np.uint64), out)
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3), (6, 15)):
        spread = math.sqrt(math.prod(range(1, 2 * power, 2)) / len(out))
        assert abs((out**power).mean() - moment) < 5 * spread


@given(NAMES, KEYS, st.integers(1, 40))
def test_the_first_state_of_an_episode_depends_on_its_seed_its_environment_and_its_number_alone(name, seed, count):
    env, problem, dynamics = device_env(name, count), PROBLEMS[name], PROBLEMS[name].dynamics
    state, obs = np.zeros(problem.state), np.zeros(len(problem.obs_low), np.float32)
    env.reset(seed=seed)
    for episode in range(3):
        for n in (0, count - 1):
            begin_one(dynamics, drawn(seed, [0, episode, n, 0], dynamics.draws), state, obs)
            np.testing.assert_array_equal(env._state[n], state)
        env.reset()


@given(NAMES, st.integers(0, 2**32 - 1))
def test_a_step_from_any_state_is_the_compiled_ones(name, seed):
    rng, problem, count = np.random.default_rng(seed), PROBLEMS[name], 20
    scale = {"Pendulum-v1": [9, 5], "Acrobot-v1": [3, 3, 9, 20]}.get(
        name, [2.5, 1, 0.25, 1] if problem.state == 4 else [0.9, 0.07]
    )
    found = []
    states = rng.uniform(-1, 1, size=(count, problem.state)) * scale
    elapsed, act = rng.integers(2, size=count) * (problem.time_limit - 1), random_actions(rng, problem, count)
    where = rng.random(count) < 0.8
    for kernels in (
        import_module("minipg.kernels.gpu.classic_control.batch").kernels(problem),
        compiled(problem),
    ):
        state, steps, obs = states.copy(), elapsed.copy(), np.zeros((count, len(problem.obs_low)), np.float32)
        rew, (terminated, truncated) = np.empty(count), np.empty((2, count), bool)
        kernels.advance(where, act, problem.time_limit, state, steps, obs, rew, terminated, truncated)
        found.append((state, rew, obs, steps, terminated, truncated))
    for got, expected in zip(*found, strict=True):
        if name in EXACT and got.dtype.kind == "f":
            np.testing.assert_allclose(
                got, expected, rtol=0, atol=EXACT[name] * 10 if got.dtype == np.float64 else 1e-5
            )
        else:
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_vector_is_the_compiled_one_from_the_same_states(name):
    rng, problem, n, limit = np.random.default_rng(5), PROBLEMS[name], 7, 30
    env, compiled_env = device_env(name, n, limit), CompiledVectorEnv(name, n, limit, "SameStep")
    env.reset(seed=1)
    compiled_env.reset(seed=1)
    assert env.observation_space == compiled_env.observation_space
    assert env.action_space == compiled_env.action_space
    for _ in range(70):
        compiled_env._state[:], compiled_env._obs[:] = env._state, env._obs
        act = random_actions(rng, problem, n).astype(np.int64 if problem.actions else np.float32)
        act = act if problem.actions else act[:, None]
        (obs, rew, *flags, infos), (obs_, rew_, *flags_, infos_) = env.step(act), compiled_env.step(act)
        np.testing.assert_allclose(rew, rew_, atol=1e-8)
        np.testing.assert_array_equal(flags, flags_)
        done = flags[0] | flags[1]
        np.testing.assert_allclose(obs[~done], obs_[~done], atol=1e-6)
        assert set(infos) == set(infos_)
        for m in np.flatnonzero(done):
            np.testing.assert_allclose(infos["final_obs"][m], infos_["final_obs"][m], atol=1e-6)


@pytest.mark.parametrize("name", PROBLEMS)
def test_an_environment_does_not_depend_on_how_many_there_are(name):
    few, many = device_env(name, 2, 11), device_env(name, 300, 11)
    np.testing.assert_array_equal(few.reset(seed=9)[0], many.reset(seed=9)[0][:2])
    for _ in range(25):
        act = np.zeros(300, np.int64) if PROBLEMS[name].actions else np.zeros((300, 1), np.float32)
        np.testing.assert_array_equal(few.step(act[:2])[0], many.step(act)[0][:2])


def test_a_restored_state_continues_as_the_saved_one_to_the_bit():
    one, other = device_env("CartPole-v1", 5, 13), device_env("CartPole-v1", 5, 13)
    one.reset(seed=4)
    for _ in range(20):
        one.step(np.ones(5, np.int64))
    other.restore_state(one.save_state())
    for _ in range(20):
        for got, expected in zip(
            other.step(np.zeros(5, np.int64))[:4], one.step(np.zeros(5, np.int64))[:4], strict=True
        ):
            np.testing.assert_array_equal(got, expected)
    with pytest.raises(ShapeError):
        device_env("CartPole-v1", 4).restore_state(one.save_state())


def test_errors_name_the_argument():
    env = device_env("CartPole-v1")
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(3, np.int64))
    for seed in (-1, 2**64, [1, 2, 3]):
        with pytest.raises(ConfigError, match="seed: expected an integer from 0"):
            env.reset(seed=seed)
    with pytest.raises(ConfigError, match="options: expected none"):
        env.reset(options={"low": 1})
    env.reset()
    with pytest.raises(ShapeError, match="actions: expected integers from 0 to 1"):
        env.step(np.full(3, 2))


def test_environments_are_on_the_device_if_requested_or_if_the_networks_are():
    from minipg.envs.device import DeviceVectorEnv

    assert type(make_vector("CartPole-v1", 2, "device")) is DeviceVectorEnv
    assert type(make_vector("CartPole-v1", 2, on_device=True)) is DeviceVectorEnv
    assert type(make_vector("CartPole-v1", 2, "compiled", on_device=True)) is CompiledVectorEnv
    assert type(make_vector("CartPole-v1", 2)) is CompiledVectorEnv
    with pytest.raises(ConfigError, match=r"vec: expected one of CartPole-v1, .* for device, got Hopper-v5"):
        make_vector("Hopper-v5", 2, "device")


def policy_of(name, backend, hidden, squash=False, of_state=False):
    from minipg.envs import ActionCodec, ObservationCodec

    env = device_env(name, 1)
    inputs = ObservationCodec(env.single_observation_space).size
    distribution = ActionCodec(env.single_action_space, squash).distribution(backend)
    return policy_for(distribution, (inputs, *hidden), state_dependent_std=of_state)


def collected(
    monkeypatch, name, plainly, *, hidden=(5, 4), count=6, limit=9, steps=25, normalized=False, dtype=np.float64,
    squash=False, of_state=False,
):  # fmt: skip
    """Two rollouts in succession; with `plainly` by the collector of all environments, a call of `step` a step."""
    from minipg.rollout.device import DeviceRollout

    backend = Backend("cupy")
    policy, envs = policy_of(name, backend, hidden, squash, of_state), device_env(name, count, limit)
    theta = 0.3 * np.random.default_rng(1).normal(size=policy.layout.size).astype(dtype)
    noise = DeviceRollout(envs, policy).noise
    monkeypatch.setattr(Distribution, "noise", lambda _, rng, shape, dtype: noise(rng, shape, dtype))
    statistics = (
        {"normalizer": ObservationNormalizer(policy.mlp.sizes[0], backend), "scaler": RewardScaler(count, 0.9, backend)}
        if normalized
        else {}
    )
    collector = Collector(envs, policy, seed=7, rng=np.random.default_rng(2), dtype=dtype, **statistics)
    assert collector._in_one_call is not None
    if plainly:
        collector._in_one_call = None
    batches = [collector.collect(theta, steps) for _ in range(2)]
    return batches, statistics, envs.save_state()


def same_batches(one, other, atol):
    for got, expected in zip(one, other, strict=True):
        for name in set(Batch._fields) - {"branches"}:
            fused, plain = getattr(got, name), getattr(expected, name)
            assert fused.shape == plain.shape, name
            np.testing.assert_allclose(fused, plain, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("whole", [True, False], ids=["in one launch", "a launch a step"])
@pytest.mark.parametrize("normalized", [False, True], ids=["raw", "standardised"])
@pytest.mark.parametrize(
    "name, options",
    [(name, {}) for name in PROBLEMS]
    + [("Pendulum-v1", {"squash": True}), ("MountainCarContinuous-v0", {"squash": True, "of_state": True})],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_rollout_is_the_plain_collectors_of_the_same_noise(monkeypatch, name, options, normalized, whole):
    if not whole:
        monkeypatch.setattr(import_module("minipg.kernels.gpu.classic_control.rollout"), "WIDEST", 0)
    found = [collected(monkeypatch, name, plainly, normalized=normalized, **options) for plainly in (False, True)]
    (fused, statistics, state), (plain, statistics_, state_) = found
    same_batches(fused, plain, 1e-9)
    assert sum(len(batch.episode_returns) for batch in fused) > 10
    for name_ in ("state", "elapsed", "episode", "obs"):
        np.testing.assert_allclose(state[name_], state_[name_], atol=1e-9)
    for name_, fused_statistics in statistics.items():
        for got, expected in zip(fused_statistics.moments.arrays, statistics_[name_].moments.arrays, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("widths", [(16,), (17,), (64, 64), (256,), (257, 3)])
def test_the_rollout_does_not_depend_on_the_width_that_is_compiled(monkeypatch, widths):
    found = [collected(monkeypatch, "CartPole-v1", plainly, hidden=widths, steps=12)[0] for plainly in (False, True)]
    same_batches(*found, 1e-9)


def test_in_single_precision_the_policy_sees_the_observations_as_they_are(monkeypatch):
    (first, second), *_ = collected(monkeypatch, "CartPole-v1", False, dtype=np.float32)
    assert first.obs.dtype == first.rew.dtype == np.float32
    np.testing.assert_array_equal(first.last_obs, second.obs[0])


def test_an_action_that_is_nan_is_found_and_named(monkeypatch):
    policy, envs = policy_of("Pendulum-v1", Backend("cupy"), (3,)), device_env("Pendulum-v1", 2)
    collector = Collector(envs, policy, seed=0, rng=np.random.default_rng(0), dtype=np.float64)
    with pytest.raises(EnvironmentFault, match="action nan from environment 0, component 0 at step 0"):
        collector.collect(np.full(policy.layout.size, np.nan), 4)


def test_two_rollouts_of_half_the_length_are_one_of_the_whole(monkeypatch):
    noise = np.random.default_rng(0).random((20, 6))
    parts = []
    for cuts in ((0, 20), (0, 10, 20)):
        policy, envs = policy_of("CartPole-v1", Backend("cupy"), (8,)), device_env("CartPole-v1", 6, 7)
        collector = Collector(envs, policy, seed=0, rng=np.random.default_rng(0), dtype=np.float64)
        theta, obs = np.ones(policy.layout.size), collector.obs
        batches = []
        for start, stop in pairwise(cuts):
            batch, finite = collector._in_one_call(theta, obs, noise[start:stop].copy(), None, None, None)
            obs = batch.last_obs
            batches.append(batch)
            assert finite
        parts.append(
            [np.concatenate([getattr(b, f) for b in batches]) for f in ("obs", "act", "rew", "episode_returns")]
        )
    for whole, halves in zip(*parts, strict=True):
        np.testing.assert_array_equal(whole, halves)


@pytest.mark.parametrize("name", PROBLEMS)
def test_branches_are_those_of_the_compiled_environments_from_the_same_states_TR13(name):
    policy, count, rng = policy_of(name, Backend("cupy"), (5, 4)), 4, np.random.default_rng(0)
    theta = 0.3 * np.random.default_rng(1).normal(size=policy.layout.size)
    value, distribution = (lambda obs: obs.sum(axis=1)), policy.distribution
    envs, compiled_envs = device_env(name, count, 12), CompiledVectorEnv(name, count, 12, "SameStep")
    collector = Collector(envs, policy, seed=7, rng=np.random.default_rng(2), dtype=np.float64)
    snapshots, compiled_snapshots, states, expected_states = snapshots_of(envs), snapshots_of(compiled_envs), [], []

    def before_step(t):
        states.append(snapshots.save(t % count))
        expected_states.append(envs.save_state()["state"][t % count].copy())

    collector.collect(theta, 20, before_step)
    np.testing.assert_array_equal([state for state, _ in states], expected_states)
    drawn = [distribution.noise(rng, (20,), np.float64) for _ in range(2)]
    act, other = (distribution.sample(np.zeros((20, distribution.n_params)), one) for one in drawn)
    noise, before = distribution.noise(rng, (7, 20), np.float64), copy.deepcopy(envs.save_state())
    (q, steps), (expected, steps_) = (
        Follower(collector, of_envs, theta, value, 0.9).returns(states, np.stack([act, other, act]), noise)
        for of_envs in (snapshots, compiled_snapshots)
    )
    np.testing.assert_array_equal(q[0], q[2])
    assert (q[0] != q[1]).any()
    np.testing.assert_allclose(q, expected, rtol=1e-5, atol=1e-5)
    assert steps == steps_ < 3 * 20 * 8  # some are cut by the time limit
    for part, array in before.items():
        np.testing.assert_array_equal(envs.save_state()[part], array)
