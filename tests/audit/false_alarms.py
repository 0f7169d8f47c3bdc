"""Measure how often the gradient checker calls a right derivative wrong, and how often it misses a wrong one.

    python tests/audit/false_alarms.py                             100 000 right derivatives: none may be called wrong
    python tests/audit/false_alarms.py --perturb 1e-3              the same, each with one entry wrong by a thousandth
    python tests/audit/false_alarms.py --case "Case(...)"          run one example again

Hypothesis draws the function F, the point, the precision (float64, float32), and the scales s of the arguments and c of
the values from 1e-8 to 1e8:   f(x) = c F(x/s).   A mistake may be missed only if it is below the report's `resolution`.
"""

import argparse
import multiprocessing
import os
import sys
import time
import warnings
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

from minipg.gradient_check import (
    CheckInputError,
    GradientError,
    check_adjoint,
    check_gradient,
    check_hessian_product,
    check_jvp,
    check_vjp,
)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from known_derivatives import CURVED, SCALAR, VECTOR

CHUNK = 500
FAMILIES = {"gradient": SCALAR, "hessian_product": CURVED, "jvp": VECTOR, "vjp": VECTOR, "adjoint": VECTOR}
CHECKS = ["gradient"] * 6 + ["hessian_product", "jvp", "vjp", "adjoint"]
TINY = [sign * t for t in (1e-300, 1.17549435e-38, 1e-30, 1e-20, 1e-16, 1e-12, 1e-9, 1e-6, 1e-4) for sign in (1, -1)]
RARE = ("90 arguments",)  # slow


class Case(NamedTuple):
    """One example: x = s·z, f = c·F(x/s), z at `entries` between the ends of the family's domain."""

    check: str
    family: str
    kind: str
    s: float
    c: float
    entries: tuple
    seed: int
    structure: str


class Outcome(NamedTuple):
    """`verdict`: passed, kink, wrong or refused. `share`: the mistake as a fraction of the largest derivative."""

    case: Case
    verdict: str
    message: str
    worst: float
    resolution: float
    share: float


@st.composite
def cases(draw):
    """Draw any check of any family at any scale."""
    check = draw(st.sampled_from(CHECKS))
    family = draw(st.sampled_from(sorted(FAMILIES[check])))
    assume(family not in RARE or draw(st.integers(0, 19)) == 7)
    bounds = FAMILIES[check][family]
    entries = st.floats(-1, 1) | st.integers(-4, 4).map(lambda k: k / 4) | st.sampled_from(TINY)
    counts = [n for n in (1, 1, 1, 1, 2, 2, 2, 3, 4) if bounds.least <= n <= bounds.most]
    count = draw(st.sampled_from(counts or [1]))
    scale = st.sampled_from([1.0]) | st.integers(-8, 8).map(lambda k: float(f"1e{k}")) | st.floats(1e-8, 1e8)
    return Case(
        check, family, draw(st.sampled_from(["float64", "float32"])), draw(scale), draw(scale),
        tuple(draw(st.lists(entries, min_size=count, max_size=count))), draw(st.integers(0, 2**16)),
        draw(st.sampled_from(["array", "array", "tuple", "dict"])),
    )  # fmt: skip


def point(case, bounds):
    """z (n,) in the domain: symmetric domains keep tiny entries tiny."""
    u = np.array(case.entries)
    if bounds.most > 4:
        u = np.random.default_rng(case.seed + 1).uniform(-1, 1, bounds.most)
    return bounds.high * u if bounds.low == -bounds.high else bounds.low + (bounds.high - bounds.low) * (u + 1) / 2


class Parts:
    """Splits a vector into an array, a tuple or a dict of arrays, and joins it again."""

    def __init__(self, structure, n):
        self.structure, self.cut = structure, max(1, n // 2)

    def split(self, x):
        a, b = x[: self.cut], x[self.cut :]
        return {"array": x, "tuple": (a, b), "dict": {"a": a, "b": b}}[self.structure]

    def join(self, x):
        if self.structure == "array":
            return x
        return np.concatenate([*(x.values() if isinstance(x, dict) else x)])

    def of(self, function, tangents=False, back=False):
        """function(x, …) of parts. `tangents`: the arguments after x are parts, too; `back`: so is the result."""

        def of_parts(*args):
            count = 2 if self.structure == "tuple" else 1
            rest = [self.join(v) for v in args[count:]] if tangents else args[count:]
            result = function(self.join(args[0] if count == 1 else args[:count]), *rest)
            return self.split(result) if back else result

        return of_parts


class Problem(NamedTuple):
    """A check with its arguments, and the size of its mistake as a fraction of the largest derivative."""

    check: object
    arguments: tuple
    share: float


def problem(case, perturb):
    """The functions of a case, one entry wrong by `perturb`. None near a kink or beyond the range of the floats."""
    bounds, kind = FAMILIES[case.check][case.family], np.dtype(case.kind).type
    rng = np.random.default_rng(case.seed)
    z = point(case, bounds)
    n, s, c = len(z), kind(case.s), kind(case.c)
    x, slope = s * z.astype(kind), c / s
    normal = lambda *shape: np.asarray(rng.normal(size=shape), kind)[()]
    F, D, E = bounds.make(n, normal)
    if getattr(F, "clearance", lambda z: 1)(x / s) < 1e-2:
        return None
    which = int(rng.integers(n))
    off = np.where(np.arange(n) == which, 1 + perturb, 1).astype(kind)
    f = lambda x: c * F(x / s)
    right = lambda x, *v: slope * D(x / s, *v)
    parts = Parts(case.structure, n)
    value = parts.of(f)
    if case.check == "gradient":
        check, arguments = check_gradient, (value, parts.of(lambda x: off * right(x), back=True))
        columns = right(x)[:, None]
    elif case.check == "hessian_product":
        bend = lambda x, v: slope / s * E(x / s, v)
        check = check_hessian_product
        arguments = parts.of(right, back=True), parts.of(lambda x, v: off * bend(x, v), True, True)
        columns = np.array([bend(x, e) for e in np.eye(n, dtype=kind)]).T
    else:
        jvp = parts.of(lambda x, v: right(x, v if case.check == "adjoint" else off * v), True)
        vjp = parts.of(lambda x, u: off * (slope * E(x / s, u)), back=True)
        check = {"jvp": check_jvp, "vjp": check_vjp, "adjoint": check_adjoint}[case.check]
        arguments = {"jvp": (value, jvp), "vjp": (value, vjp), "adjoint": (jvp, vjp)}[case.check]
        columns = np.array([right(x, e).ravel() for e in np.eye(n, dtype=kind)])
    numbers = [np.atleast_1d(f(x)), columns]
    if any(a.dtype != kind for a in numbers):
        raise TypeError(f"{case}: computes in {[a.dtype for a in numbers]}")
    if not all(np.isfinite(a).all() for a in numbers):
        return None
    largest = float(np.abs(columns).max())
    share = perturb * float(np.abs(columns[which]).max()) / largest if largest else 0.0
    return Problem(check, (*arguments, parts.split(x)), share)


def outcome_of(case, perturb=0.0):
    """Run the checker on a case. None if the case has no derivative to check."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = problem(case, perturb)
        if task is None:
            return None
        try:
            report = task.check(*task.arguments)
        except GradientError as error:
            worst = abs(error.analytic - error.numeric) / max(error.error, 1e-300)
            return Outcome(case, "wrong", str(error), worst, 0.0, task.share)
        except CheckInputError as error:
            return Outcome(case, "refused", str(error), 0.0, 0.0, task.share)
        verdict = "passed" if report.status == "passed" else "kink"
        return Outcome(case, verdict, " ".join(report.kinks), report.worst, report.resolution, task.share)


def chunk(work):
    """The outcomes of one run of Hypothesis."""
    number, count, start, perturb = work
    outcomes = []

    @seed(start * 1_000_003 + number)
    @settings(
        max_examples=count, deadline=None, database=None, derandomize=False, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases())
    def examine(case):
        outcome = outcome_of(case, perturb)
        assume(outcome is not None)
        if len(outcomes) < count:
            outcomes.append(outcome)

    examine()
    return outcomes


def is_fault(outcome, perturb):
    """True for a false alarm, or for a mistake above the resolution that was missed."""
    if not perturb:
        return outcome.verdict != "passed"
    return outcome.verdict == "passed" and outcome.share > outcome.resolution


def shown(outcome, perturb):
    """The command that runs it again, and the first lines of the message."""
    option = f" --perturb {perturb}" if perturb else ""
    message = "\n".join("    " + line for line in outcome.message.splitlines()[:5])
    return f'{outcome.verdict}: python tests/audit/false_alarms.py{option} --case "{outcome.case!r}"\n{message}'


def table(outcomes, perturb):
    """One row for each check and precision."""
    groups = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.case.check, outcome.case.kind].append(outcome)
        groups["all", outcome.case.kind].append(outcome)
    title = "found  seen of plain" if perturb else "worst/tolerance"
    lines = [f"{'check':16} {'precision':9} {'examples':>8} {'faults':>7}  median resolution  {title}"]
    for (check, kind), group in sorted(groups.items()):
        faults = sum(is_fault(o, perturb) for o in group)
        resolution = np.median([o.resolution for o in group if o.verdict == "passed"] or [np.nan])
        if perturb:
            real = [o for o in group if o.share]
            plain = [o for o in real if (o.case.s, o.case.c) == (1, 1) and o.share > perturb / 100]
            rates = [np.mean([o.verdict == "wrong" for o in g]) if g else np.nan for g in (real, plain)]
            last = f"{rates[0]:6.2%} {rates[1]:8.2%} of {len(plain)}"
        else:
            last = f"{max(o.worst for o in group):.2f}"
        lines.append(f"{check:16} {kind:9} {len(group):8} {faults:7}  {resolution:17.1e}  {last}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--perturb", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--case", help="one example, as a fault printed it")
    options = parser.parse_args()
    if options.case:
        outcome = outcome_of(eval(options.case, {"Case": Case}), options.perturb)
        print(outcome if outcome is None else outcome.message or outcome)
        return outcome is not None and is_fault(outcome, options.perturb)
    sizes = [min(CHUNK, options.examples - done) for done in range(0, options.examples, CHUNK)]
    work = [(number, size, options.seed, options.perturb) for number, size in enumerate(sizes)]
    outcomes, began = [], time.perf_counter()
    with multiprocessing.Pool(options.jobs) as pool:
        for number, some in enumerate(pool.imap_unordered(chunk, work), 1):
            outcomes += some
            for outcome in some:
                if is_fault(outcome, options.perturb):
                    print(shown(outcome, options.perturb), flush=True)
            if number % 10 == 0 or number == len(work):
                so_far = sum(is_fault(outcome, options.perturb) for outcome in outcomes)
                spent = f"{time.perf_counter() - began:.0f} s"
                print(f"{len(outcomes)} examples, {so_far} faults, {spent}", file=sys.stderr, flush=True)
    print(table(outcomes, options.perturb))
    faults = sum(is_fault(o, options.perturb) for o in outcomes)
    what = "mistakes missed above the resolution" if options.perturb else "false alarms"
    print(f"{faults} {what} over {len(outcomes)} hypothesis examples, {time.perf_counter() - began:.0f} s")
    return faults > 0


if __name__ == "__main__":
    sys.exit(main())
