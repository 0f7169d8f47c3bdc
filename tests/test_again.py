"""An agent is evaluated, drawn and resumed on the environment it was trained on, or refused: never on another one."""

import gc
import json
import subprocess
import sys
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from environments import Counting, Spacious, sync
from gymnasium import spaces
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.envs.registration import WrapperSpec
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from test_files import rewrite

import minipg
from minipg import PPO, TRPO
from minipg.envs import NotRepeatable, describe, make_vector, rebuild, repeatable, resolve
from minipg.envs.altered import altered
from minipg.envs.compiled import CompiledVectorEnv
from minipg.envs.make import make_env
from minipg.envs.recipe_file import decode, encode
from minipg.errors import AgentFileError, ConfigError, EnvironmentFault, MinipgError
from minipg.runs import evaluate
from minipg.runs.callbacks import Evaluation
from minipg.runs.render import render
from minipg.runtime.storage import load_arrays, save_arrays

pytestmark = pytest.mark.filterwarnings("ignore:.*(Overriding environment|out of date|already in registry)")
LEAF = spaces.Discrete(2)
SMALL = {"n_steps": 16, "hidden": (4,), "vf_epochs": 1, "threads": 1}


def kind(value):
    """The name of a case, the same in every process: an address or the order of a set is not."""
    return getattr(value, "__name__", type(value).__name__)


class Mirrored(gym.ObservationWrapper):
    """Turns the observation round. It takes nothing but an environment."""

    def observation(self, obs):
        return -obs[::-1].copy()


class Repeated(gym.Wrapper, RecordConstructorArgs):
    """Takes every action `times` times, and records that."""

    def __init__(self, env, times):
        RecordConstructorArgs.__init__(self, times=times)
        gym.Wrapper.__init__(self, env)
        self.times = times

    def step(self, act):
        total = 0.0
        for _ in range(self.times):
            obs, reward, terminated, truncated, info = self.env.step(act)
            total += reward
            if terminated or truncated:
                break
        return obs, total, terminated, truncated, info


class Scaled(gym.RewardWrapper):
    """Multiplies rewards by a number that it does not record."""

    def __init__(self, env, scale=2):
        super().__init__(env)
        self.scale = scale

    def reward(self, reward):
        return reward * self.scale


class Sized(gym.Env):
    """A corridor whose arguments are of every kind that a file can hold."""

    metadata = {"render_modes": []}  # noqa: RUF012
    action_space = spaces.Discrete(2)
    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def __init__(self, goal=(1, 2), walls=None, weights=None, table=None, dtype=np.float32, render_mode=None):
        self.goal, self.walls, self.weights, self.table, self.dtype = goal, walls, weights, table, dtype
        self.level, self.steps = 1, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, act):
        self.steps += 1
        return np.full(2, self.steps, np.float32), float(self.level), self.steps == 3, False, {}


class Maze(Sized):
    """A corridor that is drawn by chance when it is made."""

    def __init__(self, **options):
        super().__init__(**options)
        self.walls = np.random.default_rng().random(4)


ARGUMENTS = {
    "goal": (3, (4, 5)), "walls": {(0, 1), (1, 1)}, "weights": np.array([[0.5], [2]], np.float32),
    "table": {1: [None, True], (2, 3): np.float32(0.1), "a": {"b": np.inf}}, "dtype": np.float16,
}  # fmt: skip
gym.register("test/Sized-v0", "test_again:Sized", max_episode_steps=9)
gym.register("test/Maze-v0", "test_again:Maze")
gym.register("test/Wrapped-v0", CartPoleEnv, additional_wrappers=(WrapperSpec("M", "test_again:Mirrored", {}),))


def lake(**options):
    return gym.make("FrozenLake-v1", is_slippery=False, **options)


# what an agent may be given, and how to see that another environment is the same
SOURCES = {
    "an id": lambda: "CartPole-v1",
    "an id of a compiled one": lambda: "minipg/CartPole-v1",
    "an id with wrappers": lambda: "test/Wrapped-v0",
    "an EnvSpec": lambda: lake().spec,
    "an EnvSpec of a registered id": lambda: gym.spec("Pendulum-v1"),
    "an EnvSpec with wrappers": lambda: Repeated(gym.make("CartPole-v1"), 2).spec,
    "a function": lambda: lake,
    "a partial function": lambda: partial(gym.make, "CartPole-v1", max_episode_steps=50),
    "a class": lambda: CartPoleEnv,
    "a class of one's own": lambda: Sized,
    "arguments": lake,
    "arguments of every kind": lambda: gym.make("test/Sized-v0", **ARGUMENTS),
    "a wrapper": lambda: Mirrored(gym.make("CartPole-v1")),
    "a wrapper with arguments": lambda: Repeated(gym.make("CartPole-v1"), 3),
    "wrappers of Gymnasium's": lambda: gym.wrappers.RescaleAction(
        gym.wrappers.FlattenObservation(gym.make("Pendulum-v1")), np.float32(-1), np.float32(1)
    ),
    "a wrapper below the time limit": lambda: gym.wrappers.TimeLimit(
        Repeated(gym.make("CartPole-v1", max_episode_steps=-1), 2), 20
    ),
    "two time limits": lambda: gym.wrappers.TimeLimit(gym.make("CartPole-v1"), 20),
    "a shorter time limit": lambda: gym.make("CartPole-v1", max_episode_steps=20),
    "no time limit": lambda: gym.make("CartPole-v1", max_episode_steps=-1),
    "what watches": lambda: gym.wrappers.HumanRendering(gym.make("CartPole-v1", render_mode="rgb_array")),
    "pixels": lambda: gym.wrappers.AddRenderObservation(gym.make("CartPole-v1", render_mode="rgb_array")),
    "a vector": lambda: SyncVectorEnv([lake, lake]),
    "a vector with arguments": lambda: gym.make_vec("FrozenLake-v1", num_envs=2, is_slippery=False),
    "a vector with a time limit": lambda: gym.make_vec("FrozenLake-v1", num_envs=2, max_episode_steps=20),
    "a vector with wrappers": lambda: gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync",
                                                   wrappers=[Mirrored]),
    "a vector in processes": lambda: gym.make_vec("FrozenLake-v1", num_envs=2, vectorization_mode="async",
                                                  is_slippery=False),
    "a vector with an entry point of its own": lambda: gym.make_vec("CartPole-v1", num_envs=2),
    "a compiled vector": lambda: gym.make_vec("minipg/CartPole-v1", num_envs=2, max_episode_steps=20),
    "a compiled vector made by hand": lambda: CompiledVectorEnv("CartPole-v1", 2, 30, AutoresetMode.SAME_STEP),
    "a vector that watches": lambda: gym.wrappers.vector.RecordEpisodeStatistics(SyncVectorEnv([lake])),
}  # fmt: skip
# these are made as vectors, so what is inside them is compared by its numbers
OF_VECTORS = {"a vector with an entry point of its own", "a compiled vector", "a compiled vector made by hand"}


def an_environment(source):
    """One environment of a source, to look into."""
    env = source.envs[0] if isinstance(source, SyncVectorEnv) else source
    while isinstance(env, gym.vector.VectorWrapper):
        env = env.env
    if isinstance(env, gym.vector.VectorEnv):
        return env.envs[0] if isinstance(env, SyncVectorEnv) else None
    return env if isinstance(env, gym.Env) else make_env(resolve(env))


def close(env):
    if hasattr(env, "close"):
        env.close()


@pytest.mark.parametrize("name", SOURCES)
def test_more_environments_like_it_are_made_here_and_from_a_file(name):
    if name == "pixels" and gym.__version__.startswith("1.1."):
        pytest.skip("the wrapper of Gymnasium 1.1 records arguments that it does not take")
    source = resolve(SOURCES[name]())
    here, there = repeatable(source), rebuild(str(source), json.loads(json.dumps(describe(source))))
    assert isinstance(there, str) == isinstance(source, str)
    original = an_environment(source)
    for made in (here, resolve(there)):
        vector = make_vector(made, 2)
        first = make_vector(source, 1) if not isinstance(source, gym.vector.VectorEnv) else source
        assert vector.num_envs == 2
        assert vector.single_observation_space == first.single_observation_space
        assert vector.single_action_space == first.single_action_space
        if name in OF_VECTORS:
            assert getattr(vector, "time_limit", 500) == getattr(source, "time_limit", 500)
        elif original is not None:
            assert altered([original], make_env(made)) == ""
            assert make_env(made).unwrapped is not original.unwrapped
        vector.close()
    close(source)


@pytest.mark.parametrize("name", ["arguments", "a function", "an EnvSpec", "a vector", "a vector with arguments"])
def test_an_agent_of_a_lake_that_is_not_slippery_stays_on_it(name, tmp_path):
    agent = PPO(SOURCES[name](), seed=0, **SMALL).learn(64)
    assert agent.env_id == "FrozenLake-v1"
    path = tmp_path / "agent.npz"
    agent.save(path)
    loaded = minipg.load(path)
    assert {len(env.unwrapped.P[0][2]) for env in loaded.envs.envs} == {1}
    assert loaded.learn(32).steps > agent.steps
    loaded.save(path)
    assert {len(env.unwrapped.P[0][2]) for env in minipg.load(path).envs.envs} == {1}
    assert evaluate(loaded, 3, seed=1) == evaluate(loaded, 3, seed=1)


def test_evaluation_plays_with_the_wrappers_the_arguments_and_the_time_limit():
    agent = PPO(lambda: Repeated(gym.make("CartPole-v1", max_episode_steps=4), 2), **SMALL)
    assert evaluate(agent, 5) == {
        "env": "CartPole-v1", "episodes": 5, "seed": 0,
        "mean_return": 4, "std_return": 0, "min_return": 4, "max_return": 4,
    }  # fmt: skip
    one = PPO(gym.wrappers.TimeLimit(Repeated(gym.make("CartPole-v1"), 2), 3), **SMALL)
    assert evaluate(one, 5)["mean_return"] == 6  # three steps of two


def test_the_best_agent_of_an_evaluation_holds_its_environment(tmp_path):
    best = Evaluation(every=16, episodes=1, best=tmp_path / "best.npz")
    PPO(lake(), **SMALL).learn(32, on_update=best)
    assert len(minipg.load(tmp_path / "best.npz").envs.envs[0].unwrapped.P[0][2]) == 1


def test_what_is_drawn_is_the_environment_it_was_trained_on(tmp_path, monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    for env in (gym.make("CartPole-v1", max_episode_steps=4), partial(gym.make, "CartPole-v1", max_episode_steps=4),
                lambda: gym.make("CartPole-v1", max_episode_steps=4)):  # fmt: skip
        agent = PPO(env, **SMALL)
        assert render(agent, str(tmp_path / "film.gif"))["mean_return"] == 4


@pytest.mark.parametrize(
    "make,steps,figure,right",
    [(lake, 6000, "min_return", 1), (lambda: Mirrored(gym.make("CartPole-v1", max_episode_steps=100)), 20_000,
     "max_return", 100), (lambda: gym.make("CartPole-v1", max_episode_steps=50), 20_000, "max_return", 50)],
    ids=["a lake that is not slippery", "an observation wrapper", "a shorter time limit"],
)  # fmt: skip
def test_training_evaluation_loading_learning_on_and_drawing_are_on_one_environment(
    make, steps, figure, right, tmp_path, monkeypatch
):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    agent = PPO(make(), seed=0, n_steps=128, schedule="constant", clip_schedule="constant").learn(steps)
    played = evaluate(agent, 20)
    assert played[figure] == right  # on the plain environment: some 0, some 10, and more than 50
    agent.save(tmp_path / "agent.npz")
    loaded = minipg.load(tmp_path / "agent.npz")
    assert evaluate(loaded, 20) == played
    loaded.learn(1000)
    assert max(episode for episode, _ in list(loaded._recent)[-3:]) in range(right // 3 or 1, right + 1)
    loaded.save(tmp_path / "again.npz")
    again = minipg.load(tmp_path / "again.npz")
    assert render(again, str(tmp_path / "film.gif"))["mean_return"] == evaluate(again, 1)["mean_return"]
    assert evaluate(again, 20)[figure] == right


# ---- what cannot be made again -------------------------------------------------------------------------------------


def changed(env, **attributes):
    for name, value in attributes.items():
        setattr(env.unwrapped, name, value)
    return env


def relimited(limit):
    env = gym.make("CartPole-v1")
    env._max_episode_steps = limit
    return env


def paid(double):
    env = gym.wrappers.TransformReward(gym.make("CartPole-v1"), abs)
    env.func = double
    return env


REFUSED = {
    "another step": (lambda: changed(gym.make("CartPole-v1"), step=print), "(it has step, a new one has not)"),
    "one attribute more": (lambda: changed(gym.make("CartPole-v1"), bonus=33), "(it has bonus, a new one has not)"),
    "another function": (lambda: paid(lambda reward: 2 * reward), "(func is 'test_again.<lambda>.<locals>.<lambda> ("),
    "a long list": (lambda: changed(gym.make("test/Sized-v0", weights=[1.0] * 2000), weights=[1.0] * 1999 + [9.0]),
                    "(weights[1999] is 9.0, in a new one 1.0)"),
    "an unregistered one": (Counting, "Counting was not made by gymnasium.make"),
    "one inside a time limit": (lambda: gym.wrappers.TimeLimit(CartPoleEnv(), 9), "CartPoleEnv was not made by"),
    "a changed attribute": (lambda: changed(gym.make("CartPole-v1"), gravity=1.6), "gravity is 1.6, in a new one 9.8"),
    "a changed array": (lambda: changed(gym.make("test/Sized-v0", weights=np.ones(2)), weights=np.zeros(2)),
                        "weights is array([0., 0.]), in a new one array([1., 1.])"),
    "a changed time limit": (lambda: relimited(7), "_max_episode_steps is 7, in a new one 500"),
    "a maze drawn by chance": (lambda: gym.make("test/Maze-v0"), "this test/Maze-v0 differs from a new one (walls"),
    "a random lake": (lambda: gym.make("FrozenLake-v1", desc=None, map_name=None), "FrozenLake-v1 differs from"),
    "unrecorded arguments": (lambda: Scaled(gym.make("CartPole-v1")), "Scaled does not record its arguments"),
    "statistics": (lambda: gym.wrappers.NormalizeObservation(gym.make("CartPole-v1")), "NormalizeObservation has stat"),
    "a vector wrapper": (lambda: gym.wrappers.vector.ClipReward(SyncVectorEnv([lake]), 0, 1), "wrapper ClipReward"),
    "a vector of two kinds": (lambda: SyncVectorEnv([lake, partial(gym.make, "FrozenLake-v1")]), "the vector differ"),
    "a vector, one changed": (lambda: SyncVectorEnv([lake, lambda: changed(lake(), P={})]), "differs from a new"),
    "a changed vector": (lambda: changed(gym.make_vec("CartPole-v1", num_envs=3), gravity=1.6), "(gravity is 1.6, in"),
    "a vector in processes": (lambda: AsyncVectorEnv([lake]), "AsyncVectorEnv does not record how"),
    "one that calls itself another": (lambda: changed(Counting(), spec=gym.spec("CartPole-v1")), "(it is Counting, a"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_environment_that_cannot_be_made_again_is_named_and_never_replaced(name, tmp_path):
    make, reason = REFUSED[name]
    env = make()
    agent = PPO(env, **SMALL)
    with pytest.raises(EnvironmentFault, match="so no other environment like it can be made; pass env") as caught:
        evaluate(agent, 2)
    assert reason in str(caught.value)
    with pytest.raises(EnvironmentFault):
        render(agent, str(tmp_path / "film.gif"))
    agent.save(tmp_path / "agent.npz")
    with pytest.raises(AgentFileError, match="cannot be made again") as caught:
        minipg.load(tmp_path / "agent.npz")
    assert reason in str(caught.value)
    assert str(caught.value).endswith("pass one: load(path, env=…), or --env")
    assert "\n" not in str(caught.value)
    loaded = minipg.load(tmp_path / "agent.npz", make())
    np.testing.assert_array_equal(loaded.theta, agent.theta)
    close(env)
    close(loaded.envs)


def test_state_that_steps_and_resets_change_is_no_change():
    env = gym.make("test/Sized-v0", walls={(0, 1)})
    agent = PPO(env, **SMALL).learn(32)
    env.reset(seed=1)
    env.step(0)
    assert evaluate(agent, 2)["mean_return"] == 3
    env.unwrapped.level = 2
    with pytest.raises(NotRepeatable, match="level is 2, in a new one 1"):
        evaluate(agent, 2)


def test_what_a_file_cannot_hold_is_still_made_again_here(tmp_path):
    class Local(Mirrored):
        pass

    wrapped = gym.wrappers.TransformReward(gym.make("CartPole-v1", max_episode_steps=3), lambda reward: 2 * reward)
    unsayable = gym.make("test/Sized-v0", table=object)
    for env, returns, reason in (
        (wrapped, 6, "its argument <function"),
        (Local(gym.make("CartPole-v1", max_episode_steps=3)), 3, "Local is not a class that a file can name"),
        (unsayable, 3, "its argument <class 'object'> cannot be written"),
        (lambda: Sized(), 3, "it is made by a function"),
        (SyncVectorEnv([Sized]), None, "Sized was not made by"),
    ):
        agent = PPO(env, **SMALL)
        if returns is not None:
            assert evaluate(agent, 2)["mean_return"] == returns
        agent.save(tmp_path / "agent.npz")
        with pytest.raises(AgentFileError, match=reason.replace("(", r"\(")):
            minipg.load(tmp_path / "agent.npz")


# ---- passing it ----------------------------------------------------------------------------------------------------


def test_an_evaluation_plays_on_what_it_is_given():
    env = Counting()
    agent = TRPO(env, **SMALL).learn(16)
    for given in (Counting, Counting(), sync([Counting(), Counting()])):
        result = evaluate(agent, 4, env=given)
        assert (result["episodes"], np.isfinite(result["mean_return"])) == (4, True)
    with pytest.raises(ConfigError, match=r"env: expected the observation space Box\(\(3,\), float\), got Discrete"):
        evaluate(agent, 1, env=lake())


def test_an_environment_that_was_drawn_or_closed_is_made_again(monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gym.make("CartPole-v1", render_mode="human", max_episode_steps=4)
    agent = PPO(env, **SMALL).learn(16)
    env.render()
    assert evaluate(agent, 2)["mean_return"] == 4
    env.close()
    assert evaluate(agent, 2)["mean_return"] == 4
    assert env.unwrapped.isopen is False


def test_a_file_is_loaded_onto_a_function_or_a_specification_with_its_own_number_of_environments(tmp_path):
    path = tmp_path / "agent.npz"
    PPO("CartPole-v1", num_envs=3, vec="compiled", **SMALL).save(path)
    for env in (partial(gym.make, "CartPole-v1"), gym.make("CartPole-v1", max_episode_steps=7).spec, CartPoleEnv):
        loaded = minipg.load(path, env)
        assert (loaded.envs.num_envs, loaded.config.vec) == (3, "auto")
    assert minipg.load(path, gym.make("CartPole-v1")).envs.num_envs == 1


def test_an_evaluation_on_the_training_environment_begins_new_episodes_and_leaves_it_open(monkeypatch):
    env, closed = Counting(), []
    monkeypatch.setattr(Counting, "close", lambda self: closed.append(self))
    agent = TRPO(env, **SMALL).learn(16)
    assert agent.mid_episode
    evaluate(agent, 2, env=env)
    assert not agent.mid_episode
    episode = env.episode
    agent.learn(16)
    assert env.episode > episode
    del agent
    gc.collect()
    assert not closed


def test_an_evaluation_callback_takes_an_environment_of_its_own():
    rows = []
    evaluation = Evaluation(every=16, episodes=2, env=Counting())
    TRPO(Counting(), **SMALL).learn(32, on_update=lambda agent, row: (evaluation(agent, row), rows.append(row))[0])
    assert np.isfinite([row["eval_return"] for row in rows]).all()


# ---- what an agent may be given ------------------------------------------------------------------------------------


@pytest.mark.parametrize("env", [None, 3, b"CartPole-v1", ["CartPole-v1"], {"id": "CartPole-v1"}, object()], ids=kind)
def test_anything_else_is_refused_by_name(env):
    with pytest.raises(ConfigError, match="env: expected an id, an EnvSpec, a function that makes an environment, a"):
        PPO(env)


def test_a_function_has_to_make_a_new_environment_every_time():
    one = Counting()
    with pytest.raises(ConfigError, match="expected a new environment from every call"):
        PPO(lambda: one, num_envs=2, **SMALL)
    agent = PPO(lambda: one, num_envs=1, **SMALL)
    with pytest.raises(ConfigError, match="expected a new environment from every call"):
        evaluate(agent, 1)
    two = [Counting(), Counting()]
    with pytest.raises(ConfigError, match="expected a new environment from every call"):
        PPO(lambda: two.append(two.pop(0)) or two[0], num_envs=3, **SMALL)


@pytest.mark.parametrize(
    "function,says",
    [
        (lambda: 3, r"env: expected a gymnasium.Env from .*<lambda>\(\), got 3"),
        (lambda: gym.make_vec("CartPole-v1"), "pass the vector environment itself"),
        (Spacious, r"Spacious\(\) raised TypeError: .*missing 2 required positional arguments"),
        (lambda: 1 / 0, r"<lambda>\(\) raised ZeroDivisionError: division by zero"),
        (gym.Env, "Env has no observation_space"),
    ],
    ids=kind,
)
def test_a_function_that_makes_no_environment_is_refused_in_one_line(function, says):
    with pytest.raises(MinipgError, match=says) as caught:
        PPO(function)
    assert "\n" not in str(caught.value)


def test_functions_and_specifications_are_made_as_often_as_settings_say_and_named_after_what_they_make():
    for env in (partial(gym.make, "CartPole-v1"), gym.spec("CartPole-v1")):
        agent = PPO(env, num_envs=3)
        assert (agent.env_id, agent.envs.num_envs, agent.config.n_steps) == ("CartPole-v1", 3, 32)  # of its preset
    assert type(PPO(gym.spec("CartPole-v1")).envs) is CompiledVectorEnv
    apart = PPO(partial(gym.make, "CartPole-v1", max_episode_steps=5), vec="process", num_envs=2, **SMALL)
    assert apart.learn(32).steps == 32
    assert evaluate(apart, 2)["mean_return"] == 5
    apart.envs.close()
    with pytest.raises(ConfigError, match="vec: envpool makes environments of its own ids"):
        PPO(lake, vec="envpool")
    with pytest.raises(ConfigError, match=r"vec: expected one of CartPole-v1, .* for compiled, got FrozenLake-v1"):
        PPO(lake, vec="compiled")


class Bare(gym.vector.VectorEnv):
    """A converted multi-agent vector: it has one space for all, and does not say what it is the space of."""

    num_envs, observation_space, action_space = 2, spaces.Box(-1, 1, (2,)), spaces.Discrete(2)
    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012


def test_a_vector_that_does_not_give_the_spaces_of_one_environment_is_refused_in_one_line():
    with pytest.raises(
        EnvironmentFault, match="the vector environment Bare has no single_observation_space: it has to"
    ):
        PPO(Bare())
    with pytest.raises(
        EnvironmentFault, match="does not reset by itself: make it with autoreset_mode SAME_STEP or NEXT"
    ):
        PPO(SyncVectorEnv([lake], autoreset_mode=AutoresetMode.DISABLED))


# ---- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2**70, -0.5, np.inf, "é", [1, [2]], (), (1, (2, [3])), {1: (2,), (3, 4): {"a": None}}, {1, "a"},
     frozenset({(1, 2)}), np.float32(0.1), np.int8(-3), np.bool_(True), np.str_("x"), np.zeros((0, 3)),
     np.eye(2, dtype="f4"), np.array(5), np.uint8, np.dtype("f2"), {"tuple": [1]}],
    ids=kind,
)  # fmt: skip
def test_an_argument_comes_back_from_json_as_it_was(value):
    again = decode(json.loads(json.dumps(encode(value))))
    assert type(again) is type(value)
    np.testing.assert_equal(again, value)
    if isinstance(value, np.ndarray):
        assert (again.dtype, again.shape) == (value.dtype, value.shape)


@pytest.mark.parametrize(
    "value", [object(), lambda: 0, [print], {"a": np.array([None])}, 1j, spaces.Discrete(2)], ids=kind
)
def test_an_argument_that_json_cannot_hold_is_refused(value):
    with pytest.raises(NotRepeatable, match=r"its argument .* cannot be written to a file"):
        encode(value)


@pytest.fixture
def saved(tmp_path):
    PPO(Mirrored(gym.make("CartPole-v1")), **SMALL).save(tmp_path / "agent.npz")
    return tmp_path / "agent.npz"


RECIPE = {"id": "CartPole-v1", "kwargs": {"dict": []}, "max_episode_steps": 5, "order_enforce": True, "vector": False}


@pytest.mark.parametrize(
    "made,says",
    [
        ({"recipe": {**RECIPE, "wrappers": [["os:system", {"dict": []}]]}}, "its wrapper os:system is not here"),
        ({"recipe": {**RECIPE, "wrappers": [["antigravity:X", {"dict": []}]]}}, "import antigravity first"),
        ({"recipe": {**RECIPE, "wrappers": [["gymnasium.wrappers:RecordVideo", {"dict": [["video_folder", "."]]}]]}},
         "does not belong in a file"),
        ({"recipe": {**RECIPE, "wrappers": [["test_again:Counting", {"dict": []}]]}}, "Counting is not here"),
        ({"recipe": {**RECIPE, "id": "no/Such-v0", "wrappers": []}}, "nothing is registered as no/Such-v0 here"),
        ({"class": "subprocess:Popen"}, "its class subprocess:Popen is not here"),
        ({"class": "antigravity:Env"}, "its class antigravity:Env is not here"),
        ({"reason": "a reason"}, "a reason"),
        ({"recipe": {**RECIPE, "wrappers": 3}}, "damaged description"), ({"recipe": {}}, "damaged description"),
        ({"recipe": {**RECIPE, "kwargs": {"eval": "1"}, "wrappers": []}}, "damaged description"),
        ({"recipe": {**RECIPE, "kwargs": 3, "wrappers": []}}, "damaged description"),
        ({"recipe": {**RECIPE, "kwargs": json.loads("[" * 500 + "]" * 500)}}, "damaged description"),
        ({"recipe": 3}, "damaged description"), ({"class": 3}, "damaged description"), ({}, "damaged description"),
        ({"id": {}, "recipe": {}}, "damaged description"), (3, "damaged description"), ({"else": 1}, "damaged desc"),
        ({"id": {"id": "CartPole-v1", "kwargs": {"dict": [["sutton_barto_reward", True]]}}}, "in another way"),
    ],
    ids=kind,
)  # fmt: skip
def test_a_file_imports_calls_and_writes_nothing(saved, made, says):
    before = set(sys.modules)
    rewrite(saved, made=made)
    with pytest.raises(MinipgError, match=says):
        minipg.load(saved)
    assert "antigravity" not in sys.modules
    assert not {name for name in set(sys.modules) - before if not name.startswith(("gymnasium", "numpy"))}


def test_an_id_that_is_registered_otherwise_than_in_training_is_refused(tmp_path, monkeypatch):
    gym.register("test/Lake-v0", gym.spec("FrozenLake-v1").entry_point, kwargs={"is_slippery": False})
    agent = PPO("test/Lake-v0", num_envs=1, **SMALL)
    agent.save(tmp_path / "agent.npz")
    assert len(minipg.load(tmp_path / "agent.npz").envs.envs[0].unwrapped.P[0][2]) == 1
    gym.register("test/Lake-v0", gym.spec("FrozenLake-v1").entry_point, kwargs={"is_slippery": True})
    with pytest.raises(AgentFileError, match=r"test/Lake-v0 is registered in another way here .*is_slippery"):
        minipg.load(tmp_path / "agent.npz")
    assert minipg.load(tmp_path / "agent.npz", "test/Lake-v0").env_id == "test/Lake-v0"


def test_a_file_of_old_that_holds_an_id_alone_is_still_read(saved):
    arrays, meta = load_arrays(saved)
    save_arrays(saved, arrays, {name: value for name, value in meta.items() if name not in ("made", "spaces")})
    assert minipg.load(saved).env == "CartPole-v1"


def test_in_another_process_a_wrapper_of_the_script_is_asked_for(saved):
    code = f"import minipg; minipg.load({str(saved)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    hint = "import test_again first, or --imports test_again"
    assert f"its wrapper test_again:Mirrored is not here, and a file imports nothing: {hint}" in done.stderr


@pytest.mark.parametrize(
    "trained,other,names",
    [
        (spaces.Discrete(5), spaces.MultiDiscrete([2, 3]), ("Discrete(5)", "MultiDiscrete([2, 3])")),
        (spaces.Discrete(5), spaces.MultiBinary(5), ("Discrete(5)", "MultiBinary((5,))")),
        (spaces.Discrete(5), spaces.Discrete(5, start=1), ("Discrete(5)", "Discrete(5, start=1)")),
        (spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([3, 2]), ("[2, 3]", "[3, 2]")),
        (spaces.MultiBinary(4), spaces.MultiBinary((2, 2)), ("MultiBinary((4,))", "MultiBinary((2, 2))")),
        (spaces.Box(-1, 1, (2,)), spaces.Box(-2, 1, (2,)), ("Box(-1, 1, (2,), float)", "Box(-2, 1, (2,), float)")),
        (spaces.Box(-1, 1, (2,)), spaces.Box(-1, 1, (1, 2)), ("(2,)", "(1, 2)")),
    ],
    ids=kind,
)  # fmt: skip
def test_an_agent_is_not_loaded_onto_another_space_that_has_as_many_numbers(trained, other, names, tmp_path):
    box, path = spaces.Box(-1, 1, (2,)), tmp_path / "agent.npz"
    PPO(Spacious(box, trained), **SMALL).save(path)
    with pytest.raises(AgentFileError) as caught:
        minipg.load(path, Spacious(box, other))
    assert all(name in str(caught.value) for name in ("trained on the action space", *names))


@pytest.mark.parametrize(
    "trained,other",
    [
        (spaces.Discrete(2), spaces.MultiBinary(2)), (spaces.Box(0, 1, (2,)), spaces.Discrete(2)),
        (spaces.Box(0, 1, (4,)), spaces.Box(0, 1, (2, 2))), (spaces.Box(0, 1, (2,)), spaces.Box(0, 9, (2,), np.uint8)),
        (spaces.Dict(a=spaces.Box(0, 1, (2,))), spaces.Dict(b=spaces.Box(0, 1, (2,)))),
        (spaces.Dict(a=LEAF, b=spaces.Discrete(3)), spaces.Dict(a=spaces.Discrete(3), b=LEAF)),
        (spaces.Tuple([spaces.Discrete(2)]), spaces.Discrete(2)),
    ],
    ids=kind,
)  # fmt: skip
def test_nor_onto_another_observation_space(trained, other, tmp_path):
    path = tmp_path / "agent.npz"
    PPO(Spacious(trained, spaces.Discrete(2)), **SMALL).save(path)
    with pytest.raises(AgentFileError, match=r"trained on the observation space .*, and Spacious has"):
        minipg.load(path, Spacious(other, spaces.Discrete(2)))


def test_bounds_of_observations_may_differ_as_nothing_depends_on_them(tmp_path):
    path = tmp_path / "agent.npz"
    PPO(Spacious(spaces.Box(0, 1, (2,)), spaces.Discrete(2)), **SMALL).save(path)
    minipg.load(path, Spacious(spaces.Box(-9, 9, (2,), np.float64), spaces.Discrete(2)))
