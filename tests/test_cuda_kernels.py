"""The CUDA twin, run on the processor (host_cuda.py): every law, and the reference's numbers."""

import math
from importlib import import_module
from typing import NamedTuple

import numpy as np
import pytest
from host_cuda import has_compiler, host_cupy
from hypothesis import given
from hypothesis import strategies as st

from minipg import Backend
from minipg.policy import policy_for
from minipg.theory import LAWS, check_law
from minipg.theory.distributions import FAMILIES
from minipg.theory.policies import KINDS

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no g++")
DTYPES = st.sampled_from([np.float64, np.float32])
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def cuda():
    """The CUDA twin over NumPy's own arrays."""
    with host_cupy():
        yield Backend("cupy")


def twins(file):
    return (import_module(f"minipg.kernels.{twin}.{file}") for twin in ("gpu", "reference"))


def bound(dtype, terms=1.0):
    """What rounding may do to a sum of `terms`: 1e-12 of it in float64, 2e-5 in float32."""
    return (1e-12 if dtype == np.float64 else 2e-5) * terms


def alike(got, expected, dtype, terms=1.0):
    size = 1 + np.abs(expected).max(initial=0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=bound(dtype, terms) * size)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("law", LAWS)
def test_law_on_the_cuda_twin(law, dtype, cuda):
    verdict = check_law(LAWS[law], cuda, dtype, examples=30)
    assert verdict.held, verdict


@given(st.integers(0, 3000), st.integers(1, 9), SEEDS, DTYPES, st.booleans())
def test_sums_down_columns_are_those_of_exact_arithmetic(cuda, rows, columns, seed, dtype, add):
    arrays = import_module("minipg.kernels.gpu._arrays")
    rng = np.random.default_rng(seed)
    x, before = rng.normal(size=(rows, columns)).astype(dtype), rng.normal(size=columns)
    out = before.copy()
    arrays.sum_columns(x, out, 0.5, add)
    expected = [0.5 * math.fsum(x[:, j].tolist()) + add * before[j] for j in range(columns)]
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-15 * (1 + rows))
    own = np.empty(columns, dtype)
    arrays.sum_columns(x, own)
    alike(own, x.sum(axis=0, dtype=np.float64), dtype)


@given(st.integers(1, 400), st.integers(1, 5), SEEDS, DTYPES)
def test_a_minibatch_is_the_rows_that_were_picked(cuda, rows, columns, seed, dtype):
    arrays, rng = import_module("minipg.kernels.gpu._arrays"), np.random.default_rng(seed)
    x, picked = rng.normal(size=(rows, columns)).astype(dtype), rng.integers(rows, size=7)
    out = np.empty((7, columns), dtype)
    arrays.gather(picked, x, out)
    np.testing.assert_array_equal(out, x[picked])


@pytest.mark.parametrize("sizes", [(3, 5, 4, 2), (3, 10, 9, 2), (2, 3, 8, 9)], ids=str)
@pytest.mark.parametrize("activation", [0, 1], ids=["tanh", "relu"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("threads", [1, 17, 2**18])
def test_a_pass_meets_every_entry_however_many_threads_share_it(cuda, sizes, threads, dtype, activation, monkeypatch):
    mlp, reference = twins("mlp")
    monkeypatch.setattr(mlp, "threads_for", lambda rows, columns: columns * max(1, min(rows, threads // columns)))
    rng, rows, sizes = np.random.default_rng(0), 11, np.array(sizes)
    count, inputs, outputs = int(((sizes[:-1] + 1) * sizes[1:]).sum()), int(sizes[0]), int(sizes[-1])
    theta, v, obs, g = (rng.normal(size=n).astype(dtype) for n in (count, count, (rows, inputs), (rows, outputs)))
    found = []
    for twin in (mlp, reference):
        out, moved = np.empty((2, rows, outputs), dtype)
        hidden, work = np.empty(rows * sizes[1:-1].sum(), dtype), np.empty(count + 3 * rows * sizes.max(), dtype)
        gradient, of_obs = np.empty(count, dtype), np.empty((rows, inputs), dtype)
        twin.forward(theta, sizes, activation, obs, out, hidden)
        twin.jvp(theta, sizes, activation, obs, hidden, v, moved, work)
        twin.vjp(theta, sizes, activation, obs, hidden, g, gradient, work)
        twin.vjp_obs(theta, sizes, activation, hidden, g, of_obs, work)
        found.append((out, hidden, moved, gradient, of_obs))
    for got, expected in zip(*found, strict=True):
        alike(got, expected, dtype, 10)


@pytest.mark.parametrize("activation", [0, 1])
def test_a_number_that_is_none_is_not_hidden_by_the_network(cuda, activation):
    mlp, _ = twins("mlp")
    sizes, obs = np.array([1, 2, 1]), np.array([[math.nan], [1.0]])
    out, hidden = np.empty((2, 1)), np.empty(4)
    mlp.forward(np.ones(7), sizes, activation, obs, out, hidden)
    assert np.isnan(out[0])
    assert np.isfinite(out[1])


class Minibatches(NamedTuple):
    """A policy as kernels know it, θ, a batch, an order of its rows, and work."""

    family: str
    policy: tuple
    theta: np.ndarray
    batch: tuple
    order: np.ndarray
    size: int
    work: tuple


@st.composite
def minibatches(draw, dtype=DTYPES):
    """Policies of all kinds, whose old distributions and present ones are near, as they are where steps are taken."""
    family, of_state = draw(st.sampled_from(KINDS))
    dtype, rng = draw(dtype), np.random.default_rng(draw(SEEDS))
    layers = (draw(st.integers(1, 4)), *draw(st.lists(st.integers(1, 6), max_size=2)))
    model = policy_for(FAMILIES[family](draw(st.integers(1, 3)), Backend("numpy", 1)), layers,
                       draw(st.sampled_from(["tanh", "relu"])), state_dependent_std=of_state)  # fmt: skip
    rows = draw(st.integers(1, 20))
    theta = 0.5 * rng.normal(size=model.layout.size)
    obs = rng.normal(size=(rows, layers[0]))
    old = model.forward(theta + 0.1 * rng.normal(size=len(theta)), obs).params
    act = model.distribution.sample(old, model.distribution.noise(rng, (rows,), np.float64))
    logp = model.distribution.log_prob(old, act)
    whole = lambda array: array if array.dtype == np.int64 else array.astype(dtype)
    batch = tuple(map(whole, (obs, act, rng.normal(size=rows), old, logp)))
    order = np.stack([rng.permutation(rows) for _ in range(2)])
    sizes, width = model.mlp.sizes, old.shape[1]
    numbers = sizes[0] + 2 * sizes[-1] + sum(sizes[1:-1]) + 2 * max(sizes) + 4 * (width + 1)
    work = np.empty((rows, *act.shape[1:]), batch[1].dtype), np.full(3 * len(theta) + rows * numbers, np.nan, dtype)
    return Minibatches(family, model.in_kernels, theta.astype(dtype), batch, order, draw(st.integers(1, rows)), work)


TERMS = st.tuples(st.sampled_from([math.inf, 0.2, 0.01]), st.sampled_from([0.0, 1.5]), st.sampled_from([0.0, 0.1]))


def steepness(case):
    """By how much the distributions of a case amplify rounding: 1/σ², and the odds of logits."""
    return float(np.exp(2 * np.abs(case.batch[3]).max())) * case.theta.size


@given(minibatches(), TERMS)
def test_the_gradient_of_a_minibatch_is_the_references_PP1_PP2_PP3(cuda, case, terms):
    dtype, found = case.theta.dtype, []
    for twin in twins("surrogate_epochs"):
        grad, told = np.full_like(case.theta, np.nan), np.full(2, np.nan)
        twin.gradient(case.family)(
            case.policy, case.theta, case.batch, terms, case.order[0, : case.size], True, grad, told, *case.work
        )
        found.append((grad, told))
    (grad, told), (wanted, account) = found
    ratios_on_the_edge = dtype == np.float32 and np.abs(told[1] - account[1]) > 0
    if not ratios_on_the_edge:  # where a ratio is at the clip, rounding decides
        alike(grad, wanted, dtype, steepness(case))
        alike(told, account, dtype, steepness(case))


@given(
    minibatches(st.just(np.float64)), TERMS, st.sampled_from([math.inf, 0.05, 1e-3]), st.sampled_from([math.inf, 0.5])
)
def test_all_epochs_are_the_references_and_end_where_its_do_AC3(cuda, case, terms, max_kl, max_norm):
    found = []
    for twin in twins("surrogate_epochs"):
        theta, (first, second), told = case.theta.copy(), np.zeros((2, len(case.theta))), np.full(2, np.nan)
        twin.climb(case.family)(
            case.policy, case.batch, terms, case.order, case.size, (0.03, 0.9, 0.999, 1e-5), (max_kl, max_norm), 3,
            theta, first, second, told, *case.work,
        )  # fmt: skip
        found.append((theta, first, second, told))
    for got, wanted in zip(*found, strict=True):
        alike(got, wanted, np.float64, 1e2 * steepness(case))


def test_log_std_is_held_in_its_bounds_by_every_step(cuda):
    proximal, _ = twins("surrogate_epochs")
    rng, zeros = np.random.default_rng(0), np.zeros(8)
    batch = (rng.normal(size=(8, 2)), rng.normal(size=(8, 1)), zeros, np.zeros((8, 2)), zeros)
    theta, (first, second), told = np.array([0.1, 0.2, 0.3, 1.99]), np.zeros((2, 4)), np.empty(2)
    policy = (1, (-20.0, 2.0), (), np.array([2, 1]), 0)
    proximal.climb("gaussian")(
        policy, batch, (0.2, 0.0, 1.0), np.arange(8)[None], 4, (0.1, 0.9, 0.999, 1e-8), (math.inf, math.inf), 0,
        theta, first, second, told, np.empty((4, 1)), np.empty(300),
    )  # fmt: skip
    assert theta[-1] == 2.0
    assert told[0] == 2


@given(minibatches(), st.booleans())
def test_what_a_policy_is_worth_is_what_the_reference_says_IS3_TR5(cuda, case, wants_entropy):
    found = []
    for twin in twins("surrogate_value"):
        told = np.full(3, np.nan)
        twin.evaluate(case.family)(case.policy, case.theta, *case.batch, wants_entropy, told, case.work[1])
        found.append(told)
    alike(*found, case.theta.dtype, steepness(case) * len(case.batch[0]))


@given(minibatches(), st.sampled_from([0.0, 0.1]))
def test_the_policy_gradient_is_the_references_PG9(cuda, case, bonus):
    obs, act, weight, *_ = case.batch
    found = []
    for twin in twins("policy_gradient"):
        grad, told = np.full_like(case.theta, np.nan), np.full(1, np.nan)
        twin.from_observations(case.family)(case.policy, case.theta, obs, act, weight, bonus, grad, told, case.work[1])
        found.append((grad, told))
    for got, wanted in zip(*found, strict=True):
        alike(got, wanted, case.theta.dtype, steepness(case) * len(obs))


@given(
    SEEDS, DTYPES, st.integers(1, 20), st.integers(1, 20), st.sampled_from([math.inf, 0.3]),
    st.sampled_from([math.inf, 0.5]),
)  # fmt: skip
def test_a_fit_is_the_references_AC1_AC3(cuda, seed, dtype, rows, size, clip_range, max_norm):
    rng, sizes = np.random.default_rng(seed), np.array([3, 4, 1])
    given_ = [rng.normal(size=shape).astype(dtype) for shape in (21, (rows, 3), rows, rows)]
    order, found = np.stack([rng.permutation(rows) for _ in range(3)]), []
    for twin in twins("regression"):
        theta, (first, second), loss = given_[0].copy(), np.zeros((2, 21), dtype), np.full(3, np.nan)
        work = np.full(42 + rows * (3 + 2 + 4 + 8), np.nan, dtype)
        twin.fit(
            sizes, 0, *given_[1:], order, min(size, rows), (0.01, 0.9, 0.99, 0.1), (clip_range, max_norm), 2,
            theta, first, second, loss, work,
        )  # fmt: skip
        found.append((theta, first, second, loss))
    for got, wanted in zip(*found, strict=True):
        alike(got, wanted, dtype, 20)


@given(SEEDS, st.integers(0, 30), st.integers(0, 30), DTYPES)
def test_running_statistics_are_the_references(cuda, seed, rows, more, dtype):
    rng, found = np.random.default_rng(seed), []
    x, y = (rng.normal(3, 2, size=(n, 4)).astype(dtype) for n in (rows, more))
    for twin in twins("moments"):
        state, out = [np.zeros(1), np.zeros(4), np.zeros(4)], np.empty_like(y)
        twin.merge(x, *state)
        twin.merge(y, *state)
        twin.standardize(y, *state, 1.5, out)
        found.append((*state, out))
    for got, wanted in zip(*found, strict=True):
        alike(got, wanted, dtype)


def test_a_gradient_whose_square_overflows_is_shortened_all_the_same_AC3(cuda):
    optimizer, _ = twins("optimizer")
    out = np.empty(2, np.float32)
    optimizer.clip_global_norm(np.array([3e30, 4e30], np.float32), 1.0, out)
    np.testing.assert_allclose(out, [0.6, 0.8], rtol=1e-6)
