"""The machine: its rates and what is installed on it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from minipg.bench.interleaved import Bench, Samples, Side, seconds_per_call
from minipg.checks import Array
from minipg.runtime.threads import available_threads

PACKAGES = ("numpy", "scipy", "numba", "gymnasium", "torch", "stable-baselines3", "sb3-contrib", "jax", "envpool")
PRODUCT = "matrix product"
_SIZE = 2048


def installed(package: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def thread_counts() -> list[int]:
    """The thread counts to measure: one, two, and all threads of this machine."""
    return sorted({1, min(2, available_threads()), available_threads()})


@cache
def _factor() -> Array:
    return np.random.default_rng(0).standard_normal((_SIZE, _SIZE), np.float32)


def matrix_rate(threads: int, seconds: float = 0.2) -> float:
    """R: FLOP/s of a 2048² float32 matrix product in NumPy."""
    a = _factor()
    with threadpool_limits(threads):
        return 2 * _SIZE**3 / seconds_per_call(lambda: a @ a, seconds)


def bandwidth(seconds: float = 0.2, size: int = 1 << 26) -> float:
    """Bytes a second that one thread reads and writes when it copies more than the caches hold."""
    a, b = np.zeros(size, np.uint8), np.ones(size, np.uint8)
    return 2 * size / seconds_per_call(lambda: np.copyto(b, a), seconds)


def rate_sides() -> dict[Side, Callable[[], float]]:
    """Sides that measure R, for each thread count, to be interleaved with what is compared with R."""
    return {Side(PRODUCT, n, "FLOP/s"): partial(matrix_rate, n) for n in thread_counts()}


def rates_of(bench: Bench, samples: Samples) -> dict[int, float]:
    """The median of R by threads in one comparison. The samples are added to `bench.rates`, for the table's head."""
    values = {side.threads: samples[side] for side in samples if side.system == PRODUCT}
    for threads, rates in values.items():
        bench.rates.setdefault(threads, []).extend(rates)
    return {threads: median(rates) for threads, rates in values.items()}


def head(bench: Bench) -> dict[str, Any]:
    """The machine as JSON: versions, threads, and R in FLOP/s."""
    if not bench.rates:
        bench.rates = {n: [matrix_rate(n)] for n in thread_counts()}
    return {
        "python": platform.python_version(),
        "minipg": installed("minipg-rl"),
        **{name: installed(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "threads": available_threads(),
        "flops_per_second": {str(n): median(values) for n, values in bench.rates.items()},
        "flops_per_second_range": {str(n): (min(values), max(values)) for n, values in bench.rates.items()},
    }


def head_text(found: dict[str, Any]) -> str:
    """The machine in two sentences."""
    versions = ", ".join(f"{name} {found[name] or '(not installed)'}" for name in ("python", "minipg", *PACKAGES))
    medians = found["flops_per_second"].items()
    rates = ", ".join(f"{rate / 1e9:.0f} GFLOP/s on {n} thread{'' if n == '1' else 's'}" for n, rate in medians)
    text = (
        f"{found['system']}, {found['threads']} CPU threads; {versions}.\n"
        f"R, the rate of a 2048² float32 matrix product in NumPy: {rates}. Medians of samples taken in turns."
    )
    low, high = found["flops_per_second_range"]["1"]
    if high > 1.3 * low:
        text += (
            f"\nR on 1 thread went from {low / 1e9:.0f} to {high / 1e9:.0f} GFLOP/s: other programs run on this "
            "machine, so neither figures nor verdicts hold for a quiet one."
        )
    return text
