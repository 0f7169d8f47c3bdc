"""Train TRPO on CartPole, save and load the agent, and play one episode.

python examples/02_cartpole.py
"""

import tempfile
from pathlib import Path

import gymnasium as gym

from minipg import TRPO

agent = TRPO("CartPole-v1", seed=0)
agent.learn(total_steps=30_000, progress=True)

with tempfile.TemporaryDirectory() as folder:
    agent.save(Path(folder) / "cartpole.npz")
    agent = TRPO.load(Path(folder) / "cartpole.npz")

env = gym.make("CartPole-v1")
obs, _ = env.reset(seed=1)
total, done = 0.0, False
while not done:
    action, _ = agent.predict(obs, deterministic=True)
    obs, reward, terminated, truncated, _ = env.step(action)
    total, done = total + float(reward), terminated or truncated
print(f"one episode with the trained agent: {total:.0f} of 500")
