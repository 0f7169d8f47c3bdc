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
        self.at_entry = functools.cache(self._at_entry)

    def run(self, gradient: list[Array] | None = None) -> Report:
        """Compare along all coordinates of a small x, or along random directions and notable entries of a large x.

        The extremes of `gradient`, or else of x, are among the notable entries.
        """
        leaves = self.function.leaves
        size = sum(leaf.size for leaf in leaves)
        if size > MAX_COORDINATES:
            directions = list(self.function.random_directions(self.rng, _DIRECTIONS))
            if len(leaves) > 1:  # and each array by itself
                for number in range(len(leaves)):
                    alone = next(self.function.random_directions(self.rng, 1))
                    directions.append([d if i == number else 0 * d for i, d in enumerate(alone)])
            for direction in directions:
                if self.along(direction).wrong:
                    self._fail(self._locate(direction), direction)
        entries = self._notable(gradient or leaves) if size > MAX_COORDINATES else map(self._entry, range(size))
        for entry in entries:
            if self.at_entry(entry).wrong:
                self._fail(entry)
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

    def _at_entry(self, entry: Entry) -> Compared:
        return self.along(self.function.unit(*entry), self.function.place(*entry))

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

    def _locate(self, direction: Direction) -> Entry | None:
        """Halve a direction with a wrong derivative down to one wrong entry; None if the parts are right."""
        vector = np.concatenate([d.ravel() for d in direction])
        places = np.flatnonzero(vector)
        while len(places) > 1:
            for half in (places[: len(places) // 2], places[len(places) // 2 :]):
                kept = np.zeros_like(vector)
                kept[half] = vector[half]
                if self.along(split_like(kept, self.function.leaves)).wrong:
                    places = half
                    break
            else:
                return None
        entry = self._entry(int(places[0]))
        return entry if self.at_entry(entry).wrong else None

    def _entry(self, position: int) -> Entry:
        """The entry at a position in the vector of all numbers."""
        ends = np.cumsum([leaf.size for leaf in self.function.leaves])
        number = int(np.searchsorted(ends, position, "right"))
        leaf = self.function.leaves[number]
        inside = np.unravel_index(position - int(ends[number]) + leaf.size, leaf.shape)
        return number, tuple(int(i) for i in inside)

    def _fail(self, entry: Entry | None, direction: Direction | None = None) -> None:
        """Raise the GradientError of a wrong entry, or of a direction in which no entry is wrong by itself."""
        function, what = self.function, f"the {self.what}"
        analytic, numeric, _ = found = self.at_entry(entry) if entry else self.along(direction or [])
        output = int(np.argmax(found.excess))
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
        (leaf, index), arrays = entry, [*self.function.leaves, *self.function.outputs]
        shape = arrays[leaf].shape
        whole = arrays[leaf].size <= MAX_COORDINATES
        drawn = zip(*(self.rng.integers(0, n, 11).tolist() for n in shape), strict=True)
        found = [self.at_entry((leaf, i)) for i in (np.ndindex(shape) if whole else [index, *drawn])]
        rows = np.array([(f.analytic[output], f.numeric.value[output], f.allowed[output]) for f in found], float)
        analytic, numeric, allowed = rows.T.reshape(3, *shape if whole else [-1])
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
