"""The likely cause of a wrong derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minipg.checks import Array


def guess(analytic: Array, numeric: Array, allowed: Array, sizes: Sequence[int], whole: bool) -> str:
    """The known pattern that the mistake follows, in words, or "".

    `analytic`, `numeric`, `allowed` (the tolerance): an argument's entries, in its own shape if `whole`, else a sample
    (K,). `sizes`: the lengths of all axes; a forgotten batch size is one of them.
    """
    a, n, tolerance = analytic.astype(float), numeric, allowed
    wrong = np.abs(a - n) > tolerance
    clear = wrong & (np.abs(n) > 4 * tolerance)
    if not wrong.any():
        return ""
    if not a.any() and clear.any():
        return "a missing term: this argument's derivative is zero everywhere"
    matches = lambda b: bool((np.abs(b - n) <= tolerance + 1e-9 * np.abs(n)).all())
    if matches(-a):
        return "a wrong sign"
    if clear.any() and (np.abs(n) > 4 * tolerance)[~wrong].sum() == 0:
        ratios = a[clear] / n[clear]
        ratio = float(np.median(ratios))
        spread = (tolerance[clear] / np.abs(n[clear])).max() + 1e-9
        if ratio and np.all(np.abs(ratios / ratio - 1) <= 4 * spread):
            return _factor(ratio, sizes, spread)
    if whole and a.ndim == 2 and a.size > 1:
        if a.shape[0] == a.shape[1] and matches(a.T):
            return "a transposed matrix"
        if matches(a.T.reshape(a.shape)):
            return "a transposed matrix, reshaped"
    if whole and a.ndim and a.size > 1:
        for axis in range(a.ndim):
            if matches(np.flip(a, axis)):
                return f"a reversed axis {axis}"
            if any(matches(np.roll(a, shift, axis)) for shift in (1, -1)):
                return f"an index off by one along axis {axis}"
    count = int(wrong.sum())
    if whole and count > 1 and np.abs(a.sum() - n.sum()) <= tolerance.sum():
        return "a sum over the wrong axis: the entries are wrong, but their total is right"
    if count > 1 and np.ptp((a - n)[wrong]) <= 2 * tolerance.max() and wrong.all():
        return f"a missing or surplus term: every entry is off by {float((a - n).mean()):.6g}"
    if 0 < count <= max(1, a.size // 4):
        return f"a mistake in single entries: {count} of {a.size} are wrong, the others are right"
    return "a missing or wrong term: the entries' ratios follow no single pattern"


def _factor(ratio: float, sizes: Sequence[int], spread: float) -> str:
    close = lambda x: abs(ratio / x - 1) <= max(4 * spread, 1e-6)
    for factor, name in ((2, "2"), (0.5, "1/2")):
        if close(factor):
            return f"a factor of {name}"
        if close(-factor):
            return f"a factor of -{name}"
    for size in sorted({s for s in sizes if s > 1}):
        if close(size):
            return f"a factor of {size}: a missing 1/N, where N = {size} is the length of an axis"
        if close(1 / size):
            return f"a factor of 1/{size}: a 1/N too many, where N = {size} is the length of an axis"
    for count, text in ((ratio, "missing"), (1 / ratio, "too many")):
        if round(count) > 2 and abs(count / round(count) - 1) <= max(4 * spread, 1e-6):
            return f"a constant factor of {ratio:.6g}: a 1/N {text}, with N = {round(count)}?"
    return f"a constant factor of {ratio:.6g}"


def snippet(f: str, derivative: str, x: Any, leaves: Sequence[Array], leaf: int, index: tuple[int, ...]) -> str:
    """Code that reproduces the mistake, from the two functions and, if x is large or named, the exception `error`."""

    small = sum(a.size for a in leaves) <= 60

    def shown(array: Array) -> str:
        if not small:
            return ""
        text = np.array2string(array, separator=", ", threshold=10**9, floatmode="unique", max_line_width=100)
        return f"np.array({text}, np.{array.dtype})"

    arguments, moved, entry = "x", "x", f"np.asarray({derivative}(x))"
    given = f"x = {shown(leaves[0])}"
    if isinstance(x, dict):
        key = list(x)[leaf]
        moved, entry, given = f"x[{key!r}]", f"np.asarray({derivative}(x)[{key!r}])", ""
    elif hasattr(x, "_fields"):
        moved, entry, given = f"x.{x._fields[leaf]}", f"np.asarray({derivative}(x).{x._fields[leaf]})", ""
    elif isinstance(x, tuple | list):
        arguments, moved, entry = "*x", f"x[{leaf}]", f"np.asarray({derivative}(*x)[{leaf}])"
        given = f"x = [{', '.join(shown(a) for a in leaves)}]"
    if not given or not small:
        given = "x = error.x  # the arguments, as the exception carries them"
    at = f"[{', '.join(map(str, index))}]" if index else "[()]"
    h = 1e-5 if leaves[leaf].dtype == np.float64 else 1e-2
    return "\n".join(
        [
            "import numpy as np",
            given,
            f"a, {moved}{at} = {moved}{at}, {moved}{at} + {h}; up = {f}({arguments})",
            f"{moved}{at} = a - {h}; down = {f}({arguments}); {moved}{at} = a",
            f"print((up - down) / {2 * h}, {entry}{at})",
        ]
    )
