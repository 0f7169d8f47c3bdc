"""Check 40 random compositions of standard functions, whose true gradient JAX computes in float64 (pip install jax).

    python tests/audit/against_jax.py [--count 40] [--size 20] [--seed 0] [--ways numpy real jax]

Each is checked twice: with the true gradient, and with one entry off by a thousandth. Prints the false verdicts, and
the medians of the evaluations of f and the seconds a check takes, for f in NumPy, in NumPy without complex numbers, and
in JAX.
"""

import argparse
import sys
import time

import numpy as np

from minipg.gradient_check import GradientError, check_gradient

try:
    import jax
    import jax.numpy as jnp
except ImportError:
    sys.exit("against_jax.py needs JAX: pip install jax")

jax.config.update("jax_enable_x64", True)

ELEMENTWISE = {
    "sin": lambda xp, x: xp.sin(x),
    "cos 2x": lambda xp, x: xp.cos(2 * x),
    "tanh": lambda xp, x: xp.tanh(x),
    "arctan": lambda xp, x: xp.arctan(x),
    "logistic": lambda xp, x: 1 / (1 + xp.exp(-x)),
    "softplus": lambda xp, x: xp.logaddexp(x, 0.0),
    "bell": lambda xp, x: xp.exp(-x * x / 2),
    "log(1 + x²)": lambda xp, x: xp.log1p(x * x),
    "√(1 + x²)": lambda xp, x: xp.sqrt(1 + x * x),
    "x/(1 + x²)": lambda xp, x: x / (1 + x * x),
    "x³": lambda xp, x: x**3 / 4,
    "ReLU": lambda xp, x: xp.maximum(x, 0.0),
    "|x|": lambda xp, x: xp.abs(x),
    "swish": lambda xp, x: x / (1 + xp.exp(-x)),
}
REDUCTIONS = {
    "sum": lambda xp, x: x.sum(),
    "mean square": lambda xp, x: (x * x).mean(),
    "norm": lambda xp, x: xp.sqrt((x * x).sum()),
    "logsumexp": lambda xp, x: x.max() + xp.log(xp.exp(x - x.max()).sum()),
    "max": lambda xp, x: x.max(),
    "product": lambda xp, x: xp.prod(1 + xp.tanh(x) / 4),
    "variance": lambda xp, x: ((x - x.mean()) ** 2).mean(),
}


class Composition:
    """x ↦ reduction(fₖ(Aₖ … f₁(A₁ x + b₁))), some layers multiplied by another function of the same numbers."""

    def __init__(self, rng, size):
        pick = lambda table: table[rng.choice(sorted(table))]
        self.layers = []
        for _ in range(rng.integers(1, 4)):
            width = int(rng.integers(2, size + 1))
            matrix, shift = rng.normal(size=(width, size)) / np.sqrt(size), rng.normal(size=width)
            factor = pick(ELEMENTWISE) if rng.random() < 0.3 else None
            self.layers.append((matrix, shift, pick(ELEMENTWISE), factor))
            size = width
        self.reduction, self.calls = pick(REDUCTIONS), 0

    def value(self, xp, x):
        """f(x) in the namespace xp."""
        for matrix, shift, function, factor in self.layers:
            z = matrix @ x + shift
            x = function(xp, z) * (factor(xp, z) if factor else 1)
        return self.reduction(xp, x)

    def numpy(self, x):
        """f(x) in NumPy."""
        self.calls += 1
        return self.value(np, x)

    def real(self, x):
        """f(x) in NumPy, for real numbers only."""
        self.calls += 1
        return float(self.value(np, np.asarray(x, float)))

    def jax(self, x):
        """f(x) in JAX."""
        self.calls += 1
        return self.value(jnp, x)


def check(f, gradient, x):
    """The index of the entry that is called wrong, or None if the gradient passes."""
    try:
        return None if check_gradient(f, lambda x: gradient, x).status == "passed" else ()
    except GradientError as error:
        return error.index


def measured(way, options):
    """False verdicts on right and on wrong gradients, and the evaluations and seconds of each check."""
    rng, false, calls, seconds = np.random.default_rng(options.seed), [0, 0], [], []
    for _ in range(options.count):
        composition, x = Composition(rng, options.size), rng.normal(size=options.size)
        true = np.asarray(jax.grad(lambda x, f=composition: f.value(jnp, x))(x))
        entry = int(rng.choice(np.flatnonzero(np.abs(true) > 1e-3 * np.abs(true).max())))
        wrong = true * (1 + 1e-3 * (np.arange(options.size) == entry))
        for kind, (gradient, expected) in enumerate(((true, None), (wrong, (entry,)))):
            composition.calls, began = 0, time.perf_counter()
            false[kind] += check(getattr(composition, way), gradient, x) != expected
            calls, seconds = [*calls, composition.calls], [*seconds, time.perf_counter() - began]
    return *false, np.median(calls), np.median(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--size", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ways", nargs="+", choices=["numpy", "real", "jax"], default=["numpy", "real", "jax"])
    options = parser.parse_args()
    print("f in     right, called wrong  wrong, passed or misplaced  evaluations  seconds  (a check)")
    total = 0
    for way in options.ways:
        alarms, missed, calls, seconds = measured(way, options)
        print(f"{way:8} {alarms:13} of {options.count:3} {missed:20} of {options.count:3} {calls:12.0f} {seconds:8.3f}")
        total += alarms + missed
    print(f"{total} false verdicts of {2 * len(options.ways) * options.count}")
    return total > 0


if __name__ == "__main__":
    sys.exit(main())
