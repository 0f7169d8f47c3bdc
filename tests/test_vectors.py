"""However environments are stepped, what is stored is what happened."""

import dataclasses
import sys
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from environments import Counting
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from minipg.kernels.cpu.classic_control import PROBLEMS
from minipg.kernels.cpu.classic_control.batch import step_one
from test_files import rewrite

import minipg
from minipg import MLP, TRPO, Backend, CategoricalPolicy, GaussianPolicy, TRPOConfig
from minipg.envs import make_vector, portable
from minipg.envs.compiled import CompiledVectorEnv
from minipg.envs.pool import suggest_envpool
from minipg.envs.processes import ProcessVectorEnv
from minipg.errors import ConfigError, EnvironmentFault, UnknownNameError
from minipg.rollout import Collector
from minipg.runs import evaluate

SMALL = {"n_steps": 16, "hidden": (4,), "vf_epochs": 1, "threads": 1, "num_envs": 2}
ANT = "gymnasium.envs.mujoco.missing:Ant"
LIMIT = 12  # steps of an episode below
NEXT = AutoresetMode.NEXT_STEP


def of_envpool(name):
    pytest.importorskip("envpool")
    from minipg.envs.pool import EnvPoolVectorEnv

    return EnvPoolVectorEnv(name, 3, max_episode_steps=LIMIT)


def of_gymnasium(vector):
    def made(name):
        make = [lambda: gym.make(name, max_episode_steps=LIMIT)] * 3
        return vector(make, autoreset_mode=AutoresetMode.SAME_STEP)

    return made


def of_processes(name):
    make = partial(gym.make, name, max_episode_steps=LIMIT)
    return ProcessVectorEnv(make, make().observation_space, make().action_space, 3, 60.0)


VECTORS = {
    "compiled, same step": lambda name: CompiledVectorEnv(name, 3, LIMIT, AutoresetMode.SAME_STEP),
    "compiled, next step": lambda name: CompiledVectorEnv(name, 3, LIMIT, AutoresetMode.NEXT_STEP),
    "gymnasium": of_gymnasium(SyncVectorEnv),
    "gymnasium, in processes": of_gymnasium(AsyncVectorEnv),
    "process": of_processes,
    "envpool": of_envpool,
}


def state_of(name, obs):
    """The state that an observation shows."""
    return np.array([np.arctan2(obs[1], obs[0]), obs[2]]) if name == "Pendulum-v1" else obs.astype(np.float64)


def after(name, obs, act):
    """What follows an observation, from the equations alone: the next one, what is paid, whether the episode ends."""
    following = np.empty(len(obs), np.float32)
    act = np.clip(float(np.squeeze(act)), -2, 2)
    return following, *step_one(PROBLEMS[name].dynamics, state_of(name, obs), False, act, following)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("vector", VECTORS)
def test_every_stored_row_follows_from_the_one_before_by_the_equations_of_motion(vector, name):
    envs = VECTORS[vector](name)
    discrete = name == "CartPole-v1"
    network = MLP((*envs.single_observation_space.shape, 4, 2 if discrete else 1), "tanh", Backend("numpy", 1))
    policy = (CategoricalPolicy if discrete else GaussianPolicy)(network)
    theta = policy.init(np.random.default_rng(0), np.float64)
    assert envs.single_action_space == gym.make(name).action_space
    collect = Collector(envs, policy, seed=4, rng=np.random.default_rng(1), dtype=np.float64)
    batch = collect.collect(theta, 90)
    envs.close()

    finals = dict(zip(batch.final_at.tolist(), batch.final_obs, strict=True))
    everything = np.concatenate([batch.obs, batch.last_obs[None]])
    ends = 0
    for n in range(3):
        time, waiting = 0, False
        for t in range(90):
            obs, following = everything[t, n], everything[t + 1, n]
            assert batch.valid[t, n] != waiting
            if waiting:  # this step only resets: nothing is paid and nothing ends
                assert (batch.rew[t, n], batch.terminated[t, n], batch.truncated[t, n]) == (0, False, False)
                time, waiting = 0, False
                continue
            expected, paid, ended = after(name, obs, batch.act[t, n])
            time += 1
            done = bool(ended or time == LIMIT)
            assert batch.terminated[t, n] == ended
            assert batch.truncated[t, n] == (done and not ended)
            np.testing.assert_allclose(batch.rew[t, n], paid, rtol=1e-5, atol=1e-5)
            if batch.truncated[t, n]:
                np.testing.assert_allclose(finals.pop(3 * t + n), expected, rtol=1e-5, atol=1e-5)
            same_step = done and envs.metadata["autoreset_mode"] != NEXT
            if same_step:
                time = 0
            else:
                np.testing.assert_allclose(following, expected, rtol=1e-5, atol=1e-5)
            if discrete and (time == 0 or t == 0):
                assert np.abs(following if same_step else obs).max() <= 0.05
            ends, waiting = ends + done, done and not same_step
    assert not finals
    assert len(batch.episode_lengths) == ends > 10


# ---- the choice of a vector ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", [*PROBLEMS, "minipg/CartPole-v1"])
def test_the_classic_control_problems_are_compiled_unless_that_is_turned_off(env_id):
    for vec, kind in (("auto", CompiledVectorEnv), ("compiled", CompiledVectorEnv), ("gymnasium", SyncVectorEnv)):
        envs = make_vector(env_id, 2, vec)
        assert type(envs) is kind
        assert (envs.num_envs, envs.metadata["autoreset_mode"]) == (2, AutoresetMode.SAME_STEP)
    assert type(make_vector("CartPole-v0", 2)) is SyncVectorEnv


def test_an_id_that_is_registered_again_is_compiled_only_as_what_it_means_now(monkeypatch):
    own = gym.spec("CartPole-v1")
    for change in ({"entry_point": Counting}, {"kwargs": {"sutton_barto_reward": 1}}, {"max_episode_steps": None},
                   {"order_enforce": False}):  # fmt: skip
        monkeypatch.setitem(gym.registry, "CartPole-v1", dataclasses.replace(own, **change))
        assert type(make_vector("CartPole-v1", 2)) is SyncVectorEnv
        with pytest.raises(ConfigError, match="got CartPole-v1"):
            make_vector("CartPole-v1", 2, "compiled")
    for change in ({"kwargs": {"sutton_barto_reward": True}}, {"max_episode_steps": 9}):
        monkeypatch.setitem(gym.registry, "CartPole-v1", dataclasses.replace(own, **change))
        envs = make_vector("CartPole-v1", 2)
        assert type(envs) is CompiledVectorEnv
        assert (envs.time_limit, envs.problem.dynamics.sutton_barto_reward) in ((500, True), (9, False))
        sent = portable("CartPole-v1")  # another process may not register it so
        monkeypatch.setitem(gym.registry, "CartPole-v1", own)
        assert make_vector(sent, 2).spec == envs.spec


CHANGED = [
    ("Pendulum-v1", {"g": 9.81}), ("CartPole-v1", {"sutton_barto_reward": True}),
    ("MountainCar-v0", {"goal_velocity": 0.01}), ("MountainCarContinuous-v0", {"goal_velocity": 0.01}),
]  # fmt: skip


@pytest.mark.parametrize("name,physics", CHANGED, ids=[name for name, _ in CHANGED])
def test_with_other_arguments_and_time_limits_too(tmp_path, name, physics):
    spec = dataclasses.replace(gym.spec(name), kwargs=physics, max_episode_steps=40)
    agents = [TRPO(spec, vec=vec, **SMALL).learn(600) for vec in ("auto", "gymnasium")]
    assert [type(agent.envs) for agent in agents] == [CompiledVectorEnv, SyncVectorEnv]
    np.testing.assert_array_equal(*(agent.theta for agent in agents))
    agents[0].save(tmp_path / "a.npz")
    again = minipg.load(tmp_path / "a.npz")
    assert (type(again.envs), again.envs.spec) == (CompiledVectorEnv, agents[0].envs.spec)
    assert evaluate(again, 3) == evaluate(agents[0], 3) == evaluate(agents[1], 3)
    assert evaluate(again, 3) != evaluate(agents[0], 3, env=name)
    with pytest.raises(ConfigError, match=f"vec: device takes no argument {next(iter(physics))} of {name}; compiled"):
        make_vector(spec, 2, "device")
    assert type(make_vector(spec, 2, on_device=True)) is CompiledVectorEnv


@pytest.mark.parametrize("name", sorted(set(PROBLEMS) - {"Acrobot-v1"}))  # its first observations may differ by a bit
def test_compiled_environments_and_gymnasiums_train_the_same_agent(name):
    agents = [TRPO(name, vec=vec, **SMALL).learn(600) for vec in ("compiled", "gymnasium")]
    assert [type(agent.envs) for agent in agents] == [CompiledVectorEnv, SyncVectorEnv]
    np.testing.assert_array_equal(*(agent.theta for agent in agents))
    assert evaluate(agents[0], 3) == evaluate(agents[1], 3)


def test_environments_in_processes_need_no_registration_there():
    apart, in_line = (TRPO("test/Counting-v0", vec=vec, **SMALL).learn(64) for vec in ("process", "auto"))
    assert type(apart.envs) is ProcessVectorEnv
    apart.envs.close()
    np.testing.assert_array_equal(apart.theta, in_line.theta)


def test_an_agent_learns_and_is_evaluated_in_envpool():
    pytest.importorskip("envpool")
    agents = [TRPO("CartPole-v1", vec="envpool", **SMALL, seed=seed).learn(200) for seed in (0, 0, 1)]
    thetas = [agent.theta for agent in agents]
    np.testing.assert_array_equal(thetas[0], thetas[1])
    assert (thetas[0] != thetas[2]).any()
    assert evaluate(agents[0], 3, seed=1) == evaluate(agents[1], 3, seed=1)
    assert 8 <= evaluate(agents[0], 3)["mean_return"] <= 500
    with pytest.raises(UnknownNameError, match="EnvPool environment 'CartPol-v1'; did you mean CartPole-v1"):
        make_vector("CartPol-v1", 2, "envpool")


def test_without_envpool_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(ConfigError, match=r"envpool .* not installed .*pip install 'minipg-rl\[envpool\]'"):
        make_vector("CartPole-v1", 2, "envpool")


def test_auto_says_once_that_envpool_is_installed_and_faster_and_does_not_import_it(monkeypatch, tmp_path, caplog):
    suggest_envpool.cache_clear()
    monkeypatch.delitem(sys.modules, "envpool", raising=False)
    with monkeypatch.context() as without:
        without.setattr(sys, "path", [])
        suggest_envpool("Ant-v5", 8)
    assert not caplog.messages
    (tmp_path / "envpool.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    suggest_envpool.cache_clear()
    for env_id, count in (("Ant-v5", 3), ("FrozenLake-v1", 8), ("test/Counting-v0", 8), ("Nope-v0", 8)):
        suggest_envpool(env_id, count)
    make_vector("CartPole-v1", 8)
    make_vector("FrozenLake-v1", 8)
    assert not caplog.messages
    monkeypatch.setitem(gym.registry, "Ant-v5", dataclasses.replace(gym.spec("FrozenLake-v1"), entry_point=ANT))
    for vec in ("process", "gymnasium", "auto", "auto"):
        with pytest.raises(EnvironmentFault, match="Ant-v5"):
            make_vector("Ant-v5", 8, vec)
        assert len(caplog.messages) == (vec == "auto")
    assert caplog.messages == ["envpool is installed and steps Ant-v5 faster: --vec envpool"]


def test_a_vec_that_is_not_available_is_refused_by_name():
    with pytest.raises(
        ConfigError, match="vec: expected auto, compiled, device, gymnasium, process or envpool, got 'gpu'"
    ):
        TRPO("CartPole-v1", vec="gpu")
    with pytest.raises(ConfigError, match="vec: expected one of auto"):
        make_vector("CartPole-v1", 2, "gpu")
    with pytest.raises(ConfigError, match=r"vec: expected one of CartPole-v1, .* for compiled, got test/Counting-v0"):
        TRPO("test/Counting-v0", vec="compiled")
    with pytest.raises(ConfigError, match="vec: expected auto, with an environment instance, got 'process'"):
        TRPO(Counting(), vec="process")
    for vec in ("auto", "process"):
        with pytest.raises(UnknownNameError, match="CartPole-v1"):
            make_vector("CartPole-v11", 2, vec)
    with pytest.raises(EnvironmentFault, match="mujoco"):
        make_vector("test/NoMujoco-v0", 2, "process")


def test_an_agent_file_without_vec_is_still_read(tmp_path):
    agent = TRPO("CartPole-v1", **SMALL)
    path = tmp_path / "agent.npz"
    agent.save(path)
    config = dataclasses.asdict(agent.config)
    del config["vec"]
    rewrite(path, config=config)
    assert minipg.load(path).config == agent.config == TRPOConfig(**config)


def test_an_agent_is_loaded_onto_an_instance_whatever_it_was_trained_on(tmp_path):
    agent = TRPO("CartPole-v1", vec="compiled", **SMALL)
    agent.save(tmp_path / "agent.npz")
    assert minipg.load(tmp_path / "agent.npz", gym.make("CartPole-v1")).config.vec == "auto"
