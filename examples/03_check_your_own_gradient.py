"""Check your own gradient: see it fail, read the diagnosis, correct it.

    python examples/03_check_your_own_gradient.py

Nothing here is about reinforcement learning. The loss is a robust regression, ½ Σ log(1 + (Xw + b − y)²)/N. The first
gradient lacks the 1/N in both arguments, the second one only in b, the third one is correct.
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
    """dL/dr = r/(1 + r²), then the chain rule; the 1/N is missing."""
    r = X @ w + b - y
    slope = r / (1 + r * r)
    return X.T @ slope, slope.sum()


def second_try(w, b):
    """With 1/N for w, but not for b."""
    r = X @ w + b - y
    slope = r / (1 + r * r)
    return X.T @ slope / len(y), slope.sum()


def correct(w, b):
    """With 1/N for both."""
    r = X @ w + b - y
    slope = r / (1 + r * r) / len(y)
    return X.T @ slope, slope.sum()


point = rng.normal(size=3), np.array(0.1)
for attempt in (first_try, second_try, correct):
    try:
        report = check_gradient(loss, attempt, point)
        print(f"{attempt.__name__}: {report.status}; a relative error of {report.resolution:.0e} would be found\n")
    except GradientError as error:
        print(f"{attempt.__name__}: {error}\n")
