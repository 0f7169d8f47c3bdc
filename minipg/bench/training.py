"""Training rates: steps per second of whole agents, against the processor, the environments, and the peers.

All sides do the same work: minipg's critic has the epochs and minibatches of the policy, as in libraries with one
optimiser for both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

from minipg.algorithms import ALGORITHMS as AGENTS
from minipg.algorithms import A2CConfig, PPOConfig, TRPOConfig
from minipg.bench import operation_counts, peers
from minipg.bench.interleaved import Bench, Line, Samples, Side, best, line_of, number, paired
from minipg.bench.machine import rate_sides, rates_of, thread_counts
from minipg.bench.products import scaling
from minipg.envs import make_vector

CARTPOLE = (4, 64, 64, 2)
SHARE_OF_R = 0.45
SHARE_OF_STEPPING = 75  # per cent


@dataclass(frozen=True)
class Training:
    """One setting: its algorithm and config, the steps of a sample, and its goals."""

    name: str
    algorithm: str
    config: Any
    steps: int
    steps_per_second: float | None = None
    share_of_r: bool = False
    peer: str = ""
    times: float | None = None
    peer_steps: int = 8192
    env: str = "CartPole-v1"

    @property
    def what(self) -> str:
        """The setting as text: PPO CartPole-v1, 4 × 128."""
        vec = "" if self.config.vec == "auto" else f", {self.config.vec}"
        return f"{self.algorithm.upper()} {self.env}, {self.config.num_envs} × {self.config.n_steps}{vec}"

    def sample_steps(self, quick: bool, peer: bool = False) -> int:
        """Steps of one sample: at least two updates."""
        steps = self.peer_steps if peer else self.steps
        return max(steps // (2 if peer else 16) if quick else steps, 2 * self.config.num_envs * self.config.n_steps)


_PPO_BATCHES: dict[str, Any] = {"n_epochs": 10, "vf_epochs": 10, "minibatch_size": 256, "vf_minibatch_size": 256}
_TRPO_BATCHES: dict[str, Any] = {"cg_iters": 15, "vf_epochs": 10, "vf_minibatch_size": 128}
PPO_SMALL = Training(
    "ppo-4x128", "ppo",
    PPOConfig(num_envs=4, n_steps=128, n_epochs=4, vf_epochs=4, minibatch_size=128, vf_minibatch_size=128),
    500_000, 300e3, True, "stable-baselines3",
)  # fmt: skip
PPO_LARGE = Training(
    "ppo-8x256", "ppo", PPOConfig(num_envs=8, n_steps=256, **_PPO_BATCHES),
    250_000, 150e3, True, "stable-baselines3", 30,
)  # fmt: skip
TRPO_LARGE = Training(
    "trpo-8x256", "trpo", TRPOConfig(num_envs=8, n_steps=256, **_TRPO_BATCHES), 200_000, None, True, "sb3-contrib", 18
)
A2C_SMALL = Training(
    "a2c-8x5", "a2c", A2CConfig(num_envs=8, n_steps=5), 3_200_000, None, False, "stable-baselines3", 25, 4096
)
PPO_GYMNASIUM = Training(
    "ppo-gymnasium", "ppo", replace(PPO_LARGE.config, vec="gymnasium"), 100_000, None, False, "stable-baselines3", 7
)
_HOPPER: dict[str, Any] = {"num_envs": 16, "n_steps": 128, "vec": "envpool"}
PPO_HOPPER = Training(
    "ppo-hopper", "ppo", PPOConfig(**_HOPPER, **_PPO_BATCHES), 120_000, peer="stable-baselines3", times=4,
    env="Hopper-v5",
)  # fmt: skip
TRPO_HOPPER = Training(
    "trpo-hopper", "trpo", TRPOConfig(**_HOPPER, **_TRPO_BATCHES), 120_000, peer="sb3-contrib", times=4,
    env="Hopper-v5",
)  # fmt: skip


def training_row(setting: Training, bench: Bench) -> Iterator[Line]:
    """CartPole: minipg on one thread and more, its NumPy twin, and the peer; beside R if that is a goal."""
    sides = _trainers(setting, bench)
    samples = bench.interleave(setting.what, "steps/s", {**rate_sides(), **sides}, 3 if bench.quick else 5)
    rates, fastest = rates_of(bench, samples), best(samples, "minipg")
    assert fastest is not None
    goal, note = None, ""
    if setting.share_of_r:
        flops = operation_counts.flops_per_step(setting.algorithm, setting.config, CARTPOLE)
        top = max(rates.values())
        bound = SHARE_OF_R * top / flops
        goal = min(bound, setting.steps_per_second or bound)
        share = 100 * median(samples[fastest]) * flops / top
        asked = f"{number(setting.steps_per_second)} or " if setting.steps_per_second else ""
        note = f"{flops / 1e3:.0f} kFLOP a step: {share:.0f} % of R; goal: {asked}{100 * SHARE_OF_R:.0f} % of R"
    for side in [side for side in samples if side.system == "minipg"]:
        asked_of = (goal, note) if side == fastest else (None, "")
        yield line_of(setting.name, setting.what, side, samples[side], "steps/s", asked_of[0], note=asked_of[1])
    if setting.config.vec == "auto":
        yield from scaling(setting.name, setting.what, samples, rates)
    yield from _others(setting, samples, fastest)


def hopper_row(setting: Training, bench: Bench) -> Iterator[Line]:
    """Hopper: minipg beside the bare stepping rate of the same vector environment, and beside the peer."""
    for package in ("mujoco", "envpool"):
        if absent := peers.missing(package):
            yield Line(setting.name, setting.what, setting.config.vec, None, "steps/s", note=absent)
            if package == "mujoco":
                return
            setting = replace(setting, config=replace(setting.config, vec="gymnasium"))
    steps, bare = setting.sample_steps(bench.quick), Side(f"bare stepping, {setting.config.vec}")
    sides: dict[Side, Callable[[], float]] = {bare: partial(stepping, setting, steps // 2), **_trainers(setting, bench)}
    samples = bench.interleave(setting.what, "steps/s", sides, 3 if bench.quick else 5)
    fastest = best(samples, "minipg")
    assert fastest is not None
    yield line_of(setting.name, setting.what, fastest, samples[fastest], "steps/s")
    yield line_of(setting.name, setting.what, bare, samples[bare], "steps/s")
    share = paired(samples[fastest], samples[bare], 100)
    yield line_of(setting.name, setting.what, "share of bare stepping", share, "%", SHARE_OF_STEPPING)
    yield from _others(setting, samples, fastest)


def minipg_training(setting: Training, threads: int, steps: int, backend: str = "numba") -> float:
    """Steps per second of a new agent, without the time to make it and its environments."""
    agent = AGENTS[setting.algorithm](setting.env, config=setting.config, threads=threads, backend=backend)
    agent._collector = agent._new_collector()  # the first reset: EnvPool makes its environments again for a seed
    start = time.perf_counter()
    agent.learn(steps, progress=False)
    seconds = time.perf_counter() - start
    agent.envs.close()
    return agent.steps / seconds


def stepping(setting: Training, steps: int) -> float:
    """Steps per second of the vector environment alone, with random actions."""
    envs = make_vector(setting.env, setting.config.num_envs, setting.config.vec)
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(64)]
    envs.reset(seed=0)
    rounds = -(-steps // envs.num_envs)
    start = time.perf_counter()
    for t in range(rounds):
        envs.step(actions[t % len(actions)])
    seconds = time.perf_counter() - start
    envs.close()
    return rounds * envs.num_envs / seconds


def _trainers(setting: Training, bench: Bench) -> dict[Side, Callable[[], float]]:
    """The sides, each warmed up. Of the peer only the thread counts that are not much slower than its best."""
    steps, batch = setting.sample_steps(bench.quick), setting.config.num_envs * setting.config.n_steps
    fewer = setting.sample_steps(bench.quick, peer=True)
    bench.say(f"{setting.what}: warming up …")
    mine: dict[Side, Callable[[], float]] = {
        Side("minipg", n): partial(minipg_training, setting, n, steps) for n in thread_counts()
    }
    minipg_training(setting, 1, batch)
    if setting.config.vec == "auto":
        most = thread_counts()[-1]
        minipg_training(setting, most, batch, "numpy")
        mine[Side("minipg, NumPy twin", most)] = partial(minipg_training, setting, most, fewer, "numpy")
    if peers.missing(setting.peer):
        return mine
    train = partial(peers.sb3_training, setting.algorithm, setting.env, setting.config)
    train(1, batch)
    trial = {n: train(n, fewer // 2) for n in thread_counts()}
    # a second thread may halve the speed on busy cores, and would then take most of the benchmark's time
    useful = [n for n in trial if 2 * trial[n] > max(trial.values())]
    return mine | {Side(setting.peer, n): partial(train, n, fewer) for n in useful}


def _others(setting: Training, samples: Samples, fastest: Side) -> Iterator[Line]:
    for system in ("minipg, NumPy twin", setting.peer):
        if (side := best(samples, system)) is not None:
            yield line_of(setting.name, setting.what, side, samples[side], "steps/s")
    peer = best(samples, setting.peer)
    what = f"faster than {setting.peer}"
    if peer is None:
        yield Line(setting.name, setting.what, what, None, "×", setting.times, note=peers.missing(setting.peer))
    else:
        ratios = paired(samples[fastest], samples[peer])
        yield line_of(setting.name, setting.what, what, ratios, "×", setting.times)
