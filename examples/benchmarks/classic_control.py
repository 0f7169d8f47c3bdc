"""The compiled classic control problems beside Gymnasium's: the largest difference, and the speed of both.

Then single environments, with the wrappers of `gymnasium.make` and without: medians over turns, A B A B …, and the
median of the ratios of each turn.

    python examples/benchmarks/classic_control.py                # a million steps of each, some minutes
    python examples/benchmarks/classic_control.py --steps 20000

Both sides are vectors of the same size, seed and random actions, resets and time limits included; a difference would
stay, and grow, until the episode's end. "In the kernel" is the time of the compiled steps alone, without a Python call
for each: what a rollout costs that is compiled as a whole. Times are those of this run, on this machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numba
import numpy as np
import tyro
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from minipg.kernels.cpu.classic_control import PROBLEMS
from minipg.kernels.cpu.classic_control.batch import advance, restart

from minipg.checks import Array
from minipg.envs.compiled import CompiledVectorEnv

CHUNK = 1000  # vector steps between two changes of sides
SHORT = 7  # steps of a single environment in a turn: no episode is shorter, and few turns are interrupted


@dataclass(frozen=True)
class Options:
    """The compiled classic control problems beside Gymnasium's."""

    steps: int = 1_000_000
    """Steps of each problem on each side, over all environments."""
    num_envs: int = 8
    """Environments in a vector."""
    turns: int = 2000
    """Turns of each side with single environments, some steps each."""
    seed: int = 0
    """Of environments and actions."""


def random_actions(name: str, rng: np.random.Generator, *shape: int) -> Array:
    """Uniform ones; of real ones a third lies beyond its bounds."""
    problem = PROBLEMS[name]
    if problem.actions:
        return rng.integers(problem.actions, size=shape)
    return (1.5 * problem.act_high * rng.uniform(-1, 1, (*shape, 1))).astype(np.float32)


def played(envs: Any, actions: Array) -> tuple[list[Any], float]:
    """The result of every step, and the seconds they took together."""
    began = time.perf_counter()
    results = [envs.step(act) for act in actions]
    return results, time.perf_counter() - began


def arrays_of(results: list[Any]) -> tuple[Array, Array, Array]:
    """Observations, rewards and flags of many steps; the final observations of episodes stand beside the others."""
    finals = [obs for *_, infos in results for obs in infos.get("final_obs", ()) if obs is not None]
    obs = np.concatenate([*(r[0] for r in results), np.reshape(finals, (-1, results[0][0].shape[1]))])
    return obs, np.array([r[1] for r in results]), np.array([r[2:4] for r in results])


@numba.njit
def in_the_kernel(dynamics, actions, limit, stream, state, elapsed, obs, rew, terminated, truncated, draws):  # type: ignore[no-untyped-def]
    """Step after step without Python."""
    everywhere = np.ones(len(state), np.bool_)
    for act in actions:
        advance(dynamics, everywhere, act, limit, state, elapsed, obs, rew, terminated, truncated)
        restart(dynamics, terminated | truncated, stream, state, elapsed, obs, draws)


def kernel_rate(name: str, actions: Array) -> float:
    """Steps per second of the kernels alone; the fastest of three, after one that compiles."""
    problem, n = PROBLEMS[name], actions.shape[1]
    envs = CompiledVectorEnv(name, n)
    envs.reset(seed=0)
    s = envs.save_state()
    work = (np.empty(n), np.empty(n, bool), np.empty(n, bool), np.empty(problem.dynamics.draws))
    act, seconds = actions.reshape(actions.shape[:2]).astype(np.float64), []
    for _ in range(4):
        began = time.perf_counter()
        in_the_kernel(problem.dynamics, act, problem.time_limit, s["stream"], s["state"], s["elapsed"], s["obs"], *work)
        seconds.append(time.perf_counter() - began)
    return actions.shape[0] * n / min(seconds[1:])


def row(name: str, options: Options) -> str:
    """One problem's line of the table."""
    n, rng = options.num_envs, np.random.default_rng(options.seed)
    ours = CompiledVectorEnv(name, n, autoreset_mode=AutoresetMode.SAME_STEP)
    theirs = SyncVectorEnv([lambda: gym.make(name)] * n, autoreset_mode=AutoresetMode.SAME_STEP)
    sides: tuple[Any, Any] = (ours, theirs)
    ours.reset()
    ours.step(random_actions(name, rng, n))  # compiles
    firsts = [envs.reset(seed=options.seed)[0] for envs in sides]
    difference, differing, seconds, done, episodes = float(np.abs(firsts[0] - firsts[1]).max()), 0, [0.0, 0.0], 0, 0
    while done < options.steps:
        actions = random_actions(name, rng, min(CHUNK, -(-(options.steps - done) // n)), n)
        results = []
        for side, envs in enumerate(sides):
            steps, took = played(envs, actions)
            seconds[side] += took
            results.append(arrays_of(steps))
        for a, b in zip(*results, strict=True):
            gap = np.abs(a.astype(float) - b.astype(float))
            difference, differing = max(difference, float(gap.max())), differing + int((gap > 0).sum())
        episodes += int(results[0][2].any(axis=1).sum())
        done += actions.shape[0] * n
    rates = [done / took for took in seconds]
    kernel = kernel_rate(name, random_actions(name, rng, 20_000, n))
    return (
        f"| {name} | {done:,} | {episodes:,} | {difference:.1e} | {differing} | {rates[1]:,.0f} | {rates[0]:,.0f} | "
        f"{rates[0] / rates[1]:.1f} | {kernel:,.0f} |"
    )


def single_row(name: str, turns: int) -> str:
    """One problem's line of the table of single environments."""
    cells, rng = [name], np.random.default_rng(0)
    for wrapped in (True, False):
        sides: list[Any] = [gym.make(name), gym.make(f"minipg/{name}")]
        sides = sides if wrapped else [env.unwrapped for env in sides]
        took = np.empty((turns, 2))
        for turn in range(turns):
            acts = random_actions(name, rng, SHORT)
            actions = acts.tolist() if PROBLEMS[name].actions else list(acts)
            for side, env in enumerate(sides):
                env.reset()
                took[turn, side] = played(env, actions)[1] / SHORT * 1e6
        theirs, ours = np.median(took, axis=0)
        cells += [f"{theirs:.2f}", f"{ours:.2f}", f"{np.median(took[:, 0] / took[:, 1]):.1f}"]
    return f"| {' | '.join(cells)} |"


def main(options: Options) -> None:
    """Play, compare, print."""
    print(f"{options.num_envs} environments a vector, random actions; steps/s")
    head = (
        "problem",
        "steps",
        "episodes",
        "largest difference",
        "numbers that differ",
        "Gymnasium",
        "compiled",
        "ratio",
    )
    print(f"| {' | '.join(head)} | in the kernel |\n{'|---' * 9}|")
    for name in PROBLEMS:
        print(row(name, options), flush=True)
    print("\none environment, µs a step; the last three columns without wrappers")
    print(f"| problem{' | Gymnasium | compiled | ratio' * 2} |\n{'|---' * 7}|")
    for name in PROBLEMS:
        print(single_row(name, options.turns), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
