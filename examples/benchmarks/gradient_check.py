"""How long `check_gradient` takes on 100 000 parameters, of a function that takes a millisecond a call.

    python examples/benchmarks/gradient_check.py

One wrong entry in a hundred thousand is then planted, found and named.
"""

from __future__ import annotations

import time

import numpy as np

from minipg.checks import Array
from minipg.gradient_check import GradientError, check_gradient

SIZE, MILLISECOND = 100_000, 1e-3


def main() -> None:
    """Prints the figures, one a line."""
    weights, x = np.random.default_rng(0).normal(size=(2, SIZE))
    calls, spent = 0, 0.0

    def f(x: Array) -> float:
        nonlocal calls, spent
        began = time.perf_counter()
        value = float(weights @ (x * x))
        while time.perf_counter() - began < MILLISECOND:
            pass
        calls, spent = calls + 1, spent + time.perf_counter() - began
        return value

    def gradient(x: Array) -> Array:
        return 2 * weights * x

    def wrong(x: Array) -> Array:
        return gradient(x) + 0.05 * (np.arange(SIZE) == 43_210)

    began = time.perf_counter()
    report = check_gradient(f, gradient, x)
    seconds = time.perf_counter() - began
    print(f"{SIZE} parameters, {1e3 * spent / calls:.2f} ms a call: {report.status} in {seconds:.2f} s")
    print(f"{calls} evaluations along {report.directions} directions; resolution {report.resolution:.0e}")
    began, calls = time.perf_counter(), 0
    try:
        check_gradient(f, wrong, x)
    except GradientError as error:
        print(f"one wrong entry: {error.place}, found in {time.perf_counter() - began:.2f} s, {calls} evaluations")


if __name__ == "__main__":
    main()
