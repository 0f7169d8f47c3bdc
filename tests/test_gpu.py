"""The CUDA twin on a device (marked `gpu`) and, where that is possible, on the processor."""

import math
from importlib import import_module

import numpy as np
import pytest
from host_cuda import SOURCES, has_compiler, host_cupy, source, strict_cupy
from minipg.kernels.cpu.classic_control import PROBLEMS
from minipg.kernels.cpu.classic_control.batch import kernels as compiled

from minipg import MLP, PPO, TRPO, Backend, GaussianPolicy
from minipg.fisher import fisher_vector_product
from minipg.runtime import backend
from minipg.runtime.backend import to_host, why_no_device


def real_device():
    backend._import.cache_clear()
    if (reason := why_no_device()) is not None:
        pytest.skip(reason)
    return Backend("cupy")


@pytest.fixture(params=["host", pytest.param("device", marks=pytest.mark.gpu)])
def device(request):
    """The CUDA twin on a real device, or on the processor in its place."""
    if request.param == "device":
        yield real_device()
        return
    if not has_compiler():
        pytest.skip("there is no g++")
    with host_cupy(strict_cupy()):
        yield Backend("cupy")


@pytest.fixture
def only_device():
    return real_device()


def kernels(file):
    return import_module(f"minipg.kernels.gpu.{file}")


def rng_key(key):
    return np.random.Generator(np.random.Philox(key=sum(int(word) << 64 * i for i, word in enumerate(key))))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_noise_is_numpys_to_the_bit(device, dtype):
    key, out = np.array([2**64 - 5, 3], np.uint64), device.xp.empty(10_001, dtype)
    kernels("classic_control.stream").uniform(key, out)
    np.testing.assert_array_equal(to_host(out), rng_key(key).random(10_001, dtype))


@pytest.mark.parametrize("name", PROBLEMS)
def test_steps_of_a_thousand_environments_are_the_processors(device, name):
    problem, count, rng = PROBLEMS[name], 1000, np.random.default_rng(0)
    scale = {4: 0.2, 2: 0.4}[problem.state]
    states, act = (
        scale * rng.normal(size=(count, problem.state)),
        rng.integers(max(problem.actions, 2), size=count) * 1.0,
    )
    shapes = (np.zeros(count, np.int64), np.zeros((count, len(problem.obs_low)), np.float32), np.zeros(count))
    found = []
    for move, twin in (
        (lambda array: array.copy(), compiled(problem)),
        (device.to_device, kernels("classic_control.batch").kernels(problem)),
    ):
        where, state, action, *outputs = map(move, (np.ones(count, bool), states, act, *shapes))
        flags = [move(np.zeros(count, bool)) for _ in range(2)]
        for _ in range(20):
            twin.advance(where, action, 10, state, *outputs, *flags)
        found.append([to_host(array) for array in (state, *outputs, *flags)])
    single = name == "MountainCarContinuous-v0"  # its state is in single precision: the last bit of a cosine counts
    for got, expected in zip(*found, strict=True):
        atol = 0 if got.dtype.kind != "f" else 1e-6 if single else 1e-9
        np.testing.assert_allclose(got, expected, atol=atol, rtol=1e-6)


@pytest.mark.parametrize("shape", [(200_003, 3), (1, 5), (70_000, 1)])
def test_sums_down_columns_are_exact_to_rounding_and_the_same_twice(device, shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = []
    for _ in range(2):
        out = device.xp.empty(shape[1])
        kernels("_arrays").sum_columns(device.to_device(x), out)
        found.append(to_host(out))
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0], [math.fsum(x[:, j].tolist()) for j in range(shape[1])], atol=1e-9, rtol=1e-12)


@pytest.mark.parametrize("dtype,tolerance", [(np.float32, 1e-4), (np.float64, 1e-10)])
def test_a_fisher_product_of_a_wide_network_is_the_references_TR9(device, dtype, tolerance):
    rng, found = np.random.default_rng(0), []
    obs = rng.normal(size=(2000, 17)).astype(dtype)
    for twin in (device, Backend("numpy", 1)):
        policy = GaussianPolicy(MLP((17, 256, 256, 6), "tanh", twin))
        draw = np.random.default_rng(1)
        theta, v = (0.05 * draw.normal(size=(2, policy.layout.size))).astype(dtype)
        found.append(to_host(fisher_vector_product(policy, *map(twin.to_device, (theta, obs, v)))))
    np.testing.assert_allclose(*found, rtol=0, atol=tolerance * np.abs(found[1]).max())


SMALL = {
    "num_envs": 64, "n_steps": 32, "hidden": (16, 16), "n_epochs": 2, "vf_epochs": 2, "minibatch_size": 256,
    "vec": "device", "seed": 5,
}  # fmt: skip


VINE = {"vec": "device", "seed": 5, "num_envs": 64, "n_steps": 8, "hidden": (16, 16), "vf_epochs": 2,
        "sampling": "vine", "vine_states": 40, "vine_branches": 3, "vine_length": 6}  # fmt: skip


def trained(algorithm=PPO, env="CartPole-v1", **settings):
    agent = algorithm(env, backend="cupy", **{**(SMALL if algorithm is PPO else VINE), **settings})
    agent.learn(3 * agent.config.num_envs * agent.config.n_steps, progress=False)
    return agent


RUNS = [
    {}, {"normalize_obs": True, "normalize_reward": True}, {"target_kl": 1e-4}, {"algorithm": TRPO},
    {"algorithm": TRPO, "vec": "compiled"},
    {"algorithm": TRPO, "env": "Pendulum-v1", "normalize_obs": True, "normalize_reward": True},
]  # fmt: skip


@pytest.mark.parametrize("settings", RUNS)
def test_the_same_seed_twice_gives_the_same_bits(device, settings):
    one, other = (trained(**settings).whole_state().arrays for _ in range(2))
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("settings", RUNS)
def test_a_resumed_run_continues_with_the_same_bits(device, settings, tmp_path):
    agent = trained(**settings)
    agent.save(tmp_path / "agent.npz")
    resumed = type(agent).load(tmp_path / "agent.npz", backend="cupy")
    assert resumed.mid_episode
    for one in (agent, resumed):
        one.learn(1, progress=False)
    for name, array in agent.whole_state().arrays.items():
        np.testing.assert_array_equal(array, resumed.whole_state().arrays[name])


def test_a_file_from_one_backend_starts_new_episodes_in_another(device, tmp_path):
    there = trained(vec="auto")
    there.save(tmp_path / "there.npz")
    here = PPO.load(tmp_path / "there.npz", backend="numpy")
    assert not here.mid_episode
    np.testing.assert_array_equal(to_host(there.theta), here.theta)
    here.learn(1, progress=False)
    here.save(tmp_path / "here.npz")
    again = PPO.load(tmp_path / "here.npz", backend="cupy")
    assert not again.mid_episode
    again.learn(1, progress=False)


@pytest.mark.gpu
@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_loaded_by_the_device(only_device, name):
    for real in (np.dtype(np.float32), np.dtype(np.float64)):
        for kernel in source(name).signatures:
            source(name)._compiled(kernel, real)


@pytest.mark.gpu
def test_products_of_single_precision_are_not_rounded_to_ten_bits(only_device):
    xp, rng = only_device.xp, np.random.default_rng(0)
    a, b = rng.normal(size=(2, 1024, 1024)).astype(np.float32)
    out = xp.empty((1024, 1024), "float32")
    xp.matmul(only_device.to_device(a), only_device.to_device(b), out=out)
    exact = a.astype(np.float64) @ b
    assert np.abs(to_host(out) - exact).max() < 1e-5 * np.abs(exact).max()  # TF32's would be near 1e-3


@pytest.mark.gpu
def test_ppo_learns_to_balance_the_pole_in_four_thousand_environments(only_device):
    agent = PPO(
        "CartPole-v1", seed=0, backend="cupy", num_envs=4096, n_steps=32, n_epochs=4, vf_epochs=4,
        minibatch_size=8192, vf_minibatch_size=8192, learning_rate=1e-3,
    )  # fmt: skip
    agent.learn(60 * 4096 * 32, progress=False)
    assert np.mean([ret for ret, _ in agent._recent]) > 150
