"""Whole algorithms on the CUDA twin, on the processor, with arrays that refuse implicit copies (fake_cupy.py)."""

import math

import fake_cupy
import numpy as np
import pytest
from host_cuda import has_compiler, host_cupy, strict_cupy

from minipg import A2C, NPG, PPO, REINFORCE, TRPO, VPG
from minipg.algorithms.optimizers import shuffled
from minipg.runtime.backend import to_host

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no g++")
ALGORITHMS = (A2C, NPG, PPO, REINFORCE, TRPO, VPG)


@pytest.fixture(scope="module", autouse=True)
def strict():
    with host_cupy(strict_cupy()):
        yield


SMALL = {"num_envs": 4, "n_steps": 24}


def trained(algorithm, env, backend, steps=150, **settings):
    if algorithm is REINFORCE:
        settings = {**settings, "episodes": 1}
    agent = algorithm(env, seed=3, backend=backend, vec="compiled", **{**SMALL, **settings})
    rows = []
    agent.learn(steps, progress=False, on_update=lambda _, row: rows.append(row))
    return agent, rows


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda a: a.name)
def test_whole_updates_are_the_references_in_single_precision(algorithm, env):
    agent, rows = trained(algorithm, env, "cupy", steps=1)
    reference, expected = trained(algorithm, env, "numpy", steps=1)
    size = float(np.abs(reference.theta).max())
    np.testing.assert_allclose(agent.theta._held, reference.theta, rtol=0, atol=2e-3 * size)
    assert [row["status"] for row in rows] == [row["status"] for row in expected]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda a: a.name)
def test_the_same_seed_gives_the_same_bits(algorithm):
    one, other = (trained(algorithm, "CartPole-v1", "cupy")[0] for _ in range(2))
    np.testing.assert_array_equal(one.theta._held, other.theta._held)


def moved(algorithm, **settings):
    """The copies of the last update by direction, of an agent with environments on the device."""
    agent = algorithm("CartPole-v1", seed=3, backend="cupy", vec="device", **settings)
    agent.learn(1, progress=False)
    fake_cupy.log.update(up=0, down=0)
    agent.learn(1, progress=False)
    return dict(fake_cupy.log)


@pytest.mark.parametrize("algorithm", [A2C, PPO, VPG], ids=lambda a: a.name)
def test_the_copies_of_an_update_do_not_depend_on_its_steps_environments_or_minibatches(algorithm):
    of_ppo = lambda epochs, size: {"n_epochs": epochs, "minibatch_size": size} if algorithm is PPO else {}
    small = moved(algorithm, num_envs=16, n_steps=32, hidden=(8,), **of_ppo(1, 512))
    large = moved(algorithm, num_envs=32, n_steps=64, hidden=(8, 8), **of_ppo(3, 100))
    assert small == large
    assert large["down"] <= 7


@pytest.mark.parametrize("backend", ["cupy", "numpy"])
def test_orders_of_many_rows_are_drawn_on_the_device(backend, monkeypatch):
    monkeypatch.setattr("minipg.kernels.gpu.shuffling._MANY", 64)
    agent = PPO("CartPole-v1", seed=3, backend=backend, vec="compiled", num_envs=8, n_steps=16, hidden=(8,), n_epochs=2)
    fake_cupy.log.update(up=0, down=0)
    order = shuffled(agent.backend, np.random.default_rng(5), 2, 100)
    assert fake_cupy.log == {"up": 0, "down": 0}
    assert isinstance(order, np.ndarray) == (backend == "numpy")
    np.testing.assert_array_equal(np.sort(to_host(order), axis=1), [np.arange(100)] * 2)
    agent.learn(1, progress=False, on_update=lambda _, row: row["status"] == "ok" or pytest.fail(row["status"]))


def test_a_target_kl_costs_no_copy():
    settings = {"num_envs": 16, "n_steps": 32, "hidden": (8,), "n_epochs": 2, "minibatch_size": 128}
    without, within, beyond = (moved(PPO, **settings, target_kl=kl) for kl in (math.inf, 1e9, 1e-9))
    assert without == within == beyond


def test_the_copies_of_a_step_of_branches_do_not_depend_on_their_number():
    # up: actions, which branches continue, observations; down: actions, observations, rewards, both flags
    found = []
    for length, states in ((4, 6), (4, 30), (9, 6)):
        settings = {"sampling": "vine", "vine_length": length, "vine_states": states, "vine_branches": 2, **SMALL}
        agent = TRPO("Pendulum-v1", seed=3, backend="cupy", vec="device", **settings).learn(1, progress=False)
        fake_cupy.log.update(up=0, down=0)
        agent._collect(agent._collector)
        found.append(dict(fake_cupy.log))
    few, many, longer = found
    assert few == many == {"up": 2 * 24 + 6 + 4 + 3 * 4, "down": 5 * 24 + 1 + 5 * 4}
    assert {way: longer[way] - few[way] for way in few} == {"up": 3 * 5, "down": 5 * 5}
