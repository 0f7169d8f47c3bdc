"""The rounding error of the derivative that somebody wrote: how far apart two right ones may be."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import copies
from minipg.gradient_check.errors import CheckInputError


def repeatable(g: Callable[[list[Array]], Array], leaves: list[Array], name: str) -> Array:
    """g(leaves), after a visit elsewhere: a function that keeps something of the visit is found out."""
    first = g(copies(leaves))
    with contextlib.suppress(Exception):  # elsewhere may be outside the domain
        g([np.asarray(np.where(leaf == 0, 1e-3, leaf * (1 + 1e-3)), leaf.dtype) for leaf in leaves])
    if not np.array_equal(first, g(copies(leaves)), equal_nan=True):
        raise CheckInputError(f"{name} gives two results for the same arguments: a stale cache, or randomness")
    return first


def rounding(g: Callable[[list[Array]], Array], leaves: list[Array], value: Array) -> Array:
    """The rounding error of g: second differences over moves of ε^⅔, too short for anything else to be seen in them.

    Moves of a few units in the last place would not do: they may leave the roundings inside g as they are.
    """
    rng, noise = np.random.default_rng(0), np.zeros(value.shape)
    epsilon = max((float(np.finfo(leaf.dtype).eps) for leaf in leaves), default=float(np.finfo(float).eps))
    for _ in range(3):
        moves = [rng.choice([-1, 1], leaf.shape) * rng.uniform(0.5, 1.5, leaf.shape) for leaf in leaves]
        step = lambda sign, moves=moves: [
            np.asarray(leaf * (1 + sign * epsilon ** (2 / 3) * move), leaf.dtype)
            for leaf, move in zip(leaves, moves, strict=True)
        ]
        with contextlib.suppress(CheckInputError):  # at the edge of the domain
            second = g(step(1)) - 2 * value + g(step(-1))
            noise = np.maximum(noise, np.where(np.isfinite(second), np.abs(second), 0))
    # where nothing moves, as at x = 0, sums that cancel hide theirs: grant some bits to all
    return np.maximum(3 * noise, 64 * epsilon * np.abs(value))


def linear_rounding(g: Callable[[list[Array]], Array], v: list[Array], value: Array) -> Array:
    """The same for a g that is linear: g(αv)/α − g(v) is rounding alone, for α of any size.

    0 where g(2v) is not 2 g(v) to the last bit, as for all that is made of sums and products: g is not linear, then.
    """
    at = lambda factor: g([np.asarray(part * part.dtype.type(factor)) for part in v])
    noise = np.zeros(value.shape)
    with contextlib.suppress(CheckInputError):  # beyond the floats' range
        if np.array_equal(at(2), 2 * value):
            for k in range(1, 17):
                factor = np.float32(1 + k * 0.618034 % 1)
                noise = np.maximum(noise, np.abs(at(factor) / float(factor) - value))
    return np.asarray(3 * noise)
