"""Compare an analytic derivative with differences, and find the entry that is wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import split_like
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
        self.rng = np.random.default_rng(seed)
        self.kinks: list[str] = []
        self.notes = list(notes)
        self.jumps = self.blind = self.single = False
        self.directions, self.worst, self.allowed, self.largest, self.noise = 0, 0.0, 0.0, 0.0, 0.0

    def run(self, gradient: list[Array] | None = None) -> Report:
        """Compare along all coordinates of a small x, or along random directions and notable entries of a large x.

        The extremes of `gradient`, or else of x, are among the notable entries.
        """
        function = self.function
        entries = list(function.entries())[: MAX_COORDINATES + 1]
        if len(entries) > MAX_COORDINATES:
            directions = list(function.random_directions(self.rng, _DIRECTIONS))
            if len(function.leaves) > 1:  # and each array by itself
                for number, array in enumerate(function.leaves):
                    if array.size:
                        alone = next(function.random_directions(self.rng, 1))
                        directions.append([d if i == number else 0 * d for i, d in enumerate(alone)])
            for direction in directions:
                if self._differs(direction):
                    self._fail(self._locate(direction), direction)
            entries = self._notable(gradient or function.leaves)
        for entry in entries:
            if self._differs(function.unit(*entry), function.place(*entry)):
                self._fail(entry, function.unit(*entry))
        return self._report()

    def compare(self, direction: Direction) -> tuple[Array, Derivative, Array]:
        """The analytic derivative (M,), the numeric one, and the tolerance (M,) for their difference."""
        numeric = self.function.along(direction)
        analytic, noise = self.analytic(direction)
        return analytic, numeric, SAFETY * numeric.error + noise

    def _differs(self, direction: Direction, place: str = "a direction") -> bool:
        analytic, numeric, allowed = self.compare(direction)
        self.directions += 1
        broken = numeric.kink | numeric.jump
        if broken.any():
            self.kinks.append(place)
            self.jumps |= bool(numeric.jump.any())
        sure = np.isfinite(allowed) & ~broken
        self.blind |= bool((~sure & ~broken).any())
        if not sure.any():
            return False
        difference, allowed = np.abs(analytic - numeric.value)[sure], allowed[sure]
        self.worst = max(self.worst, float((difference / np.maximum(allowed, 1e-300)).max()))
        self.allowed = max(self.allowed, float(allowed.max()))
        self.largest = max(self.largest, float(np.abs(analytic[sure]).max()))
        size = np.abs(self.function.value)
        relative = numeric.noise[size > 0] / size[size > 0]
        self.noise, self.single = float(np.median(relative)) if relative.size else 0.0, bool(numeric.single.any())
        return bool((difference > allowed).any())

    def _report(self) -> Report:
        if self.single:
            self.notes.append(f"{self.function.name} computes in float32: all its values are float32 numbers")
        elif self.function.epsilon_in < 1e-10 and self.noise > 1e-9:
            self.notes.append(f"the noise of {self.function.name} is {self.noise:.0e} of its value")
        if self.blind:
            self.notes.append(
                "no step in some direction stays in the domain"
                + f": {self.function.failure}" * bool(self.function.failure)
            )
        resolution = self.allowed / self.largest if self.largest else 0.0
        if resolution >= 1:
            self.notes.append(
                f"differences cannot decide: {self.function.name} moves by stairs, or its noise is too large"
            )
        broken = "not continuous here" if self.jumps else "not differentiable here"
        return Report(
            broken if self.kinks else "passed", self.directions, self.worst,
            float("inf") if self.blind else resolution, tuple(self.kinks), tuple(self.notes),
        )  # fmt: skip

    def _locate(self, direction: Direction) -> Entry | None:
        """Halve a direction with a wrong derivative down to one wrong entry; None if the parts are right."""
        vector = np.concatenate([d.ravel() for d in direction])
        places = np.flatnonzero(vector)
        while len(places) > 1:
            for half in (places[: len(places) // 2], places[len(places) // 2 :]):
                kept = np.zeros_like(vector)
                kept[half] = vector[half]
                if self._differs(split_like(kept, self.function.leaves)):
                    places = half
                    break
            else:
                return None
        entry = self._entry(int(places[0]))
        return entry if self._differs(self.function.unit(*entry)) else None

    def _entry(self, position: int) -> Entry:
        for number, leaf in enumerate(self.function.leaves):
            if position < leaf.size:
                return number, tuple(int(i) for i in np.unravel_index(position, leaf.shape))
            position -= leaf.size
        raise IndexError(position)

    def _fail(self, entry: Entry | None, direction: Direction) -> None:
        function, what = self.function, f"the {self.what}"
        analytic, numeric, allowed = self.compare(function.unit(*entry) if entry else direction)
        output = int(np.argmax(np.where(np.isfinite(allowed), np.abs(analytic - numeric.value) - allowed, -np.inf)))
        if function.value.size > 1:
            what += f", output {output},"
        error = functools.partial(
            GradientError, analytic=float(analytic[output]), numeric=float(numeric.value[output]),
            error=float(numeric.error[output]), x=function.structure.build(function.leaves),
        )  # fmt: skip
        if entry is None:
            cause = "a small mistake in many entries: none is wrong by more than the differences show"
            raise error(f"{what} is wrong along a direction", guess=cause)
        cause = "; ".join(filter(None, [self._cause(entry, output), *self.notes]))
        raise error(
            f"{what} is wrong at {function.place(*entry)}", argument=function.structure.names[entry[0]], index=entry[1],
            guess=cause, snippet=self.snippet(entry, float(numeric.step[output])) if self.snippet else "",
        )  # fmt: skip

    def _cause(self, entry: Entry, output: int) -> str:
        """The likely cause, from the entries of one argument: all of a small one, a sample of a large one."""
        leaf, shape = entry[0], self.function.leaves[entry[0]].shape
        size = self.function.leaves[leaf].size
        whole = size <= MAX_COORDINATES
        sample = np.append(np.ravel_multi_index(entry[1], shape) if shape else 0, self.rng.integers(0, size, 11))
        indices = list(np.ndindex(shape)) if whole else list(zip(*np.unravel_index(sample, shape), strict=True))
        rows = [self.compare(self.function.unit(leaf, index)) for index in indices]
        analytic, numeric, allowed = (
            np.array([row[output] for row in column]).reshape(shape if whole else -1)
            for column in ([r[0] for r in rows], [r[1].value for r in rows], [r[2] for r in rows])
        )
        arrays = [*self.function.leaves, *self.function.outputs]
        sizes = [n for array in arrays for n in array.shape]
        return likely_cause(analytic, numeric, np.where(np.isfinite(allowed), allowed, np.inf), sizes, whole)

    def _notable(self, arrays: list[Array]) -> list[Entry]:
        """Entries of large arrays to check one by one: corners, extremes and a few at random."""
        found: list[Entry] = []
        for number, array in enumerate(arrays):
            if array.size:
                size = np.abs(array.ravel())
                extremes = {0, array.size - 1, int(size.argmax()), int(size.argmin())}
                positions = sorted(extremes | set(self.rng.integers(0, array.size, 3).tolist()))
                found += [(number, tuple(int(i) for i in np.unravel_index(p, array.shape))) for p in positions]
        return [found[i] for i in self.rng.permutation(len(found))[:_NOTABLE]]
