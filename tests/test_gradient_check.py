"""The gradient checker passes right derivatives at any scale, finds wrong ones, and names what it cannot check."""

from typing import NamedTuple

import numpy as np
import pytest
from false_alarms import Case, outcome_of
from hypothesis import assume, find, given, settings
from hypothesis import strategies as st
from scipy import special
from scipy.optimize import rosen, rosen_der, rosen_hess_prod

from minipg import MLP, Backend
from minipg.gradient_check import (
    CheckInputError,
    GradientError,
    NotDifferentiableWarning,
    check_adjoint,
    check_fisher,
    check_gradient,
    check_hessian_product,
    check_jvp,
    check_vjp,
)
from minipg.gradient_check import strategies as drawn
from minipg.gradient_check.numeric import derivative
from minipg.theory import strategies as theory_strategies

EPS = float(np.finfo(float).eps)
EPS32 = float(np.finfo(np.float32).eps)
scales = st.sampled_from([1e-8, 1e-4, 1.0, 1e4, 1e8])


# ---- the numeric derivative and its error ---------------------------------------------------------------------------

FUNCTIONS = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda x: 1 / x),
    "cube": (lambda x: x**3, lambda x: 3 * x * x),
    "reciprocal": (lambda x: 1 / x, lambda x: -1 / (x * x)),
    "root": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "x|x|": (lambda x: x * abs(x), lambda x: 2 * abs(x)),
    "offset": (lambda x: 1e8 + np.sin(x), np.cos),
    "cancelling": (lambda x: (1e6 + x) - 1e6 + np.sin(x), lambda x: 1 + np.cos(x)),
    "rounded to float32 inside": (lambda x: np.float64(np.sin(np.float32(x))), np.cos),
    "constant": (lambda x: 0 * x + 5, lambda x: 0.0),
}


def numeric(f, x, epsilon=EPS, kind=np.float64):
    x = kind(x)
    return derivative(lambda t: np.atleast_1d(np.float64(f(kind(x + t)))), abs(float(x)) or 1.0, epsilon, epsilon)


@settings(max_examples=300)
@given(st.sampled_from(sorted(FUNCTIONS)), st.floats(0.05, 20), scales, st.booleans())
def test_the_error_estimate_bounds_the_error(name, x, scale, single):
    f, df = FUNCTIONS[name]
    x = x * scale if name in ("log", "reciprocal", "root", "cube", "x|x|") else x
    # in single precision the cancelling function is noise alone
    epsilon, kind = (EPS32, np.float32) if single and name != "cancelling" else (EPS, np.float64)
    with np.errstate(all="ignore"):
        if not np.isfinite(f(kind(x))) or abs(df(float(kind(x)))) > 1e30:
            return
        found = numeric(f, x, epsilon, kind)
    assert not found.kink[0]
    assert abs(found.value[0] - df(float(kind(x)))) <= 4 * found.error[0]


@pytest.mark.parametrize("name", ["sin", "exp", "log", "cube", "reciprocal", "root"])
def test_ten_digits_are_right_in_double_precision(name):
    f, df = FUNCTIONS[name]
    found = numeric(f, 1.3)
    assert found.error[0] < 1e-9 * abs(df(1.3))


@pytest.mark.parametrize("distance", [1e-10, 1e-7, 1e-4, 1e-2])
def test_a_kink_nearby_does_not_disturb_the_derivative(distance):
    found = numeric(lambda x: abs(x - 1 - distance), 1.0)
    assert not found.kink[0]
    assert abs(found.value[0] + 1) <= 4 * found.error[0] < 1e-4


@settings(max_examples=300)
@given(
    st.floats(-6, 0.3), st.sampled_from([-1, 1]), st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2),
    st.sampled_from([0.1, 1.0, 1e3]), st.booleans(),
)  # fmt: skip
def test_the_error_estimate_bounds_the_error_with_a_kink_at_any_distance(power, side, slope, bend, rest, x, single):
    kind, epsilon = (np.float32, EPS32) if single else (np.float64, EPS)
    x = float(kind(x))
    # a kink this close counts as one at x in single precision
    distance = side * 10.0 ** max(power, -2.0 if single else -6.0)
    slope, bend, rest, kink = (float(kind(v)) for v in (slope, bend, rest, x * (1 + distance)))
    # a kink this small is hidden by rounding
    assume(abs(bend * distance) > 100 * epsilon * (abs(rest) + abs(slope) + abs(bend)))

    def f(z):
        return kind(rest) * (z / kind(x)) ** 2 + kind(slope) * z / kind(x) + kind(bend) * abs(z - kind(kink)) / kind(x)

    found = numeric(f, x, epsilon, kind)
    assert not found.kink[0]
    assert abs(found.value[0] * x - (2 * rest + slope - side * bend)) <= 4 * found.error[0] * x


@settings(max_examples=300)
@given(st.floats(-6, 0.3), st.sampled_from([-1, 1]), st.floats(0.1, 2), st.sampled_from([0, 1, -30]), st.booleans())
def test_the_slope_of_a_plateau_is_zero(power, side, slope, height, single):
    kind, epsilon = (np.float32, EPS32) if single else (np.float64, EPS)
    distance = 10.0 ** max(power, -2.0 if single else -6.0)
    f = lambda x: kind(height) + kind(slope) * np.maximum(side * (x - kind(1 + side * distance)), kind(0))
    found = numeric(f, 1.0, epsilon, kind)
    assert not found.kink[0]
    assert abs(found.value[0]) <= 4 * found.error[0]
    assert found.error[0] < 1e-6 or single


# ---- functions of SciPy --------------------------------------------------------------------------------------------

SPECIAL = {
    "gammaln": (special.gammaln, special.digamma, (0.3, 8)),
    "erf": (special.erf, lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x), (-2, 2)),
    "erfc": (special.erfc, lambda x: -2 / np.sqrt(np.pi) * np.exp(-x * x), (-2, 3)),
    "expit": (special.expit, lambda x: special.expit(x) * special.expit(-x), (-8, 8)),
    "log_expit": (special.log_expit, lambda x: special.expit(-x), (-8, 8)),
    "logit": (special.logit, lambda p: 1 / (p * (1 - p)), (0.05, 0.95)),
    "xlogy": (lambda x: special.xlogy(x, x), lambda x: np.log(x) + 1, (0.1, 5)),
    "entr": (special.entr, lambda x: -np.log(x) - 1, (0.1, 5)),
    "j0": (special.j0, lambda x: -special.j1(x), (0.1, 9)),
    "i0e": (special.i0e, lambda x: special.i1e(x) - special.i0e(x), (0.1, 9)),
    "digamma": (special.digamma, lambda x: special.polygamma(1, x), (0.5, 8)),
    "dawsn": (special.dawsn, lambda x: 1 - 2 * x * special.dawsn(x), (-3, 3)),
    "ndtr": (special.ndtr, lambda x: np.exp(-x * x / 2) / np.sqrt(2 * np.pi), (-3, 3)),
    "log_ndtr": (special.log_ndtr, lambda x: np.exp(-x * x / 2 - special.log_ndtr(x)) / np.sqrt(2 * np.pi), (-3, 3)),
    "exprel": (special.exprel, lambda x: (np.exp(x) - special.exprel(x)) / x, (0.5, 3)),
    "logistic loss": (lambda x: np.log1p(np.exp(-x)), lambda x: -special.expit(-x), (-5, 5)),
    "Huber loss": (lambda x: special.huber(1.0, x), lambda x: np.clip(x, -1, 1), (-3, 3)),
    "pseudo-Huber loss": (lambda x: special.pseudo_huber(1.0, x), lambda x: x / np.sqrt(1 + x * x), (-3, 3)),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_known_derivatives_pass_and_fail_when_one_entry_is_off_by_one_part_in_ten_thousand(name):
    f, df, (low, high) = SPECIAL[name]
    for seed in range(5):
        x = np.random.default_rng(seed).uniform(low, high, 5)
        assert check_gradient(lambda x: f(x).sum(), df, x).status == "passed"
        entry = int(np.argmax(np.abs(df(x))))
        with pytest.raises(GradientError) as error:
            check_gradient(lambda x: f(x).sum(), lambda x, i=entry: df(x) * (1 + 1e-4 * (np.arange(5) == i)), x)
        assert error.value.index == (entry,)


def test_rosenbrock_passes_and_fails_when_perturbed():
    x = np.random.default_rng(0).normal(size=8)
    assert check_gradient(rosen, rosen_der, x).status == "passed"
    assert check_hessian_product(rosen_der, rosen_hess_prod, x).status == "passed"
    for i in range(8):
        off = 1 + 1e-4 * (np.arange(8) == i)
        with pytest.raises(GradientError):
            check_gradient(rosen, lambda x, off=off: rosen_der(x) * off, x)
        with pytest.raises(GradientError):
            check_hessian_product(rosen_der, lambda x, v, off=off: rosen_hess_prod(x, v) * off, x)


# ---- no false alarms -------------------------------------------------------------------------------------------------


@st.composite
def networks(draw):
    """A tanh layer under a squared loss with inputs and weights of any scale, in either precision."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m, rows = (draw(st.integers(1, 4)) for _ in range(3))
    size = draw(scales)
    kind = draw(st.sampled_from([np.float64, np.float32]))
    W, b, X = rng.normal(size=(n, m)) / size, rng.normal(size=m), size * rng.normal(size=(rows, n))
    return W.astype(kind), b.astype(kind), X.astype(kind)


def loss(W, b, X):
    return (np.tanh(X @ W + b) ** 2).mean()


def slopes(W, b, X):
    h = np.tanh(X @ W + b)
    g = 2 * h * (1 - h * h) / h.size
    return X.T @ g, g.sum(axis=0), g @ W.T


@given(networks())
def test_right_gradients_pass_at_any_scale_in_either_precision(x):
    assert check_gradient(loss, slopes, x).status == "passed"


@given(networks(), st.integers(0, 2))
def test_a_doubled_gradient_of_any_argument_fails_in_double_precision(x, which):
    x = tuple(part.astype(np.float64) for part in x)
    if np.abs(slopes(*x)[which]).max() < 1e-12 * max(np.abs(s).max() for s in slopes(*x)):
        return
    with pytest.raises(GradientError) as error:
        check_gradient(loss, lambda *x: [s * (1 + (i == which)) for i, s in enumerate(slopes(*x))], x)
    assert error.value.argument == ("W", "b", "X")[which]


ALARMS = [
    Case(
        "vjp",
        "log softmax",
        "float32",
        35822915.1215636,
        1.0,
        (-0.8889346079730509, -0.7188717050573548, 0.0, 1.0),
        3345,
        "dict",
    ),
    Case("gradient", "maximum", "float64", 1e5, 1.0, (0.25, 0.23620903854402697), 0, "array"),
    Case("gradient", "maximum", "float32", 1e4, 1e4, (0.9845756569889814, 1.0), 0, "tuple"),
    Case("gradient", "maximum", "float32", 1e-8, 1.0, (1.0, 0.98), 12155, "array"),
    Case("gradient", "x|x|", "float64", 1e-8, 1.0, (1e-8, -0.9043687091368939), 1, "array"),
    Case(
        "hessian_product", "logsumexp", "float32", 33120138.724821102, 31805509.547401946, (0.25, -1.0), 1069, "array"
    ),
    Case("jvp", "outer", "float32", 10.0, 86258072.7211393, (-0.75, 0.5, -1.931278056528538e-45), 912, "array"),
    Case("hessian_product", "logsumexp", "float32", 1.0, 1.0, (0.6514871100699371, -1.0, -0.5), 1930, "tuple"),
    Case("gradient", "root of 1 + x² less 1", "float32", 68610713.61540897, 1e-7, (1e-12,), 17973, "array"),
    Case("jvp", "log of 1 + x²", "float32", 16164518.562156714, 10.0, (2.517228502458196e-08,), 47899, "dict"),
    Case("vjp", "log of 1 + exp", "float64", 1e-4, 1e-4, (-1.0, -1.0), 1, "array"),
    Case("vjp", "x + log of cosh", "float32", 1.0, 4.0, (-0.0001, -0.7791094250829858), 768, "dict"),
    Case(
        "jvp",
        "x + log of cosh",
        "float32",
        22978602.86319399,
        45083023.62385405,
        (-0.0001, 0.7088761842572135, -0.25),
        847,
        "array",
    ),
    Case(
        "vjp",
        "x + log of cosh",
        "float32",
        1.0,
        21954000.529315546,
        (0.0001, 0.25, -0.5, -1.779684320131771e-05),
        835,
        "tuple",
    ),
    Case("gradient", "x + log of cosh", "float32", 1.0, 1.0, (-1e-30, 0.0001, 1e-06, 0.0001), 2, "array"),
    Case("gradient", "log softmax", "float32", 1e-08, 10.0, (-1.0, 0.0), 0, "array"),
    Case("gradient", "x + log of cosh", "float32", 15521.762744789356, 1.0, (0.0001, 0.00015), 2589, "array"),
    Case("gradient", "log softmax", "float32", 1e-7, 1.0, (-1.0, 0.0), 1791, "array"),
    Case("gradient", "x + log of cosh", "float32", 1.0, 1.0, (0.0005217409032536048, -0.0001, 0.00015), 1880, "array"),
    Case("jvp", "log softmax", "float32", 1e-5, 1e-3, (-1.0, 0.0), 1673, "array"),
    Case("adjoint", "outer", "float32", 1e-8, 36501194.97709997, (-1e-20, -1e-253, 1e-300, -1e-20), 380, "array"),
    Case("gradient", "logit", "float64", 1.0, 1e4, (1e-12,), 7075, "array"),
    Case("hessian_product", "exp", "float32", 1e-08, 1e5, (0.0, -1.17549435e-38), 623, "dict"),
    Case("gradient", "log of cosh", "float64", 1e-3, 1e-2, (1e-30, -1e-30), 562, "array"),
    Case("hessian_product", "Rosenbrock", "float64", 1.0, 1.0, (-1e-300, -1e-300), 8, "array"),
]


@pytest.mark.parametrize("case", ALARMS, ids=lambda case: f"{case.family} {case.kind} {case.s:.0e}")
def test_right_derivatives_that_were_false_alarms_once_pass(case):
    assert outcome_of(case).verdict == "passed"


# ---- the diagnosis --------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(1)
POINT = RNG.normal(size=(3, 4)), RNG.normal(size=4), RNG.normal(size=(5, 3))


def changed(which, change):
    return lambda *x: [change(s) if i == which else s for i, s in enumerate(slopes(*x))]


@pytest.mark.parametrize(
    "change,guess",
    [
        (lambda s: -s, "a wrong sign"),
        (lambda s: 2 * s, "a factor of 2"),
        (lambda s: s / 2, "a factor of 1/2"),
        (lambda s: 5 * s, "a missing 1/N, where N = 5"),
        (lambda s: s / 5, "a 1/N too many, where N = 5"),
        (lambda s: 1.37 * s, "a constant factor of 1.37"),
        (lambda s: 0 * s, "a missing term: this argument's derivative is zero everywhere"),
        (lambda s: s + 0.25, "every entry is off by 0.25"),
        (lambda s: s[:, ::-1], "a reversed axis 1"),
        (lambda s: np.roll(s, 1, axis=0), "an index off by one along axis 0"),
        (lambda s: np.broadcast_to(s.mean(axis=1, keepdims=True), s.shape), "a sum over the wrong axis"),
        (lambda s: s * np.where(np.arange(12).reshape(3, 4) == 6, 1.01, 1), "1 of 12 are wrong"),
        (lambda s: s * np.cos(np.arange(12).reshape(3, 4)), "follow no single pattern"),
    ],
)
def test_the_diagnosis_names_the_pattern(change, guess):
    with pytest.raises(GradientError, match=guess):
        check_gradient(loss, changed(0, change), POINT)


def test_a_transposed_gradient_is_recognised():
    A = RNG.normal(size=(4, 4))
    with pytest.raises(GradientError, match="a transposed matrix"):
        check_gradient(lambda W: (A * W).sum(), lambda W: A.T.copy(), RNG.normal(size=(4, 4)))


def test_the_exception_carries_its_parts():
    with pytest.raises(GradientError) as caught:
        check_gradient(loss, changed(1, lambda s: -s), POINT)
    error = caught.value
    assert (error.argument, error.index, error.place) == ("b", (0,), "b[0]")
    np.testing.assert_allclose(error.analytic, -slopes(*POINT)[1][0])
    assert abs(error.numeric - slopes(*POINT)[1][0]) <= 4 * error.error
    np.testing.assert_allclose(error.ratio, -1, rtol=1e-6)
    np.testing.assert_array_equal(error.x[1], POINT[1])


@pytest.mark.parametrize(
    "x,f,wrong",
    [
        (POINT, loss, changed(1, lambda s: -s)),
        (POINT[0], lambda W: (W**2).sum(), lambda W: W),
        (np.array(0.7), lambda x: x**2, lambda x: x),
        ({"a": POINT[0], "s": np.array(2.0)}, lambda d: (d["a"] ** 2).sum() * d["s"],
         lambda d: {"a": d["a"] * d["s"], "s": (d["a"] ** 2).sum()}),
    ],
    ids=["tuple", "array", "number", "dict"],
)  # fmt: skip
def test_the_snippet_reproduces_the_mistake(x, f, wrong, capsys):
    def gradient(*args):
        return wrong(*args)

    with pytest.raises(GradientError) as caught:
        check_gradient(f, gradient, x)
    exec(caught.value.snippet, {"f": f, "loss": loss, "gradient": gradient, "error": caught.value})
    shown, analytic = map(float, capsys.readouterr().out.split())
    np.testing.assert_allclose(shown, caught.value.numeric, rtol=1e-4)
    np.testing.assert_allclose(analytic, caught.value.analytic, rtol=1e-12)


# ---- kinks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f,df,x,places",
    [
        (lambda x: np.maximum(x, 0).sum(), lambda x: (x > 0) * 1.0, [1.0, 0.0, -2.0], ("x[1]",)),
        (lambda x: np.abs(x - 3).sum(), lambda x: np.sign(x - 3), [3.0, 1.0], ("x[0]",)),
        (lambda x: np.clip(x, 0.8, 1.2).sum(), lambda x: (abs(x - 1) < 0.2) * 1.0, [0.8, 1.0, 1.2], ("x[0]", "x[2]")),
        (lambda x: x.max(), lambda x: (x == x.max()) / (x == x.max()).sum(), [1.0, 2.0, 2.0], ("x[1]", "x[2]")),
    ],
    ids=["ReLU at 0", "|x|", "clip bounds", "a tie of max"],
)  # fmt: skip
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_a_kink_is_reported_and_neither_passed_nor_failed(f, df, x, places, kind):
    x = np.array(x, kind)
    with pytest.warns(NotDifferentiableWarning, match="not differentiable at"):
        report = check_gradient(f, lambda x: df(x).astype(kind), x)
    assert report.status == "not differentiable here"
    assert report.kinks == places


@pytest.mark.parametrize(
    "f,df,x",
    [
        (lambda x: np.sign(x).sum(), np.zeros_like, [1.0, 0.0, -2.0]),
        (lambda x: (np.floor(x) + np.sin(x)).sum(), np.cos, [0.5, 3.0]),
        (lambda x: np.where(x > 2, x * x, 0).sum(), lambda x: np.where(x > 2, 2 * x, 0), [-1.0, 2.0]),
        (lambda x: (x == 1).sum() + x.sum(), np.ones_like, [3.0, 1.0]),
    ],
    ids=["sign", "floor", "a branch", "a single point"],
)
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_a_jump_is_called_one(f, df, x, kind):
    x = np.array(x, kind)
    with pytest.warns(NotDifferentiableWarning, match=r"not continuous at x\[1\]"):
        report = check_gradient(lambda x: kind(f(x)), lambda x: df(x).astype(kind), x)
    assert report.status == "not continuous here"
    assert report.kinks == ("x[1]",)


@pytest.mark.filterwarnings("ignore::minipg.gradient_check.NotDifferentiableWarning")
def test_beside_a_kink_the_other_entries_are_still_checked():
    with pytest.raises(GradientError) as caught:
        check_gradient(lambda x: np.maximum(x, 0).sum(), lambda x: (x > 0) * 1.01, np.array([0.0, -1.0, 2.0]))
    assert caught.value.index == (2,)


# ---- large arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, 4321, 99_999])
def test_one_wrong_entry_among_a_hundred_thousand_is_found_and_named(position):
    c, x = np.random.default_rng(2).normal(size=(2, 100_000))
    assert check_gradient(lambda x: c @ (x * x), lambda x: 2 * c * x, x).status == "passed"
    off = 0.05 * (np.arange(len(x)) == position)
    with pytest.raises(GradientError, match="1 of 12 are wrong") as caught:
        check_gradient(lambda x: c @ (x * x), lambda x: 2 * c * x + off, x)
    assert caught.value.index == (position,)


# ---- structures -----------------------------------------------------------------------------------------------------


class Parameters(NamedTuple):
    """A named pair."""

    weight: np.ndarray
    bias: np.ndarray


@pytest.mark.parametrize(
    "x,f,df",
    [
        (np.array(1.5), lambda x: x**2, lambda x: 2 * x),
        (np.zeros((0, 3)), lambda x: x.sum(), np.ones_like),
        (np.asfortranarray(RNG.normal(size=(3, 4))), lambda x: (x**2).sum(), lambda x: 2 * x),
        ((RNG.normal(size=(3, 1)), RNG.normal(size=4)), lambda a, b: (a * b).sum(),
         lambda a, b: (np.full_like(a, b.sum()), np.full_like(b, a.sum()))),
        ({"w": POINT[0], "s": np.array(2.0)}, lambda d: (d["w"] ** 2).sum() * d["s"],
         lambda d: {"w": 2 * d["w"] * d["s"], "s": (d["w"] ** 2).sum()}),
        (Parameters(POINT[0], POINT[1]), lambda p: (p.weight * p.bias).sum(),
         lambda p: Parameters(np.broadcast_to(p.bias, p.weight.shape), p.weight.sum(axis=0))),
    ],
    ids=["0-d", "empty", "Fortran order", "broadcasting tuple", "dict", "NamedTuple"],
)  # fmt: skip
def test_arguments_of_every_structure_are_taken(x, f, df):
    assert check_gradient(f, df, x).status == "passed"


def test_arguments_are_named_as_the_caller_named_them():
    x = Parameters(POINT[0], POINT[1])
    with pytest.raises(GradientError, match=r"wrong at bias\[0\]"):
        check_gradient(
            lambda p: (p.weight * p.bias).sum(),
            lambda p: Parameters(np.broadcast_to(p.bias, p.weight.shape), 2 * p.weight.sum(axis=0)),
            x,
        )


# ---- jvp, vjp, adjoint, Hessian, Fisher -----------------------------------------------------------------------------


def outer(x):
    return np.outer(x, np.sin(x))


def outer_jvp(x, v):
    return np.outer(v, np.sin(x)) + np.outer(x, np.cos(x) * v)


def outer_vjp(x, u):
    return u @ np.sin(x) + (x @ u) * np.cos(x)


@pytest.mark.parametrize("size", [1, 3, 90])
def test_both_modes_of_a_right_jacobian_pass(size):
    x = np.random.default_rng(size).normal(size=size)
    assert check_jvp(outer, outer_jvp, x).status == "passed"
    assert check_vjp(outer, outer_vjp, x).status == "passed"
    assert check_adjoint(outer_jvp, outer_vjp, x).status == "passed"


@pytest.mark.parametrize("size", [2, 90])
def test_a_mistake_in_either_mode_fails(size):
    x = np.random.default_rng(size).normal(size=size)
    wrong_jvp = lambda x, v: np.outer(v, np.sin(x)) - np.outer(x, np.cos(x) * v)
    wrong_vjp = lambda x, u: u @ np.sin(x) + (u @ x) * np.cos(x)
    with pytest.raises(GradientError):
        check_jvp(outer, wrong_jvp, x)
    with pytest.raises(GradientError):
        check_vjp(outer, wrong_vjp, x)
    for pair in ((wrong_jvp, outer_vjp), (outer_jvp, wrong_vjp)):
        with pytest.raises(GradientError):
            check_adjoint(*pair, x)


@given(st.integers(0, 2**16), st.integers(1, 5), st.integers(1, 5), scales, st.sampled_from([np.float32, np.float64]))
def test_one_entry_wrong_by_a_thousandth_of_the_largest_is_no_adjoint_in_either_precision(seed, m, n, scale, kind):
    rng = np.random.default_rng(seed)
    A, x = (scale * rng.normal(size=(m, n))).astype(kind), rng.normal(size=n).astype(kind)
    wrong = A.copy()
    wrong[rng.integers(m), rng.integers(n)] += kind(1e-3) * abs(A).max()
    assert check_adjoint(lambda x, v: A @ v, lambda x, u: u @ A, x).resolution < 1e-3
    with pytest.raises(GradientError):
        check_adjoint(lambda x, v: A @ v, lambda x, u: u @ wrong, x)


def test_a_jvp_that_is_not_linear_has_no_adjoint():
    with pytest.raises(GradientError):
        check_adjoint(lambda x, v: v * v, lambda x, u: u, np.ones(3))


def test_a_jvp_that_is_not_finite_is_named():
    with pytest.raises(CheckInputError, match=r"jvp in output is nan at \[0\]"):
        check_adjoint(lambda x, v: v * np.nan, lambda x, u: u, np.ones(3))


def test_a_hessian_product_must_be_symmetric():
    A = np.triu(np.ones((3, 3)))
    with pytest.raises(GradientError, match="⟨u"):
        check_hessian_product(lambda x: A @ x, lambda x, v: A @ v, np.ones(3))


def softmax_case():
    z = np.array([0.3, -1.0, 0.7, 0.1])
    p = np.exp(z) / np.exp(z).sum()
    log_p = lambda z: z - np.log(np.exp(z).sum())
    return {
        "theta": z, "scores": np.eye(4) - p, "weights": p, "kl": lambda new: p @ (log_p(z) - log_p(new))
    }, np.diag(p) - np.outer(p, p)  # fmt: skip


def test_a_right_fisher_product_passes_DI8():
    given, F = softmax_case()
    assert check_fisher(lambda v: F @ v, **given).status == "passed"


@pytest.mark.parametrize(
    "change,law",
    [
        (lambda F: F + np.triu(np.ones((4, 4)), 1), "symmetry"),
        (lambda F: F - 0.5 * np.eye(4), "sign"),
        (lambda F: 2 * F, "a factor of 2"),
        (lambda F: F + 1e-6 * np.eye(4), "covariance"),
    ],
)
def test_a_wrong_fisher_product_fails_DI8(change, law):
    given, F = softmax_case()
    with pytest.raises(GradientError, match=law):
        check_fisher(lambda v: change(F) @ v, **given)
    if law != "sign":
        given = {"theta": given["theta"], "kl": given["kl"]}
        with pytest.raises(GradientError):
            check_fisher(lambda v: change(F) @ v, **given)


# ---- what cannot be checked is named --------------------------------------------------------------------------------


def in_place(x):
    x *= 2
    return x.sum()


class StaleCache:
    """A gradient that returns the result of the previous call."""

    def __init__(self):
        self.calls = []

    def __call__(self, x):
        self.calls.append(2 * x)
        return self.calls[-2] if len(self.calls) > 1 else self.calls[-1]


square, twice = (lambda x: (x**2).sum()), (lambda x: 2 * x)


@pytest.mark.parametrize(
    "f,df,x,message",
    [
        (square, twice, np.array([1, 2]), "x is int64"),
        (square, twice, np.array([1.0, np.nan]), "x contains nan"),
        (lambda x: np.log(-x).sum(), twice, np.ones(2), "returns nan at x"),
        (square, lambda x: x * np.nan, np.ones(2), r"nan at \[0\]"),
        (
            square,
            lambda x: np.ones((3, 2)),
            np.ones((2, 3)),
            r"expected shape \(2, 3\), got \(3, 2\); it is transposed",
        ),
        (lambda x: x, twice, np.ones(2), "a gradient is that of one number; use check_vjp"),
        (lambda x: int(x.sum()), twice, np.ones(2), "returns int64"),
        (in_place, twice, np.ones(2), "in_place changes its arguments in place"),
        (square, lambda x: in_place(x) * 0 + x, np.ones(2), "changes its arguments in place"),
        (lambda x: x.sum() + np.random.default_rng().random(), twice, np.ones(2), "not deterministic"),
        (square, lambda x: 2 * x + np.random.default_rng().random(), np.ones(2), "two results for the same arguments"),
        (square, StaleCache(), np.ones(2), "a stale cache"),
        (lambda a, b: (a * b).sum(), lambda a, b: b, (np.ones(2), np.ones(2)), "has 1 arrays, expected 2"),
    ],
)
def test_what_cannot_be_checked_is_named(f, df, x, message):
    with pytest.raises(CheckInputError, match=message), np.errstate(all="ignore"):
        check_gradient(f, df, x)


def test_the_report_notes_a_loss_computed_in_single_precision():
    x = np.random.default_rng(0).normal(size=8)
    report = check_gradient(lambda x: float((np.float32(x) ** 2).sum()), lambda x: 2 * x, x)
    assert report.status == "passed"
    assert "float32" in report.notes[0]
    assert report.resolution > 1e-7
    assert check_gradient(square, twice, x).notes == ()


# ---- our own networks, and property tests in one line ---------------------------------------------------------------


def squared_output(case):
    """Σ output² of a network as a function of θ, and its gradient by one backward sweep."""

    def value(theta):
        return (case.mlp.forward(theta, case.obs).out ** 2).sum()

    def gradient(theta):
        tape = case.mlp.forward(theta, case.obs)
        return case.mlp.vjp(theta, tape, 2 * tape.out)

    return value, gradient


@settings(max_examples=20)
@given(theory_strategies.networks())
def test_backward_sweeps_of_networks_pass_TR9(case):
    assert check_gradient(*squared_output(case), case.theta).status == "passed"


def test_a_mistake_in_a_network_is_named_by_its_layer():
    case = theory_strategies.Network(
        MLP((2, 3, 1), "tanh", Backend("numpy", 1)), RNG.normal(size=13), RNG.normal(size=(4, 2))
    )
    layout, (value, gradient) = case.mlp.layout, squared_output(case)

    def no_bias(theta):
        grad = gradient(theta)
        layout.views(grad)["b0"][:] = 0
        return grad

    with pytest.raises(GradientError, match=r"(?s)wrong at b0\[0\].*a missing term"):
        check_gradient(
            lambda arrays: value(layout.flatten(arrays, float)),
            lambda arrays: layout.views(no_bias(layout.flatten(arrays, float))),
            layout.views(case.theta),
        )


test_a_property_in_one_line_holds = drawn.gradient_property(
    lambda x: np.log(np.cosh(x)).sum(), np.tanh, drawn.arrays((3,)), max_examples=20
)
test_a_jvp_property_in_one_line_holds = drawn.jvp_property(outer, outer_jvp, drawn.arrays((2,)), max_examples=20)
test_a_vjp_property_in_one_line_holds = drawn.vjp_property(outer, outer_vjp, drawn.arrays((2,)), max_examples=20)


def test_a_property_that_does_not_hold_fails_at_a_small_example():
    wrong = drawn.gradient_property(lambda x: (x**3).sum(), lambda x: 3 * x, drawn.arrays((3,)), max_examples=50)
    with pytest.raises(GradientError) as caught:
        wrong()
    assert sorted(np.abs(caught.value.x))[:2] == [0, 0]


@given(theory_strategies.mdps_with_policies(), st.data())
def test_drawn_mdps_and_their_policies_are_valid(case, data):
    states, actions = case.mdp.rewards.shape
    assert 1 <= states <= 6
    assert 1 <= actions <= 4
    assert 0 <= case.mdp.gamma <= 0.99
    assert case.mdp.transitions.shape == (states, actions, states)
    for table in (case.mdp.transitions, case.mdp.start, case.pi, case.other):
        assert (table >= 0).all()
        np.testing.assert_allclose(table.sum(axis=-1), 1, rtol=1e-15)
    assert case.theta.shape == case.pi.shape == case.other.shape == (states, actions)
    assert (data.draw(theory_strategies.mdps(connected=True, anywhere=True)).start > 0).all()


def test_drawn_mdps_shrink_to_one_state():
    mdp = find(theory_strategies.mdps(), lambda mdp: mdp.gamma > 0.2)
    assert mdp.rewards.tolist() == [[0]]
    assert mdp.gamma == 0.5


@given(theory_strategies.networks(activations=["relu"]), st.data())
def test_drawn_inputs_are_clear_of_the_kinks_of_a_relu_network(case, data):
    obs = data.draw(theory_strategies.relu_inputs(case.mlp, case.theta, 3, least=0.05))
    assert 1 <= len(obs) <= 3
    assert theory_strategies.clearance(case.mlp, case.theta, obs) > 0.05
    tape = case.mlp.forward(case.theta, case.obs)
    assert not tape.hidden.size or theory_strategies.clearance(case.mlp, case.theta, case.obs) > 1e-2


@settings(max_examples=10)
@given(theory_strategies.networks(activations=["relu"], width=4, rows=2))
def test_at_drawn_inputs_a_relu_network_is_differentiable_in_them(case):
    def gradient(obs):
        tape = case.mlp.forward(case.theta, obs)
        return case.mlp.vjp_obs(case.theta, tape, 2 * tape.out)

    report = check_gradient(lambda obs: (case.mlp.forward(case.theta, obs).out ** 2).sum(), gradient, case.obs)
    assert report.status == "passed"


@given(
    theory_strategies.episodes(),
    drawn.spd_matrices(),
    theory_strategies.logits(),
    theory_strategies.gaussian_parameters(),
)
def test_the_strategies_draw_valid_cases(episode, matrix, logit, gaussian):
    assert len({part.shape for part in episode}) == 1
    assert not (episode.terminated & episode.truncated).any()
    assert np.linalg.eigvalsh(matrix).min() > 0
    assert logit.ndim == 2
    assert gaussian.shape[1] % 2 == 0
