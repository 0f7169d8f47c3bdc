"""The compiled classic control problems are Gymnasium's, to the bit."""

import dataclasses
import pickle
import sys
from copy import deepcopy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from minipg.kernels.cpu.classic_control import PROBLEMS, stream

import minipg  # noqa: F401  registers them
from minipg.envs import repeatable
from minipg.envs.compiled import CompiledEnv, CompiledVectorEnv
from minipg.envs.problems import generator_of, stream_of
from minipg.envs.register import compiled_arguments
from minipg.errors import ConfigError, ShapeError, UnknownNameError

NAMES = list(PROBLEMS)
MODES = list(AutoresetMode)
each = pytest.mark.parametrize("name", NAMES)
each_mode = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
seeds = st.integers(0, 2**32 - 1)

# how large the states of an episode become
REACH = {
    "CartPole-v1": (2.6, 4, 0.25, 4), "Acrobot-v1": (np.pi, np.pi, 4 * np.pi, 9 * np.pi), "MountainCar-v0": (1.2, 0.07),
    "MountainCarContinuous-v0": (1.2, 0.07), "Pendulum-v1": (20, 8),
}  # fmt: skip


# arguments of Gymnasium's classes, and options of its resets
PHYSICS = {
    "CartPole-v1": [{}, {"sutton_barto_reward": True}, {"sutton_barto_reward": False}], "Acrobot-v1": [{}],
    "MountainCar-v0": [{}, {"goal_velocity": 0.02}, {"goal_velocity": -0.01}, {"goal_velocity": 0.07}],
    "MountainCarContinuous-v0": [{}, {"goal_velocity": 0.02}, {"goal_velocity": -0.01},
                                 # in single precision ±0.07
                                 {"goal_velocity": 0.0700000001}, {"goal_velocity": -0.0699999999}],
    "Pendulum-v1": [{}, {"g": 9.81}, {"g": 2}, {"g": 0.0}, {"g": -10.0}],
}  # fmt: skip
OPTIONS = {
    "CartPole-v1": [{"low": -0.1, "high": 0.2}, {"high": 0.01}, {"low": 0, "high": 0}, {}],
    "Acrobot-v1": [{"low": -1, "high": 1}, {"low": "0.05"}],
    "MountainCar-v0": [{"low": -1.5, "high": 0.7}, {"low": np.float32(-0.45)}],
    "MountainCarContinuous-v0": [{"low": -1.5, "high": 0.7}, {"high": -0.5}],
    "Pendulum-v1": [{"x_init": 0.3, "y_init": 12}, {"x_init": 0}, {"y_init": 0.5}],
}  # fmt: skip
each_physics = pytest.mark.parametrize(
    "name,physics", [pytest.param(name, one, id=f"{name} {one}") for name in NAMES for one in PHYSICS[name]]
)


def compiled(name, num_envs=3, mode=AutoresetMode.SAME_STEP, **options):
    return CompiledVectorEnv(name, num_envs, autoreset_mode=mode, **options)


def in_line(name, num_envs=3, mode=AutoresetMode.SAME_STEP, **options):
    return SyncVectorEnv([lambda: gym.make(name, **options)] * num_envs, autoreset_mode=mode)


def actions(name, rng, *shape):
    """Actions of any kind there is: of real ones some beyond their bounds, and some at them."""
    problem = PROBLEMS[name]
    if problem.actions:
        return rng.integers(problem.actions, size=shape)
    act = rng.uniform(-1.5, 1.5, (*shape, 1)) * problem.act_high
    return np.where(rng.random(act.shape) < 0.1, np.sign(act) * problem.act_high, act).astype(np.float32)


def pushing(name, states):
    """Actions that reach goals: always in the direction of motion."""
    problem, v = PROBLEMS[name], states[:, -1]
    if problem.actions:
        return np.where(v >= 0, problem.actions - 1, 0)
    return np.sign(v + 1e-9).astype(np.float32)[:, None]


def same(a, b):
    """The results of two steps, dtypes included."""
    for x, y in zip(a[:4], b[:4], strict=True):
        np.testing.assert_array_equal(x, y, strict=True)
    assert data_equivalence(a[4], b[4], exact=True), (a[4], b[4])


@each_physics
@given(seeds, st.booleans())
def test_a_step_from_any_state_is_gymnasiums_to_the_bit(name, physics, seed, fresh):
    rng, problem = np.random.default_rng(seed), PROBLEMS[name]
    ours, theirs = (gym.make(env_id, **physics).unwrapped for env_id in (f"minipg/{name}", name))
    for _ in range(30):
        theirs.reset()
        start = rng.uniform(-1, 1, problem.state) * REACH[name]
        if name == "MountainCarContinuous-v0" and not fresh:
            start = start.astype(np.float32)  # as it is after a first step
        if name.startswith("MountainCar") and rng.random() < 0.2:
            start[:] = rng.uniform(0.4, 0.6), rng.choice([-0.0699, 0.0699])  # near the top, at full speed
        ours.state, theirs.state = start.copy(), start.copy()
        act = actions(name, rng)
        same(ours.step(act), theirs.step(act))
        np.testing.assert_array_equal(ours.state, np.asarray(theirs.state), strict=True)


@each_physics
@settings(max_examples=3)
@given(seeds)
def test_whole_episodes_are_gymnasiums_to_the_bit(name, physics, seed):
    ours, theirs = (gym.make(env_id, **physics) for env_id in (f"minipg/{name}", name))
    rng = np.random.default_rng(seed)
    for episode in range(4):
        how = {"seed": seed} if episode == 0 else {}
        how |= {"options": OPTIONS[name][rng.integers(len(OPTIONS[name]))]} if episode > 1 else {}
        assert_close_at_reset(name, ours.reset(**how)[0], theirs.reset(**how)[0])
        over = False
        while not over:
            act = actions(name, rng)
            a, b = ours.step(act), theirs.step(act)
            same(a, b)
            over = a[2] or a[3]


def assert_close_at_reset(name, a, b):
    """Acrobot's first observation is NumPy's cosine in single precision: its last bit depends on the processor."""
    assert a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=0, atol=2**-23 if name == "Acrobot-v1" else 0)


@each_mode
@each
@pytest.mark.parametrize("policy", ["random", "pushing"])
def test_a_vector_is_gymnasiums_vector_of_the_same_seed_to_the_bit(name, mode, policy):
    ours, theirs, rng = compiled(name, mode=mode), in_line(name, mode=mode), np.random.default_rng(0)
    (obs, infos), (expected, others) = ours.reset(seed=5), theirs.reset(seed=5)
    assert_close_at_reset(name, obs, expected)
    assert infos == others
    ended = np.zeros(3, int)
    for _ in range(PROBLEMS[name].time_limit + 20):
        act = actions(name, rng, 3) if policy == "random" else pushing(name, obs)
        a, b = ours.step(act), theirs.step(act)
        begun = ours.save_state()["elapsed"] == 0
        assert_close_at_reset(name, a[0][begun], b[0][begun])
        b[0][begun] = a[0][begun]
        same(a, b)
        obs, done = a[0], a[2] | a[3]
        ended += done
        if mode == AutoresetMode.DISABLED and done.any():
            obs, _ = ours.reset(options={"reset_mask": done})
            assert_close_at_reset(name, obs, theirs.reset(options={"reset_mask": done})[0])
    assert (ended >= 1).all()


@each_physics
def test_a_vector_with_arguments_and_options_is_gymnasiums_to_the_bit(name, physics):
    ours, rng = compiled(name, max_episode_steps=12, **physics), np.random.default_rng(0)
    theirs = in_line(name, max_episode_steps=12, **physics)
    for options in OPTIONS[name]:
        assert_close_at_reset(name, ours.reset(seed=3, options=options)[0], theirs.reset(seed=3, options=options)[0])
        for _ in range(30):  # the next episodes begin as usual
            act = actions(name, rng, 3)
            a, b = ours.step(act), theirs.step(act)
            begun = ours.save_state()["elapsed"] == 0
            assert_close_at_reset(name, a[0][begun], b[0][begun])
            b[0][begun] = a[0][begun]
            same(a, b)


def test_options_hold_for_the_environments_of_a_mask():
    envs = compiled("CartPole-v1", 3, AutoresetMode.DISABLED)
    before, _ = envs.reset(seed=0)
    mask = np.array([False, True, False])
    after, _ = envs.reset(options={"reset_mask": mask, "low": 0.5, "high": 0.5})
    np.testing.assert_array_equal(after, np.where(mask[:, None], np.float32(0.5), before))


def test_episodes_end_at_goals_and_at_time_limits():
    kinds = {name: set() for name in NAMES}
    for name in NAMES:
        envs = compiled(name, 8)
        obs, _ = envs.reset(seed=0)
        for step in range(2100):
            idle = np.full_like(envs.action_space.sample(), PROBLEMS[name].actions // 2)
            obs, _, terminated, truncated, _ = envs.step(pushing(name, obs) if step < 1000 else idle)
            kinds[name] |= set(zip(terminated.tolist(), truncated.tolist(), strict=True))
    assert (True, False) in kinds["CartPole-v1"] & kinds["MountainCar-v0"] & kinds["MountainCarContinuous-v0"]
    assert (False, True) in kinds["Acrobot-v1"] & kinds["MountainCar-v0"] & kinds["MountainCarContinuous-v0"]
    assert kinds["Pendulum-v1"] == {(False, False), (False, True)}


def test_an_episode_that_ends_at_its_time_limit_is_both_terminated_and_truncated():
    ours, theirs = compiled("CartPole-v1", 1), in_line("CartPole-v1", 1)
    for envs in (ours, theirs):
        envs.reset(seed=0)
    length = next(t for t in range(1, 20) if ours.step(np.array([1]))[2][0])
    ours = compiled("CartPole-v1", 1, max_episode_steps=length)
    theirs = in_line("CartPole-v1", 1, max_episode_steps=length)
    for envs in (ours, theirs):
        envs.reset(seed=0)
    for _ in range(length):
        a, b = ours.step(np.array([1])), theirs.step(np.array([1]))
        same(a, b)
    assert (a[2][0], a[3][0]) == (True, True)


@given(seeds, st.integers(1, 50))
def test_the_stream_of_uniforms_is_numpys_pcg64(seed, count):
    rng, out = np.random.default_rng(seed), np.empty(count)
    place = stream_of(rng)
    stream.uniforms(place, out)
    np.testing.assert_array_equal(out, rng.random(count))
    np.testing.assert_array_equal(place, stream_of(rng))
    assert generator_of(place).random() == rng.random()


@each
@given(seeds)
def test_an_environment_does_not_depend_on_how_many_there_are(name, seed):
    together, alone = compiled(name, 4, max_episode_steps=5), compiled(name, 1, max_episode_steps=5)
    rng = np.random.default_rng(seed)
    np.testing.assert_array_equal(together.reset(seed=seed)[0][2:3], alone.reset(seed=[seed + 2])[0])
    for _ in range(12):
        act = actions(name, rng, 4)
        for a, b in zip(together.step(act)[:4], alone.step(act[2:3])[:4], strict=True):
            np.testing.assert_array_equal(a[2:3], b)


@each_mode
@each
def test_a_restored_state_continues_as_the_saved_one_did_to_the_bit(name, mode):
    rng = np.random.default_rng(0)
    acts = actions(name, rng, 60, 3)

    def play(envs, steps):
        for act in acts[steps]:
            result = envs.step(act)
            yield result
            done = result[2] | result[3]
            if mode == AutoresetMode.DISABLED and done.any():
                envs.reset(options={"reset_mask": done})

    envs, other = (compiled(name, mode=mode, max_episode_steps=7) for _ in range(2))
    envs.reset(seed=1)
    list(play(envs, slice(0, 20)))
    saved = envs.save_state()
    assert all(isinstance(array, np.ndarray) for array in saved.values())
    first = list(play(envs, slice(20, 60)))
    for again in (envs, other):
        again.restore_state(saved)
        for a, b in zip(play(again, slice(20, 60)), first, strict=True):
            same(a, b)
    assert envs.np_random_seed == (-1, -1, -1)


@each
def test_a_single_environment_is_saved_and_restored_too(name):
    env, other, rng = CompiledEnv(name), CompiledEnv(name), np.random.default_rng(0)
    env.reset(seed=3)
    acts = actions(name, rng, 10)
    for start in (0, 1, 5):  # the very first state is one too
        env.reset()
        for act in acts[:start]:
            env.step(act)
        saved = env.save_state()
        first = [*(env.step(act) for act in acts), env.reset()]
        other.restore_state(saved)
        for a, b in zip([*(other.step(act) for act in acts), other.reset()], first, strict=True):
            assert data_equivalence(a, b, exact=True)


def test_the_state_of_another_vector_is_refused():
    envs = compiled("CartPole-v1", 3)
    envs.reset(seed=0)
    with pytest.raises(ShapeError, match=r"state: expected shape \(2, 4\), got \(3, 4\)"):
        compiled("CartPole-v1", 2).restore_state(envs.save_state())
    with pytest.raises(ShapeError, match="expected the arrays state, elapsed, stream, obs, done, got state"):
        envs.restore_state({"state": np.zeros((3, 4))})
    with pytest.raises(ShapeError, match="state"):
        CompiledEnv("Pendulum-v1").restore_state(CompiledEnv("CartPole-v1").save_state())


@each
def test_the_state_is_read_and_set_as_gymnasiums(name):
    ours, theirs = (gym.make(env_id) for env_id in (f"minipg/{name}", name))
    assert ours.unwrapped.state is None
    rng, kept = np.random.default_rng(0), []
    for env in (ours, theirs):
        env.reset(seed=0)
    for step in range(12):
        act = actions(name, rng)
        same(ours.step(act), theirs.step(act))
        kept.append((ours.unwrapped.state, np.array(theirs.unwrapped.state)))
        if step % 3 == 1:  # back to an earlier state
            ours.unwrapped.state, theirs.unwrapped.state = (state.copy() for state in kept[step // 2])
        if step == 6:  # in place
            theirs.unwrapped.state = np.array(theirs.unwrapped.state)
            for env in (ours, theirs):
                env.unwrapped.state[0] = 0.125
    for mine, other in kept[:6] + kept[7:]:  # no step changes what was read
        np.testing.assert_array_equal(mine, other, strict=True)
    ours.reset(seed=0)
    np.testing.assert_array_equal(ours.unwrapped.state, begun(name, 0).state)
    with pytest.raises(ShapeError, match=r"state: expected shape \(\d,\), got \(3,\)"):
        ours.unwrapped.state = np.zeros(3)


@each
def test_another_environment_like_it_is_made_although_its_state_was_read(name):
    env = gym.make(f"minipg/{name}", max_episode_steps=7, **PHYSICS[name][-1])
    env.reset(seed=0)
    env.step(env.action_space.sample())
    for _ in range(2):
        assert env.unwrapped.state is not None
        assert repeatable(env).make().unwrapped.problem == env.unwrapped.problem
        env.unwrapped.state = np.zeros(PROBLEMS[name].state)


def begun(name, seed):
    env = CompiledEnv(name)
    env.reset(seed=seed)
    return env


@each
def test_a_state_that_was_set_is_drawn_and_saved(name, monkeypatch):
    env = begun(name, 0)
    start = np.full(PROBLEMS[name].state, 0.0625)
    env.state = start
    np.testing.assert_array_equal(env.save_state()["state"], start)
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    ours, theirs = (gym.make(env_id, render_mode="rgb_array") for env_id in (f"minipg/{name}", name))
    for env in (ours, theirs):
        env.reset(seed=0)
        env.unwrapped.state = start
    np.testing.assert_array_equal(ours.render(), theirs.render())


@each
def test_a_copy_by_pickle_or_deepcopy_continues_to_the_bit(name):
    env, rng = begun(name, 0), np.random.default_rng(0)
    env.step(actions(name, rng))
    copies = [deepcopy(env), pickle.loads(pickle.dumps(env))]
    for act in actions(name, rng, 5):
        expected = env.step(act)
        for other in copies:
            same(other.step(act), expected)


# ---- as Gymnasium sees them ----------------------------------------------------------------------------------------


@each
@pytest.mark.filterwarnings("ignore:.*(Box observation space|symmetric and normalized)")
def test_gymnasiums_own_checker_finds_nothing(name):
    check_env(gym.make(f"minipg/{name}").unwrapped)


@each
def test_spaces_time_limits_and_thresholds_are_gymnasiums(name):
    ours, theirs, vector = gym.make(f"minipg/{name}"), gym.make(name), gym.make_vec(f"minipg/{name}", num_envs=2)
    assert isinstance(vector, CompiledVectorEnv)
    for space, single, batched in (
        (theirs.observation_space, vector.single_observation_space, vector.observation_space),
        (theirs.action_space, vector.single_action_space, vector.action_space),
    ):
        assert space == single
        assert gym.vector.utils.batch_space(space, 2) == batched
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    assert ours.spec.max_episode_steps == theirs.spec.max_episode_steps == vector.time_limit
    assert ours.spec.reward_threshold == theirs.spec.reward_threshold
    assert vector.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    obs, infos = vector.reset(seed=0)
    assert obs in vector.observation_space
    assert infos == {}
    obs, rew, terminated, truncated, infos = vector.step(vector.action_space.sample())
    assert obs in vector.observation_space
    assert (rew.shape, terminated.dtype, truncated.dtype, infos) == ((2,), bool, bool, {})
    assert "minipg/" in repr(vector)


def test_gymnasiums_vector_wrappers_go_around_them():
    envs = gym.wrappers.vector.RecordEpisodeStatistics(gym.make_vec("minipg/CartPole-v1", num_envs=2))
    envs.reset(seed=0)
    lengths = [info["episode"]["l"].max() for *_, info in (envs.step(np.ones(2, int)) for _ in range(30)) if info]
    assert lengths
    assert set(lengths) <= {8, 9, 10, 11}


@each_physics
def test_gymnasiums_wrappers_go_around_them_and_around_vectors_of_them(name, physics):
    def wrapped(env):
        env = gym.wrappers.RecordEpisodeStatistics(gym.wrappers.TransformReward(env, lambda reward: 2 * reward))
        return gym.wrappers.TransformObservation(env, lambda obs: 3 * obs, env.observation_space)

    rng = np.random.default_rng(0)
    ids = f"minipg/{name}", name
    ours, theirs = (wrapped(gym.make(env_id, max_episode_steps=5, **physics)) for env_id in ids)
    vector, others = (gym.make_vec(env_id, num_envs=3, vectorization_mode="sync", wrappers=[wrapped], **physics)
                      for env_id in ids)  # fmt: skip
    if name != "Acrobot-v1":
        np.testing.assert_array_equal(ours.reset(seed=0)[0], theirs.reset(seed=0)[0])
        np.testing.assert_array_equal(vector.reset(seed=0)[0], others.reset(seed=0)[0])
    for env in (ours, theirs, vector, others):
        env.reset(seed=0)
    for _ in range(5):
        act = actions(name, rng, 3)
        mine, other = ours.step(act[0]), theirs.step(act[0])
        same((*mine[:4], {}), (*other[:4], {}))
        same(vector.step(act), others.step(act))
    assert (mine[4]["episode"]["r"], mine[4]["episode"]["l"]) == (other[4]["episode"]["r"], other[4]["episode"]["l"])
    own = gym.make_vec(f"minipg/{name}", num_envs=2, **physics)
    assert own.problem.dynamics._asdict().items() >= physics.items()
    assert compiled_arguments(own.spec) is None or own.spec.kwargs.items() >= physics.items()


def test_record_video_writes_a_film(tmp_path, monkeypatch):
    pytest.importorskip("pygame")
    pytest.importorskip("moviepy")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gym.wrappers.RecordVideo(gym.make("minipg/Pendulum-v1", render_mode="rgb_array", g=9.81), str(tmp_path))
    env.reset(seed=0)
    for _ in range(10):
        env.step(np.ones(1, np.float32))
    env.close()
    assert [path.stat().st_size > 0 for path in tmp_path.glob("*.mp4")] == [True]


def test_seeds_are_reported_and_streams_continue_without_one():
    envs = compiled("Pendulum-v1", 3)
    first, _ = envs.reset(seed=[7, None, 9])
    assert envs.np_random_seed[0] == 7
    assert envs.np_random_seed[2] == 9
    on, _ = envs.reset()
    assert (on != first).any()
    again, _ = envs.reset(seed=[7, None, 9])
    np.testing.assert_array_equal(again[[0, 2]], first[[0, 2]])
    assert (again[1] != first[1]).any()
    before = envs.save_state()
    draws = envs.np_random[0].random(2)
    envs.restore_state(before)
    theta, spin = (draws - 0.5) * [2 * np.pi, 2]
    np.testing.assert_allclose(envs.reset()[0][0], [np.cos(theta), np.sin(theta), spin], atol=1e-6)


def test_only_the_environments_of_a_mask_are_reset():
    envs = compiled("CartPole-v1", 3, AutoresetMode.DISABLED)
    envs.reset(seed=0)
    before = envs.step(np.ones(3, int))[0]
    after, _ = envs.reset(options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal((after == before).all(axis=1), [True, False, True])


def test_what_they_return_is_the_callers_to_keep():
    envs = compiled("CartPole-v1")
    results = [envs.reset(seed=0)[0], *(part for _ in range(3) for part in envs.step(np.ones(3, int))[:4])]
    copies = [array.copy() for array in results]
    envs.step(np.zeros(3, int))
    for array, copy in zip(results, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@each
def test_the_pictures_are_gymnasiums(name, monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    ours, theirs = (gym.make(env_id, render_mode="rgb_array") for env_id in (f"minipg/{name}", name))
    rng = np.random.default_rng(0)
    for env in (ours, theirs):
        env.reset(seed=3)
    for _ in range(4):
        frame = ours.render()
        np.testing.assert_array_equal(frame, theirs.render(), strict=True)
        act = actions(name, rng)
        for env in (ours, theirs):
            env.step(act)
    assert (frame != ours.render()).any()
    assert ours.metadata["render_fps"] == theirs.metadata["render_fps"]
    window = gym.make(f"minipg/{name}", render_mode="human")
    window.reset(seed=0)
    window.step(act)
    assert window.render() is None
    window.close()


@each_mode
def test_a_vector_draws_the_picture_of_each_environment(mode):
    pytest.importorskip("pygame")
    ours = compiled("Pendulum-v1", mode=mode, render_mode="rgb_array", max_episode_steps=3)
    theirs = in_line("Pendulum-v1", mode=mode, render_mode="rgb_array", max_episode_steps=3)
    rng = np.random.default_rng(0)
    for envs in (ours, theirs):
        envs.reset(seed=3)
    for _ in range(3 if mode == AutoresetMode.DISABLED else 6):
        act = actions("Pendulum-v1", rng, 3)
        for envs in (ours, theirs):
            envs.step(act)
        np.testing.assert_array_equal(np.stack(ours.render()), np.stack(theirs.render()))
    assert compiled("Pendulum-v1").render() is None


def test_without_pygame_a_compiled_environment_is_made_and_says_what_is_missing_when_it_is_drawn(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    env = gym.make("minipg/CartPole-v1", render_mode="rgb_array")
    env.reset(seed=0)
    with pytest.raises(gym.error.DependencyNotInstalled, match="pygame"):
        env.render()


def test_a_mode_in_which_nothing_can_be_drawn_is_refused():
    with pytest.raises(ConfigError, match="render_mode: expected None, human or rgb_array, got 'ansi'"):
        CompiledEnv("CartPole-v1", render_mode="ansi")
    with pytest.raises(ConfigError, match="render_mode: expected None or rgb_array, got 'human'"):
        CompiledVectorEnv("CartPole-v1", render_mode="human")


@pytest.mark.parametrize(
    "name,options,message",
    [
        ("CartPole-v1", {"low": 0.2}, r"options\['low'\]: expected a number ≤ 0.05, got 0.2"),
        ("CartPole-v1", {"x_init": 0.2}, "options: expected low and high, got x_init"),
        ("MountainCar-v0", {"low": "a"}, r"options\['low'\]: expected a finite number, got 'a'"),
        ("Acrobot-v1", {"high": None}, r"options\['high'\]: expected a finite number, got None"),
        ("Acrobot-v1", {"high": np.inf}, r"options\['high'\]: expected a finite number, got inf"),
        ("Pendulum-v1", {"x_init": np.nan}, r"options\['x_init'\]: expected a finite number, got nan"),
        ("Pendulum-v1", {"y_init": -1}, r"options\['y_init'\]: expected a number ≥ 0, got -1"),
        ("Pendulum-v1", {"low": 1}, "options: expected x_init and y_init, got low"),
    ],
)  # fmt: skip
def test_options_that_gymnasium_refuses_or_does_not_know_are_refused(name, options, message):
    for env in (CompiledEnv(name), compiled(name)):
        with pytest.raises(ConfigError, match=message):
            env.reset(options=options)
    if message.startswith(r"options\["):  # Gymnasium ignores the options that it does not know
        with pytest.raises((ValueError, OverflowError)):
            gym.make(name).reset(options=options)


@pytest.mark.parametrize(
    "name,physics,message",
    [
        ("Pendulum-v1", {"g": "9.81"}, "g: expected a finite Python number, got '9.81'"),
        ("Pendulum-v1", {"g": np.float32(9.81)}, "g: expected a finite Python number"),
        ("Pendulum-v1", {"g": float("nan")}, "g: expected a finite Python number, got nan"),
        ("Pendulum-v1", {"g": 2.0**54}, "g: expected a finite Python number"),
        ("Pendulum-v1", {"x_init": 1.0}, "Pendulum-v1: expected the arguments g, got x_init"),
        ("CartPole-v1", {"sutton_barto_reward": 1}, "sutton_barto_reward: expected True or False, got 1"),
        ("CartPole-v1", {"draws": 4}, "CartPole-v1: expected the arguments sutton_barto_reward, got draws"),
        ("Acrobot-v1", {"g": 9.81}, "Acrobot-v1: expected the arguments none, got g"),
    ],
)  # fmt: skip
def test_other_arguments_are_refused(name, physics, message):
    for make in (CompiledEnv, compiled):
        with pytest.raises(ConfigError, match=message):
            make(name, **physics)
    assert compiled_arguments(dataclasses.replace(gym.spec(name), kwargs=physics)) is None


@pytest.mark.parametrize(
    "name,act,message",
    [
        ("CartPole-v1", [0, 1, 2], "integers from 0 to 1"), ("CartPole-v1", [0, 1, -1], "integers from 0 to 1"),
        ("CartPole-v1", [0.0, 1, 1], "integers from 0 to 1"), ("CartPole-v1", [0, 1], r"expected shape \(3,\), got"),
        ("Pendulum-v1", [0, 1, 1], r"expected shape \(3, 1\), got \(3,\)"),
    ],
)  # fmt: skip
def test_actions_that_do_not_fit_are_refused(name, act, message):
    envs = compiled(name)
    envs.reset(seed=0)
    before = envs.save_state()
    with pytest.raises(ShapeError, match=message):
        envs.step(np.array(act))
    np.testing.assert_array_equal(envs.save_state()["state"], before["state"])


def test_other_mistakes_are_named_too():
    with pytest.raises(UnknownNameError, match="CartPole-v1"):
        CompiledEnv("CartPole-v0")
    with pytest.raises(ConfigError, match="max_episode_steps: expected an integer ≥ 1, got 0"):
        compiled("CartPole-v1", max_episode_steps=0)
    with pytest.raises(ConfigError, match="num_envs: expected an integer ≥ 1, got 0"):
        compiled("CartPole-v1", 0)
    with pytest.raises(ShapeError, match="seed: expected an integer or 3 of them, got 2"):
        compiled("CartPole-v1").reset(seed=[1, 2])
    for env in (CompiledEnv("CartPole-v1", "rgb_array"), compiled("CartPole-v1", 1, render_mode="rgb_array")):
        with pytest.raises(ResetNeeded):
            env.step(np.array([0]) if isinstance(env, CompiledVectorEnv) else 0)
        with pytest.raises(ResetNeeded):
            env.render()
    envs = compiled("CartPole-v1", 1, AutoresetMode.DISABLED)
    envs.reset(seed=0)
    while not envs.step(np.array([1]))[2][0]:
        pass
    with pytest.raises(ResetNeeded):
        envs.step(np.array([1]))
