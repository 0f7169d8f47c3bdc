"""Which environment, by flags: arguments and wrappers, kept with the run; nothing is imported on a file's word."""

import json
import subprocess
import sys

import gymnasium as gym
import pytest

import minipg
from minipg import PPO
from minipg.cli import main
from minipg.envs import env_of, make_vector, modules_of
from minipg.errors import ConfigError, EnvironmentFault

MODULE = '''
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

print("imported")


class Times(gym.RewardWrapper, gym.utils.RecordConstructorArgs):
    """Multiplies rewards."""

    def __init__(self, env, factor=2.0):
        gym.utils.RecordConstructorArgs.__init__(self, factor=factor)
        gym.RewardWrapper.__init__(self, env)
        self.factor = factor

    def reward(self, reward):
        return self.factor * reward


class Plus(gym.RewardWrapper):
    """Adds one."""

    def reward(self, reward):
        return reward + 1


class Own(CartPoleEnv):
    """CartPole under another name."""


gym.register("Own-v0", Own, max_episode_steps=7)
'''
SMALL = ["--steps", "64", "--num-envs", "2", "--n-steps", "16", "--hidden", "4", "--vf-epochs", "1", "--n-epochs", "1"]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module in the working folder; its name. It is forgotten afterwards."""
    (tmp_path / "wrappers_of_mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield "wrappers_of_mine"
    sys.modules.pop("wrappers_of_mine", None)
    gym.registry.pop("Own-v0", None)


def layers_of(env):
    """The wrappers from the inside out."""
    found = []
    while isinstance(env, gym.Wrapper):
        found.insert(0, env)
        env = env.env
    return [type(layer).__name__ for layer in found], env


def test_arguments_and_wrappers_reach_the_environment(own):
    env = env_of("FrozenLake-v1", ["is_slippery=False", "map_name=8x8", "max_episode_steps=9"],
                 [f"{own}:Plus", f"{own}:Times(factor=3)"])  # fmt: skip
    made = make_vector(env, 2)
    names, base = layers_of(made.envs[0])
    assert names.index("Plus") < names.index("Times")  # the first is innermost
    assert base.spec.kwargs == {"is_slippery": False, "map_name": "8x8"}
    made.reset(seed=0)
    for step in range(9):
        _, rewards, terminated, truncated, _ = made.step(made.action_space.sample() * 0)
        assert rewards.tolist() == [3.0, 3.0]
        assert truncated.all() == (step == 8)
        assert not terminated.any()


def test_without_arguments_and_wrappers_an_id_is_itself():
    assert env_of("CartPole-v1") == "CartPole-v1"


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("-1.5", -1.5), ("True", True), ("[1, 2]", [1, 2]), ("8x8", "8x8"), ("", ""),
                        ("a=b", "a=b"), ('{"a": 1}', {"a": 1}), ("None", None)]
)  # fmt: skip
def test_a_value_is_a_literal_or_else_a_text(text, value):
    assert env_of("FrozenLake-v1", [f"desc={text}"]).spec.kwargs["desc"] == value


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"arguments": ["3"]}, "env_kwargs: expected NAME=VALUE, got '3'"),
        ({"arguments": ["a-b=3"]}, "expected NAME=VALUE"),
        ({"wrappers": ["gymnasium.wrappers"]}, r"wrapper: expected MODULE:CLASS or MODULE:CLASS\(NAME=VALUE, …\)"),
        ({"wrappers": ["gymnasium.wrappers:FlattenObservation(3"]}, "expected MODULE:CLASS"),
        ({"wrappers": ["gymnasium.wrappers:Flatten"]}, "gymnasium.wrappers:Flatten has no such class"),
        ({"wrappers": ["gymnasium.wrappers:TimeLimit(3)"]}, "expected literals by name"),
        ({"wrappers": ["gymnasium.wrappers:TimeLimit(max_episode_steps=print(1))"]}, "expected literals by name"),
        ({"wrappers": ["gymnasium.wrappers:TimeLimit(**{'a': 1})"]}, "expected literals by name"),
        ({"wrappers": ["os:path"]}, "os:path is no gymnasium.Wrapper"),
        ({"wrappers": ["no_such_module:X"]}, r"no_such_module: cannot be imported \(ModuleNotFoundError"),
    ],
)
def test_a_wrong_text_is_named(flags, says):
    with pytest.raises(ConfigError, match=says):
        env_of("CartPole-v1", **flags)


def test_an_id_that_is_not_registered_is_named():
    with pytest.raises(EnvironmentFault, match="environment Nope-v1: nothing is registered as Nope-v1 here"):
        env_of("Nope-v1", ["a=1"])


def test_the_modules_of_an_environment_are_those_it_imports():
    assert modules_of("ppo", "CartPole-v1", "gymnasium.wrappers:TimeLimit") == []
    assert modules_of("a.b:CartPole-v1", "c:D", "c:E(f='g:h')") == ["a.b", "c"]


def test_a_run_keeps_its_environment_and_imports_nothing_on_its_files_word(own, capsys, tmp_path):
    flags = ["--env-kwargs", "sutton_barto_reward=True", "max_episode_steps=8", "--wrapper", f"{own}:Times(factor=3.0)"]
    assert main(["train", "ppo", "CartPole-v1", *SMALL, *flags, "--out", "run"]) == 0
    said = capsys.readouterr().out
    assert f"minipg evaluate run --imports {own}" in said

    def minipg_alone(*args):
        return subprocess.run([sys.executable, "-m", "minipg", *args], capture_output=True, text=True, cwd=tmp_path)

    refused = minipg_alone("evaluate", "run")
    assert refused.returncode == 2
    assert (
        f"its wrapper {own}:Times is not here, and a file imports nothing: import {own} first, or --imports {own}"
        in refused.stderr
    )
    assert "imported" not in refused.stdout
    for command in (
        ["evaluate", "run"],
        ["train", "--resume", "run", "--steps", "128"],
        ["export", "run", "policy.py"],
    ):
        done = minipg_alone(*command, "--imports", own)
        assert (done.returncode, done.stderr) == (0, "")
        assert "imported" in done.stdout
    agent = minipg.load("run")
    names, base = layers_of(agent.envs.envs[0])
    assert "Times" in names
    assert base.spec.kwargs == {"sutton_barto_reward": True}
    assert minipg.load("run").envs.envs[0].get_wrapper_attr("factor") == 3.0


def test_an_id_of_an_imported_module_needs_no_prefix(own, capsys):
    assert main(["train", "ppo", "Own-v0", "--imports", own, *SMALL, "--out", "run"]) == 0
    assert f"minipg evaluate run --imports {own}" in capsys.readouterr().out
    assert type(minipg.load("run")) is PPO
    assert main(["train", "ppo", "Own-v0", "--imports", "no_such_module", *SMALL, "--out", "other"]) == 2
    assert "no_such_module: cannot be imported" in capsys.readouterr().err


def test_seeds_with_wrappers_are_resumed_only_if_their_modules_are_named(own, capsys, tmp_path):
    flags = ["--wrapper", f"{own}:Times", "--seeds", "0,1", "--jobs", "1", "--out", "runs"]
    assert main(["train", "ppo", "CartPole-v1", *SMALL, *flags]) == 0
    capsys.readouterr()
    assert main(["train", "--resume", "runs", "--steps", "128"]) == 2
    assert f"if you trust its modules, --imports {own}" in capsys.readouterr().err
    assert main(["train", "--resume", "runs", "--steps", "128", "--imports", own, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["steps"] == [128, 128] or summary["steps"] == 256
