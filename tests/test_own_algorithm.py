"""An algorithm of one's own: a subclass with a name and a config, by flags, saved, loaded and resumed by its module."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import minipg
from minipg import PPO
from minipg.algorithms import algorithm_named
from minipg.algorithms.critic import Outcome
from minipg.algorithms.optimizers import StepInfo
from minipg.cli import main
from minipg.errors import AgentFileError, ConfigError

MODULE = '''{future}
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minipg import PPO
from minipg.algorithms import Agent
from minipg.algorithms.advantages import estimate_advantages
from minipg.algorithms.config import AdvantageConfig
from minipg.algorithms.critic import Outcome
from minipg.objective import gradient_and_entropy

print("imported")


@dataclass(frozen=True, kw_only=True)
class SignConfig(AdvantageConfig):
    """Every setting."""

    step_size: float = 3e-3
    """What each parameter moves by."""
    downhill: bool = False
    """The wrong way."""
    several: tuple[int, ...] = (1, 2)
    """Numbers."""


class SignInfo(NamedTuple):
    """Metrics."""

    status: str
    entropy: float


class Sign(Agent[SignConfig]):
    """Each parameter moves by the sign of its gradient."""

    name = "sign"
    Config = SignConfig

    def _update(self, batch, progress, measure=True):
        rows = estimate_advantages(self.critic, self.value.theta, batch, self.config.gamma, self.config.gae_lambda)
        g, entropy = gradient_and_entropy(self.actor, self.theta, rows.obs, rows.act, rows.adv - rows.adv.mean(), 0.0)
        way = -1 if self.config.downhill else 1
        self.theta = self.theta + np.float32(way * self.config.step_size) * np.sign(g)
        return Outcome(SignInfo("ok", float(entropy)))


class Mine(PPO):
    """PPO, with a method more."""

    extra = 1
'''


@pytest.fixture(params=["", "from __future__ import annotations"], ids=["annotations", "postponed annotations"])
def own(request, tmp_path, monkeypatch):
    """A module in the working folder; its name. It is forgotten afterwards."""
    (tmp_path / "my_algorithm.py").write_text(MODULE.format(future=request.param))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_algorithm"
    sys.modules.pop("my_algorithm", None)


def minipg_alone(folder, *args):
    return subprocess.run([sys.executable, "-m", "minipg", *args], capture_output=True, text=True, cwd=folder)


RUN = ["CartPole-v1", "--steps", "20000", "--n-steps", "64", "--step-size", "0.003"]


def test_it_learns_from_python_and_from_the_command_line_to_the_same_bits(own, capsys):
    kind = algorithm_named(f"{own}:Sign")
    agent = kind("CartPole-v1", step_size=0.003, n_steps=64)
    agent.learn(20_000)
    assert sum(episode for episode, _ in agent._recent) / 100 > 100
    assert main(["train", f"{own}:Sign", *RUN, "--out", "run"]) == 0
    assert f"minipg evaluate run --imports {own}" in capsys.readouterr().out
    loaded = minipg.load("run")
    assert type(loaded) is kind
    assert (loaded.theta == agent.theta).all()
    assert type(kind.load(f"run/checkpoints/{loaded.steps:012d}.npz")) is kind


def test_its_settings_are_flags(own, capsys):
    assert main(["train", f"{own}:Sign", *RUN[:3], "--downhill", "--several", "3", "4", "--out", "run"]) == 0
    config = minipg.load("run").config
    assert (config.downhill, config.several) == (True, (3, 4))
    capsys.readouterr()
    for flags, says in (
        (["--step-size", "much"], "step_size: expected a number, got 'much'"),
        (["--step-siz", "1"], "did you mean --step-size"),
    ):
        assert main(["train", f"{own}:Sign", "CartPole-v1", *flags]) == 2
        assert says in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", f"{own}:Sign", "--help"])
    assert "What each parameter moves by." in capsys.readouterr().out


@pytest.mark.parametrize("own", [""], indirect=True, ids=["annotations"])
def test_a_file_imports_no_module_for_it(own, tmp_path):
    assert main(["train", f"{own}:Sign", *RUN, "--out", "run"]) == 0
    assert main(["train", f"{own}:Sign", *RUN, "--seeds", "0,1", "--jobs", "1", "--out", "runs"]) == 0
    for command in (["evaluate", "run"], ["train", "--resume", "run"], ["train", "--resume", "runs"]):
        refused = minipg_alone(tmp_path, *command)
        assert refused.returncode == 2
        assert f"--imports {own}" in refused.stderr
        assert "imported" not in refused.stdout
        done = minipg_alone(tmp_path, *command, "--imports", own)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_subclass_of_ours_is_loaded_as_itself(own):
    agent = algorithm_named(f"{own}:Mine")("CartPole-v1", hidden=(4,), num_envs=1, n_steps=16).learn(16)
    agent.save("mine.npz")
    assert minipg.load("mine.npz").extra == 1
    module = sys.modules.pop(own)
    with pytest.raises(AgentFileError, match=f"{own}:Mine is not here, and a file imports nothing: import {own} first"):
        minipg.load("mine.npz")
    sys.modules[own] = module


def test_what_is_no_algorithm_is_refused(own, capsys):
    for name in (f"{own}:Missing", f"{own}:SignInfo", f"{own}:np"):
        with pytest.raises(ConfigError, match=r"expected a subclass of minipg\.algorithms\.Agent"):
            algorithm_named(name)
    assert main(["train", "no_such_module:Sign", "CartPole-v1"]) == 2
    assert "no_such_module: cannot be imported (ModuleNotFoundError" in capsys.readouterr().err


OK = Outcome(StepInfo("ok", 0.0, 0.0))


@pytest.mark.parametrize(
    "learn,says",
    [(lambda agent: None, "an Outcome with a NamedTuple that has a status"),
     (lambda agent: Outcome({"status": "ok"}), "an Outcome with a NamedTuple that has a status"),
     (lambda agent: setattr(agent, "theta", agent.theta * np.nan) or OK, "finite"),
     (lambda agent: setattr(agent, "theta", agent.theta.astype(float)) or OK, "float32")],
    ids=["nothing", "a dict", "nan", "float64"],
)  # fmt: skip
def test_an_update_that_gives_no_usable_parameters_is_named(learn, says):
    class Mine(PPO):
        name = "mine"

        def _update(self, batch, progress, measure=True):
            return learn(self)

    with pytest.raises(ConfigError, match=rf"Mine\._update: expected .*{says}"):
        Mine("CartPole-v1", num_envs=1, n_steps=8, hidden=(4,)).learn(8, progress=False)


@pytest.mark.parametrize("change", [{"hidden": (3,)}, {"num_envs": 3}, {"normalize_obs": True}], ids=str)
def test_a_callback_may_replace_settings_but_not_what_the_agent_was_made_of(change):
    agent = PPO("CartPole-v1", num_envs=1, n_steps=8, hidden=(4,))
    agent.config = dataclasses.replace(agent.config, learning_rate=1e-5)
    (name,) = change
    with pytest.raises(ConfigError, match=f"{name}: expected .*, as the agent was made"):
        agent.config = dataclasses.replace(agent.config, **change)
    assert agent.config.learning_rate == 1e-5


def test_a_setting_of_real_actions_has_no_effect_on_choices_and_that_is_said(caplog):
    PPO("CartPole-v1", num_envs=1, squash=True)
    assert "squash has no effect with Discrete(2)" in caplog.text


def test_a_list_of_callbacks_is_refused_with_the_way_out():
    with pytest.raises(ConfigError, match=r"on_update: expected .*in_turn\(first, second\)"):
        PPO("CartPole-v1", num_envs=1).learn(8, on_update=[print])
