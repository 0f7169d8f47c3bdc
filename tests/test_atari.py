"""Atari games: frames are what the papers describe, and returns are scores, whatever is learnt from."""

import json
import subprocess
import sys
from math import gcd

import gymnasium as gym
import numpy as np
import pytest
from environments import Spacious, sync
from gymnasium import spaces
from minipg.kernels.cpu import frames as compiled
from minipg.kernels.reference import frames as reference

from minipg import PPO, Backend, categorical, cli
from minipg.envs import LIFE_LOST, describe, env_of, make_vector, rebuild
from minipg.envs.frames import FRAMES, Shrink, overlaps
from minipg.envs.recipe import Recipe
from minipg.envs.snapshots import snapshots_of
from minipg.errors import ConfigError, EnvironmentFault, UnknownNameError
from minipg.policy import policy_for
from minipg.rollout import Collector

TARGETS = [(84, 84), (52, 40), (80, 80), (210, 160), (1, 1)]
SCREEN = (210, 160)


def atari(*args, **options):
    """The recipe of a game; the test is skipped without ale_py."""
    pytest.importorskip("ale_py")
    from minipg.envs.atari import atari

    return atari(*args, **options)


def by_envpool(*args, num_envs=1, **options):
    """A vector of games by EnvPool; the test is skipped without it."""
    pytest.importorskip("envpool")
    return make_vector(atari(*args, **options), num_envs, "envpool")


def uniform(envs, seed=0, **options):
    """A collector of uniformly random actions."""
    actions, size = envs.single_action_space.n, spaces.flatdim(envs.single_observation_space)
    policy = policy_for(categorical(int(actions), Backend("numpy", 1)), (size, 1), "tanh")
    collector = Collector(envs, policy, seed=seed, rng=np.random.default_rng(seed), **options)
    return lambda steps: collector.collect(np.zeros(policy.layout.size, np.float32), steps)


@pytest.fixture(params=[reference, compiled], ids=["reference", "cpu"])
def either_twin(request, monkeypatch):
    """Frames are computed by one of the twins."""
    monkeypatch.setattr("minipg.envs.frames.kernels", request.param)


def screens(seed, count=2, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (count, *SCREEN)).astype(np.uint8)


def by_hand(screen, target):
    """A screen made smaller by area: every pixel is cut into parts, and the parts under each new pixel are averaged."""
    for axis, (source, size) in enumerate(zip(screen.shape, target, strict=True)):
        parts = np.repeat(screen.astype(np.float64), size // gcd(source, size), axis=axis)
        shape = [*parts.shape[:axis], size, -1, *parts.shape[axis + 1 :]]
        screen = parts.reshape(shape).mean(axis=axis + 1)
    return screen


def foreground(screen):
    """Karpathy's Pong: rows 35 to 195, every second pixel of every second row, the two greys of the background off."""
    seen = screen[35:195][::2, ::2]
    return np.where((seen == 87) | (seen == 107), 0, 1).astype(np.int64)


# ---- frames of screens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_twins_make_screens_smaller_with_the_same_bits(target):
    first, second = screens(0)
    table = *overlaps(210, target[0]), *overlaps(160, target[1])
    outs = np.zeros((2, *target), np.uint8)
    for kernels, out in zip((reference, compiled), outs, strict=True):
        kernels.larger_by_area(first, second, *table, np.empty(160, np.int32), out)
    np.testing.assert_array_equal(*outs)


def test_twins_interleave_and_subtract_with_the_same_bits():
    stack, pair = screens(1, 8).reshape(2, 4, -1), screens(2, 6, 85, 110).reshape(3, 2, *SCREEN)
    interleaved, moved = np.zeros((2, 2, 4 * 210 * 160), np.uint8), np.zeros((2, 3, 6400), np.int8)
    for k, kernels in enumerate((reference, compiled)):
        kernels.interleave(stack, interleaved[k])
        kernels.difference(pair, 35, np.uint8(87), np.uint8(107), moved[k])
    np.testing.assert_array_equal(*interleaved)
    np.testing.assert_array_equal(*moved)


@pytest.mark.usefixtures("either_twin")
@pytest.mark.parametrize("target", TARGETS)
def test_a_smaller_screen_is_the_mean_over_the_area_of_every_pixel(target):
    two, out = screens(3), np.zeros(target, np.uint8)
    Shrink(SCREEN, target)(two, out)
    exact = by_hand(two.max(axis=0), target)
    assert np.abs(out - exact).max() <= 0.5 + 1e-9
    tie = np.abs(exact % 1 - 0.5) < 1e-9
    assert (out[tie] % 2 == 0).all()


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_are_in_their_space(kind):
    frames = FRAMES[kind]
    seen = frames.seen(screens(4, 2 * frames.stack)[:, : frames.height, : frames.width].reshape(2, -1, *frames[:2]))
    assert seen.shape == (2, *frames.space.shape)
    assert all(frames.space.contains(one) for one in seen)


@pytest.mark.usefixtures("either_twin")
def test_channels_are_the_last_screens_oldest_first():
    frames = FRAMES["trpo-52x40x4"]
    stack = screens(5, 4)[:, :52, :40]
    np.testing.assert_array_equal(frames.seen(stack[None])[0], np.stack(list(stack), axis=-1))


@pytest.mark.usefixtures("either_twin")
def test_the_difference_of_equal_frames_is_zero_and_of_others_what_moved():
    first, second = screens(6, 2, 85, 110)
    frames = FRAMES["difference-80x80"]
    assert not frames.seen(np.stack([first, first])[None]).any()
    moved = frames.seen(np.stack([first, second])[None])[0, :, :, 0]
    np.testing.assert_array_equal(moved, foreground(second) - foreground(first))


# ---- frames of games -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_of_a_game_equal_a_slow_computation_from_its_raw_screens(kind):
    env = atari("Pong", kind, frame_skip=3).make()
    raw = gym.make("ALE/Pong-v5", frameskip=1, repeat_action_probability=0.0, obs_type="grayscale")
    (obs, _), (screen, _) = env.reset(seed=5), raw.reset(seed=5)
    for _ in range(int(raw.unwrapped.np_random.integers(1, 31))):
        screen = raw.step(0)[0]
    seen, actions = [screen] * 4, np.random.default_rng(0).integers(0, 6, 60).tolist()
    for t, action in enumerate([None, *actions]):
        if action is not None:
            played = [raw.step(action) for _ in range(3)]
            obs, reward, *_ = env.step(action)
            assert reward == sum(one[1] for one in played)
            seen = [*seen[1:], np.maximum(played[1][0], played[2][0])]
        if kind == "difference-80x80":
            np.testing.assert_array_equal(obs[:, :, 0], foreground(seen[3]) - foreground(seen[2]))
        elif t % 10 < 2:
            exact = np.stack([by_hand(one, obs.shape[:2]) for one in seen], axis=-1)
            assert np.abs(obs - exact).max() <= 0.5 + 1e-9
    assert np.ptp(obs) > 0


def played(env, seed, actions):
    """All observations and rewards of a game."""
    obs, rewards = [env.reset(seed=seed)[0]], []
    for action in actions:
        one = env.step(action)
        obs.append(one[0])
        rewards.append(one[1])
    return np.array(obs), rewards


def test_without_sticky_actions_a_seed_and_actions_give_a_game_and_with_them_they_do_too_but_another():
    actions = [2, 2, 3, 3, 0] * 12
    games = [played(atari("Pong", "trpo-52x40x4", sticky=p).make(), 3, actions) for p in (0, 0, 0.25, 0.25)]
    for first, second in (games[:2], games[2:]):
        np.testing.assert_array_equal(first[0], second[0])
    assert (games[0][0] != games[2][0]).any()


def test_a_game_begins_with_one_screen_in_every_channel_after_some_frames_without_an_action():
    begins = {}
    env = atari("Pong", "trpo-52x40x4", noop_max=3).make()
    for seed in range(6):
        obs, info = env.reset(seed=seed)
        assert (obs == obs[:, :, :1]).all()
        begins[seed] = info["frame_number"]
    assert set(begins.values()) <= {1, 2, 3}
    assert len(set(begins.values())) > 1


def test_a_game_is_truncated_after_so_many_actions():
    env = atari("Pong", max_episode_steps=5).make()
    for _ in range(2):
        env.reset()
        assert [env.step(0)[2:4] for _ in range(5)] == [(False, False)] * 4 + [(False, True)]


@pytest.mark.parametrize(("game", "kind"), [("Pong", kind) for kind in FRAMES] + [("Breakout", "stack-84x84x4")])
def test_envpool_and_ale_play_the_same_game_with_the_same_frames(game, kind):
    options = {"noop_max": 1, "max_episode_steps": 25, "life_loss": True}
    pool, env = by_envpool(game, kind, num_envs=2, **options), atari(game, kind, **options).make()
    assert pool.single_observation_space == env.observation_space
    assert pool.single_action_space == env.action_space
    rng, obs, _ = np.random.default_rng(1), *pool.reset(seed=0)
    mine, ended, worst = env.reset(seed=0)[0], False, 0
    for _ in range(60):
        worst = max(worst, np.abs(obs[0].astype(int) - mine).max())
        actions = rng.integers(0, env.action_space.n, 2)
        obs, rew, terminated, truncated, infos = pool.step(actions)
        if ended:  # EnvPool resets in the next step
            (mine, _), ended = env.reset(), False
            assert (rew[0], terminated[0], truncated[0]) == (0, False, False)
            continue
        mine, *outcome, info = env.step(int(actions[0]))
        assert outcome == [rew[0], terminated[0], truncated[0]]
        assert infos[LIFE_LOST][0] == info[LIFE_LOST]
        ended = outcome[1] or outcome[2]
    pool.close()
    assert worst <= (kind != "difference-80x80")  # halves may be rounded in another way


# ---- what is learnt from ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_bytes_stay_bytes_in_a_batch_and_are_what_the_environment_showed(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    envs = sync([Spacious(spaces.Box(low, high, (3, 2, 1), dtype), spaces.Discrete(2)) for _ in range(2)])
    batch = uniform(envs)(6)
    assert {batch.obs.dtype, batch.last_obs.dtype, batch.final_obs.dtype} == {np.dtype(dtype)}
    assert batch.params.dtype == np.float32


def test_observations_that_are_no_bytes_are_single_precision():
    for space in (spaces.Box(0, 9, (3,), np.int16), spaces.Discrete(4), spaces.Box(0, 1, (2,), np.float64)):
        assert uniform(sync([Spacious(space, spaces.Discrete(2))]))(3).obs.dtype == np.float32


def test_a_rollout_of_stacked_frames_takes_a_byte_a_number():
    envs = sync([Spacious(FRAMES["stack-84x84x4"].space, spaces.Discrete(4)) for _ in range(2)])
    batch = uniform(envs)(16)
    kept = [array for name, array in batch._asdict().items() if isinstance(array, np.ndarray) and name != "final_obs"]
    assert sum(array.nbytes for array in kept) < 1.1 * batch.obs.size
    assert 8 * 128 * batch.obs[0, 0].nbytes < 400e6


def lives_of(vec, life_loss, steps=280):
    envs = make_vector(atari("Breakout", "trpo-52x40x4", life_loss=life_loss), 1, vec)
    batch = uniform(envs, 4)(steps)
    envs.close()
    return batch


@pytest.mark.parametrize("vec", ["gymnasium", "process", "envpool"])
def test_a_lost_life_ends_an_episode_for_learning_and_changes_nothing_else(vec):
    if vec == "envpool":
        pytest.importorskip("envpool")
    whole, cut = lives_of(vec, False), lives_of(vec, True)
    for name in ("obs", "act", "rew", "valid", "truncated", "episode_returns", "episode_lengths", "last_obs"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(cut, name), name)
    games = int(whole.terminated.sum())
    assert games == len(whole.episode_returns) >= 1, "more steps are needed"
    assert not whole.life_lost.any()
    np.testing.assert_array_equal(cut.terminated, whole.terminated | cut.life_lost)
    assert 4 * games <= cut.life_lost.sum() <= 4 * games + 4


def test_whole_episodes_are_whole_games():
    envs = make_vector(atari("Breakout", "trpo-52x40x4", life_loss=True), 2, "gymnasium")
    actions = int(envs.single_action_space.n)
    policy = policy_for(categorical(actions, Backend("numpy", 1)), (52 * 40 * 4, 1), "tanh")
    collector = Collector(envs, policy, seed=0, rng=np.random.default_rng(0))
    batch = collector.collect_episodes(np.zeros(policy.layout.size, np.float32), 1, 64)
    games = batch.terminated & ~batch.life_lost & batch.valid
    assert games.sum() == len(batch.episode_returns) == 2
    assert batch.rew[batch.valid].sum() == batch.episode_returns.sum()
    assert (batch.life_lost & batch.valid).sum() == 8


def test_clipped_rewards_are_signs_and_returns_are_not_clipped():
    class Paying(Spacious):
        def step(self, act):
            obs, _, *rest = super().step(act)
            return obs, [-7.0, 0.0, 250.0][self.time % 3], *rest

    envs = [sync([Paying(spaces.Box(0, 255, (2,), np.uint8), spaces.Discrete(2))]) for _ in range(2)]
    plain, clipped = (uniform(one, clip_reward=clip)(20) for one, clip in zip(envs, (False, True), strict=True))
    np.testing.assert_array_equal(clipped.rew, np.sign(plain.rew))
    np.testing.assert_array_equal(clipped.episode_returns, plain.episode_returns)
    assert np.abs(clipped.episode_returns).max() > 5


def test_compiled_environments_have_clipped_rewards_too():
    plain, clipped = (PPO("Pendulum-v1", clip_reward=clip, num_envs=2, n_steps=8) for clip in (False, True))
    batches = [agent._new_collector().collect(agent.theta, 8) for agent in (plain, clipped)]
    assert (batches[1].rew == -1).all()
    np.testing.assert_allclose(batches[0].obs, batches[1].obs, rtol=1e-5, atol=1e-5)


# ---- snapshots, files, errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FRAMES)
def test_a_branch_from_a_snapshot_continues_with_the_same_frames(kind):
    envs = make_vector(atari("Pong", kind), 2, "gymnasium")
    envs.reset(seed=0)
    rng, snapshots = np.random.default_rng(2), snapshots_of(envs)
    for act in rng.integers(0, 6, (37, 2)):
        envs.step(act)
    state, actions = snapshots.save(0), rng.integers(0, 6, (20, 2))
    going, expected = np.ones(2, bool), []
    with snapshots.apart():
        for _ in range(3):
            snapshots.begin([state, state])
            taken = [snapshots.step(actions[t, [0, 0]], going)[0].copy() for t in range(20)]
            expected.append(np.array(taken))
    main = np.array([envs.step(act)[0][0].copy() for act in actions])
    for branch in expected:
        np.testing.assert_array_equal(branch[:, 0], main)
        np.testing.assert_array_equal(branch[:, 1], main)


def test_a_branch_ends_where_a_life_is_lost():
    envs = make_vector(atari("Breakout", "trpo-52x40x4", life_loss=True), 1, "gymnasium")
    envs.reset(seed=0)
    snapshots = snapshots_of(envs)
    state, actions = snapshots.save(0), [1, *[0] * 60]
    lost = [bool(envs.step(np.array([act]))[4].get(LIFE_LOST, [False])[0]) for act in actions]
    snapshots.begin([state])
    ended = [bool(snapshots.step(np.array([act]), np.array([True]))[2][0]) for act in actions]
    assert lost == ended
    assert any(lost)


def test_a_file_of_an_agent_has_the_frames_and_their_settings():
    recipe = atari("SpaceInvaders", "trpo-52x40x4", frame_skip=3, sticky=0.25, life_loss=True)
    content = json.dumps(describe(recipe))
    again = rebuild("ALE/SpaceInvaders-v5", json.loads(content))
    assert isinstance(again, Recipe)
    assert again.wrappers == recipe.wrappers
    assert again.spec == recipe.spec
    program = (
        "import json, sys; from minipg.envs import rebuild\n"
        "print(rebuild('ALE/SpaceInvaders-v5', json.loads(sys.argv[1])).make().observation_space.shape)"
    )
    other = subprocess.run([sys.executable, "-c", program, content], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == "(52, 40, 4)"


def test_an_env_is_given_by_a_games_name_and_arguments():
    pytest.importorskip("ale_py")
    arguments = ["frame_skip=3", "sticky=0.25", "life_loss=True", "difficulty=1"]
    recipe = env_of("Pong", arguments, frames="difference-80x80")
    assert recipe == env_of("ALE/Pong-v5", arguments, frames="difference-80x80")
    assert recipe.spec.kwargs["repeat_action_probability"] == 0.25
    assert recipe.spec.kwargs["difficulty"] == 1
    assert recipe.wrappers[0][1]["frame_skip"] == 3


@pytest.mark.parametrize("name", ["game", "frames", "wrappers"])
def test_an_argument_is_not_what_a_flag_is_for(name):
    pytest.importorskip("ale_py")
    with pytest.raises(ConfigError, match=f"env_kwargs: expected arguments of the game; .*, got '{name}'"):
        env_of("Pong", [f"{name}=x"], frames="trpo-52x40x4")


@pytest.mark.parametrize(
    ("game", "options", "message"),
    [
        ("CartPole-v1", {}, "unknown Atari game, as Pong or ALE/Pong-v5, .* 'CartPole-v1'"),
        ("Pung", {}, "did you mean Pong"),
        ("Pong", {"frames": "stack-84x84"}, "did you mean stack-84x84x4"),
        ("Breakout", {"frames": "difference-80x80"}, "the background of Pong alone"),
        ("Pong", {"frame_skip": 1}, "frame_skip: expected an integer ≥ 2"),
        ("Pong", {"noop_max": 0}, "noop_max: expected an integer ≥ 1"),
        ("Pong", {"life_loss": 1}, "life_loss: expected True or False"),
        ("Pong", {"sticky": 1.5}, "sticky: expected a number from 0"),
        ("Pong", {"frameskip": 4}, "env_kwargs: expected frame_skip, sticky and max_episode_steps"),
        ("Pong", {"obs_type": "rgb"}, "in place of ale_py's arguments, with frames, got 'obs_type'"),
    ],
)
def test_wrong_frames_are_refused_in_one_line(game, options, message):
    with pytest.raises((ConfigError, UnknownNameError), match=message) as error:
        atari(game, **options)
    assert "\n" not in str(error.value)


def test_envpool_refuses_what_it_cannot_play():
    pytest.importorskip("envpool")
    flat = (gym.wrappers.FlattenObservation, {})
    with pytest.raises(ConfigError, match="envpool takes frames of Atari games without further wrappers"):
        make_vector(atari("Pong", wrappers=[flat]), 2, "envpool")
    with pytest.raises(ConfigError, match="envpool does not take the argument sound_obs"):
        make_vector(atari("Pong", sound_obs=False), 2, "envpool")


def test_without_ale_py_the_message_says_how_to_install_it(monkeypatch):
    from minipg.envs.atari import atari

    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(EnvironmentFault, match=r"Pong-v5 needs an extra: pip install 'minipg-rl\[atari\]'"):
        atari("Pong")


def test_a_run_of_frames_is_trained_resumed_and_evaluated(tmp_path, monkeypatch, capsys):
    pytest.importorskip("ale_py")
    monkeypatch.chdir(tmp_path)
    small = ["--num-envs", "1", "--n-steps", "16", "--hidden", "2", "--n-epochs", "1", "--vf-epochs", "1"]
    small += ["--threads", "1", "--normalize-obs"]
    frames = ["--frames", "difference-80x80", "--env-kwargs", "sticky=0.25", "max_episode_steps=20"]
    assert cli.main(["train", "ppo", "Pong", *frames, *small, "--steps", "16", "--out", "run"]) == 0
    assert cli.main(["train", "--resume", "run", "--steps", "32"]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["made"] == describe(env_of("Pong", frames[3:], frames="difference-80x80"))
    capsys.readouterr()
    assert cli.main(["evaluate", "run", "--episodes", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["env"] == "ALE/Pong-v5"
    assert -3 <= result["mean_return"] <= 3
