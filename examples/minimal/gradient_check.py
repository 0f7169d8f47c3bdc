"""Check a gradient written by hand against differences: the core of a gradient checker, whole in one file.

    python examples/minimal/gradient_check.py

A difference quotient has two errors. Truncation falls with the step h, rounding grows as h falls. So the quotient is
computed at many steps, and the step with the smallest bound on the sum of both is taken. A gradient is wrong where it
differs from the result by more than that bound: there is no tolerance to choose.
The library's version: minipg/gradient_check/, which takes any arguments and finds kinks, jumps and noise.
"""

from typing import NamedTuple

import numpy as np

STEPS = 2.0 ** -np.arange(2, 30)  # as shares of |x_i|, or of 1 at x_i = 0
SAFETY = 4


class Verdict(NamedTuple):
    """`right`, or the first wrong coordinate, both derivatives there, and the likely cause."""

    right: bool
    index: int | None = None
    analytic: float = 0.0
    numeric: float = 0.0
    cause: str = ""


def derivative(f, x, i):
    """∂f/∂x_i at x (P,) by extrapolated central differences, and a bound on its error."""
    unit = np.zeros_like(x)
    unit[i] = abs(x[i]) or 1.0
    right, left = (np.array([f(x + sign * h * unit) for h in STEPS]) for sign in (1, -1))
    quotient = (right - left) / (2 * STEPS * unit[i])  # its error is c h² + O(h⁴)
    value = (4 * quotient[1:] - quotient[:-1]) / 3  # Richardson: from h and h/2, without the h²
    truncation = np.abs(np.diff(value, prepend=np.inf))
    truncation[1:] = np.maximum(truncation[1:], truncation[:-1] / 16)  # two neighbours may agree by chance
    size = max(abs(f(x)), np.abs(right[-1]), np.abs(left[-1]))
    rounding = 8 * np.finfo(float).eps * size / (STEPS[1:] * unit[i])
    error = np.where(np.isfinite(value), truncation + rounding, np.inf)  # not finite: the step has left the domain
    best = int(np.argmin(error))
    return value[best], error[best]


def likely_cause(analytic, numeric, allowed):
    """The pattern of the mistake, in words.   analytic, numeric, allowed (P,)."""
    wrong, clear = np.abs(analytic - numeric) > allowed, np.abs(numeric) > 4 * allowed
    if not analytic.any():
        return "a missing term: this argument's derivative is zero everywhere"
    ratios = analytic[clear] / numeric[clear]
    ratio = np.median(ratios) if len(ratios) else 0.0
    if ratio and np.allclose(ratios, ratio, rtol=1e-6) and wrong[clear].all():  # the same factor everywhere
        for factor, name in ((-1, "a wrong sign"), (2, "a factor of 2"), (0.5, "a factor of 1/2")):
            if np.isclose(ratio, factor, rtol=1e-6):
                return name
        for count, text in ((ratio, "missing"), (1 / ratio, "too many")):
            if round(count) > 2 and np.isclose(count, round(count), rtol=1e-6):
                return f"a constant factor of {ratio:.6g}: a 1/N {text}, with N = {round(count)}?"
        return f"a constant factor of {ratio:.6g}"
    if wrong.sum() <= max(1, len(wrong) // 4):
        return f"a mistake in single entries: {wrong.sum()} of {len(wrong)} are wrong, the others are right"
    return "a missing or wrong term: the entries' ratios follow no single pattern"


def check_gradient(f, gradient, x):
    """Check that gradient(x) (P,) is the gradient of the number f(x).   x (P,) → Verdict."""
    analytic = np.asarray(gradient(x), float)
    numeric, error = np.array([derivative(f, x, i) for i in range(len(x))]).T
    allowed = SAFETY * error + 1e-14 * np.abs(analytic)  # the gradient's own rounding
    wrong = np.flatnonzero(np.abs(analytic - numeric) > allowed)
    if not len(wrong):
        return Verdict(True)
    i = int(wrong[0])
    return Verdict(False, i, analytic[i], numeric[i], likely_cause(analytic, numeric, allowed))


def main():
    """The score of a softmax policy (DI-1), with four mistakes and without."""
    rng = np.random.default_rng(0)
    obs, act, adv, theta = rng.normal(size=(20, 4)), rng.integers(2, size=20), rng.normal(size=20), rng.normal(size=8)
    softmax = lambda logits: np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))

    def objective(theta):
        p = softmax(obs @ theta.reshape(4, 2))
        return (adv * np.log(p[np.arange(20), act])).mean()

    def right(theta):
        return (obs.T @ (adv[:, None] * (np.eye(2)[act] - softmax(obs @ theta.reshape(4, 2))))).ravel() / 20

    attempts = {
        "no 1/N": lambda theta: 20 * right(theta),
        "the sign of a loss": lambda theta: -right(theta),
        "a factor 2": lambda theta: 2 * right(theta),
        "without − p": lambda theta: (obs.T @ (adv[:, None] * np.eye(2)[act])).ravel() / 20,
        "right": right,
    }
    for name, gradient in attempts.items():
        found = check_gradient(objective, gradient, theta)
        where = (
            f"wrong at θ[{found.index}]: {found.analytic:.6g}, but differences give {found.numeric:.6g}: {found.cause}"
        )
        print(f"{name:20s}{'passed' if found.right else where}")


if __name__ == "__main__":
    main()
