"""Functions with their right derivatives: a checker must call none of them wrong.

Scalar functions F of a vector z (n,) come as (F, ∇F, (z, v) ↦ ∇²F v or None), vector functions as (F, jvp, vjp), made
by `make(n, normal)`, where `normal(*shape)` draws constants in the precision of the check. `low`, `high` bound z.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special
from scipy.optimize import rosen, rosen_der, rosen_hess_prod


class Family(NamedTuple):
    """`make(n, normal)` as above, the bounds of z's entries, and the least and largest n."""

    make: Callable
    low: float = -2.0
    high: float = 2.0
    least: int = 1
    most: int = 4


def constant(x, value):
    """A number in x's precision."""
    return x.dtype.type(value)


# one number to one number: f, f′, f″ (or None), domain
ELEMENTWISE = {
    "square": (lambda x: x * x, lambda x: 2 * x, lambda x: 2 + 0 * x, -3, 3),
    "cube": (lambda x: x**3, lambda x: 3 * x * x, lambda x: 6 * x, -3, 3),
    "quintic": (lambda x: x**5 - 2 * x**3 + x, lambda x: 5 * x**4 - 6 * x * x + 1, lambda x: 20 * x**3 - 12 * x, -2, 2),
    "exp": (np.exp, np.exp, np.exp, -8, 8),
    "expm1": (np.expm1, np.exp, np.exp, -3, 3),
    "log": (np.log, lambda x: 1 / x, lambda x: -1 / x**2, 0.05, 9),
    "log1p": (np.log1p, lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2, -0.9, 9),
    "sin": (np.sin, np.cos, lambda x: -np.sin(x), -9, 9),
    "cos 5x": (lambda x: np.cos(5 * x), lambda x: -5 * np.sin(5 * x), lambda x: -25 * np.cos(5 * x), -4, 4),
    "tan": (np.tan, lambda x: 1 + np.tan(x) ** 2, None, -1.2, 1.2),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2, lambda x: -2 * np.tanh(x) * (1 - np.tanh(x) ** 2), -5, 5),
    "arctan": (np.arctan, lambda x: 1 / (1 + x * x), lambda x: -2 * x / (1 + x * x) ** 2, -5, 5),
    "arcsin": (np.arcsin, lambda x: 1 / np.sqrt(1 - x * x), None, -0.9, 0.9),
    "arcsinh": (np.arcsinh, lambda x: 1 / np.sqrt(1 + x * x), None, -9, 9),
    "sinh": (np.sinh, np.cosh, np.sinh, -5, 5),
    "cosh": (np.cosh, np.sinh, np.cosh, -5, 5),
    "log cosh": (lambda x: np.logaddexp(x, -x), np.tanh, None, -9, 9),
    "logistic": (special.expit, lambda x: special.expit(x) * special.expit(-x), None, -9, 9),
    "softplus": (lambda x: np.logaddexp(0, x), special.expit, lambda x: special.expit(x) * special.expit(-x), -9, 9),
    "log expit": (special.log_expit, lambda x: special.expit(-x), None, -9, 9),
    "logit": (special.logit, lambda p: 1 / (p * (1 - p)), None, 0.05, 0.95),
    "swish": (
        lambda x: x * special.expit(x),
        lambda x: special.expit(x) * (1 + x * special.expit(-x)), None, -6, 6,
    ),
    "root": (np.sqrt, lambda x: 0.5 / np.sqrt(x), None, 0.05, 9),
    "cube root": (np.cbrt, lambda x: 1 / (3 * np.cbrt(x) ** 2), None, 0.05, 9),
    "reciprocal": (lambda x: 1 / x, lambda x: -1 / (x * x), lambda x: 2 / x**3, 0.1, 5),
    "rational": (lambda x: x / (1 + x * x), lambda x: (1 - x * x) / (1 + x * x) ** 2, None, -4, 4),
    "bell": (lambda x: np.exp(-x * x), lambda x: -2 * x * np.exp(-x * x), None, -3, 3),
    "x to the x": (lambda x: x**x, lambda x: x**x * (1 + np.log(x)), None, 0.1, 3),
    "erf": (special.erf, lambda x: constant(x, 2 / np.sqrt(np.pi)) * np.exp(-x * x), None, -3, 3),
    "erfc": (special.erfc, lambda x: -constant(x, 2 / np.sqrt(np.pi)) * np.exp(-x * x), None, -3, 3),
    "gammaln": (special.gammaln, special.digamma, lambda x: special.polygamma(1, x).astype(x.dtype), 0.2, 9),
    "digamma": (special.digamma, lambda x: special.polygamma(1, x).astype(x.dtype), None, 0.3, 9),
    "i0": (special.i0, special.i1, None, -5, 5),
    "i1": (special.i1, lambda x: special.i0(x) - special.i1(x) / x, None, 0.2, 5),
    "i0e": (special.i0e, lambda x: special.i1e(x) - special.i0e(x), None, 0.1, 9),
    "j0": (special.j0, lambda x: -special.j1(x), None, 0.1, 9),
    "ndtr": (special.ndtr, lambda x: constant(x, 1 / np.sqrt(2 * np.pi)) * np.exp(-x * x / 2), None, -4, 4),
    "log ndtr": (
        special.log_ndtr,
        lambda x: constant(x, 1 / np.sqrt(2 * np.pi)) * np.exp(-x * x / 2 - special.log_ndtr(x)), None, -4, 4,
    ),
    "xlogy": (lambda x: special.xlogy(x, x), lambda x: np.log(x) + 1, lambda x: 1 / x, 0.05, 5),
    "entr": (special.entr, lambda x: -np.log(x) - 1, None, 0.05, 5),
    "dawsn": (special.dawsn, lambda x: 1 - 2 * x * special.dawsn(x), None, -3, 3),
    "exprel": (special.exprel, lambda x: (np.exp(x) - special.exprel(x)) / x, None, 0.5, 3),
    "pseudo-Huber": (lambda x: special.pseudo_huber(1, x), lambda x: x / np.sqrt(1 + x * x), None, -3, 3),
    "x|x|": (lambda x: x * abs(x), lambda x: 2 * abs(x), None, -3, 3),
    "offset": (lambda x: 100 + np.sin(x), np.cos, lambda x: -np.sin(x), -3, 3),
    "linear": (lambda x: 3 * x - 1, lambda x: 3 + 0 * x, lambda x: 0 * x, -3, 3),
    "constant": (lambda x: 0 * x + 5, lambda x: 0 * x, lambda x: 0 * x, -3, 3),
}  # fmt: skip


# plateaus: f, f′ (0 on the plateaus), the slope of a forgotten branch, a bound on |z|, the edges
PLATEAUS = {
    "clip": (lambda x: np.clip(x, -0.5, 0.5), lambda x: abs(x) < 0.5, 1, 2, (-0.5, 0.5)),
    "relu": (lambda x: np.maximum(x, 0), lambda x: x > 0, 1, 2, (0,)),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x: (x > 0) & (x < 6), 1, 12, (0, 6)),
    "hard sigmoid": (
        lambda x: np.clip(constant(x, 0.2) * x + constant(x, 0.5), 0, 1), lambda x: 0.2 * (abs(x) < 2.5), 0.2, 8,
        (-2.5, 2.5),
    ),
    "interp": (
        lambda x: np.interp(x.real, [0, 1, 3], [2, 3, 0]).astype(x.dtype),
        lambda x: 1.0 * ((x > 0) & (x < 1)) - 1.5 * ((x > 1) & (x < 3)), 1, 8, (0, 1, 3),
    ),
    "saturated tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2, 1, 60, ()),
    "sign": (lambda x: np.sign(x.real), lambda x: 0 * x, 1, 3, (0,)),
    "dead zone": (lambda x: np.where(abs(x) > 1, x - np.sign(x), 0), lambda x: abs(x) > 1, 1, 3, (-1, 1)),
    "hard shrink": (lambda x: np.where(abs(x) > 1, x, 0), lambda x: abs(x) > 1, 1, 3, (-1, 1)),
    "box": (lambda x: (abs(x) < 1).astype(x.dtype), lambda x: 0 * x, 1, 3, (-1, 1)),
    "ternary": (lambda x: np.sign(x.real) * (abs(x) > 1), lambda x: 0 * x, 1, 3, (-1, 1)),
}  # fmt: skip


def plateau_points(name, kind, count):
    """f, x, f′(x), f′(x) with one 0 replaced by the slope of the linear part, and the index of that entry.

    `count` random x (3,) of a dtype, less those without a 0.
    """
    f, df, slope, bound, _ = PLATEAUS[name]
    for seed in range(count):
        x = np.random.default_rng(seed).uniform(-bound, bound, 3).astype(kind)
        right = np.asarray(df(x), kind)
        flat = np.flatnonzero(right == 0)
        if len(flat):
            yield f, x, right, right + kind(slope) * (np.arange(3) == flat[0]), int(flat[0])


DIGITS = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0])
# step functions, and the width of their stairs
STAIRS = {
    "round": (np.round, 1),
    "round to 2 digits": (lambda x: np.round(x, 2), 0.01),
    "round to 4 digits": (lambda x: np.round(x, 4), 1e-4),
    "floor": (np.floor, 1),
    "floor to tenths": (lambda x: np.floor(10 * x) / 10, 0.1),
    "whole quotient": (lambda x: x // constant(x, 0.7), 0.7),
    "fake quantisation": (lambda x: np.round(16 * x) / 16, 1 / 16),
    "cast to int": (lambda x: x.astype(np.int64).astype(x.dtype), 1),
    "table": (lambda x: DIGITS.astype(x.dtype)[np.floor(2 * x).astype(int) % 8], 0.5),
    "histogram": (lambda x: (x[:, None] > np.linspace(-2, 2, 9)).sum(axis=1).astype(x.dtype), 0.5),
}


def strict(f, inside):
    """f, raising outside its domain as Python's math does."""

    def of(x):
        if not inside(x.real).all():
            raise ValueError("math domain error")
        return f(x)

    return of


def entropy(p):
    """The entropy of a coin."""
    return -(p * np.log(p) + (1 - p) * np.log(1 - p))


POSITIVE, PROPER = (lambda x: x > 0), (lambda x: abs(x) < 1)
RAISING = {
    "strict log": (strict(np.log, POSITIVE), lambda x: 1 / x, None, 0.05, 9),
    "strict root": (strict(np.sqrt, POSITIVE), lambda x: 0.5 / np.sqrt(x), None, 0.05, 9),
    "strict power": (strict(lambda x: x**x, POSITIVE), lambda x: x**x * (1 + np.log(x)), None, 0.1, 3),
    "strict gammaln": (strict(special.gammaln, POSITIVE), special.digamma, None, 0.2, 9),
    "strict arctanh": (strict(np.arctanh, PROPER), lambda x: 1 / (1 - x * x), None, -0.9, 0.9),
    "strict entropy": (
        strict(entropy, lambda p: (p > 0) & (p < 1)), lambda p: np.log1p(-p) - np.log(p), None, -0.9, 0.9
    ),
}  # fmt: skip
# nearly one inside: at a tiny x the differences are all rounding of 1
NEARLY_ONE = {
    "log of cosh": (lambda x: np.log(np.cosh(x)), np.tanh, None, -5, 5),
    "log of 1 + x²": (lambda x: np.log(1 + x * x), lambda x: 2 * x / (1 + x * x), None, -3, 3),
    "log of 1 + x": (lambda x: np.log(1 + x), lambda x: 1 / (1 + x), None, -0.9, 0.9),
    "x + log of cosh": (lambda x: x + np.log(np.cosh(x)), lambda x: 1 + np.tanh(x), None, -5, 5),
    "root of 1 + x² less 1": (lambda x: np.sqrt(1 + x * x) - 1, lambda x: x / np.sqrt(1 + x * x), None, -3, 3),
    "1 less cos": (lambda x: 1 - np.cos(x), np.sin, np.cos, -3, 3),
    "exp less 1": (lambda x: np.exp(x) - 1, np.exp, np.exp, -3, 3),
    "log of 1 + exp": (lambda x: np.log(1 + np.exp(x)), special.expit, None, -40, 20),
    "1 less tanh": (lambda x: 1 - np.tanh(x), lambda x: -1 / np.cosh(x) ** 2, None, -30, 30),
}


def log_mean_exp_square(n, normal):
    weights = lambda z: np.exp(z * z) / np.exp(z * z).sum()
    return lambda z: np.log(np.exp(z * z).mean()), lambda z: 2 * z * weights(z), None


def distance(edges):
    """z ↦ how far the nearest entry is from one of `edges`."""
    return lambda z: min((float(np.abs(z - edge).min(initial=1)) for edge in edges), default=1.0)


def on_a_stair(f, width):
    """z ↦ 1 if no entry is close to a step of f, else 0."""
    return lambda z: float(all((f(z + side * constant(z, 0.05 * width)) == f(z)).all() for side in (-1, 1)))


def summed(f, df, ddf=None, clearance=None):
    """Σ wᵢ f(zᵢ)."""

    def make(n, normal):
        w = 1 + abs(normal(n))
        value = lambda z: (w * f(z)).sum()
        value.clearance = clearance or (lambda z: 1)
        return value, lambda z: w * df(z), (lambda z, v: w * ddf(z) * v) if ddf else None

    return make


def entrywise(f, df, clearance=None):
    """The vector f(zᵢ)."""

    def make(n, normal):
        value = lambda z: f(z)
        value.clearance = clearance or (lambda z: 1)
        return value, lambda z, v: df(z) * v, lambda z, u: df(z) * u

    return make


def special_families(form):
    """Plateaus, stairs, functions that raise and logarithms of nearly one, as sums or entry by entry."""
    return {
        **{
            name: Family(form(f, lambda z, df=df: np.asarray(df(z), z.dtype), clearance=distance(edges)), -bound, bound)
            for name, (f, df, _, bound, edges) in PLATEAUS.items()
        },
        **{
            name: Family(form(f, lambda z: 0 * z, clearance=on_a_stair(f, width)))
            for name, (f, width) in STAIRS.items()
        },
        **{
            name: Family(form(f, df), low, high)
            for name, (f, df, _, low, high) in {**RAISING, **NEARLY_ONE}.items()
            if name != "strict entropy"
        },
        # at a smaller z, 1 − z is rounded to 1 wherever the logarithm of z exists, and hides a term of the slope
        "strict entropy": Family(
            form(*RAISING["strict entropy"][:2], clearance=lambda z: float(z.min() > 256 * np.finfo(z.dtype).eps)),
            -0.9,
            0.9,
        ),
    }


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def logsumexp(n, normal):
    def product(z, v):
        p = softmax(z)
        return p * v - p * (p @ v)

    return lambda z: z.max() + np.log(np.exp(z - z.max()).sum()), softmax, product


def log_softmax(n, normal):
    one = np.eye(n, dtype=normal().dtype)[n // 2]
    return lambda z: one @ z - logsumexp(n, normal)[0](z), lambda z: one - softmax(z), None


def probability(n, normal):
    one = np.eye(n, dtype=normal().dtype)[0]
    return lambda z: softmax(z)[0], lambda z: softmax(z)[0] * (one - softmax(z)), None


def categorical_kl(n, normal):
    q = softmax(normal(n))

    def gradient(z):
        p = softmax(z)
        terms = np.log(p) - np.log(q)
        return p * (terms - p @ terms)

    return lambda z: softmax(z) @ (np.log(softmax(z)) - np.log(q)), gradient, None


def categorical_entropy(n, normal):
    def gradient(z):
        p = softmax(z)
        return -p * (np.log(p) - p @ np.log(p))

    return lambda z: -softmax(z) @ np.log(softmax(z)), gradient, None


def gaussian_log_prob(n, normal):
    act = normal(n // 2)

    def value(z):
        mu, log_std = z[: n // 2], z[n // 2 : n // 2 * 2]
        return (-((act - mu) ** 2) * np.exp(-2 * log_std) / 2 - log_std).sum()

    def gradient(z):
        mu, log_std = z[: n // 2], z[n // 2 : n // 2 * 2]
        x = (act - mu) * np.exp(-log_std)
        return np.concatenate([x * np.exp(-log_std), x * x - 1, np.zeros(n % 2, z.dtype)])

    return value, gradient, None


def norm(n, normal):
    def product(z, v):
        r = np.sqrt(z @ z)
        return v / r - z * (z @ v) / r**3

    return lambda z: np.sqrt(z @ z), lambda z: z / np.sqrt(z @ z), product


def quadratic_form(n, normal):
    A = normal(n, n)
    return lambda z: z @ A @ z, lambda z: (A + A.T) @ z, lambda z, v: (A + A.T) @ v


def definite_form(n, normal):
    A, b = normal(n, n), normal(n)
    H = A.T @ A
    return lambda z: z @ (H @ z) / 2 - b @ z, lambda z: H @ z - b, lambda z, v: H @ v


def product(n, normal):
    rest = lambda z: np.array([np.prod(np.delete(z, i)) for i in range(n)], z.dtype)
    return np.prod, rest, None


def determinant(n, normal):
    return (
        lambda z: z[0] * z[3] - z[1] * z[2],
        lambda z: np.array([z[3], -z[2], -z[1], z[0]]),
        lambda z, v: np.array([v[3], -v[2], -v[1], v[0]]),
    )


def log_determinant(n, normal):
    """log det (I + z zᵀ) = log (1 + zᵀz)."""
    return lambda z: np.log1p(z @ z), lambda z: 2 * z / (1 + z @ z), None


def ratio(n, normal):
    a, b = normal(n), normal()

    def gradient(z):
        d = 1 + z @ z
        return a / d - 2 * z * (a @ z + b) / d**2

    return lambda z: (a @ z + b) / (1 + z @ z), gradient, None


def bell(n, normal):
    f = lambda z: np.exp(-z @ z / 2)
    return f, lambda z: -z * f(z), lambda z, v: f(z) * (z * (z @ v) - v)


def rosenbrock(n, normal):
    return rosen, rosen_der, rosen_hess_prod


def geometric_mean(n, normal):
    f = lambda z: np.exp(np.log(z).mean())
    return f, lambda z: f(z) / (n * z), None


def variance(n, normal):
    return (
        lambda z: ((z - z.mean()) ** 2).mean(),
        lambda z: 2 * (z - z.mean()) / n,
        lambda z, v: 2 * (v - v.mean()) / n,
    )


def cosine(n, normal):
    b = normal(n)

    def gradient(z):
        r = np.sqrt(z @ z)
        return (b - z * (b @ z) / (r * r)) / (r * np.sqrt(b @ b))

    return lambda z: b @ z / np.sqrt((z @ z) * (b @ b)), gradient, None


def many_terms(n, normal):
    T, w = normal(300, n), normal(300)
    return lambda z: (w * np.sin(T @ z)).sum(), lambda z: (w * np.cos(T @ z)) @ T, None


def squared_loss(n, normal):
    X, y = normal(20, n), normal(20)
    return (
        lambda z: ((X @ z - y) ** 2).mean(),
        lambda z: X.T @ (X @ z - y) / 10,
        lambda z, v: X.T @ (X @ v) / 10,
    )


def logistic_loss(n, normal):
    X, y = normal(15, n), np.sign(normal(15))

    def hessian(z, v):
        m = y * (X @ z)
        return ((special.expit(m) * special.expit(-m)) * (X @ v)) @ X / 15

    return (
        lambda z: np.logaddexp(0, -y * (X @ z)).mean(),
        lambda z: -(y * special.expit(-y * (X @ z))) @ X / 15,
        hessian,
    )


def huber_loss(n, normal):
    X, y = normal(5, n), normal(5)
    value = lambda z: special.huber(1, X @ z - y).mean()
    value.clearance = lambda z: np.abs(np.abs(X @ z - y) - 1).min()
    return value, lambda z: np.clip(X @ z - y, -1, 1) @ X / 5, None


def tanh_network(n, normal):
    """The mean squared output of a network with two hidden layers, in its inputs."""
    U, V, w = normal(n, 4), normal(4, 3), normal(3)

    def gradient(z):
        h = np.tanh(z @ U)
        k = np.tanh(h @ V)
        return U @ ((V @ (2 * (k @ w) * w * (1 - k * k))) * (1 - h * h))

    return lambda z: (np.tanh(np.tanh(z @ U) @ V) @ w) ** 2, gradient, None


def tanh_weights(n, normal):
    """The mean squared output of one hidden layer, in its weights."""
    X, w = normal(6), normal(n)

    def value(z):
        return ((np.tanh(np.outer(X, z)) @ w) ** 2).mean()

    def gradient(z):
        h = np.tanh(np.outer(X, z))
        return (np.outer(2 * (h @ w) * X / 6, w) * (1 - h * h)).sum(axis=0)

    return value, gradient, None


def relu_network(n, normal):
    U, b, w = normal(n, 4), normal(4), normal(4)
    value = lambda z: np.maximum(z @ U + b, 0) @ w
    value.clearance = lambda z: np.abs(z @ U + b).min()
    return value, lambda z: U @ (w * (z @ U + b > 0)), None


def maximum(n, normal):
    """The largest entry; no other is close to it."""

    def clearance(z):
        first = np.sort(z)
        return first[-1] - first[-2] if n > 1 else 1.0

    value = lambda z: z.max()
    value.clearance = clearance
    return value, lambda z: (z == z.max()).astype(z.dtype), None


SCALAR = {
    **{name: Family(summed(f, df, ddf), low, high) for name, (f, df, ddf, low, high) in ELEMENTWISE.items()},
    "logsumexp": Family(logsumexp, -9, 9),
    "log softmax": Family(log_softmax, -9, 9),
    "probability": Family(probability, -5, 5),
    "categorical KL": Family(categorical_kl, -4, 4),
    "categorical entropy": Family(categorical_entropy, -4, 4),
    "Gaussian log-prob": Family(gaussian_log_prob, least=2),
    "norm": Family(norm, 0.1, 3),
    "quadratic form": Family(quadratic_form, -3, 3),
    "definite form": Family(definite_form, -3, 3),
    "product": Family(product, -2, 2),
    "determinant": Family(determinant, -3, 3, 4, 4),
    "log determinant": Family(log_determinant, -3, 3),
    "ratio": Family(ratio, -3, 3),
    "Gaussian bell": Family(bell),
    "Rosenbrock": Family(rosenbrock, -2, 2, 2),
    "geometric mean": Family(geometric_mean, 0.1, 5),
    "variance": Family(variance, -3, 3),
    "cosine": Family(cosine, 0.1, 3),
    "many terms": Family(many_terms),
    "squared loss": Family(squared_loss),
    "logistic loss": Family(logistic_loss),
    "Huber loss": Family(huber_loss),
    "tanh network": Family(tanh_network),
    "tanh weights": Family(tanh_weights),
    "ReLU network": Family(relu_network),
    "maximum": Family(maximum),
    "90 arguments": Family(summed(*ELEMENTWISE["cos 5x"][:3]), -3, 3, 90, 90),
    "log mean exp square": Family(log_mean_exp_square),
    **special_families(summed),
}


def outer(n, normal):
    return (
        lambda z: np.outer(z, np.sin(z)),
        lambda z, v: np.outer(v, np.sin(z)) + np.outer(z, np.cos(z) * v),
        lambda z, u: u @ np.sin(z) + (z @ u) * np.cos(z),
    )


def softmax_map(n, normal):
    J = lambda z, v: softmax(z) * v - softmax(z) * (softmax(z) @ v)
    return softmax, J, J


def log_softmax_map(n, normal):
    return (
        lambda z: z - logsumexp(n, normal)[0](z),
        lambda z, v: v - softmax(z) @ v,
        lambda z, u: u - softmax(z) * u.sum(),
    )


def hidden_layer(n, normal):
    U, V = normal(n, 4), normal(4, 3)
    slope = lambda z: 1 - np.tanh(z @ U) ** 2
    return (
        lambda z: np.tanh(z @ U) @ V,
        lambda z, v: ((v @ U) * slope(z)) @ V,
        lambda z, u: U @ ((V @ u) * slope(z)),
    )


def direction(n, normal):
    """z/|z|."""

    def J(z, v):
        r = np.sqrt(z @ z)
        return v / r - z * (z @ v) / r**3

    return lambda z: z / np.sqrt(z @ z), J, J


def running_product(n, normal):
    def jacobian(z):
        J = np.zeros((n, n), z.dtype)
        for i in range(n):
            for j in range(i + 1):
                J[i, j] = np.prod(np.delete(z[: i + 1], j))
        return J

    return np.cumprod, lambda z, v: jacobian(z) @ v, lambda z, u: u @ jacobian(z)


def linear_map(n, normal):
    A = normal(5, n)
    return lambda z: A @ z, lambda z, v: A @ v, lambda z, u: u @ A


VECTOR = {
    **{
        name: Family(entrywise(*ELEMENTWISE[name][:2]), *ELEMENTWISE[name][3:])
        for name in ("exp", "log", "sin", "tanh", "softplus", "erf", "gammaln", "reciprocal", "quintic", "x|x|")
    },
    "outer": Family(outer),
    "softmax": Family(softmax_map, -5, 5),
    "log softmax": Family(log_softmax_map, -9, 9),
    "hidden layer": Family(hidden_layer),
    "direction": Family(direction, 0.1, 3),
    "running product": Family(running_product),
    "linear map": Family(linear_map),
    **special_families(entrywise),
}
CURVED = {name: family for name, family in SCALAR.items() if family.make(family.most, lambda *s: np.ones(s))[2]}
