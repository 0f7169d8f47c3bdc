"""Agents whose observations are images, or long rows of zeros."""

import importlib.util

import gymnasium as gym
import numpy as np
import pytest

from minipg import PPO, TRPO, load
from minipg.algorithms.images import images_of
from minipg.algorithms.ppo import PPOConfig
from minipg.errors import MinipgError
from minipg.export import export

LAYERS = ("8x4/2", "5x3/1same")
SMALL = {"num_envs": 4, "hidden": (8,), "threads": 1, "seed": 0}


class Square(gym.Env):
    """A white square in one of three places: the action says where. Every step is right (1) or wrong (0)."""

    observation_space, action_space = gym.spaces.Box(0, 255, (12, 10, 2), np.uint8), gym.spaces.Discrete(3)

    def _seen(self):
        self.place, image = int(self.np_random.integers(3)), np.zeros((12, 10, 2), np.uint8)
        image[self.place * 4 : self.place * 4 + 4, :, 0] = 255
        return image

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._seen(), {}

    def step(self, action):
        reward, self.steps = float(action == self.place), self.steps + 1
        return self._seen(), reward, False, self.steps >= 20, {}


class LongSquare(Square):
    """The same as 720 numbers in a row, most of them zero."""

    observation_space = gym.spaces.Box(0, 1, (720,), np.float32)

    def _seen(self):
        long = np.zeros((3, 240), np.float32)
        long[:] = np.pad(super()._seen()[::4, 0, :1] / 255, ((0, 0), (239, 0)))
        return long.ravel()


class MaskedSquare(Square):
    """Every action is allowed, and the environment says so."""

    def action_masks(self):
        return np.ones(3, bool)


def learned(algorithm, env, steps=1024, **settings):
    agent = algorithm(env, **{**SMALL, **settings})
    agent.learn(steps, progress=False)
    return agent


@pytest.mark.parametrize("algorithm", [TRPO, PPO])  # the others have no kernels but theirs, and take long to compile
def test_an_algorithm_learns_the_same_from_images_with_either_twin_CV1(algorithm):
    agents = [learned(algorithm, Square, conv=LAYERS, backend=twin) for twin in ("numpy", "numba")]
    assert all(agent.actor.mlp.sizes == (240, 160, 100, 8, 3) for agent in agents)
    np.testing.assert_allclose(agents[0].theta, agents[1].theta, atol=2e-3)


def test_ppo_reads_the_image():
    agent, env = learned(PPO, Square, 8192, n_steps=64, conv=LAYERS), Square()
    images = [env.reset(seed=seed)[0] for seed in range(20)]
    places = [int(np.flatnonzero(image[::4, 0, 0])[0]) for image in images]
    assert set(places) == {0, 1, 2}
    assert [agent.predict(image, deterministic=True)[0] for image in images] == places


def test_an_agent_of_images_is_loaded_as_it_was_saved(tmp_path):
    agent = learned(PPO, Square, conv=LAYERS)
    agent.save(tmp_path / "agent.npz")
    again = load(tmp_path / "agent.npz", env=Square)
    assert again.config.conv == LAYERS
    image = Square().reset(seed=0)[0]
    assert agent.predict(image, deterministic=True) == again.predict(image, deterministic=True)
    with pytest.raises(MinipgError, match="conv"):
        load(tmp_path / "agent.npz", env=Square, conv=("8x4/4",))


def test_bytes_of_images_are_scaled_and_other_numbers_are_not():
    assert PPO(Square).actor.mlp.scale == 1 / 255
    assert PPO(LongSquare).actor.mlp.scale == 1
    assert PPO(Square, normalize_obs=True).actor.mlp.scale == 1
    flags = gym.spaces.Box(0, 1, (12, 10, 2), np.uint8)
    assert images_of(flags, 240, PPOConfig()).scale == 1


def test_skipped_zeros_change_nothing_but_rounding():
    theta = [learned(PPO, LongSquare, sparse_input=sparse).theta for sparse in (True, False)]
    np.testing.assert_allclose(*theta, atol=2e-3)


@pytest.mark.parametrize(
    ("env", "conv", "error"),
    [
        ("CartPole-v1", ("8x4/2",), "conv: expected none: observations are no images"),
        (Square, ("8x11/2",), "conv: expected windows of at most 10 for an image of 12 × 10"),
        (Square, ("8x4",), "conv: expected FILTERSxKERNEL/STRIDE"),
        (Square, ("8x4/1000",), "conv: expected FILTERSxKERNEL/STRIDE"),
        (Square, (3,), "conv"),
        (MaskedSquare, ("8x4/2",), "conv: expected none beside masks of actions"),
    ],
)
def test_convolutions_that_cannot_be_are_named(env, conv, error):
    with pytest.raises(MinipgError, match=error):
        PPO(env, conv=conv)


def test_an_image_whose_channels_come_first_is_said_to_be_read_in_another_way(caplog):
    first = gym.spaces.Box(0, 255, (2, 12, 10), np.uint8)
    for space, said in ((first, True), (Square.observation_space, False)):
        caplog.clear()
        images_of(space, 240, PPOConfig(conv=("8x2/1",)))
        assert ("2 × 12 pixels of 10 channels: channels come last" in caplog.text) == said


def test_convolutions_are_not_exported(tmp_path):
    with pytest.raises(MinipgError, match="convolutions are not exported"):
        export(PPO(Square, conv=LAYERS), tmp_path / "a.py")
    assert not (tmp_path / "a.py").exists()


def test_an_export_has_the_scale_of_bytes(tmp_path):
    agent, image = PPO(Square, hidden=(8,)), Square().reset(seed=0)[0]
    export(agent, tmp_path / "exported.py")
    found = importlib.util.spec_from_file_location("exported", tmp_path / "exported.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    assert module.act(image.ravel()) == agent.predict(image, deterministic=True)[0]
