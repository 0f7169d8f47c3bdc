"""The likely cause of a wrong derivative."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minipg.checks import Array

_SMALL = 1e-5  # relative differences below this are imprecision rather than a wrong formula


def likely_cause(analytic: Array, numeric: Array, allowed: Array, sizes: Sequence[int], whole: bool) -> str:
    """The known pattern that the mistake follows, in words, or "" if one number is all there is to see.

    `analytic`, `numeric`, `allowed` (the tolerance): an argument's entries, in its own shape if `whole`, else a sample
    (K,). `sizes`: the lengths of all axes; a forgotten batch size is one of them.
    """
    a, n = analytic.astype(float), numeric
    wrong = np.abs(a - n) > allowed
    clear = wrong & (np.abs(n) > 4 * allowed)
    few = wrong.sum() <= max(1, a.size // 4) and a.size > 1
    if not wrong.any():
        return ""
    if not a.any() and clear.any():
        return "a missing term: this argument's derivative is zero everywhere"
    matches = lambda b: bool((np.abs(b - n) <= allowed + 1e-9 * np.abs(n)).all())
    if matches(-a):
        return "a wrong sign"
    if not few and (np.abs(a - n) <= _SMALL * np.abs(n))[wrong].all():
        share = float((np.abs(a - n) / np.maximum(np.abs(n), 1e-300))[wrong].max())
        return f"an imprecise value, {share:.0e} off: one of the two functions is approximate (float32, an iteration)"
    if clear.any() and (np.abs(n) > 4 * allowed)[~wrong].sum() == 0:
        ratios = a[clear] / n[clear]
        ratio = float(np.median(ratios))
        spread = float((allowed[clear] / np.abs(n[clear])).max()) + 1e-9
        if ratio and np.all(np.abs(ratios / ratio - 1) <= 4 * spread):
            factor = _factor(ratio, sizes, spread)
            if factor or clear.sum() > 1:
                return factor or f"a constant factor of {ratio:.6g}"
    if a.size == 1:
        return ""
    if whole and a.ndim == 2:
        if a.shape[0] == a.shape[1] and matches(a.T):
            return "a transposed matrix"
        if matches(a.T.reshape(a.shape)):
            return "a transposed matrix, reshaped"
    if whole:
        for axis in range(a.ndim):
            if matches(np.flip(a, axis)):
                return f"a reversed axis {axis}"
            if any(matches(np.roll(a, shift, axis)) for shift in (1, -1)):
                return f"an index off by one along axis {axis}"
        if wrong.sum() > 1 and np.abs(a.sum() - n.sum()) <= allowed.sum():
            return "a sum over the wrong axis: the entries are wrong, but their total is right"
    if wrong.all() and np.ptp(a - n) <= 2 * allowed.max():
        return f"a missing or surplus term: every entry is off by {float((a - n).mean()):.6g}"
    if few:
        return f"a mistake in single entries: {int(wrong.sum())} of {a.size} are wrong, the others are right"
    return "a missing or wrong term: the entries' ratios follow no single pattern"


def _factor(ratio: float, sizes: Sequence[int], spread: float) -> str:
    """The origin of a factor that one wrong entry is enough to recognise, or ""."""
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
    return ""
