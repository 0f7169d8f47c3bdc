"""Inputs that people check: plateaus, stairs, functions that raise, odd structures, and what the messages say."""

import functools
import math
import warnings
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pytest
from known_derivatives import PLATEAUS, STAIRS, plateau_points
from plateaus import run

from minipg.gradient_check import (
    CheckInputError,
    GradientError,
    check_adjoint,
    check_fisher,
    check_gradient,
    check_hessian_product,
    check_jvp,
    check_vjp,
)

KINDS = [np.float64, np.float32]


def snippet_output(error, capsys, **names):
    """The two numbers that the snippet of an error prints."""
    exec(error.snippet, {"error": error, **names})
    return tuple(map(float, capsys.readouterr().out.split()))


def verdict(f, gradient, x):
    """The GradientError of a check, or None."""
    try:
        check_gradient(f, gradient, x)
    except GradientError as error:
        return error
    return None


# ---- plateaus -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check", ["gradient", "jvp", "vjp"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PLATEAUS)
def test_a_forgotten_branch_is_found_on_a_plateau(name, kind, check):
    for f, x, right, wrong, entry in plateau_points(name, kind, 4):
        assert run(check, f, right, x).status == "passed"
        with pytest.raises(GradientError) as caught:
            run(check, f, wrong, x)
        assert caught.value.index == (entry,)
        assert abs(caught.value.numeric) < 1e-4


@pytest.mark.parametrize("f", [np.median, lambda x: np.quantile(x, 0.5), lambda x: np.sort(x)[2]])
def test_a_forgotten_branch_of_a_quantile_is_found(f):
    right, end = (np.arange(5) == 2) * 1.0, (np.arange(5) == 0) * 1.0
    x = np.array([-2.0, -1, 0.1, 1, 3])
    assert check_gradient(f, lambda x: right, x).status == "passed"
    with pytest.raises(GradientError, match=r"wrong at \w+\[0\]"):
        check_gradient(f, lambda x: right + end, x)


@pytest.mark.parametrize("seed", range(5))
def test_the_named_entry_of_a_large_array_is_the_wrong_one(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=300)
    wrong = int(rng.choice(np.flatnonzero(abs(x) > 0.5)))
    with pytest.raises(GradientError) as caught:
        check_gradient(
            lambda x: np.clip(x, -0.5, 0.5).sum(), lambda x: (abs(x) < 0.5) * 1.0 + (np.arange(300) == wrong), x
        )
    assert caught.value.index == (wrong,)


def test_no_entry_is_named_if_none_is_wrong_by_itself():
    x, coefficients = np.random.default_rng(0).normal(size=(2, 4000))
    f = lambda x: 1e6 + coefficients @ x
    with pytest.raises(GradientError, match="wrong along a direction") as caught:
        check_gradient(f, lambda x: coefficients + 2e-5, x)
    assert caught.value.index is None


# ---- stairs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", STAIRS)
def test_the_right_derivative_of_a_step_function_passes(name, kind, capsys):
    f = lambda x: STAIRS[name][0](x).sum()
    for seed in range(4):
        x = np.random.default_rng(seed).uniform(-2, 2, 3).astype(kind)
        assert check_gradient(f, np.zeros_like, x).status == "passed"
        if error := verdict(f, np.ones_like, x):  # then the snippet agrees
            assert snippet_output(error, capsys, f=f) == (0, 1)


def test_a_check_that_cannot_decide_says_so():
    report = check_gradient(lambda x: np.floor(x).sum(), np.ones_like, np.array([0.4, 1.7]))
    assert report.resolution > 1
    assert "cannot decide" in report.notes[0]


# ---- functions that raise -------------------------------------------------------------------------------------------


def entropy(p):
    assert ((p > 0) & (p < 1)).all(), "expected probabilities"
    return -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum()


def log_det(A):
    return 2 * np.log(np.diag(np.linalg.cholesky((A + A.T) / 2))).sum()


RAISING = {
    "math.log": (lambda x: math.log(x[0]), lambda x: 1 / x, np.array([1.0])),
    "math.sqrt": (lambda x: math.sqrt(x[0]), lambda x: 0.5 / np.sqrt(x), np.array([2.0])),
    "math.exp": (lambda x: math.exp(x[0]), np.exp, np.array([700.0])),
    "division": (lambda x: 1 / float(x[0] > 0) * float(x[0]) ** 2, lambda x: 2 * x, np.array([0.3])),
    "assertion": (entropy, lambda p: np.log((1 - p) / p), np.array([0.3, 0.6])),
    "Cholesky": (log_det, lambda A: np.linalg.inv((A + A.T) / 2), np.array([[2.0, 0.3], [0.3, 1.0]])),
}


@pytest.mark.parametrize("name", RAISING)
def test_a_function_that_raises_outside_its_domain_is_checked_inside(name):
    f, gradient, x = RAISING[name]
    report = check_gradient(f, gradient, x)
    assert report.status == "passed"
    assert report.resolution < 1e-6
    with pytest.raises(GradientError):
        check_gradient(f, lambda x: 1.001 * gradient(x), x)


def test_the_derivative_and_the_kl_may_raise_outside_the_domain_too():
    edge = np.array([1e-13, 1 - 1e-13])
    slope = lambda p: np.array([math.log((1 - q) / q) for q in p])
    assert check_gradient(entropy, slope, edge).status == "passed"
    q = np.array([0.2])
    kl = lambda p: q[0] * math.log(q[0] / p[0]) + (1 - q[0]) * math.log((1 - q[0]) / (1 - p[0]))
    assert check_fisher(lambda v: v / (q * (1 - q)), q, kl=kl).status == "passed"


def test_a_function_that_raises_at_x_raises_its_own_error():
    with pytest.raises(AssertionError, match="expected probabilities"):
        check_gradient(entropy, lambda p: p, np.array([1.5]))


def test_the_report_says_why_no_step_is_usable():
    point = np.array([0.5])

    def only_here(x):
        if x[0] != 0.5:
            raise ValueError("a place of its own")
        return x.sum()

    report = check_gradient(only_here, np.ones_like, point)
    assert report.resolution == np.inf
    assert "only_here raises ValueError: a place of its own" in report.notes[0]


# ---- logarithms of nearly one, tiny arguments -----------------------------------------------------------------------

NEARLY_ONE = {
    "log cosh": (lambda x: np.log(np.cosh(x)).sum(), np.tanh),
    "log(1 + x²)": (lambda x: np.log(1 + x * x).sum(), lambda x: 2 * x / (1 + x * x)),
    "log mean exp x²": (lambda x: np.log(np.exp(x * x).mean()), lambda x: 2 * x * np.exp(x * x) / np.exp(x * x).sum()),
    "√(1 + x²) − 1": (lambda x: (np.sqrt(1 + x * x) - 1).sum(), lambda x: x / np.sqrt(1 + x * x)),
    "1 − cos x": (lambda x: (1 - np.cos(x)).sum(), np.sin),
    "x²": (lambda x: x @ x, lambda x: 2 * x),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NEARLY_ONE)
def test_tiny_arguments_cause_no_false_alarm(name, kind):
    f, gradient = NEARLY_ONE[name]
    for tiny in (1e-300, 1.17549435e-38, 1e-30, 1e-20, 1e-12, 1e-9, 1e-8, 1e-6, 1e-4, 1e-3):
        for x in ([0.0, 0.0, tiny], [tiny], [1.0, -tiny, 0.0]):
            assert check_gradient(f, gradient, np.array(x, kind)).status == "passed"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NEARLY_ONE)
def test_a_part_that_rounds_in_coarser_steps_than_the_value_causes_no_false_alarm(name, kind):
    part, slope = NEARLY_ONE[name]
    f = lambda x: float(x.sum() + part(x)) if kind is np.float64 else x.sum() + part(x)  # no complex numbers
    for size in np.sqrt(np.finfo(kind).eps) * np.geomspace(0.01, 100, 21):
        for x in ([size], [-size, 30 * size], [min(3.0, 1000 * size), -0.7 * size]):
            assert check_gradient(f, lambda x: 1 + slope(x), np.array(x, kind)).status == "passed"


@pytest.mark.parametrize("tiny", [1e-300, 1e-30, 1e-20, 1e-17, 1e-16, 1e-12, 1e-9])
def test_a_tiny_probability_causes_no_false_alarm(tiny):
    assert check_gradient(entropy, lambda p: np.log((1 - p) / p), np.array([tiny])).status == "passed"


def test_a_plateau_at_a_tiny_argument_is_one():
    with pytest.raises(GradientError):
        check_gradient(lambda x: np.maximum(x - 1, 0).sum(), np.ones_like, np.array([1e-30]))


# ---- structures -----------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """Weights and a bias."""

    w: np.ndarray
    b: np.ndarray


W, B = np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 2.0])
of_w, of_b = (lambda w, b: 2 * w.sum() * np.ones(3)), (lambda w, b: 3 * b**2)


def loss(w, b):
    return w.sum() ** 2 + (b**3).sum()


PAIRS = {
    "dict": ({"w": W, "b": B}, lambda p: (p["w"], p["b"])),
    "ordered dict": (OrderedDict(w=W, b=B), lambda p: (p["w"], p["b"])),
    "nested": ({"layer": {"w": W, "b": B}}, lambda p: (p["layer"]["w"], p["layer"]["b"])),
    "NamedTuple": (Pair(W, B), lambda p: (p.w, p.b)),
}
RESULTS = {
    "other order": lambda w, b: {"b": b, "w": w},
    "NamedTuple": Pair,
}


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("name", PAIRS)
def test_dicts_and_named_tuples_are_matched_by_name(name, result):
    x, parts = PAIRS[name]
    wrapped = (lambda p: {"layer": p}) if name == "nested" else (lambda p: p)
    f = lambda p: loss(*parts(p))
    right = lambda p: wrapped(RESULTS[result](of_w(*parts(p)), of_b(*parts(p))))
    exchanged = lambda p: wrapped(RESULTS[result](of_b(*parts(p)), of_w(*parts(p))))
    assert check_gradient(f, right, x).status == "passed"
    with pytest.raises(GradientError):
        check_gradient(f, exchanged, x)
    both = lambda p: wrapped({"w": 2 * parts(p)[0], "b": parts(p)[1]})
    other = lambda p, v: wrapped(RESULTS[result](2 * parts(v)[0], parts(v)[1]))
    assert check_jvp(both, other, x).status == "passed"
    assert check_hessian_product(both, other, x).status == "passed"


@pytest.mark.parametrize(
    "gradient,message",
    [
        (lambda p: {"w": of_w(**p)}, "has no entry 'b'"),
        (lambda p: {"w": of_w(**p), "b": of_b(**p), "c": 0}, "has an unknown entry 'c'"),
        (lambda p: (of_w(**p), of_b(**p)), "expected a dict of w, b, got a tuple"),
        (lambda p: {"w": {"v": of_w(**p)}, "b": of_b(**p)}, "expected one array, got a dict"),
        (lambda p: {"w": of_w(**p)[:2], "b": of_b(**p)}, r"in w: expected shape \(3,\), got \(2,\)"),
        (lambda p: {"w": of_w(**p) * 1j, "b": of_b(**p)}, "in w: expected real numbers, got complex128"),
    ],
)
def test_a_gradient_of_another_structure_is_named(gradient, message):
    with pytest.raises(CheckInputError, match=message):
        check_gradient(lambda p: loss(**p), gradient, {"w": W, "b": B})


@pytest.mark.parametrize(
    "f,jvp,vjp",
    [
        (lambda x: (x**2, x.sum()), lambda x, v: (2 * x * v, v.sum()), lambda x, u: 2 * x * u[0] + u[1]),
        (lambda x: [x**2], lambda x, v: [2 * x * v], lambda x, u: 2 * x * u[0]),
        (lambda x: {"a": x**2, "b": x.sum()}, lambda x, v: {"b": v.sum(), "a": 2 * x * v},
         lambda x, u: 2 * x * u["a"] + u["b"]),
        (lambda x: Pair(x**2, x.sum()), lambda x, v: Pair(2 * x * v, v.sum()), lambda x, u: 2 * x * u.w + u.b),
        (lambda x: (x, (x**2, {"c": x.sum()})), lambda x, v: (v, (2 * x * v, {"c": v.sum()})),
         lambda x, u: u[0] + 2 * x * u[1][0] + u[1][1]["c"]),
    ],
    ids=["tuple", "list", "dict", "NamedTuple", "nested"],
)  # fmt: skip
def test_functions_may_return_any_structure(f, jvp, vjp):
    x = np.array([0.1, -0.4, 0.7])
    assert check_jvp(f, jvp, x).status == "passed"
    assert check_vjp(f, vjp, x).status == "passed"
    assert check_adjoint(jvp, vjp, x).status == "passed"
    with pytest.raises(GradientError):
        check_vjp(f, lambda x, u: 1.01 * vjp(x, u), x)


def test_a_jvp_of_another_shape_is_named():
    with pytest.raises(CheckInputError, match=r"expected shape \(2, 3\), got \(3, 2\); it is transposed"):
        check_jvp(lambda x: np.outer([1.0, 2.0], x), lambda x, v: np.outer(v, [1.0, 2.0]), W)


class Tensor:
    """An array of a library that NumPy can read."""

    def __init__(self, array):
        self.array = np.array(array)

    def __array__(self, dtype=None, copy=None):
        return self.array.astype(dtype or self.array.dtype)

    def new_tensor(self, array):
        return Tensor(array)

    def square_sum(self):
        return Tensor((self.array**2).sum())


ARGUMENTS = {
    "a list of arrays": ([W, B], lambda p: loss(*p), lambda p: [of_w(*p), of_b(*p)]),
    "a list of one array": ([W], lambda p: p[0] @ p[0], lambda p: [2 * p[0]]),
    "a list in a tuple": (([W, B],), lambda p: loss(*p), lambda p: [of_w(*p), of_b(*p)]),
    "a list and a default": ([W, B], lambda p, scale=1.0: loss(*p), lambda p: [of_w(*p), of_b(*p)]),
    "a list of positional arguments": ([W, B], loss, lambda w, b: [of_w(w, b), of_b(w, b)]),
    "any positional arguments": ((W, B), lambda *p: loss(*p), lambda *p: [of_w(*p), of_b(*p)]),
    "a list of numbers": ([1.0, 2.0], lambda p: p[0] ** 2 + p[1], lambda p: np.array([2 * p[0], 1.0])),
    "a number": (1.5, lambda x: x**2, lambda x: 2 * x),
    "a tensor": (Tensor(W), lambda x: x.square_sum(), lambda x: Tensor(2 * x.array)),
    "a dict of tensors": ({"w": Tensor(W)}, lambda p: p["w"].square_sum(), lambda p: {"w": Tensor(2 * p["w"].array)}),
    "a gradient in a list": (W, lambda x: x @ x, lambda x: [2 * x]),
    "a gradient as a list of numbers": (W, lambda x: x @ x, lambda x: list(2 * x)),
    "a read-only view": (np.broadcast_to(W, (2, 3))[:, ::2], lambda x: (x**2).sum(), lambda x: 2 * x),
    "an int in a branch": (W, lambda x: 0 if x[0] < 0 else x @ x, lambda x: 2 * x),
    "keys that are numbers": (
        {0: W, 1: B},
        lambda p: loss(p[0], p[1]),
        lambda p: {1: of_b(*p.values()), 0: 2 * p[0].sum() * np.ones(3)},
    ),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_may_be(name):
    x, f, gradient = ARGUMENTS[name]
    assert check_gradient(f, gradient, x).status == "passed"


# ---- words ----------------------------------------------------------------------------------------------------------

X = np.array([0.3, -0.4, 0.7])


def cube_root(c):
    """Newton's method, ended at 1e-6."""
    y = 1.0
    for _ in range(100):
        step = (y**3 - c[0]) / (3 * y * y)
        if abs(step) < 1e-6:
            break
        y -= step
    return y


def test_complex_results_are_named():
    with pytest.raises(CheckInputError, match="returns complex128"):
        check_gradient(lambda x: (x**2).sum() + 1j, lambda x: 2 * x, X)


@pytest.mark.parametrize("result", [None, "text", np.array([1, 2])])
def test_results_that_are_no_floats_are_named(result):
    with pytest.raises(CheckInputError, match=r"f returns (None|<U4|int64)"):
        check_jvp(lambda x: result, lambda x, v: v, X)


def test_a_stale_cache_in_f_is_named():
    cache = {}
    with pytest.raises(CheckInputError, match="stale cache"):
        check_gradient(lambda x: cache.setdefault(id(x), float(x @ x)), lambda x: 2 * x, X)


def test_a_gradient_in_float32_of_float64_arguments_passes_with_a_note():
    report = check_gradient(lambda x: x @ x, lambda x: (2 * x).astype(np.float32), X)
    assert report.notes == ("gradient returns float32 for float64 arguments",)
    assert report.resolution > 1e-7
    with pytest.raises(GradientError, match="float32"):
        check_gradient(lambda x: x @ x, lambda x: (2.002 * x).astype(np.float32), X)


def test_an_approximate_function_is_not_called_a_factor_of_1():
    with pytest.raises(GradientError, match="an imprecise value, 4e-10 off"):
        check_gradient(cube_root, lambda c: 1 / (3 * np.cbrt(c) ** 2), np.array([8.0]))


def test_noise_is_not_called_float32_unless_the_values_are():
    f = lambda x: np.sin(1e9 * x).sum()
    assert "noise" in check_gradient(f, lambda x: 1e9 * np.cos(1e9 * x), np.array([0.3, 1.7])).notes[0]
    single = lambda x: float((np.float32(x) ** 2).sum())
    assert "computes in float32" in check_gradient(single, lambda x: 2 * x, X).notes[0]
    assert check_gradient(lambda x: 3 * x.sum(), lambda x: 3 + 0 * x, np.zeros(2)).notes == ()


@pytest.mark.parametrize("x", [np.array(1.2), 1.2, np.array([1.2])])
def test_no_factor_is_read_from_one_number(x):
    with pytest.raises(GradientError) as caught:
        check_gradient(lambda x: np.sum(x**3 - 5 * x), lambda x: 3 * x**2 + 5, x)
    assert caught.value.guess == ""
    with pytest.raises(GradientError, match="a wrong sign"):
        check_gradient(lambda x: np.sum(x**3), lambda x: -3 * x**2, x)


def scaled_loss(scale, x):
    return scale * (x**3).sum()


def scaled_gradient(scale, x):
    return scale * 3 * x


class Model:
    """Functions without a name of their own."""

    def loss(self, x):
        return (x**3).sum()

    def __call__(self, x):
        return 3 * x


@pytest.mark.parametrize(
    "f,gradient",
    [
        (functools.partial(scaled_loss, 2.0), functools.partial(scaled_gradient, 2.0)),
        (Model().loss, Model()),
        (lambda x: (x**3).sum(), lambda x: 3 * x),
        (np.prod, np.zeros_like),
    ],
)
@pytest.mark.parametrize("x", [X, X.astype(np.float32), 1e-9 * X, 1e9 * X, np.array(0.3)])
def test_the_snippet_can_be_pasted_whatever_the_functions(f, gradient, x, capsys):
    with pytest.raises(GradientError) as caught:
        check_gradient(f, gradient, x)
    error = caught.value
    shown, analytic = snippet_output(error, capsys, f=f, gradient=gradient)
    np.testing.assert_allclose(shown, error.numeric, rtol=1e-2 if x.dtype == np.float32 else 1e-5)
    np.testing.assert_allclose(analytic, error.analytic, rtol=1e-6)


def test_the_snippet_imports_functions_that_can_be_imported(capsys):
    with pytest.raises(GradientError) as caught:
        check_gradient(np.prod, np.zeros_like, X)
    assert "from numpy import prod" in caught.value.snippet
    snippet_output(caught.value, capsys)


@pytest.mark.parametrize(
    "x",
    [[W, B], (W, B), ({"w": W, "b": [B]},), Pair(W, B), {"p": Pair(W, B)}],
    ids=["list", "tuple", "nested", "NamedTuple", "dict of NamedTuple"],
)
def test_the_snippet_reproduces_mistakes_in_any_structure(x, capsys):
    leaves = lambda p: (
        [p] if isinstance(p, np.ndarray) else [a for q in getattr(p, "values", lambda: p)() for a in leaves(q)]
    )
    f = lambda *p: sum((a**2).sum() for a in leaves(p))
    gradient = lambda *p: p if len(p) > 1 else p[0]
    if isinstance(x, list):
        f, gradient = (lambda p: sum((a**2).sum() for a in leaves(p))), (lambda p: p)
    with pytest.raises(GradientError, match="a factor of 1/2") as caught:
        check_gradient(f, gradient, x)
    shown, analytic = snippet_output(caught.value, capsys, f=f, gradient=gradient)
    np.testing.assert_allclose([shown, analytic], [2.0, 1.0], rtol=1e-6)


def test_no_warning_leaves_the_checker():
    f, gradient = (lambda x: np.log(x).sum() + np.exp(1 / x).sum()), (lambda x: 1 / x - np.exp(1 / x) / x**2)
    x = np.array([0.01, 1.0])

    def with_a_warning(x):
        warnings.warn("far outside", RuntimeWarning, stacklevel=1)
        return gradient(x)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_gradient(f, gradient, x).status == "passed"
        assert check_gradient(f, with_a_warning, x).status == "passed"
        assert check_jvp(np.log, lambda x, v: v / x, x).status == "passed"
        assert check_vjp(np.log, lambda x, u: u / x, x).status == "passed"
        assert check_adjoint(lambda x, v: v / x, lambda x, u: u / x, x).status == "passed"
        assert check_hessian_product(lambda x: 1 / x, lambda x, v: -v / x**2, x).status == "passed"
        with pytest.raises(GradientError):
            check_gradient(f, lambda x: 2 * gradient(x), x)
