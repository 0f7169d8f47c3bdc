"""TD3 on HalfCheetah-v5: minipg against stable-baselines3 (PyTorch) and SBX (JAX), in turns.

    pip install stable-baselines3 sbx-rl "gymnasium[mujoco]" && python examples/benchmarks/against_td3.py

All take one environment step and one gradient step in turn: 256-256 ReLU, batches of 256, the policy in every second
step. Each system runs in two processes, one on one core and one on all of them, and the better median counts. They wait
while another is sampled. Compilation and the first steps are not counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

ENV, HIDDEN, BATCH, STARTS, STEPS, ROUNDS = "HalfCheetah-v5", [256, 256], 256, 500, 1000, 5
SYSTEMS = ("minipg", "stable-baselines3", "SBX")


def learner(system: str, threads: int) -> Callable[[int], Any]:
    """A function that takes so many more steps."""
    common: dict[str, Any] = {
        "batch_size": BATCH, "learning_starts": STARTS, "buffer_size": 100_000, "train_freq": 1, "gradient_steps": 1,
    }  # fmt: skip
    if system == "minipg":
        from minipg import TD3

        agent = TD3(ENV, threads=threads, hidden=tuple(HIDDEN), **common)
        return partial(agent.learn, progress=False)
    if system == "SBX":
        from sbx import TD3 as Peer
    else:
        import torch
        from stable_baselines3 import TD3 as Peer

        torch.set_num_threads(threads)
    peer = Peer("MlpPolicy", ENV, policy_kwargs={"net_arch": HIDDEN}, **common)
    return partial(peer.learn, reset_num_timesteps=False)


def serve(system: str, threads: int) -> None:
    """Take as many steps as each line of the standard input says, and print the rate."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    learn = learner(system, threads)
    learn(STARTS + 500)
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        learn(int(line))
        print(int(line) / (time.perf_counter() - start), flush=True)


def main() -> None:
    """Print the table."""
    if len(sys.argv) == 3:
        return serve(sys.argv[1], int(sys.argv[2]))
    from minipg.bench.interleaved import Bench, Side, best, line_of, paired
    from minipg.bench.machine import head, head_text
    from minipg.bench.table import table
    from minipg.runtime.threads import available_threads

    bench, sides = Bench(say=print), {}
    for system in SYSTEMS:
        for threads in sorted({1, available_threads()}):
            command = [sys.executable, __file__, system, str(threads)]
            process: Any = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if process.stdout.readline() != "ready\n":
                sys.exit(f"{system} cannot run here")

            def sample(process: Any = process) -> float:
                print(STEPS, file=process.stdin, flush=True)
                return float(process.stdout.readline())

            sides[Side(system, threads)] = sample
    samples = bench.interleave("td3", "steps/s", sides, ROUNDS)
    lines = [line_of("td3", f"TD3 {ENV}", side, samples[side], "steps/s") for side in samples]
    ours = best(samples, "minipg")
    for peer, goal in (("stable-baselines3", 3), ("SBX", 2.5)):
        theirs = best(samples, peer)
        assert ours is not None
        assert theirs is not None
        ratios = paired(samples[ours], samples[theirs])
        lines.append(line_of("td3", f"TD3 {ENV}", f"minipg ÷ {theirs}", ratios, "×", goal=goal))
    print(head_text(head(bench)))
    print(table(lines))


if __name__ == "__main__":
    main()
