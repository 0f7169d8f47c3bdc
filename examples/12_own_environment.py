"""An environment of one's own: a class with arguments, trained on and evaluated; the agent saved and loaded.

    python examples/12_own_environment.py

A ball rolls in a valley with friction. The observation is (position, speed), the action pushes left or right with a
force from −1 to 1, and every step costs the squared distance to the goal. The goal and the friction are arguments.
"""

import tempfile
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np

from minipg import PPO
from minipg.runs import evaluate, load


class Valley(gym.Env):
    """Bring the ball to the goal. The time limit is a truncation: the value of what would follow still counts."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, goal=0.5, friction=0.1, steps=100):
        self.goal, self.friction, self.steps = goal, friction, steps

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.v, self.t = self.np_random.uniform(-1, 1), 0.0, 0
        return self._observation(), {}

    def step(self, action):
        self.v += 0.1 * (float(action[0]) - self.friction * self.v - 0.3 * self.x)
        self.x, self.t = self.x + 0.1 * self.v, self.t + 1
        return self._observation(), -((self.x - self.goal) ** 2), False, self.t >= self.steps, {}

    def _observation(self):
        return np.array([self.x, self.v], np.float32)


left = partial(Valley, goal=-0.8)
agent = PPO(left, seed=0, threads=1, num_envs=8, n_steps=200, learning_rate=1e-3, gamma=0.95)
print(f"before learning: {evaluate(agent, episodes=10)['mean_return']:.1f}")
agent.learn(80_000)
result = evaluate(agent, episodes=10)
print(f"after {agent.steps:,} steps: {result['mean_return']:.1f} ± {result['std_return']:.1f}, goal −0.8")

with tempfile.TemporaryDirectory() as folder:
    agent.save(Path(folder) / "valley.npz")
    again = load(Path(folder) / "valley.npz", left)
print(f"loaded, in the same valley: {evaluate(again, episodes=10)['mean_return']:.1f}")

env = left()
obs, _ = env.reset(seed=1)
for t in range(100):
    obs, *_ = env.step(again.predict(obs, deterministic=True)[0])
    if t in (0, 24, 99):
        print(f"step {t + 1:>3}: position {obs[0]:+.2f}, speed {obs[1]:+.2f}")
