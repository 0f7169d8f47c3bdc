"""PPO on an Atari game's memory: 128 bytes instead of a picture.

    python examples/benchmarks/atari_ram.py [--game Boxing] [--steps 200000]      # pip install 'minipg-rl[atari]'

Prints the mean return of 20 episodes of a random policy and of the trained one.
"""

from __future__ import annotations

import argparse

import ale_py
import gymnasium as gym
import numpy as np

from minipg import PPO
from minipg.runs import evaluate


def main() -> None:
    """Register the game with its memory for an observation, play at random, train, play again."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--game", default="Boxing")
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    gym.register_envs(ale_py)
    name = f"Ram/{options.game}-v0"
    gym.register(name, lambda **kwargs: gym.make(f"ALE/{options.game}-v5", obs_type="ram", **kwargs))

    agent = PPO(
        name, seed=options.seed, num_envs=8, n_steps=128, n_epochs=4, vf_epochs=4, minibatch_size=256,
        vf_minibatch_size=256, hidden=(128, 128), ent_coef=0.01, normalize_obs=True, normalize_reward=True,
        learning_rate=1e-3, schedule="linear",
    )  # fmt: skip
    before = evaluate(agent, 20, deterministic=False)  # a fresh policy is uniform up to a hundredth
    agent.learn(options.steps, progress=True)
    after = evaluate(agent, 20)
    spread = np.hypot(before["std_return"], after["std_return"]) / np.sqrt(20)
    print(f"{options.game}: random {before['mean_return']:.1f}, after {agent.steps:,} steps {after['mean_return']:.1f}")
    print(f"a margin of {(after['mean_return'] - before['mean_return']) / spread:.1f} standard errors")


if __name__ == "__main__":
    main()
