"""Plant the mistake of a forgotten branch, a slope where the function is saturated, and count how often it is found.

    python tests/audit/plateaus.py [--points 100]

For each function of `known_derivatives.PLATEAUS`, float64 and float32, as a gradient, a jvp and a vjp: at each random
point one 0 of the derivative becomes the slope of the linear part. The right derivative is checked, too.
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np

from minipg.gradient_check import GradientError, check_gradient, check_jvp, check_vjp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from known_derivatives import PLATEAUS, plateau_points


def run(check, f, slope, x):
    """Check an elementwise f whose derivative is claimed to be `slope`."""
    if check == "gradient":
        return check_gradient(lambda x: f(x).sum(), lambda x: slope, x)
    return {"jvp": check_jvp, "vjp": check_vjp}[check](f, lambda x, v: slope * v, x)


def counts(name, kind, check, points):
    """Points with a plateau, mistakes found and named there, right derivatives that do not pass."""
    planted = found = alarms = 0
    for f, x, right, wrong, entry in plateau_points(name, kind, points):
        planted += 1
        try:
            run(check, f, wrong, x)
        except GradientError as error:
            found += error.index == (entry,)
        try:
            alarms += run(check, f, right, x).status != "passed"
        except GradientError:
            alarms += 1
    return planted, found, alarms


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100)
    points = parser.parse_args().points
    warnings.simplefilter("ignore")
    total = np.zeros(3, int)
    print(f"{'function':16} {'precision':9} {'check':9} planted  found  false alarms")
    for name in PLATEAUS:
        for kind in (np.float64, np.float32):
            for check in ("gradient", "jvp", "vjp"):
                row = counts(name, kind, check, points)
                total += row
                print(f"{name:16} {kind.__name__:9} {check:9} {row[0]:7} {row[1]:6} {row[2]:13}", flush=True)
    print(f"{total[1]} of {total[0]} mistakes found and named, {total[2]} false alarms")
    return bool(total[1] < total[0] or total[2] > 0)  # a NumPy bool is no exit status


if __name__ == "__main__":
    sys.exit(main())
