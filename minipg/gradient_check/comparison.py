"""Compare an analytic derivative with differences, and find the entry that is wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import flat, split_like
from minipg.gradient_check.diagnosis import likely_cause
from minipg.gradient_check.differences import Derivative
from minipg.gradient_check.errors import GradientError
from minipg.gradient_check.function import SAFETY, Direction, FunctionAtPoint

MAX_COORDINATES = 64  # arguments of up to this many numbers are checked one by one
_DIRECTIONS = 4
_NOTABLE = 12
Entry = tuple[int, tuple[int, ...]]  # the number of a leaf, and an index in it


class Report(NamedTuple):
    """The result of a check that found no mistake.

    `status`: "passed", "not differentiable here" or "not continuous here". `directions`: the number of directions that
    were tried. `worst`: the largest difference as a fraction of the tolerance. `resolution`: the largest tolerance as a
    fraction of the derivative's largest entry; smaller mistakes are not seen, and inf means that the differences were
    unusable somewhere. `kinks`: the entries without a derivative. `notes`: other remarks.
    """

    status: str
    directions: int
    worst: float
    resolution: float
    kinks: tuple[str, ...]
    notes: tuple[str, ...]


class Compared(NamedTuple):
    """One directional derivative: analytic (M,), numeric, and the tolerance (M,) for their difference."""

    analytic: Array
    numeric: Derivative
    allowed: Array

    @property
    def broken(self) -> Array:
        """True for outputs that have no derivative."""
        return self.numeric.kink | self.numeric.jump

    @property
    def excess(self) -> Array:
        """The difference beyond the tolerance; −∞ where nothing can be said."""
        difference = np.abs(self.analytic - self.numeric.value) - self.allowed
        return np.where(np.isfinite(self.allowed) & ~self.broken, difference, -np.inf)

    @property
    def wrong(self) -> bool:
        """True if any output differs by more than the tolerance."""
        return bool((self.excess > 0).any())


class Comparison:
    """Compares directional derivatives: analytic against numeric. Raises GradientError at the first mistake.

    `analytic` maps a direction to the derivative (M,) along it and the derivative's rounding error (M,). `what`: its
    name in messages, e.g. "gradient of loss". `snippet` makes code that reproduces a mistake from the entry and a step.
    """

    def __init__(
        self,
        function: FunctionAtPoint,
        analytic: Callable[[Direction], tuple[Array, Array]],
        what: str,
        seed: int = 0,
        snippet: Callable[[Entry, float], str] | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.function, self.analytic, self.what, self.snippet = function, analytic, what, snippet
        self.rng, self.kinks, self.notes = np.random.default_rng(seed), dict[str, None](), list(notes)
        self.jumps = self.blind = self.single = False
        self.directions, self.worst, self.allowed, self.largest, self.noise = 0, 0.0, 0.0, 0.0, 0.0
        self.at = functools.cache(self._at)

    def run(self, gradient: Array | None = None) -> Report:
        """Compare along all coordinates of a small x, or along random directions and notable entries of a large x.

        The extremes of `gradient`, or else of x, are among the notable entries.
        """
        function = self.function
        positions: Iterable[int] = range(function.size)
        if function.size > MAX_COORDINATES:
            directions = list(function.random_directions(self.rng, _DIRECTIONS))
            if len(function.leaves) > 1:  # and each array by itself
                owner = np.repeat(np.arange(len(function.leaves)), [leaf.size for leaf in function.leaves])
                alone = function.random_directions(self.rng, len(function.leaves))
                directions += [np.where(owner == number, v, 0) for number, v in enumerate(alone)]
            for direction in directions:
                if self.along(direction).wrong:
                    self._fail(self._locate(direction), direction)
            positions = self._notable(flat(function.leaves) if gradient is None else gradient)
        for position in positions:
            if self.at(position).wrong:
                self._fail(position)
        return self._report()

    def along(self, direction: Direction, place: str = "a direction") -> Compared:
        """Compare along a direction, and keep what the report needs."""
        numeric = self.function.along(direction)
        analytic, noise = self.analytic(direction)
        found = Compared(analytic, numeric, SAFETY * numeric.error + noise)
        self.directions += 1
        if found.broken.any():
            self.kinks[place] = None
            self.jumps |= bool(numeric.jump.any())
        sure = np.isfinite(found.allowed) & ~found.broken
        self.blind |= bool((~sure & ~found.broken).any())
        if sure.any():
            difference, allowed = np.abs(analytic - numeric.value)[sure], found.allowed[sure]
            self.worst = max(self.worst, float((difference / np.maximum(allowed, 1e-300)).max()))
            self.allowed = max(self.allowed, float(allowed.max()))
            self.largest = max(self.largest, float(np.abs(analytic[sure]).max()))
            size = np.abs(self.function.value)
            self.noise = float(np.median(numeric.noise[size > 0] / size[size > 0])) if size.any() else 0.0
            self.single = bool(numeric.single.any())
        return found

    def _at(self, position: int) -> Compared:
        return self.along(self.function.unit(position), self.function.place(position))

    def _report(self) -> Report:
        name, failure = self.function.name, self.function.failure
        if self.single:
            self.notes.append(f"{name} computes in float32: all its values are float32 numbers")
        elif self.function.epsilon_in < 1e-10 and self.noise > 1e-9:
            self.notes.append(f"the noise of {name} is {self.noise:.0e} of its value")
        if self.blind:
            self.notes.append("no step in some direction stays in the domain" + f": {failure}" * bool(failure))
        resolution = self.allowed / self.largest if self.largest else 0.0
        if resolution >= 1:
            self.notes.append(f"differences cannot decide: {name} moves by stairs, or its noise is too large")
        status = "not continuous here" if self.jumps else "not differentiable here" if self.kinks else "passed"
        return Report(
            status, self.directions, self.worst, float("inf") if self.blind else resolution, tuple(self.kinks),
            tuple(self.notes),
        )  # fmt: skip

    def _locate(self, direction: Direction) -> int | None:
        """Halve a direction with a wrong derivative down to one wrong entry; None if the parts are right."""
        places = np.flatnonzero(direction)
        while len(places) > 1:
            for half in (places[: len(places) // 2], places[len(places) // 2 :]):
                kept = np.zeros_like(direction)
                kept[half] = direction[half]
                if self.along(kept).wrong:
                    places = half
                    break
            else:
                return None
        position = int(places[0])
        return position if self.at(position).wrong else None

    def _fail(self, position: int | None, direction: Direction | None = None) -> None:
        """Raise the GradientError of a wrong entry, or of a direction in which no entry is wrong by itself."""
        function, what = self.function, f"the {self.what}"
        found = self.along(np.asarray(direction)) if position is None else self.at(position)
        output = int(np.argmax(found.excess))
        if function.value.size > 1:
            what += f", output {output},"
        error = functools.partial(
            GradientError, analytic=float(found.analytic[output]), numeric=float(found.numeric.value[output]),
            error=float(found.numeric.error[output]), x=function.structure.build(function.leaves),
        )  # fmt: skip
        if position is None:
            cause = "a small mistake in many entries: none is wrong by more than the differences show"
            raise error(f"{what} is wrong along a direction", guess=cause)
        leaf, index = function.entry(position)
        snippet = self.snippet((leaf, index), float(found.numeric.step[output])) if self.snippet else ""
        cause = "; ".join(filter(None, [self._cause(position, leaf, output), *self.notes]))
        raise error(
            f"{what} is wrong at {function.place(position)}", argument=function.structure.names[leaf], index=index,
            guess=cause, snippet=snippet,
        )  # fmt: skip

    def _cause(self, position: int, leaf: int, output: int) -> str:
        """The likely cause, from the entries of one argument: all of a small one, a sample of a large one."""
        function, array = self.function, self.function.leaves[leaf]
        whole, start = array.size <= MAX_COORDINATES, int(function.starts[leaf])
        sample = [position, *self.rng.integers(start, start + array.size, 11).tolist()]
        found = [self.at(k) for k in (range(start, start + array.size) if whole else sample)]
        rows = np.array([(f.analytic[output], f.numeric.value[output], f.allowed[output]) for f in found], float)
        analytic, numeric, allowed = rows.T.reshape(3, *array.shape if whole else [-1])
        sizes = [n for part in (*function.leaves, *function.outputs) for n in part.shape]
        return likely_cause(analytic, numeric, np.where(np.isfinite(allowed), allowed, np.inf), sizes, whole)

    def _notable(self, vector: Array) -> list[int]:
        """Positions in large arrays to check one by one: corners, extremes and a few at random."""
        found: list[int] = []
        for start, part in zip(self.function.starts, split_like(vector, self.function.leaves), strict=True):
            if part.size:
                size = np.abs(part.ravel())
                extremes = {0, size.size - 1, int(size.argmax()), int(size.argmin())}
                found += [int(start) + k for k in sorted(extremes | set(self.rng.integers(0, size.size, 3).tolist()))]
        return [found[i] for i in self.rng.permutation(len(found))[:_NOTABLE]]
