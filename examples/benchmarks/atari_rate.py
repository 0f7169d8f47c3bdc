"""Decisions per second on Atari: EnvPool stepped alone, with minipg's frames, and with all of learning, in turns.

    pip install 'minipg-rl[atari,envpool]' && python examples/benchmarks/atari_rate.py

Alone: EnvPool on two threads, 16 games of Pong, screens of the size that the frames need, random actions, nothing read.
Learning: `minipg train ppo Pong --frames difference-80x80 --vec envpool --preset pong`, and REINFORCE as example 04 has
it. Each figure is the median of five turns; a share is the median of each turn's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import envpool
import numpy as np

from minipg import PPO, REINFORCE
from minipg.envs import make_vector
from minipg.envs.atari import atari

ENVS, ROUNDS, STEPS = 16, 5, 65_536
SCREENS = {"difference-80x80": (210, 160, 2), "trpo-52x40x4": (52, 40, 4), "stack-84x84x4": (84, 84, 4)}


def stepping(envs: object) -> Callable[[], int]:
    """A function that steps environments at random, and returns the number of decisions."""
    envs.reset()
    rng = np.random.default_rng(0)

    def step() -> int:
        for _ in range(STEPS // ENVS // 4):
            envs.step(rng.integers(0, 6, ENVS))
        return STEPS // 4

    return step


def bare(kind: str) -> Callable[[], int]:
    """EnvPool alone."""
    height, width, stack = SCREENS[kind]
    size = {"img_height": height, "img_width": width, "stack_num": stack}
    return stepping(envpool.make_gymnasium("Pong-v5", num_envs=ENVS, num_threads=2, use_fire_reset=False, **size))


def learning(agent: PPO | REINFORCE) -> Callable[[], int]:
    """A function that learns on, for STEPS or what an update takes more."""

    def learn() -> int:
        before = agent.steps
        agent.learn(STEPS, progress=False)
        return agent.steps - before

    return learn


def compare(title: str, alone: Callable[[], int], other: Callable[[], int]) -> None:
    """Print both rates and the share of one in the other."""
    rates = []
    for turn in range(ROUNDS + 1):
        both = []
        for run in (alone, other):
            start = time.perf_counter()
            both.append(run() / (time.perf_counter() - start))
        if turn:
            rates.append(both)
    one, two = (statistics.median(column) for column in zip(*rates, strict=True))
    share = statistics.median(b / a for a, b in rates)
    print(f"{title:<32} alone {one:6,.0f}   with it {two:6,.0f}   {share:.0%}", flush=True)


def main() -> None:
    """Print the table."""
    for kind in SCREENS:
        compare(f"frames {kind}", bare(kind), stepping(make_vector(atari("Pong", kind), ENVS, "envpool")))
    pong, alone = atari("Pong", "difference-80x80"), bare("difference-80x80")
    compare("PPO, preset pong", alone, learning(PPO(pong, preset="pong", vec="envpool", seed=0)))
    reinforce = REINFORCE(pong, vec="envpool", num_envs=8, episodes=1, weight="until-reward", baseline="average",
                          hidden=(200,), activation="relu", learning_rate=1e-2, seed=0)  # fmt: skip
    compare("REINFORCE, 8 games an update", alone, learning(reinforce))


if __name__ == "__main__":
    main()
