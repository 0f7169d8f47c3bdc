"""The rounding error of an analytic derivative, measured by moving its arguments a little."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import copies
from minipg.gradient_check.errors import CheckInputError

Evaluate = Callable[[list[Array]], Array]


def evaluate_repeatedly(g: Evaluate, leaves: list[Array], name: str) -> Array:
    """g(leaves), after proof that g has no side effects.

    Raises CheckInputError if g changes its arguments, or if it gives two results for the same numbers: in a second
    call, in the same arrays as other numbers before, or after a call at another point.
    """
    given = copies(leaves)
    first = g(given)
    if any(not np.array_equal(a, b) for a, b in zip(given, leaves, strict=True)):
        raise CheckInputError(f"{name} changes its arguments in place")
    same = np.array_equal(first, g(copies(leaves)), equal_nan=True)
    with contextlib.suppress(Exception):  # the other point may be outside the domain
        moved = [np.asarray(np.where(leaf == 0, 1e-3, leaf * (1 + 1e-3)), leaf.dtype) for leaf in leaves]
        for array, numbers in zip(given, moved, strict=True):
            array[...] = numbers
        same &= np.array_equal(g(given), g(moved), equal_nan=True)
    if not (same and np.array_equal(first, g(copies(leaves)), equal_nan=True)):
        raise CheckInputError(
            f"{name} is not deterministic: two results for the same arguments (a stale cache, or randomness)"
        )
    return first


def rounding_error(g: Evaluate, leaves: list[Array], value: Array, epsilon: float = 0.0) -> Array:
    """The rounding error of value = g(leaves): the largest second difference of g over relative moves of ε^⅔.

    ε is that of the leaves' dtypes, or `epsilon` if g is less precise. So short a move makes g's curvature vanish
    beside its rounding. Moves of a few units in the last place would be too short: they may leave the roundings inside
    g unchanged.
    """
    rng, noise = np.random.default_rng(0), np.zeros(value.shape)
    epsilon = max([epsilon, float(np.finfo(float).eps), *(float(np.finfo(leaf.dtype).eps) for leaf in leaves)])
    for _ in range(3):
        moves = [rng.choice([-1, 1], leaf.shape) * rng.uniform(0.5, 1.5, leaf.shape) for leaf in leaves]
        step = lambda sign, moves=moves: [
            np.asarray(leaf * (1 + sign * epsilon ** (2 / 3) * move), leaf.dtype)
            for leaf, move in zip(leaves, moves, strict=True)
        ]
        with contextlib.suppress(Exception):  # at the edge of the domain
            second = g(step(1)) - 2 * value + g(step(-1))
            noise = np.maximum(noise, np.where(np.isfinite(second), np.abs(second), 0))
    # sums that cancel hide their rounding error where nothing moves, as at x = 0: allow 64 ε everywhere
    return np.maximum(3 * noise, 64 * epsilon * np.abs(value))


def rounding_error_of_linear(g: Evaluate, v: list[Array], value: Array) -> Array:
    """The rounding error of value = g(v) for a linear g: the largest |g(αv)/α − g(v)| over 17 factors α.

    0 if g(2v) differs from 2 g(v) in any bit: then g is not linear.
    """
    at = lambda factor: g([np.asarray(part * part.dtype.type(factor)) for part in v])
    noise = np.zeros(value.shape)
    with contextlib.suppress(Exception):  # beyond the range of the floats
        if np.array_equal(at(2), 2 * value):
            size = max((float(np.abs(part).max(initial=0)) for part in v), default=0.0) or 1.0
            # products of a tiny v may underflow: of one of size 1 they do not
            for factor in (*(1 + k * 0.618034 % 1 for k in range(1, 17)), 2.0 ** -np.round(np.log2(size))):
                error = np.abs(at(np.float32(factor)) / float(np.float32(factor)) - value)
                noise = np.maximum(noise, np.where(np.isfinite(error), error, 0))
    return np.asarray(3 * noise)
