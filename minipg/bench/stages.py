"""The time of each stage of an update, beside the least time that its operations and its bytes could take.

The functions that an update calls are timed on one thread: on two, the times of policy and critic overlap. The time
between them is "the rest".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any, NamedTuple

from minipg.algorithms import ALGORITHMS, ppo, trpo
from minipg.bench import operation_counts
from minipg.bench.interleaved import Bench, Side, number
from minipg.bench.machine import PRODUCT, bandwidth, matrix_rate, rates_of
from minipg.bench.table import rendered
from minipg.bench.training import PPO_SMALL, TRPO_LARGE, Training
from minipg.policy import NetworkPolicy

SETTINGS = {setting.name: setting for setting in (PPO_SMALL, TRPO_LARGE)}
# stage → the functions that are timed; of one that returns a Fisher product, the calls of that product are timed
FUNCTIONS: dict[str, dict[str, list[tuple[Any, str]]]] = {
    "ppo": {
        "rollout": [(ppo.PPO, "_collect")],
        "advantages": [(ppo, "estimate_advantages")],
        "policy minibatches": [(ppo, "ascend")],
        "value minibatches": [(ppo, "fit_critic")],
    },
    "trpo": {
        "rollout": [(trpo.TRPO, "_collect")],
        "advantages": [(trpo, "estimate_advantages")],
        "gradient": [(NetworkPolicy, "forward"), (trpo, "policy_gradient")],
        "Fisher products": [(trpo, "fisher_operator")],
        "conjugate gradient, rest": [(trpo, "conjugate_gradient")],
        "line search": [(trpo, "line_search")],
        "value fit": [(trpo, "fit_critic")],
    },
}
_PRODUCTS, _AROUND_PRODUCTS = "Fisher products", "conjugate gradient, rest"


class Stage(NamedTuple):
    """A stage of an update: its operations and bytes, the least seconds they could take, and the seconds measured."""

    setting: str
    stage: str
    flops: float | None
    bytes: float | None
    floor: float | None
    measured: float
    note: str = ""


def stage_rows(setting: Training, bench: Bench) -> list[Stage]:
    """Every stage of an update of one setting: medians over samples, interleaved with R and the bandwidth."""
    config, name = setting.config, setting.algorithm
    agent = ALGORITHMS[name](setting.env, config=config, threads=1)
    rows, seconds, accounts = config.num_envs * config.n_steps, dict[str, list[float]](), list[dict[str, Any]]()
    agent.learn(3 * rows, progress=False)
    updates = 4 if bench.quick else 16

    def sample() -> float:
        with _timed(FUNCTIONS[name]) as spent:
            start = time.perf_counter()
            agent.learn(updates * rows, progress=False, on_update=lambda _, row: accounts.append(row))
            spent["all"] = time.perf_counter() - start
        spent["the rest"] = spent["all"] - sum(spent.get(stage, 0.0) for stage in FUNCTIONS[name] if stage != _PRODUCTS)
        if _AROUND_PRODUCTS in spent:
            spent[_AROUND_PRODUCTS] -= spent.get(_PRODUCTS, 0.0)
        for stage, total in spent.items():
            seconds.setdefault(stage, []).append(total / updates)
        return updates * rows / spent["all"]

    r, copy, update = Side(PRODUCT, 1, "FLOP/s"), Side("copy", 1, "B/s"), Side("minipg", 1)
    sides: dict[Side, Callable[[], float]] = {r: lambda: matrix_rate(1), copy: bandwidth, update: sample}
    samples = bench.interleave(f"{setting.what}, by stages", "steps/s", sides, 3 if bench.quick else 9)
    rate, speed = rates_of(bench, samples)[1], median(samples[copy])

    shape = operation_counts.Shape(agent.actor.mlp.sizes, agent.critic.mlp.sizes, rows)
    counts = {}
    if name == "trpo":  # the mean numbers of these updates
        counts["products"] = sum(row["cg_iterations"] for row in accounts) / len(accounts)
        counts["trials"] = sum(row["line_search_trials"] for row in accounts) / len(accounts)
    stages = []
    for stage, (flops, moved) in operation_counts.STAGES[name](shape, config, **counts).items():
        floor, took = max(flops / rate, moved / speed), median(seconds[stage])
        stages.append(Stage(setting.name, stage, flops, moved, floor, took))
    floor = sum(stage.floor or 0.0 for stage in stages)
    flops, moved = sum(stage.flops or 0.0 for stage in stages), sum(stage.bytes or 0.0 for stage in stages)
    rest = "shuffling, distributions before and after, metrics"
    return [
        *stages,
        Stage(setting.name, "the rest", None, None, None, median(seconds["the rest"]), rest),
        Stage(setting.name, "all", flops, moved, floor, median(seconds["all"])),
    ]


def stage_table(stages: Sequence[Stage]) -> str:
    """A table with one line a stage, times in milliseconds."""
    cells = [("setting", "stage", "MFLOP", "MB", "floor", "measured", "measured ÷ floor", "")]
    for before, stage in zip([None, *stages], stages, strict=False):
        new = before is None or before.setting != stage.setting
        ratio = "" if stage.floor is None else number(stage.measured / stage.floor)
        cells.append((
            stage.setting if new else "", stage.stage, _scaled(stage.flops, 1e-6), _scaled(stage.bytes, 1e-6),
            _scaled(stage.floor, 1e3, " ms"), _scaled(stage.measured, 1e3, " ms"), ratio, stage.note,
        ))  # fmt: skip
    return rendered(cells)


def _scaled(x: float | None, scale: float, unit: str = "") -> str:
    return "" if x is None else f"{number(scale * x)}{unit}"


@contextmanager
def _timed(places: dict[str, list[tuple[Any, str]]]) -> Iterator[dict[str, float]]:
    """Within, count the seconds spent in each stage's functions."""
    spent: dict[str, float] = {}

    def clocked(stage: str, f: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return f(*args, **options)
            finally:
                spent[stage] = spent.get(stage, 0.0) + time.perf_counter() - start

        return call

    with ExitStack() as stack:
        for stage, functions in places.items():
            for owner, name in functions:
                f, product = getattr(owner, name), stage == _PRODUCTS
                wrapped = (lambda *a, f=f, stage=stage: clocked(stage, f(*a))) if product else clocked(stage, f)
                own = name in vars(owner)  # else it is a base class's
                stack.callback(setattr, owner, name, f) if own else stack.callback(delattr, owner, name)
                setattr(owner, name, wrapped)
        yield spent
