"""A function at a point, and its derivatives along directions."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import Structure, copies, flat, name_of, require_floats, split_like
from minipg.gradient_check.complex_step import complex_derivative
from minipg.gradient_check.differences import Derivative
from minipg.gradient_check.errors import CheckInputError, entry_name
from minipg.gradient_check.numeric import derivative
from minipg.gradient_check.rounding import evaluate_repeatedly

_LONGEST = 4.0  # the longest step, as a multiple of the arguments' size
_TINY = 256  # spacings of floats at 1: shorter steps are tiny
SAFETY = 4.0  # a difference counts as a mistake beyond this multiple of its error estimate
Direction = Array  # (n,): a change of all numbers of x, in one vector


class FunctionAtPoint:
    """f and the point x of the check: `value` (M,) is f(x), and `along` a directional derivative.

    Raises CheckInputError if f has no derivative to check: it is not deterministic, changes its arguments, returns
    integers or complex numbers, or is not finite at x.
    """

    def __init__(self, f: Callable[..., Any], x: Any) -> None:
        self.f, self.name = f, name_of(f)
        self.structure, self.leaves = Structure.of(x, f)
        require_floats(self.structure, self.leaves)
        ends = np.cumsum([0, *(leaf.size for leaf in self.leaves)])
        self.starts, self.size = ends[:-1], int(ends[-1])
        result = self.structure.call(f, copies(self.leaves))
        self.out, self.outputs = Structure.of(result, name="output")
        self.value = evaluate_repeatedly(self._evaluate, self.leaves, self.name)
        if not np.isfinite(self.value).all():
            raise CheckInputError(f"{self.name} returns {self.value[~np.isfinite(self.value)][0]} at x")
        eps = lambda arrays: max((float(np.finfo(a.dtype).eps) for a in arrays), default=0.0)
        self.epsilon_in = max(eps(leaf for leaf in self.leaves if leaf.size), float(np.finfo(np.float64).eps))
        self.epsilon_out = max(eps(self.outputs), self.epsilon_in)
        # other libraries would compile f again for complex numbers
        numpy = all(isinstance(part, np.ndarray | np.generic | float) for part in self.out.parts)
        self._complex = self.epsilon_out < 1e-10 and numpy
        self._weights: Array | None = None
        self.failure = ""
        self.floor: Array | float = self._underflow()

    def _evaluate(self, leaves: list[Array], kinds: str = "f") -> Array:
        """f as a flat float64 vector (M,)."""
        parts = Structure.of(self.structure.call(self.f, leaves), name="output")[1]
        for part in parts:
            if part.dtype.kind not in kinds:
                kind = "None" if part.dtype == object and part.shape == () and part[()] is None else part.dtype
                raise CheckInputError(f"{self.name} returns {kind}: expected floats")
        return np.concatenate([np.ravel(part).astype(np.result_type(part, float)) for part in parts] or [np.zeros(0)])

    def _underflow(self) -> Array | float:
        """The change of f (M,) if subnormal arguments are set to 0, as some processors do: a part of f's noise."""
        flushed = [np.where(np.abs(leaf) < np.finfo(leaf.dtype).tiny, leaf.dtype.type(0), leaf) for leaf in self.leaves]
        if all(np.array_equal(a, b) for a, b in zip(flushed, self.leaves, strict=True)):
            return 0.0
        change = np.abs(self._at(flushed) - self.value)
        return np.where(np.isfinite(change), change, 0)

    def contracted(self, u: Array) -> FunctionAtPoint:
        """⟨u, f⟩ as a function at the same point.   u (M,)."""
        sum_of = copy.copy(self)
        sum_of._weights, sum_of.value = u, np.array([u @ self.value])
        rounding = self.epsilon_out * (np.abs(u) @ np.abs(self.value) - np.abs(sum_of.value))  # beyond that of the sum
        sum_of.floor = rounding + np.abs(u) @ np.broadcast_to(self.floor, u.shape)
        return sum_of

    def _at(self, leaves: list[Array], kinds: str = "fiub") -> Array:
        """f, or ⟨u, f⟩, at other arguments; NaN where f raises."""
        try:
            numbers = self._evaluate(leaves, kinds)
        except CheckInputError:
            raise
        except Exception as error:  # outside its domain, f may raise anything
            self.failure = f"{self.name} raises {type(error).__name__}: {error}"
            return np.full(self.value.shape, np.nan)
        expected = sum(part.size for part in self.outputs)
        if numbers.size != expected:
            raise CheckInputError(f"{self.name} returns {expected} numbers at x and {numbers.size} nearby")
        return numbers if self._weights is None else np.array([self._weights @ numbers])

    def along(self, direction: Direction) -> Derivative:
        """The numeric derivative along `direction`; from a complex step if f computes with complex numbers."""
        scale, longest = self._scale(direction)
        phi = lambda t: self._at(self._moved(direction, t), "fiubc" if isinstance(t, complex) else "fiub")
        if self._complex:
            try:
                found = complex_derivative(phi, self.value, scale, self.epsilon_out, self.floor)
            except CheckInputError:
                raise
            except Exception:  # f may do anything with complex numbers
                self._complex, found = False, None
            if found is not None:
                return found
        narrow = scale if flat(self.leaves)[direction != 0].any() else 0.0
        found = derivative(phi, scale, self.epsilon_in, self.epsilon_out, longest, self.floor, narrow)
        return self._confirmed(found, phi)

    def _confirmed(self, found: Derivative, phi: Callable[[float], Array]) -> Derivative:
        """The derivative, with an error that covers its difference from an average slope if the steps were tiny.

        Steps far shorter than the spacing of floats at 1 leave 1 + x unchanged, and do not see a term of it.
        """
        unit = max([1.0, *(float(np.abs(leaf).max(initial=0)) for leaf in self.leaves)])
        tiny = found.step < _TINY * self.epsilon_in * unit
        if not tiny.any():
            return found
        t = 16 * _TINY * self.epsilon_in * unit
        with np.errstate(all="ignore"):
            apart = [np.abs((phi(sign * t) - self.value) / (sign * t) - found.value) for sign in (1.0, -1.0)]
        return found._replace(error=np.where(tiny, found.error + np.nan_to_num(np.fmin(*apart)), found.error))

    def _moved(self, direction: Direction, t: Any) -> list[Array]:
        """The arguments at x + t·direction, in their own dtypes unless t is complex."""
        moved = [leaf + t * d for leaf, d in zip(self.leaves, split_like(direction, self.leaves), strict=True)]
        if isinstance(t, complex):
            return moved
        return [np.asarray(part, leaf.dtype, order="K") for part, leaf in zip(moved, self.leaves, strict=True)]

    def _scale(self, direction: Direction) -> tuple[float, float]:
        """The step at which the entries have moved by their own size (geometric mean), and the longest step to take.

        At the longest step all entries have moved by a few times their array's size; far beyond it even a wrong
        derivative may look right. A zero counts as its array's typical size, or as 1 in an array of zeros, times a
        factor in float32 because a step from 0 has no rounding error.
        """
        rates, longest, wide = [], 0.0, float(np.finfo(np.float64).eps) / self.epsilon_in
        for leaf, d in zip(self.leaves, split_like(direction, self.leaves), strict=True):
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

    def unit(self, position: int) -> Direction:
        """The unit direction of one number of x."""
        direction = np.zeros(self.size)
        direction[position] = 1.0
        return direction

    def random_directions(self, rng: np.random.Generator, count: int) -> Iterator[Direction]:
        """Random directions over all numbers, in proportion to each one's size and to its array's in alternation."""
        for number in range(count):
            sizes = [np.abs(leaf.astype(float)).ravel() for leaf in self.leaves]
            typical = [
                np.full(size.shape, float(np.sqrt((size * size).mean() if size.size else 1)) or 1.0) for size in sizes
            ]
            size, of_array = np.concatenate(sizes), np.concatenate(typical)
            yield rng.standard_normal(self.size) * np.where((size > 0) & (number % 2 == 0), size, of_array)

    def entry(self, position: int) -> tuple[int, tuple[int, ...]]:
        """The number of the array that holds a position, and the index in that array."""
        leaf = int(np.searchsorted(self.starts, position, "right")) - 1
        return leaf, tuple(int(i) for i in np.unravel_index(position - self.starts[leaf], self.leaves[leaf].shape))

    def place(self, position: int) -> str:
        """A position in Python's notation, e.g. W[2, 0]."""
        leaf, index = self.entry(position)
        return entry_name(self.structure.names[leaf], index)
