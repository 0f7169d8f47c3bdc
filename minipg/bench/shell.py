"""The rate that `minipg train` prints, beside the rate of `learn` with the same settings, in processes of their own."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from minipg.bench.interleaved import Bench, Line, Side, line_of, paired
from minipg.bench.startup import run
from minipg.bench.training import Training

SHARE = 90  # per cent
_LEARN = """
import json, sys, time
from minipg import ALGORITHMS
algorithm, env, settings, steps = json.loads(sys.argv[1])
agent = ALGORITHMS[algorithm](env, config=ALGORITHMS[algorithm].Config(**settings))
agent.learn(1, progress=False)
start, first = time.perf_counter(), agent.steps
agent.learn(steps, progress=False)
print(json.dumps({"steps_per_second": (agent.steps - first) / (time.perf_counter() - start)}))
"""


def shell_row(setting: Training, bench: Bench) -> Iterator[Line]:
    """One setting by `minipg train`, which writes rows and checkpoints, and by `learn` alone."""
    name, work = f"shell-{setting.algorithm}", f"{setting.what}, from the shell"
    steps = setting.sample_steps(bench.quick)
    with tempfile.TemporaryDirectory(prefix="minipg-bench-", ignore_cleanup_errors=True) as folder:
        commands = {Side("minipg train"): _train(setting, steps), Side("learn"): _learn(setting, steps)}
        bench.say(f"{work}: warming up …")
        for command in (_train(setting, 1), _learn(setting, 1)):
            _rate(command, Path(folder))
        sides = {side: partial(_rate, command, Path(folder)) for side, command in commands.items()}
        samples = bench.interleave(work, "steps/s", sides, 3 if bench.quick else 7)
    for side, values in samples.items():
        yield line_of(name, work, side, values, "steps/s")
    shares = paired(samples[Side("minipg train")], samples[Side("learn")], 100)
    yield line_of(name, work, "share of learn's rate", shares, "%", SHARE)


def _train(setting: Training, steps: int) -> tuple[str, ...]:
    flags: list[str] = []
    for name, value in dataclasses.asdict(setting.config).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += [f"--{flag}", *map(str, value if isinstance(value, tuple) else (value,))]
    return ("-m", "minipg", "train", setting.algorithm, setting.env, *flags, "--steps", str(steps), "--json")


def _learn(setting: Training, steps: int) -> tuple[str, ...]:
    return "-c", _LEARN, json.dumps((setting.algorithm, setting.env, dataclasses.asdict(setting.config), steps))


def _rate(arguments: tuple[str, ...], folder: Path) -> float:
    return float(json.loads(run(arguments, folder).out.splitlines()[-1])["steps_per_second"])
