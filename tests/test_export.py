"""An exported policy acts as `predict` does, in every format, where minipg is not."""

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import environments
import numpy as np
import pytest
from gymnasium import spaces

from minipg import MLP, PPO, TD3, TRPO, NetworkPolicy
from minipg.cli import main
from minipg.distribution import Distribution
from minipg.errors import ConfigError
from minipg.export import blueprint_of, export
from minipg.export.blueprint import Reals

OBSERVATIONS = 10_000
BOX = spaces.Box(np.array([-2, 0, -0.5], np.float32), np.array([3, 1, 0.5], np.float32))
GRID = spaces.Dict({"goal": spaces.Discrete(4), "place": spaces.Box(-np.inf, np.inf, (2,), np.float64)})


class Like(environments.Counting):
    """Counts, in these spaces."""

    def __init__(self, action_space, observation_space=environments.Counting.observation_space):
        super().__init__(action_space=action_space)
        self.observation_space = observation_space

    def reset(self, *, seed=None, options=None):
        return self.seen(super().reset(seed=seed)[0]), {}

    def step(self, act):
        obs, *rest = super().step(act)
        return self.seen(obs), *rest

    def seen(self, obs):
        """The observation in this environment's space."""
        if isinstance(self.observation_space, spaces.Dict):
            return {"goal": int(obs[1]) % 4, "place": obs[:2]}
        return obs


def like(*of):
    return lambda: Like(*of)


def masked(*of, **how):
    return lambda: environments.Choosy(*of, **how)


NORMALIZED = {"normalize_obs": True}
SOME = spaces.MultiDiscrete([3, 2, 5])
POLICIES = {
    "discrete": (PPO, "CartPole-v1", {}),
    "discrete, normalized": (PPO, "CartPole-v1", NORMALIZED),
    "discrete, relu, three layers": (TRPO, "Acrobot-v1", {"activation": "relu", "hidden": (32, 16, 8)}),
    "discrete, linear": (PPO, "CartPole-v1", {"hidden": ()}),
    "discrete from 5": (PPO, like(spaces.Discrete(7, start=5)), {}),
    "discrete, dict": (PPO, like(spaces.Discrete(3), GRID), NORMALIZED),
    "discrete, masked": (PPO, masked(spaces.Discrete(7, start=5)), {}),
    "discrete, masked, normalized": (TRPO, masked(spaces.Discrete(7), way="obs"), NORMALIZED),
    "multi-discrete, masked": (PPO, masked(SOME), NORMALIZED),
    "multi-discrete": (PPO, like(SOME), {}),
    "multi-discrete, normalized": (TRPO, like(SOME), NORMALIZED),
    "multi-discrete in two rows": (PPO, like(spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 0], [0, -2]])), {}),
    "bits": (PPO, like(spaces.MultiBinary(6)), {}),
    "bits in two rows, normalized": (PPO, like(spaces.MultiBinary((2, 3))), NORMALIZED),
    "box": (PPO, "Pendulum-v1", {}),
    "box, normalized": (TRPO, "Pendulum-v1", NORMALIZED),
    "box, squashed": (PPO, like(BOX), {"squash": True}),
    "box, squashed, normalized, relu": (PPO, like(BOX), {"squash": True, "activation": "relu", **NORMALIZED}),
    "box, σ of the state": (PPO, like(BOX), {"state_dependent_std": True}),
    "box, σ of the state, squashed": (PPO, like(BOX), {"state_dependent_std": True, "squash": True}),
    "box without bounds": (PPO, like(spaces.Box(-np.inf, np.inf, (2, 2), np.float64)), NORMALIZED),
    "box, dict": (TRPO, like(BOX, GRID), {}),
    "box, td3": (TD3, like(BOX), {"buffer_size": 1000}),
}


def trained(algorithm, env, settings):
    """An agent with statistics, whose parameters differ from the first ones."""
    small = {"num_envs": 2, "hidden": (24, 24), "seed": 1, **({} if algorithm is TD3 else {"n_steps": 40})}
    agent = algorithm(env, **{**small, **settings})
    if agent.normalizer is not None:
        agent.normalizer.update(observations(agent)[1][:500])
    agent.theta = agent.theta + np.random.default_rng(1).normal(0, 0.3, agent.theta.shape).astype(np.float32)
    return agent


def observations(agent):
    """Observations of the agent's space, and as flat rows."""
    space = agent.envs.single_observation_space
    rng, count = np.random.default_rng(2), OBSERVATIONS
    shift = 40 if agent.normalizer is not None else 0
    if agent.masked:
        masks = rng.random((count, sum(agent.observations.masks))) < 0.3
        for end, size in zip(np.cumsum(agent.observations.masks), agent.observations.masks, strict=True):
            masks[np.arange(count), end - 1 - rng.integers(size, size=count)] = True
        seen = rng.normal(shift, 3, (count, 3)).astype(np.float32)
        obs = {key: masks.astype(np.int8) if key == "action_mask" else seen for key in space}
    elif isinstance(space, spaces.Dict):
        obs = {"goal": rng.integers(4, size=count), "place": rng.normal(shift, 3, (count, 2)).astype(np.float32)}
    else:
        obs = rng.normal(shift, 3, (count, agent.observations.size)).astype(np.float32)
    return obs, agent.observations.read(obs)[0]


def by_python(path, flat, _):
    spec = importlib.util.spec_from_file_location("exported", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    np.testing.assert_array_equal(module.act(flat[0]), module.act(flat[:1])[0])
    return module.act(flat)


def by_c(path, flat, agent):
    library = path.with_suffix(".so")
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wno-float-conversion", "-Werror"]
    subprocess.run(["gcc", *strict, "-O2", "-shared", "-fPIC", path, "-o", library, "-lm"], check=True)
    act, policy = ctypes.CDLL(library).minipg_act, blueprint_of(agent)
    out = np.empty(
        (len(flat), int(np.prod(policy.shape))), np.float32 if isinstance(policy.action, Reals) else np.int32
    )
    for row, action in zip(flat, out, strict=True):
        act(row.ctypes.data_as(ctypes.c_void_p), action.ctypes.data_as(ctypes.c_void_p))
    return out.reshape(-1, *policy.shape)


def by_onnx(path, flat, _):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["action"], {"obs": flat})[0]


FORMATS = {".py": by_python, ".c": by_c, ".onnx": by_onnx}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", POLICIES)
def test_an_exported_policy_acts_as_predict_does(name, suffix, tmp_path):
    if suffix == ".c" and shutil.which("gcc") is None:
        pytest.skip("there is no gcc")
    if suffix == ".onnx":
        pytest.importorskip("onnx", reason="onnx is not installed")
    agent = trained(*POLICIES[name])
    obs, flat = observations(agent)
    path = tmp_path / f"policy{suffix}"
    export(agent, path)
    found, expected = FORMATS[suffix](path, np.ascontiguousarray(flat), agent), agent.predict(obs, True)[0]
    assert found.shape == expected.shape
    if np.issubdtype(expected.dtype, np.floating):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * max(1, np.abs(expected).max()))
        return
    assert len(np.unique(expected.reshape(len(expected), -1), axis=0)) > 1
    differ = np.flatnonzero((found != expected).reshape(len(found), -1).any(axis=1))
    outputs = np.sort(agent.actor.forward(agent.theta, normalized(agent, flat[differ])).params, axis=1)
    assert len(differ) <= 5  # those whose outputs are equal to rounding
    for row in outputs:
        assert np.abs(np.diff(np.append(row, 0))).min() < 1e-5


def normalized(agent, rows):
    return rows if agent.normalizer is None else agent.normalizer(rows)


def test_an_exported_module_needs_numpy_alone(tmp_path):
    export(trained(*POLICIES["box, normalized"]), tmp_path / "policy.py")
    code = "import sys, policy; print(policy.act([1, 0, 0]).shape); print({'minipg', 'gymnasium'} & sys.modules.keys())"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["(1,)", "set()"], done.stderr


def test_a_run_is_exported_by_the_command_line(tmp_path, capsys):
    run, path = tmp_path / "run", tmp_path / "cartpole.py"
    small = ["--steps", "256", "--n-steps", "32", "--num-envs", "4", "--hidden", "8"]
    assert main(["train", "ppo", "CartPole-v1", *small, "--out", str(run)]) == 0
    assert main(["export", str(run), str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    assert by_python(path, np.zeros((1, 4), np.float32), None).shape == (1,)
    for wrong, says in ((tmp_path / "policy.txt", "expected a file that ends in .py, .c or .onnx"),
                        (tmp_path / "no" / "policy.c", "No such file or directory")):  # fmt: skip
        assert main(["export", str(run), str(wrong)]) == 2
        assert says in capsys.readouterr().err
        assert not wrong.exists()
    assert main(["export", str(tmp_path / "none"), str(path)]) == 2
    assert main(["export"]) == 2


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"pip install 'minipg-rl\[onnx\]'"):
        export(trained(*POLICIES["discrete"]), tmp_path / "policy.onnx")
    assert not list(Path(tmp_path).iterdir())


def test_the_name_of_an_environment_ends_no_comment_and_no_string(tmp_path):
    agent = PPO("test/Counting-v0", hidden=(4,), num_envs=1)
    agent.env_id = 'a */ int x; """ b\nraise\x00 σ ??/ \\'
    for suffix in (".py", ".c"):
        export(agent, tmp_path / f"odd{suffix}")
        title = (tmp_path / f"odd{suffix}").read_text().partition("on ")[2].partition(", exported")[0]
        assert title == "a _/ int x; ___ b_raise_ _ __/ _"
        FORMATS[suffix](tmp_path / f"odd{suffix}", np.zeros((1, 3), np.float32), agent)


def test_a_distribution_of_ones_own_is_refused(tmp_path):
    agent = PPO("Pendulum-v1", hidden=(4,), backend="numpy", num_envs=1)
    own = Distribution("laplace", 1, 1, (1,), agent.backend, functions=object())
    agent.actor = NetworkPolicy(MLP((3, 4, 1), backend=agent.backend), own)
    with pytest.raises(ConfigError, match="a family of minipg's own, whose mode is known, got laplace"):
        blueprint_of(agent)
