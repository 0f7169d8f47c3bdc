"""Check a gradient of your own: watch it fail, read the diagnosis, mend it.

    python examples/03_check_your_own_gradient.py

Nothing here is about reinforcement learning: a robust regression, ½ Σ log(1 + (Xw + b − y)²)/N, whose author forgot
two things.
"""

import numpy as np

from minipg.gradient_check import GradientError, check_gradient

rng = np.random.default_rng(0)
X, y = rng.normal(size=(20, 3)), rng.normal(size=20)


def loss(w, b):
    """½ mean log(1 + r²), r = Xw + b − y."""
    r = X @ w + b - y
    return 0.5 * np.log1p(r * r).mean()


def first_try(w, b):
    """dL/dr = r/(1 + r²), and then the chain rule. Or is it?"""
    r = X @ w + b - y
    slope = r / (1 + r * r)
    return X.T @ slope, slope.sum()


def second_try(w, b):
    """The mean was forgotten: now it is there, for w."""
    r = X @ w + b - y
    slope = r / (1 + r * r)
    return X.T @ slope / len(y), slope.sum()


def right(w, b):
    """Each residual's slope, divided by N once."""
    r = X @ w + b - y
    slope = r / (1 + r * r) / len(y)
    return X.T @ slope, slope.sum()


point = rng.normal(size=3), np.array(0.1)
for attempt in (first_try, second_try, right):
    try:
        report = check_gradient(loss, attempt, point)
        print(f"{attempt.__name__}: {report.status}; a mistake of {report.resolution:.0e} relative would be seen\n")
    except GradientError as error:
        print(f"{attempt.__name__}: {error}\n")
