"""Compare an analytic derivative with differences, and find the entry that is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import name_of, split_like
from minipg.gradient_check.diagnosis import guess, snippet
from minipg.gradient_check.errors import CheckInputError, GradientError, NotDifferentiableWarning
from minipg.gradient_check.function import SAFETY, FunctionAtPoint
from minipg.gradient_check.numeric import Derivative

MAX_COORDINATES = 64  # arguments of up to this many numbers are checked one by one
_DIRECTIONS = 4
_MAX_NOTABLE = 12


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

    `analytic` maps a direction to the derivative (M,) along it and the derivative's rounding error (M,); `rule` is the
    name of the function under test.
    """

    def __init__(
        self,
        function: FunctionAtPoint,
        analytic: Callable[[list[Array]], tuple[Array, Array]],
        rule: str,
        seed: int,
    ) -> None:
        self.function, self.analytic, self.rule = function, analytic, rule
        self.rng = np.random.default_rng(seed)
        self.kinks: list[str] = []
        self.notes: list[str] = []
        self.jumps = self.blind = False
        self.directions, self.worst, self.allowed, self.largest = 0, 0.0, 0.0, 0.0

    def run(self, notable: Callable[[], list[tuple[int, tuple[int, ...]]]]) -> Report:
        """Compare along all coordinates of a small x, or along random directions and `notable` entries of a large x."""
        function = self.function
        if function.size <= MAX_COORDINATES:
            entries = list(function.entries())
        else:
            directions = list(function.random_directions(self.rng, _DIRECTIONS))
            if len(function.leaves) > 1:  # and each array by itself
                for number, array in enumerate(function.leaves):
                    if array.size:
                        alone = next(function.random_directions(self.rng, 1))
                        directions.append([d if i == number else 0 * d for i, d in enumerate(alone)])
            for direction in directions:
                if self._mismatch(direction) is not None:
                    self._fail(*self._locate(direction))
            entries = notable()
        for leaf, index in entries:
            if self._mismatch(function.unit(leaf, index), function.place(leaf, index)) is not None:
                self._fail(leaf, index)
        broken = "not continuous" if self.jumps else "not differentiable"
        if self.kinks:
            places = ", ".join(self.kinks[:5]) + (" ..." if len(self.kinks) > 5 else "")
            warnings.warn(f"{self.function.what} is {broken} at {places}", NotDifferentiableWarning, stacklevel=4)
        noise = getattr(self, "_relative_noise", 0.0)
        if function.epsilon_in < 1e-10 and 1e-9 < noise < 1e-5:
            self.notes.append(
                f"{name_of(function.f)} seems to compute in float32: its noise is {noise:.0e} of its value"
            )
        status = f"{broken} here" if self.kinks else "passed"
        resolution = self.allowed / self.largest if self.largest else 0.0
        if self.blind:  # no step stays in the function's domain, say
            resolution = float("inf")
        return Report(status, self.directions, self.worst, resolution, tuple(self.kinks), tuple(self.notes))

    def compare(self, direction: list[Array]) -> tuple[Array, Derivative, Array]:
        """The analytic derivative (M,), the numeric one, and the tolerance (M,) for their difference."""
        numeric = self.function.along(direction)
        analytic, noise = self.analytic(direction)
        if analytic.shape != numeric.value.shape:
            raise CheckInputError(
                f"{self.rule}: expected {numeric.value.size} numbers, as many as the function's, got {analytic.size}"
            )
        return analytic, numeric, SAFETY * numeric.error + noise

    def _mismatch(self, direction: list[Array], place: str = "a direction") -> tuple[Array, Derivative, Array] | None:
        analytic, numeric, allowed = self.compare(direction)
        self.directions += 1
        broken = numeric.kink | numeric.jump
        if broken.any():
            self.kinks.append(place)
            self.jumps |= bool(numeric.jump.any())
        difference = np.where(broken, 0, np.abs(analytic - numeric.value))
        sure = np.isfinite(allowed) & ~broken
        self.blind |= bool((~sure & ~broken).any())
        if sure.any():
            self.worst = max(self.worst, float((difference[sure] / np.maximum(allowed[sure], 1e-300)).max()))
            self.allowed = max(self.allowed, float(allowed[sure].max()))
            self.largest = max(self.largest, float(np.abs(analytic[sure]).max()))
            size = np.abs(self.function.value)
            relative = numeric.noise[size > 0] / size[size > 0]
            self._relative_noise = float(np.median(relative)) if relative.size else 0.0
        wrong = sure & (difference > allowed)
        return (analytic, numeric, allowed) if wrong.any() else None

    def _locate(self, direction: list[Array]) -> tuple[int, tuple[int, ...]]:
        """Halve a direction that disagrees until one entry is left."""
        flat = np.concatenate([d.ravel() for d in direction])
        places = list(np.flatnonzero(flat))
        while len(places) > 1:
            half = places[: len(places) // 2]
            places = half if self._mismatch(self._part(flat, half)) is not None else places[len(places) // 2 :]
        return self._entry(int(places[0]))

    def _part(self, flat: Array, places: list[Any]) -> list[Array]:
        kept = np.zeros_like(flat)
        kept[places] = flat[places]
        return split_like(kept, self.function.leaves)

    def _entry(self, position: int) -> tuple[int, tuple[int, ...]]:
        for number, leaf in enumerate(self.function.leaves):
            if position < leaf.size:
                return number, tuple(int(i) for i in np.unravel_index(position, leaf.shape))
            position -= leaf.size
        raise IndexError(position)

    def _fail(self, leaf: int, index: tuple[int, ...]) -> None:
        function, shape = self.function, self.function.leaves[leaf].shape
        analytic, numeric, allowed = self.compare(function.unit(leaf, index))
        output = int(np.argmax(np.where(np.isfinite(allowed), np.abs(analytic - numeric.value) - allowed, -np.inf)))
        whole = function.leaves[leaf].size <= MAX_COORDINATES
        others = list(np.ndindex(shape)) if whole else [index, *self._sample(leaf)]
        rows = [self.compare(function.unit(leaf, other)) for other in others]
        a, n, e = (
            np.array(column)
            for column in zip(*((r[0][output], r[1].value[output], r[2][output]) for r in rows), strict=True)
        )
        if whole:
            a, n, e = a.reshape(shape), n.reshape(shape), e.reshape(shape)
        sizes = [n for part in function.leaves for n in part.shape] + list(function.shape)
        cause = guess(a, n, np.where(np.isfinite(e), e, np.inf), sizes, whole)
        raise GradientError(
            f"{function.what}{'' if function.value.size == 1 else f', output {output},'} is wrong at "
            f"{function.place(leaf, index)}",
            argument=function.structure.names[leaf],
            index=index,
            analytic=float(analytic[output]),
            numeric=float(numeric.value[output]),
            error=float(numeric.error[output]),
            guess="; ".join([cause, *self.notes]),
            snippet=snippet(name_of(function.f), self.rule, function.structure.template, function.leaves, leaf, index)
            if function.value.size == 1 and "." not in function.structure.names[leaf] else "",
            x=function.structure.build(function.leaves),
        )  # fmt: skip

    def _sample(self, leaf: int) -> list[tuple[int, ...]]:
        shape = self.function.leaves[leaf].shape
        positions = self.rng.integers(0, self.function.leaves[leaf].size, 11)
        return [tuple(int(i) for i in np.unravel_index(int(p), shape)) for p in positions]


def notable_entries(leaves: list[Array], seed: int) -> list[tuple[int, tuple[int, ...]]]:
    """Entries of large arrays to check one by one: corners, extremes, zeros, and a few at random."""
    rng, found = np.random.default_rng(seed), []
    for number, leaf in enumerate(leaves):
        if leaf.size:
            size = np.abs(leaf.ravel())
            positions = {
                0,
                leaf.size - 1,
                int(size.argmax()),
                int(size.argmin()),
                *rng.integers(0, leaf.size, 3).tolist(),
            }
            found += [(number, tuple(int(i) for i in np.unravel_index(p, leaf.shape))) for p in sorted(positions)]
    order = rng.permutation(len(found))[:_MAX_NOTABLE]
    return [found[i] for i in order]
