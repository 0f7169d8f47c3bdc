"""DDPG and TD3: what the replay holds, what a gradient step learns, and that a run goes on with its replay."""

import gymnasium as gym
import numpy as np
import pytest
from environments import Counting, Ending
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import minipg
from minipg import DDPG, TD3
from minipg.algorithms import ddpg, td3
from minipg.cli import main
from minipg.errors import AgentFileError, ConfigError
from minipg.rollout.exploration import OU_RATE, OU_STEP, NormalNoise, OrnsteinUhlenbeckNoise, UniformNoise
from minipg.rollout.replay import Replay, Transitions
from minipg.runtime.storage import save_arrays

BOX = spaces.Box(-2.0, 4.0, (2,), np.float32)
SMALL = {"hidden": (8,), "batch_size": 8, "buffer_size": 200, "learning_starts": 20, "threads": 1}
BOTH = pytest.mark.parametrize("algorithm", [DDPG, TD3], ids=lambda a: a.name)


def counting(envs=1, mode=AutoresetMode.SAME_STEP, script=None):
    script = script or (Ending(3, True, False), Ending(2, False, True), Ending(4, False, True))
    makers = [lambda n=n: Counting(n, script, BOX) for n in range(envs)]
    return SyncVectorEnv(makers, autoreset_mode=mode)


def numbers(agent):
    return {k: v for k, v in agent.whole_state().arrays.items() if not k.startswith("place")}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


# the replay


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize("envs", [1, 3])
def test_every_transition_in_the_replay_is_one_that_an_environment_made(envs, mode):
    agent = DDPG(counting(envs, mode), **SMALL, train_freq=3)
    agent.learn(60, progress=False)
    held = agent.replay.between(0, agent.replay.added)
    for obs, _, rew, terminated, after in zip(*held, strict=True):
        number, episode, time = obs
        length, ends, cut = ((3, True, False), (2, False, True), (4, False, True))[int(episode) % 3]
        assert terminated == (ends and time == length - 1)
        assert rew >= number + episode / 4 + time / 64 - 4
        if not terminated:  # at a truncation too: not the first observation of the next episode
            np.testing.assert_array_equal(after, [number, episode, time + 1])
        assert time < length
        assert not cut or not terminated
    assert agent.replay.added >= 40


def test_a_full_replay_holds_the_newest_transitions_and_draws_each_alike():
    replay = Replay(5, 1, 1)
    rows = lambda first, count: Transitions(
        np.arange(first, first + count, dtype=np.float32)[:, None], np.zeros((count, 1), np.float32),
        np.zeros(count, np.float32), np.zeros(count, bool), np.zeros((count, 1), np.float32),
    )  # fmt: skip
    replay.put(0, rows(0, 3))
    assert sorted(replay.sample(np.linspace(0, 0.999, 30)).obs.ravel()) == sorted([0, 1, 2] * 10)
    replay.put(3, rows(3, 4))
    assert set(replay.sample(np.linspace(0, 0.9999, 50)).obs.ravel()) == {2, 3, 4, 5, 6}
    np.testing.assert_array_equal(replay.between(2, 7).obs.ravel(), [2, 3, 4, 5, 6])


@pytest.mark.parametrize("space,stored", [
    (spaces.Box(0, 255, (3,), np.uint8), np.uint8), (spaces.Box(-9, 9, (3,), np.int16), np.int16),
    (spaces.Box(0, 1, (3,), np.int64), np.float32), (spaces.Discrete(5), np.uint8), (spaces.MultiBinary(3), np.uint8),
    (spaces.Dict(a=spaces.Box(0, 255, (3,), np.uint8), b=spaces.Box(-1, 1, (2,), np.float32)), np.float32),
])  # fmt: skip
def test_a_replay_holds_observations_in_their_own_narrow_integers_and_returns_their_numbers(space, stored):
    class Env(gym.Env):
        observation_space, action_space = space, BOX

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self._observed(), {}

        def step(self, action):
            return self._observed(), 0.0, self.np_random.random() < 0.2, False, {}

        def _observed(self):
            space.seed(int(self.np_random.integers(2**31)))
            seen.append(space.sample())
            return seen[-1]

    seen = []
    agent = TD3(Env, **SMALL).learn(30, progress=False)
    assert agent.replay.rows.obs.dtype == stored
    batch = agent.replay.sample(np.linspace(0, 0.999, 30))
    assert batch.obs.dtype == batch.next_obs.dtype == np.float32
    known = {tuple(np.asarray(spaces.flatten(space, obs), np.float32)) for obs in seen}
    assert {tuple(row) for row in batch.obs} <= known


def test_a_replay_that_memory_cannot_hold_is_refused_before_the_run():
    with pytest.raises(ConfigError, match=r"buffer_size: \d+ transitions need [\d,]+ MB, and [\d,]+ MB of"):
        DDPG("Pendulum-v1", buffer_size=2**31 - 1)


# exploration


def test_the_first_actions_are_uniform_over_the_bounds_whatever_the_policy():
    agent = TD3(counting(2), **{**SMALL, "learning_starts": 400, "buffer_size": 400})
    agent.theta[-2:] = 50.0  # tanh of the last bias is 1
    agent.learn(400, progress=False)
    act = agent.replay.between(0, 400).act
    assert np.abs(act.mean(axis=0)).max() < 0.15
    assert (act.min(axis=0) < -0.95).all()
    assert (act.max(axis=0) > 0.95).all()


def test_without_noise_the_actions_are_those_of_the_policy():
    agent = TD3(counting(2), **SMALL, action_noise_std=0.0)
    agent.learn(60, progress=False)
    batch = agent._collect(agent._new_collector())
    np.testing.assert_array_equal(batch.act[0], agent.actor.forward(agent.theta, batch.obs[0]).params)


def test_noise_is_one_number_for_each_environment_and_each_number_of_an_action():
    rng = np.random.default_rng(0)
    for noise in (NormalNoise(0.5), UniformNoise(), OrnsteinUhlenbeckNoise(0.5, np.zeros((3, 2), np.float32))):
        drawn = noise(rng, (4, 3, 2), np.float32)
        assert drawn.shape == (4, 3, 2)
        assert len(np.unique(drawn)) == 24
    assert NormalNoise(0.0)(rng, (2, 2), np.float32).any() == False  # noqa: E712


def test_ornstein_uhlenbeck_noise_goes_on_where_it_was():
    draws = lambda: np.random.default_rng(1)
    whole = OrnsteinUhlenbeckNoise(0.3, np.ones((1, 1), np.float32))(draws(), (6, 1, 1), np.float32)
    normal = draws().standard_normal((6, 1, 1), np.float32)
    x = np.ones((1, 1))
    for t in range(6):
        x = x - OU_RATE * OU_STEP * x + 0.3 * OU_STEP**0.5 * normal[t]
        np.testing.assert_allclose(whole[t], x, rtol=1e-5)


def test_actions_reach_the_environment_scaled_to_its_bounds():
    envs = counting(1)
    agent = DDPG(envs, **SMALL)
    agent.learn(40, progress=False)
    received = np.array(envs.envs[0].received)
    act = agent.replay.between(0, len(received)).act
    np.testing.assert_allclose(received, 1 + 3 * act, atol=1e-5)  # BOX is from -2 to 4


def unbounded():
    everything = spaces.Box(-np.inf, np.inf, (1,))
    return gym.wrappers.TransformAction(gym.make("Pendulum-v1"), lambda act: act, everything)


@pytest.mark.parametrize("env", ["CartPole-v1", unbounded])
def test_an_action_space_that_a_deterministic_policy_cannot_have_is_refused(env):
    with pytest.raises(ConfigError, match="a deterministic policy"):
        TD3(env, **SMALL)


# gradient steps


def a_step(algorithm, seed=0, **settings):
    """The arguments of a gradient step on random transitions."""
    agent = algorithm(counting(1), seed=seed, **{**SMALL, **settings})
    rng = np.random.default_rng(seed)
    normal = lambda *shape: rng.standard_normal(shape, np.float32)
    batch = Transitions(normal(8, 3), np.tanh(normal(8, 2)), normal(8), rng.random(8) < 0.3, normal(8, 3))
    extra = (normal(8, 2),) if algorithm is TD3 else ()
    return agent.actor, agent.critic, agent.theta, agent.state, agent.value, batch, *extra, agent.config


def test_td3_moves_its_policy_and_targets_in_every_second_step_only():
    *inputs, batch, normals, config = a_step(TD3)
    first = td3.update(*inputs, batch, normals, config)
    assert first.theta is inputs[2]
    assert first.state is inputs[3]
    assert (first.critics.theta != inputs[4].theta).any(axis=1).all()
    second = td3.update(*inputs[:2], *first[:3], batch, normals, config)
    assert (second.theta != first.theta).any()
    assert (second.state.target != first.state.target).any()
    assert (second.state.critic_target != first.state.critic_target).any(axis=1).all()


def test_the_policy_of_td3_climbs_the_first_critic():
    policy, critic, theta, state, critics, *rest, config = a_step(TD3, policy_delay=1)
    other = critics._replace(theta=critics.theta * np.array([[1], [2]], np.float32))
    steps = [td3.update(policy, critic, theta, state, each, *rest, config) for each in (critics, other)]
    np.testing.assert_array_equal(steps[0].theta, steps[1].theta)


def test_a_step_of_the_policy_climbs_q_DP1():
    policy, critic, theta, state, critics, batch, config = a_step(DDPG, learning_rate=1e-4)
    step = ddpg.update(policy, critic, theta, state, critics, batch, config)
    q = [critic.predict(step.critics.theta[0], batch.obs, policy.forward(x, batch.obs).params).mean()
         for x in (theta, step.theta)]  # fmt: skip
    assert q[1] > q[0]


def test_ddpg_moves_policy_critic_and_targets_in_every_step_DP2():
    *inputs, batch, config = a_step(DDPG)
    step = ddpg.update(*inputs, batch, config)
    assert (step.theta != inputs[2]).any()
    np.testing.assert_allclose(step.state.target, 0.005 * step.theta + 0.995 * inputs[3].target, rtol=1e-6)
    np.testing.assert_allclose(
        step.state.critic_target, 0.005 * step.critics.theta + 0.995 * inputs[3].critic_target, rtol=1e-6
    )


@BOTH
@pytest.mark.filterwarnings("ignore")
def test_a_batch_that_is_not_finite_teaches_nothing(algorithm):
    agent = algorithm(counting(1), **SMALL)
    agent.learn(40, progress=False)
    before = {k: v.copy() for k, v in numbers(agent).items() if k.startswith(("theta", "value", "state"))}
    agent.replay.rows.rew[:] = np.nan
    batch = agent._collect(agent._new_collector())
    status = agent._update(batch, 0.5).metrics(agent.backend)["status"]
    assert status == "critic not finite"
    after = numbers(agent)
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name], err_msg=name)


def test_the_noise_of_target_actions_is_clipped_and_one_number_for_each_action_DP3(monkeypatch):
    seen, targets = [], td3.targets
    monkeypatch.setattr(td3, "targets", lambda *args: seen.append(args[7]) or targets(*args))
    inputs = a_step(TD3, target_noise=0.4, target_noise_clip=0.5)
    td3.update(*inputs)
    (noise,) = seen
    np.testing.assert_array_equal(noise, np.clip(np.float32(0.4) * inputs[6], -0.5, 0.5))
    assert (np.abs(noise) == 0.5).any()
    assert len(np.unique(noise)) > 8


def test_gradient_steps_are_counted_per_environment_step(monkeypatch):
    steps = []
    take = DDPG._gradient_step
    monkeypatch.setattr(DDPG, "_gradient_step", lambda agent, batch: steps.append(1) or take(agent, batch))
    DDPG(counting(3), **SMALL, train_freq=2, gradient_steps=2).learn(60, progress=False)
    assert len(steps) == 2 * (60 - 18)  # the first 18 steps are fewer than learning_starts


# whole agents


@BOTH
def test_the_same_seed_gives_the_same_bits_whatever_the_number_of_threads_and_with_two_halves(algorithm):
    agents = [
        algorithm("Pendulum-v1", seed=4, **{**SMALL, "batch_size": 100, "threads": threads}).learn(60, progress=False)
        for threads in (1, 2)
    ]
    assert_same(*map(numbers, agents))


@BOTH
@pytest.mark.parametrize("noise", ["normal", "ornstein-uhlenbeck"])
def test_a_run_that_continues_has_the_bits_of_one_that_was_not_interrupted(algorithm, noise, tmp_path):
    settings = {**SMALL, "buffer_size": 50, "action_noise": noise, "vec": "compiled"}
    whole = algorithm("Pendulum-v1", seed=2, **settings)
    whole.learn(260, progress=False)
    half = algorithm("Pendulum-v1", seed=2, **settings)
    assert half.keep_replay_in(tmp_path / "replay") == ""
    half.learn(130, progress=False)
    half.save(tmp_path / "half.npz")
    half.learn(100, progress=False)  # chunks of a later time, as a killed process leaves them
    again = minipg.load(tmp_path / "half.npz", threads=1)
    assert again.replay.added == 0
    assert again.keep_replay_in(tmp_path / "replay") == ""
    again.learn(130, progress=False)
    assert_same(numbers(again), numbers(whole))
    np.testing.assert_array_equal(again.replay.between(210, 260).obs, whole.replay.between(210, 260).obs)
    chunks = lambda: {int(path.stem) for path in (tmp_path / "replay").glob("*.npz")}
    before = chunks()
    again.forget_replay(130)
    assert chunks() == {k for k in before if (k + 1) * 25 > 260 - 130 - 50} != before
    again.forget_replay(0)
    assert chunks() == {8, 9}


def test_chunks_of_a_replay_that_is_lost_are_not_taken_for_those_of_the_one_that_fills_again(tmp_path):
    settings = {**SMALL, "buffer_size": 50, "vec": "compiled"}
    agent = TD3("Pendulum-v1", seed=2, **settings)
    agent.keep_replay_in(tmp_path / "replay")
    agent.learn(100, progress=False)
    agent.save(tmp_path / "agent.npz")
    last = tmp_path / "replay/000000000003.npz"
    last.write_bytes(last.read_bytes()[:-9])
    again = minipg.load(tmp_path / "agent.npz", threads=1)
    assert "000000000003.npz" in again.keep_replay_in(tmp_path / "replay")
    assert not list((tmp_path / "replay").glob("*.npz"))
    again.learn(60, progress=False)
    again.save(tmp_path / "again.npz")
    third = minipg.load(tmp_path / "again.npz", threads=1)
    assert third.keep_replay_in(tmp_path / "replay") == ""
    np.testing.assert_array_equal(third.replay.between(10, 60).obs, again.replay.between(10, 60).obs)


def test_a_chunk_that_a_killed_process_wrote_after_the_checkpoint_is_written_anew(tmp_path):
    settings = {**SMALL, "buffer_size": 50, "vec": "compiled"}
    agent = TD3("Pendulum-v1", seed=2, **settings).learn(10, progress=False)
    agent.save(tmp_path / "agent.npz")
    agent.keep_replay_in(tmp_path / "replay")
    agent.learn(30, progress=False)
    again = minipg.load(tmp_path / "agent.npz", threads=1)
    assert again.keep_replay_in(tmp_path / "replay") == ""
    assert not list((tmp_path / "replay").glob("*.npz"))


def test_more_transitions_than_can_be_counted_are_refused(tmp_path):
    agent = TD3("Pendulum-v1", **SMALL).learn(30, progress=False)
    arrays, meta = agent.whole_state()
    save_arrays(tmp_path / "agent.npz", {**arrays, "replay.added": np.array(2**63 - 1)}, meta)
    with pytest.raises(AgentFileError, match=r"added: expected at most 2\^53, got 9223372036854775807"):
        minipg.load(tmp_path / "agent.npz")


def test_a_replay_that_is_not_kept_on_disk_leaves_no_trace_and_fills_again(tmp_path):
    settings = {**SMALL, "buffer_size": 50, "learning_starts": 20, "vec": "compiled", "replay_on_disk": False}
    agent = TD3("Pendulum-v1", seed=2, **settings)
    assert agent.keep_replay_in(tmp_path / "replay") == ""
    agent.learn(100, progress=False)
    agent.save(tmp_path / "agent.npz")
    again = minipg.load(tmp_path / "agent.npz", threads=1)
    assert again.keep_replay_in(tmp_path / "replay") == "it was not kept on disk"
    assert not (tmp_path / "replay").exists()
    again.learn(19, progress=False)
    np.testing.assert_array_equal(again.theta, agent.theta)
    again.learn(10, progress=False)
    assert (again.theta != agent.theta).any()


@BOTH
def test_the_metrics_of_a_row_say_how_full_the_replay_is_and_how_many_actions_are_at_a_bound(algorithm):
    rows = []
    agent = algorithm("Pendulum-v1", seed=0, **{**SMALL, "buffer_size": 40})
    agent.learn(30, on_update=lambda _, row: rows.append(row), progress=False)
    assert [row["replay"] for row in rows] == [step / 40 for step in range(1, 31)]
    assert [np.isnan(row["saturation"]) for row in rows] == [step < 20 for step in range(1, 31)]
    agent.theta[-1] = 99.0  # the bias of the only action
    row = agent._update(agent._collect(agent._new_collector()), 0.5).metrics(agent.backend)
    assert row["saturation"] == 1


def test_the_first_line_of_a_run_says_how_often_it_learns_and_what_memory_it_needs(tmp_path, capsys):
    flags = ["--steps", "40", "--batch-size", "4", "--learning-starts", "20", "--hidden", "4", "--replay-on-disk", "no"]
    assert main(["train", "td3", "Pendulum-v1", *flags, "--buffer-size", "100000", "--out", str(tmp_path / "run")]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "1 gradient step per environment step, replay of up to 3 MB" in first
    assert not (tmp_path / "run/replay").exists()


def test_an_agent_whose_replay_is_lost_fills_it_before_it_learns_on(tmp_path):
    agent = TD3("Pendulum-v1", **{**SMALL, "buffer_size": 40}).learn(100, progress=False)
    agent.save(tmp_path / "agent.npz")
    again = minipg.load(tmp_path / "agent.npz", threads=1)
    assert "no such file" in again.keep_replay_in(tmp_path / "replay")
    theta = again.theta
    again.learn(10, progress=False)
    assert again.theta is theta
    again.learn(40, progress=False)
    assert (again.theta != theta).any()


@BOTH
def test_predict_gives_the_action_within_the_bounds(algorithm):
    agent = algorithm(counting(1), **SMALL)
    obs = np.random.default_rng(0).normal(size=(6, 3))
    act, _ = agent.predict(obs)
    assert act.shape == (6, 2)
    assert BOX.contains(act[0])
    np.testing.assert_array_equal(agent.predict(obs[0])[0], act[0])
    np.testing.assert_array_equal(agent.predict(obs, deterministic=True)[0], act)
