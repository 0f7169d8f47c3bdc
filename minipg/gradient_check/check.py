"""The checks themselves."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.gradient_check.arguments import Structure, require_floats
from minipg.gradient_check.diagnosis import guess, snippet
from minipg.gradient_check.errors import CheckInputError, GradientError, NotDifferentiableWarning
from minipg.gradient_check.numeric import IMAGINARY, Derivative, complex_step, derivative

_EVERY_COORDINATE = 64  # arguments of up to so many numbers are checked one by one
_DIRECTIONS = 4
_SUSPECTS = 12
_REACH = 4.0  # of the arguments' size: the longest step
_SAFETY = 4.0  # how far beyond its own error estimate a difference must be to count as a mistake


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


class Problem:
    """A function at a point: evaluated as numbers (M,) along directions."""

    def __init__(self, f: Callable[..., Any], x: Any, what: str) -> None:
        self.f, self.what = f, what
        self.structure, self.leaves = Structure.of(x, f)
        require_floats(self.structure, self.leaves)
        first = self.outputs(self.leaves)
        before = copies(self.leaves)
        result = self._call(copies(self.leaves))
        results = Structure.of(result)[1]
        again = outputs_of(result)
        given = copies(before)
        self._call(given)
        if any(not np.array_equal(a, b) for a, b in zip(given, before, strict=True)):
            raise CheckInputError(f"{_name(f)} changes its arguments in place")
        if not np.array_equal(again, first, equal_nan=True):
            raise CheckInputError(f"{_name(f)} is not deterministic: the same arguments gave two results")
        if not np.isfinite(first).all():
            raise CheckInputError(f"{_name(f)} returns {first[~np.isfinite(first)][0]} at the point of the check")
        self.value, self.shape = first, results[0].shape if len(results) == 1 else first.shape
        kinds = [np.finfo(leaf.dtype).eps for leaf in self.leaves if leaf.size]
        self.epsilon_in = float(max(kinds, default=np.finfo(np.float64).eps))
        own = [np.finfo(part.dtype).eps for part in results if part.dtype in (np.float32, np.float64)]
        self.epsilon_out = float(max(own, default=np.finfo(np.float64).eps))
        self.epsilon_out = max(self.epsilon_out, self.epsilon_in)
        self.size = sum(leaf.size for leaf in self.leaves)

    def _call(self, leaves: list[Array]) -> Any:
        return self.structure.call(self.f, leaves)

    def outputs(self, leaves: list[Array]) -> Array:
        """f as a flat float64 vector (M,)."""
        return self._numbers(self._call(copies(leaves)))

    def _numbers(self, result: Any) -> Array:
        out = [np.asarray(result)] if isinstance(result, np.ndarray | np.generic) else Structure.of(result)[1]
        for part in out:
            if part.dtype.kind not in "fc":
                raise CheckInputError(
                    f"{_name(self.f)} returns {part.dtype}: a function with a derivative returns floats"
                )
        kind = complex if any(part.dtype.kind == "c" for part in out) else float
        return np.concatenate([part.astype(kind).ravel() for part in out]) if out else np.zeros(0)

    def moved(self, direction: list[Array], t: Any) -> list[Array]:
        """The arguments at x + t·direction, in their own dtypes unless t is complex."""
        if isinstance(t, complex):
            return [leaf + t * d for leaf, d in zip(self.leaves, direction, strict=True)]
        return [np.asarray(leaf + t * d, leaf.dtype, order="K") for leaf, d in zip(self.leaves, direction, strict=True)]

    def along(self, direction: list[Array]) -> Derivative:
        """The numeric derivative along `direction`, tightened by a complex step where f takes one."""
        scale, longest = self._scale(direction)
        phi = lambda t: self._numbers(self._call(self.moved(direction, t)))
        found = derivative(phi, scale, self.epsilon_in, self.epsilon_out, longest)
        if self.epsilon_in > 1e-10:
            return found
        exact = complex_step(phi, scale)
        if exact is None or exact.shape != found.value.shape:
            return found
        amplified = np.maximum(1, found.noise / (self.epsilon_out * np.maximum(np.abs(self.value), 1e-300)))
        bound = 1e4 * self.epsilon_out * amplified * (np.abs(exact) + np.abs(self.value) / max(scale, 1.0))
        bound += float(np.finfo(np.float64).tiny) / (IMAGINARY * scale)
        # differences must have seen the size of it: abs takes complex numbers too, and is not analytic
        seen = (np.abs(exact - found.value) <= _SAFETY * found.error) & (16 * found.error <= np.abs(exact))
        better = seen & (bound < found.error)
        return found._replace(value=np.where(better, exact, found.value), error=np.where(better, bound, found.error))

    def _scale(self, direction: list[Array]) -> tuple[float, float]:
        """The |t| at which entries have moved by their own size, in the geometric mean, and that at which all have.

        Far beyond the second, even a wrong derivative may look right. A zero, which any step changes exactly, is
        given a wide range below the size of the rest of its array; without a rest, below 1.
        """
        rates, longest, wide = [], 0.0, float(np.finfo(np.float64).eps) / self.epsilon_in
        for leaf, d in zip(self.leaves, direction, strict=True):
            moving = d != 0
            if moving.any():
                size, speed = np.abs(leaf.astype(float)), np.abs(d[moving])
                typical = float(size.max()) * float(np.sqrt(np.mean((size / (size.max() or 1.0)) ** 2))) or 1.0
                rates.append(np.where(size[moving] > 0, size[moving], typical * wide) / speed)
                longest = max(longest, _REACH * typical / float(speed.max()))
        if not rates:
            return 1.0, 1.0
        scale = float(np.exp(np.mean(np.log(np.concatenate(rates)))))
        least = float(np.finfo(np.float32).tiny) if self.epsilon_in > 1e-10 else 1e-280
        scale = max(scale, 1e-24 * longest, least)
        return scale, max(scale, longest)

    def unit(self, leaf: int, index: tuple[int, ...]) -> list[Array]:
        """The direction of one entry."""
        direction = [np.zeros(part.shape) for part in self.leaves]
        direction[leaf][index] = 1.0
        return direction

    def entries(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Every (leaf, index)."""
        for number, leaf in enumerate(self.leaves):
            for index in np.ndindex(leaf.shape):
                yield number, index

    def random_directions(self, rng: np.random.Generator, count: int) -> Iterator[list[Array]]:
        """All entries at once: by turns in proportion to each entry's size, and to its array's."""
        for number in range(count):
            direction = []
            for leaf in self.leaves:
                size = np.abs(leaf.astype(float))
                typical = float(np.sqrt((size * size).mean())) if leaf.size else 1.0
                own = np.where(size > 0, size, typical or 1.0) if number % 2 == 0 else (typical or 1.0)
                direction.append(rng.standard_normal(leaf.shape) * own)
            yield direction

    def place(self, leaf: int, index: tuple[int, ...]) -> str:
        """An entry's name."""
        inside = "[" + ", ".join(map(str, index)) + "]" if index else ""
        return (self.structure.names[leaf] or "x") + inside


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
        if problem.size <= _EVERY_COORDINATE:
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
            self.notes.append(f"{_name(problem.f)} seems to compute in float32: its noise is {noise:.0e} of its value")
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
        return analytic, numeric, _SAFETY * numeric.error + noise

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
        whole = problem.leaves[leaf].size <= _EVERY_COORDINATE
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
            snippet=snippet(_name(problem.f), self.rule, problem.structure.template, problem.leaves, leaf, index)
            if problem.value.size == 1 and "." not in problem.structure.names[leaf] else "",
            x=problem.structure.build(problem.leaves),
        )  # fmt: skip

    def _sample(self, leaf: int) -> list[tuple[int, ...]]:
        shape = self.problem.leaves[leaf].shape
        positions = self.rng.integers(0, self.problem.leaves[leaf].size, 11)
        return [tuple(int(i) for i in np.unravel_index(int(p), shape)) for p in positions]


def outputs_of(value: Any) -> Array:
    """A result of any structure as a flat float64 vector."""
    return flat(Structure.of(value)[1])


def copies(leaves: list[Array]) -> list[Array]:
    """What a function may be given without harm."""
    return [leaf.copy(order="K") for leaf in leaves]


def flat(leaves: list[Array]) -> Array:
    """All numbers in a row, in float64."""
    return np.concatenate([np.asarray(leaf, float).ravel() for leaf in leaves] or [np.zeros(0)])


def inner(a: list[Array], b: list[Array]) -> float:
    """Σ a·b over all leaves, in float64."""
    return float(sum((x.astype(float) * y).sum() for x, y in zip(a, b, strict=True)))


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


def _name(f: Any) -> str:
    name = getattr(f, "__name__", type(f).__name__)
    return "f" if name == "<lambda>" else name
