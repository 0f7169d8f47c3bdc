"""An analytic derivative held against the numeric one, and the verdict."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import name_of
from minipg.gradient_check.diagnosis import guess, snippet
from minipg.gradient_check.errors import CheckInputError, GradientError, NotDifferentiableWarning
from minipg.gradient_check.numeric import Derivative
from minipg.gradient_check.problem import SAFETY, Problem

EVERY_COORDINATE = 64  # arguments of up to so many numbers are checked one by one
_DIRECTIONS = 4
_SUSPECTS = 12


class Report(NamedTuple):
    """What a check found that did not fail.

    `status` is "passed", "not differentiable here" or "not continuous here"; `directions` were tried; `worst` is the
    largest difference as a fraction of what was allowed, `resolution` the largest allowance as a fraction of the
    derivative's size (mistakes smaller than it would go unseen), `kinks` the places without a derivative, `notes`
    anything else worth knowing.
    """

    status: str
    directions: int
    worst: float
    resolution: float
    kinks: tuple[str, ...]
    notes: tuple[str, ...]


class Comparison:
    """Holds an analytic derivative, given along any direction, against the numeric one; raises at the first mistake."""

    def __init__(self, problem: Problem, analytic: Callable[[list[Array]], tuple[Array, Array]], rule: str, seed: int):
        self.problem, self.analytic, self.rule = problem, analytic, rule
        self.rng = np.random.default_rng(seed)
        self.kinks: list[str] = []
        self.notes: list[str] = []
        self.jumps = self.blind = False
        self.directions, self.worst, self.allowed, self.largest = 0, 0.0, 0.0, 0.0

    def run(self, suspects: Callable[[], list[tuple[int, tuple[int, ...]]]]) -> Report:
        """Every coordinate of a small problem; directions and `suspects` of a large one."""
        problem = self.problem
        if problem.size <= EVERY_COORDINATE:
            entries = list(problem.entries())
        else:
            directions = list(problem.random_directions(self.rng, _DIRECTIONS))
            if len(problem.leaves) > 1:  # and each array by itself
                for number, array in enumerate(problem.leaves):
                    if array.size:
                        alone = next(problem.random_directions(self.rng, 1))
                        directions.append([d if i == number else 0 * d for i, d in enumerate(alone)])
            for direction in directions:
                if self._disagree(direction) is not None:
                    self._fail(*self._locate(direction))
            entries = suspects()
        for leaf, index in entries:
            if self._disagree(problem.unit(leaf, index), problem.place(leaf, index)) is not None:
                self._fail(leaf, index)
        broken = "not continuous" if self.jumps else "not differentiable"
        if self.kinks:
            places = ", ".join(self.kinks[:5]) + (" ..." if len(self.kinks) > 5 else "")
            warnings.warn(f"{self.problem.what} is {broken} at {places}", NotDifferentiableWarning, stacklevel=4)
        noise = getattr(self, "_relative_noise", 0.0)
        if problem.epsilon_in < 1e-10 and 1e-9 < noise < 1e-5:
            self.notes.append(
                f"{name_of(problem.f)} seems to compute in float32: its noise is {noise:.0e} of its value"
            )
        status = f"{broken} here" if self.kinks else "passed"
        resolution = self.allowed / self.largest if self.largest else 0.0
        if self.blind:  # no step stays in the function's domain, say
            resolution = float("inf")
        return Report(status, self.directions, self.worst, resolution, tuple(self.kinks), tuple(self.notes))

    def compare(self, direction: list[Array]) -> tuple[Array, Derivative, Array]:
        """analytic (M,), numeric, and the difference that is allowed (M,)."""
        numeric = self.problem.along(direction)
        analytic, noise = self.analytic(direction)
        if analytic.shape != numeric.value.shape:
            raise CheckInputError(
                f"{self.rule}: expected {numeric.value.size} numbers, as many as the function's, got {analytic.size}"
            )
        return analytic, numeric, SAFETY * numeric.error + noise

    def _disagree(self, direction: list[Array], place: str = "a direction") -> tuple[Array, Derivative, Array] | None:
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
            size = np.abs(self.problem.value)
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
            places = half if self._disagree(self._part(flat, half)) is not None else places[len(places) // 2 :]
        return self._entry(int(places[0]))

    def _part(self, flat: Array, places: list[Any]) -> list[Array]:
        kept = np.zeros_like(flat)
        kept[places] = flat[places]
        cuts = np.cumsum([leaf.size for leaf in self.problem.leaves])[:-1]
        return [part.reshape(leaf.shape) for part, leaf in zip(np.split(kept, cuts), self.problem.leaves, strict=True)]

    def _entry(self, position: int) -> tuple[int, tuple[int, ...]]:
        for number, leaf in enumerate(self.problem.leaves):
            if position < leaf.size:
                return number, tuple(int(i) for i in np.unravel_index(position, leaf.shape))
            position -= leaf.size
        raise IndexError(position)

    def _fail(self, leaf: int, index: tuple[int, ...]) -> None:
        problem, shape = self.problem, self.problem.leaves[leaf].shape
        analytic, numeric, allowed = self.compare(problem.unit(leaf, index))
        output = int(np.argmax(np.where(np.isfinite(allowed), np.abs(analytic - numeric.value) - allowed, -np.inf)))
        whole = problem.leaves[leaf].size <= EVERY_COORDINATE
        others = list(np.ndindex(shape)) if whole else [index, *self._sample(leaf)]
        rows = [self.compare(problem.unit(leaf, other)) for other in others]
        a, n, e = (
            np.array(column)
            for column in zip(*((r[0][output], r[1].value[output], r[2][output]) for r in rows), strict=True)
        )
        if whole:
            a, n, e = a.reshape(shape), n.reshape(shape), e.reshape(shape)
        sizes = [n for part in problem.leaves for n in part.shape] + list(problem.shape)
        cause = guess(a, n, np.where(np.isfinite(e), e, np.inf), sizes, whole)
        raise GradientError(
            problem.what if problem.value.size == 1 else f"{problem.what}, output {output},",
            argument=problem.structure.names[leaf],
            index=index,
            analytic=float(analytic[output]),
            numeric=float(numeric.value[output]),
            error=float(numeric.error[output]),
            guess="; ".join([cause, *self.notes]),
            snippet=snippet(name_of(problem.f), self.rule, problem.structure.template, problem.leaves, leaf, index)
            if problem.value.size == 1 and "." not in problem.structure.names[leaf] else "",
            x=problem.structure.build(problem.leaves),
        )  # fmt: skip

    def _sample(self, leaf: int) -> list[tuple[int, ...]]:
        shape = self.problem.leaves[leaf].shape
        positions = self.rng.integers(0, self.problem.leaves[leaf].size, 11)
        return [tuple(int(i) for i in np.unravel_index(int(p), shape)) for p in positions]


def suspects(leaves: list[Array], seed: int) -> list[tuple[int, tuple[int, ...]]]:
    """Entries of a large array worth a look of their own: corners, extremes, zeros, and a few at random."""
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
    order = rng.permutation(len(found))[:_SUSPECTS]
    return [found[i] for i in order]
