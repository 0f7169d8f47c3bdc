"""Nodes and weights of E[log cosh u], u ~ N(μ, σ²), for the entropy of a squashed Gaussian.

Both rules are trapezoidal sums of step 0.3. On functions that are analytic in a strip and fall off fast their error
falls exponentially in 1/step; here it is below 1e-11 for every μ and σ, in the value and in both derivatives.

- σ ≤ 1: E[f(u)] = Σ_k W_k f(μ + σ X_k).
- σ > 1: a rule in x = (u − μ)/σ would see log cosh u ≈ |u| − log 2 as a kink, so the tails are computed in closed form.
  With n ~ N(0, 1) and s(u) = E|u + τn|, log cosh u = s(u) − log 2 + r(u), where r falls off like e^{−2|u|} and
  E[s(u)] = E|μ + √(σ² + τ²) n|. The remainder is E[r(u)] = Σ_k R_k N(T_k; μ, σ²).
"""

import math

import numpy as np

_STEP = 0.3
_FIRST_OUTSIDE, _SECOND_OUTSIDE = 28, 47  # φ(8.4) = 2e-16, e^{−2·14.1} = 6e-13

X = _STEP * np.arange(1.0 - _FIRST_OUTSIDE, _FIRST_OUTSIDE)
W = _STEP * np.exp(-X * X / 2) / math.sqrt(2 * math.pi)

TAU = math.pi / math.sqrt(12)  # log cosh is E|u + t| − log 2 with t logistic, of this standard deviation
T = _STEP * np.arange(1.0 - _SECOND_OUTSIDE, _SECOND_OUTSIDE)
_SMOOTH = np.array([t * math.erf(t / (TAU * math.sqrt(2))) for t in T.tolist()]) + TAU * math.sqrt(
    2 / math.pi
) * np.exp(-T * T / (2 * TAU * TAU))
R = _STEP * (np.abs(T) + np.log1p(np.exp(-2 * np.abs(T))) - _SMOOTH)
