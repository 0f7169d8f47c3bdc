"""A function at a point, and its derivatives along directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import Structure, copies, flat, name_of, require_floats
from minipg.gradient_check.errors import CheckInputError, entry_name
from minipg.gradient_check.numeric import IMAGINARY, Derivative, complex_step, derivative

_LONGEST = 4.0  # the longest step, as a multiple of the arguments' size
SAFETY = 4.0  # a difference counts as a mistake beyond this multiple of its error estimate


class FunctionAtPoint:
    """f and the point x of the check: f as a vector (M,) of numbers, and its derivatives at x along directions.

    Raises CheckInputError if f has no derivative to check: it is not deterministic, changes its arguments, returns
    integers or is not finite at x.
    """

    def __init__(self, f: Callable[..., Any], x: Any, what: str) -> None:
        self.f, self.what = f, what
        self.structure, self.leaves = Structure.of(x, f)
        require_floats(self.structure, self.leaves)
        first = self.outputs(self.leaves)
        before = copies(self.leaves)
        result = self._call(copies(self.leaves))
        results = Structure.of(result)[1]
        again = flat(Structure.of(result)[1])
        given = copies(before)
        self._call(given)
        if any(not np.array_equal(a, b) for a, b in zip(given, before, strict=True)):
            raise CheckInputError(f"{name_of(f)} changes its arguments in place")
        if not np.array_equal(again, first, equal_nan=True):
            raise CheckInputError(f"{name_of(f)} is not deterministic: the same arguments gave two results")
        if not np.isfinite(first).all():
            raise CheckInputError(f"{name_of(f)} returns {first[~np.isfinite(first)][0]} at the point of the check")
        self.value, self.shape = first, results[0].shape if len(results) == 1 else first.shape
        kinds = [np.finfo(leaf.dtype).eps for leaf in self.leaves if leaf.size]
        self.epsilon_in = float(max(kinds, default=np.finfo(np.float64).eps))
        own = [np.finfo(part.dtype).eps for part in results if part.dtype in (np.float32, np.float64)]
        self.epsilon_out = float(max(own, default=np.finfo(np.float64).eps))
        self.epsilon_out = max(self.epsilon_out, self.epsilon_in)
        self.size = sum(leaf.size for leaf in self.leaves)
        self.underflow = self._underflow()

    def _call(self, leaves: list[Array]) -> Any:
        return self.structure.call(self.f, leaves)

    def _underflow(self) -> Array | float:
        """The change of f (M,) if subnormal arguments are set to 0, as some processors do: a part of f's noise."""
        flushed = [np.where(np.abs(leaf) < np.finfo(leaf.dtype).tiny, leaf.dtype.type(0), leaf) for leaf in self.leaves]
        if all(np.array_equal(a, b) for a, b in zip(flushed, self.leaves, strict=True)):
            return 0.0
        change = np.abs(self.outputs(flushed) - self.value)
        return np.where(np.isfinite(change), change, 0)

    def outputs(self, leaves: list[Array]) -> Array:
        """f as a flat float64 vector (M,)."""
        return self._numbers(self._call(copies(leaves)))

    def _numbers(self, result: Any) -> Array:
        out = [np.asarray(result)] if isinstance(result, np.ndarray | np.generic) else Structure.of(result)[1]
        for part in out:
            if part.dtype.kind not in "fc":
                raise CheckInputError(
                    f"{name_of(self.f)} returns {part.dtype}: a function with a derivative returns floats"
                )
        kind = complex if any(part.dtype.kind == "c" for part in out) else float
        return np.concatenate([part.astype(kind).ravel() for part in out]) if out else np.zeros(0)

    def moved(self, direction: list[Array], t: Any) -> list[Array]:
        """The arguments at x + t·direction, in their own dtypes unless t is complex."""
        if isinstance(t, complex):
            return [leaf + t * d for leaf, d in zip(self.leaves, direction, strict=True)]
        return [np.asarray(leaf + t * d, leaf.dtype, order="K") for leaf, d in zip(self.leaves, direction, strict=True)]

    def along(self, direction: list[Array]) -> Derivative:
        """The numeric derivative along `direction`; from a complex step if f accepts complex arguments."""
        scale, longest = self._scale(direction)
        phi = lambda t: self._numbers(self._call(self.moved(direction, t)))
        found = derivative(phi, scale, self.epsilon_in, self.epsilon_out, longest, self.underflow)
        if self.epsilon_in > 1e-10:
            return found
        exact = complex_step(phi, scale)
        if exact is None or exact.shape != found.value.shape:
            return found
        amplified = np.maximum(1, found.noise / (self.epsilon_out * np.maximum(np.abs(self.value), 1e-300)))
        bound = 1e4 * self.epsilon_out * amplified * (np.abs(exact) + np.abs(self.value) / max(scale, 1.0))
        bound += float(np.finfo(np.float64).tiny) / (IMAGINARY * scale)
        # only if the differences confirm it: abs accepts complex numbers too, and is not analytic
        confirmed = (np.abs(exact - found.value) <= SAFETY * found.error) & (16 * found.error <= np.abs(exact))
        better = confirmed & (bound < found.error)
        return found._replace(value=np.where(better, exact, found.value), error=np.where(better, bound, found.error))

    def _scale(self, direction: list[Array]) -> tuple[float, float]:
        """The step at which the entries have moved by their own size (geometric mean), and the longest step to take.

        At the longest step all entries have moved by a few times their array's size; far beyond it even a wrong
        derivative may look right. A zero counts as its array's typical size, or as 1 in an array of zeros, times a
        factor in float32 because a step from 0 has no rounding error.
        """
        rates, longest, wide = [], 0.0, float(np.finfo(np.float64).eps) / self.epsilon_in
        for leaf, d in zip(self.leaves, direction, strict=True):
            moving = d != 0
            if moving.any():
                size, speed = np.abs(leaf.astype(float)), np.abs(d[moving])
                typical = float(size.max()) * float(np.sqrt(np.mean((size / (size.max() or 1.0)) ** 2))) or 1.0
                rates.append(np.where(size[moving] > 0, size[moving], typical * wide) / speed)
                longest = max(longest, _LONGEST * typical / float(speed.max()))
        if not rates:
            return 1.0, 1.0
        scale = float(np.exp(np.mean(np.log(np.concatenate(rates)))))
        least = float(np.finfo(np.float32).tiny) if self.epsilon_in > 1e-10 else 1e-280
        scale = max(scale, 1e-24 * longest, least)
        return scale, max(scale, longest)

    def unit(self, leaf: int, index: tuple[int, ...]) -> list[Array]:
        """The unit direction of one entry."""
        direction = [np.zeros(part.shape) for part in self.leaves]
        direction[leaf][index] = 1.0
        return direction

    def entries(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Every (leaf, index)."""
        for number, leaf in enumerate(self.leaves):
            for index in np.ndindex(leaf.shape):
                yield number, index

    def random_directions(self, rng: np.random.Generator, count: int) -> Iterator[list[Array]]:
        """Random directions over all entries, in proportion to each entry's size and to its array's in alternation."""
        for number in range(count):
            direction = []
            for leaf in self.leaves:
                size = np.abs(leaf.astype(float))
                typical = float(np.sqrt((size * size).mean())) if leaf.size else 1.0
                own = np.where(size > 0, size, typical or 1.0) if number % 2 == 0 else (typical or 1.0)
                direction.append(rng.standard_normal(leaf.shape) * own)
            yield direction

    def place(self, leaf: int, index: tuple[int, ...]) -> str:
        """The entry in Python's notation, e.g. W[2, 0]."""
        return entry_name(self.structure.names[leaf], index)
