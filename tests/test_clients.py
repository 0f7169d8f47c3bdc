"""Other libraries train on the registered environments by their ids. Needs the extra `bench`."""

import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import minipg  # noqa: F401  registers them

sb3 = pytest.importorskip("stable_baselines3")
contrib = pytest.importorskip("sb3_contrib")
torch = pytest.importorskip("torch")

env_util = pytest.importorskip("stable_baselines3.common.env_util")
SMALL = {"n_steps": 64, "batch_size": 64, "device": "cpu", "seed": 0}
IDS = ["minipg/CartPole-v1", "minipg/Pendulum-v1"]


def moved(model):
    """Whether learning changed the policy."""
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(256)
    return any((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("algorithm", [sb3.PPO, contrib.TRPO])
def test_they_learn_by_id_and_from_a_vector_of_ids(algorithm, env_id):
    assert moved(algorithm("MlpPolicy", env_id, **SMALL))
    envs = env_util.make_vec_env(env_id, n_envs=2, seed=0)
    assert moved(algorithm("MlpPolicy", envs, **SMALL))
    assert envs.env_method("get_wrapper_attr", "render_mode") == ["rgb_array"] * 2


def test_what_they_learn_from_is_what_gymnasiums_environments_show():
    thetas = []
    for env_id in ("minipg/CartPole-v1", "CartPole-v1"):
        model = sb3.PPO("MlpPolicy", env_util.make_vec_env(env_id, n_envs=2, seed=0), **SMALL).learn(256)
        thetas.append(torch.nn.utils.parameters_to_vector(model.policy.parameters()).detach().numpy())
    np.testing.assert_array_equal(*thetas)


def test_their_vectors_draw(monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    envs = env_util.make_vec_env("minipg/CartPole-v1", n_envs=2, seed=0)
    envs.reset()
    one, other = envs.get_images()
    assert one.dtype == np.uint8
    assert one.shape == other.shape == (400, 600, 3)


SCRIPT = """
import minipg
from sb3_contrib import TRPO
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv

if __name__ == "__main__":
    for algorithm in (PPO, TRPO):
        envs = make_vec_env("minipg/CartPole-v1", n_envs=2, seed=0, vec_env_cls=SubprocVecEnv)
        algorithm("MlpPolicy", envs, n_steps=64, batch_size=64, device="cpu").learn(128)
        envs.close()
    print("learned")
"""


def test_they_learn_from_environments_in_processes(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=300, env={**os.environ})
    assert (done.returncode, done.stdout) == (0, "learned\n"), done.stderr


def test_a_loop_in_one_file_trains_on_a_vector_made_by_id():
    """The shape of CleanRL's ppo.py: a vector by id, statistics of episodes, a rollout, a gradient step."""
    envs = gym.wrappers.vector.RecordEpisodeStatistics(gym.make_vec("minipg/CartPole-v1", num_envs=4))
    assert isinstance(envs.single_action_space, gym.spaces.Discrete)
    torch.manual_seed(0)
    inputs = int(np.prod(envs.single_observation_space.shape))
    net = torch.nn.Sequential(
        torch.nn.Linear(inputs, 16), torch.nn.Tanh(), torch.nn.Linear(16, envs.single_action_space.n)
    )
    optimizer, lengths, losses = torch.optim.Adam(net.parameters(), lr=0.01), [], []
    obs, _ = envs.reset(seed=1)
    over = np.zeros(4, bool)
    for _ in range(3):
        log_probs, rewards, valid = [], [], []
        for _ in range(64):
            policy = torch.distributions.Categorical(logits=net(torch.as_tensor(obs)))
            act = policy.sample()
            log_probs.append(policy.log_prob(act))
            valid.append(torch.as_tensor(~over))  # the step after an end only resets
            obs, reward, terminated, truncated, infos = envs.step(act.numpy())
            over = terminated | truncated
            rewards.append(torch.as_tensor(reward))
            if "episode" in infos:
                lengths += infos["episode"]["l"][infos["_episode"]].tolist()
        returns = torch.stack(rewards).flip(0).cumsum(0).flip(0)
        gain = (torch.stack(log_probs) * (returns - returns.mean()) * torch.stack(valid)).mean()
        optimizer.zero_grad()
        (-gain).backward()
        optimizer.step()
        losses.append(gain.item())
    envs.close()
    assert np.isfinite(losses).all()
    assert lengths
    assert min(lengths) >= 8
