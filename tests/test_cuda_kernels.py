"""The CUDA twin on the processor (host_cuda.py): every law, and the numbers of the reference."""

import math
from importlib import import_module
from typing import NamedTuple

import numpy as np
import pytest
from host_cuda import has_compiler, host_cupy
from hypothesis import given
from hypothesis import strategies as st
from minipg.kernels import arguments

from minipg import Backend
from minipg.policy import policy_for
from minipg.theory import LAWS, check_law
from minipg.theory.distributions import FAMILIES
from minipg.theory.policies import KINDS, largest, observations, policy_of

pytestmark = pytest.mark.skipif(not has_compiler(), reason="there is no g++")
DTYPES = st.sampled_from([np.float64, np.float32])
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def cuda():
    """The CUDA twin over NumPy's own arrays."""
    with host_cupy():
        yield Backend("cupy")


def twins(file):
    """The kernels of a file on the device and in the reference."""
    return Backend("cupy").kernels(file), import_module(f"minipg.kernels.reference.{file}")


def bound(dtype, terms=1.0):
    """The rounding error of a sum of `terms`, relative to its size: 1e-12 in float64, 2e-5 in float32."""
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
    same = np.empty(columns, dtype)
    arrays.sum_columns(x, same)
    alike(same, x.sum(axis=0, dtype=np.float64), dtype)


def test_an_inherited_function_calls_the_functions_of_this_twin(cuda, monkeypatch):
    from minipg.kernels.gpu._cuda import Source

    launched, launch = [], Source.__call__
    monkeypatch.setattr(Source, "__call__", lambda self, name, *rest, **options: (
        launched.append(name), launch(self, name, *rest, **options)))  # fmt: skip
    policy = policy_for(FAMILIES["categorical"](2, cuda), (3, 4))
    params, act = np.empty((5, 2)), np.empty(5, np.int64)
    theta, obs, uniform = np.ones(policy.layout.size), np.ones((5, 3)), np.full(5, 0.5)
    cuda.kernels("act").act(policy.spec, theta, obs, uniform, params, act, None)
    assert launched == ["add_bias_activate", "add_bias_activate", "parameters", "sample"]


@pytest.mark.parametrize("sizes", [(3, 5, 4, 2), (3, 10, 9, 2), (2, 3, 8, 9)], ids=str)
@pytest.mark.parametrize("activation", [0, 1], ids=["tanh", "relu"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("threads", [1, 17, 2**18])
def test_a_pass_covers_every_entry_with_any_number_of_threads(cuda, sizes, threads, dtype, activation, monkeypatch):
    mlp, reference = twins("mlp")
    monkeypatch.setattr(
        "minipg.kernels.gpu.mlp.threads_for", lambda rows, columns: columns * max(1, min(rows, threads // columns))
    )
    rng, rows, sizes = np.random.default_rng(0), 11, np.array(sizes)
    count, inputs, outputs = int(((sizes[:-1] + 1) * sizes[1:]).sum()), int(sizes[0]), int(sizes[-1])
    theta, v, obs, g = (rng.normal(size=n).astype(dtype) for n in (count, count, (rows, inputs), (rows, outputs)))
    found, network = [], arguments.Network(sizes, activation)
    for twin in (mlp, reference):
        out, moved = np.empty((2, rows, outputs), dtype)
        hidden, work = np.empty(rows * sizes[1:-1].sum(), dtype), np.empty(count + 3 * rows * sizes.max(), dtype)
        gradient, of_obs = np.empty(count, dtype), np.empty((rows, inputs), dtype)
        twin.forward(theta, network, obs, out, hidden)
        twin.jvp(theta, network, obs, hidden, v, moved, work)
        twin.vjp(theta, network, obs, hidden, g, gradient, work)
        twin.vjp_obs(theta, network, hidden, g, of_obs, work)
        found.append((out, hidden, moved, gradient, of_obs))
    for got, expected in zip(*found, strict=True):
        alike(got, expected, dtype, 10)


@pytest.mark.parametrize("activation", [0, 1])
def test_nan_passes_through_the_network(cuda, activation):
    mlp, _ = twins("mlp")
    sizes, obs = np.array([1, 2, 1]), np.array([[math.nan], [1.0]])
    out, hidden = np.empty((2, 1)), np.empty(4)
    mlp.forward(np.ones(7), arguments.Network(sizes, activation), obs, out, hidden)
    assert np.isnan(out[0])
    assert np.isfinite(out[1])


class Minibatches(NamedTuple):
    """A policy, θ, a batch with log π_old, an order of its rows, and the size of a minibatch."""

    policy: arguments.PolicySpec
    theta: np.ndarray
    acted: arguments.Acted
    logp_old: np.ndarray
    order: np.ndarray
    size: int

    @property
    def condition(self):
        """By how much the distributions amplify rounding: 1/σ², and the odds of logits."""
        return float(np.exp(2 * largest(self.acted.params))) * self.theta.size

    def forward(self):
        """The forward pass of the reference."""
        mlp, params_of = (import_module(f"minipg.kernels.reference.{file}") for file in ("mlp", "distribution_params"))
        network, weights, obs = self.policy.network, mlp.size(self.policy.network), self.acted.obs
        out, hidden = np.empty((len(obs), network.sizes[-1]), obs.dtype), mlp._new_hidden(network, self.theta, obs)
        mlp.forward(self.theta[:weights], network, obs, out, hidden)
        params = np.empty_like(self.acted.params)
        params_of.parameters(self.policy.form, self.policy.log_std_range, obs, out, self.theta[weights:], params)
        return arguments.ForwardPass(obs, hidden, out, params)


@st.composite
def minibatches(draw, dtype=DTYPES):
    """Policies of all kinds, near the ones that acted, as in an update."""
    family, of_state = draw(st.sampled_from(KINDS))
    dtype, rng = draw(dtype), np.random.default_rng(draw(SEEDS))
    layers = (draw(st.integers(1, 4)), *draw(st.lists(st.integers(1, 6), max_size=2)))
    distribution = FAMILIES[family](draw(st.integers(1, 3)), Backend("numpy", 1))
    model = policy_of(distribution, of_state, layers, draw(st.sampled_from(["tanh", "relu"])))
    rows = draw(st.integers(1, 20))
    theta = 0.5 * rng.normal(size=model.layout.size)
    obs = observations(model, rng.normal(size=(rows, model.mlp.sizes[0])), rng)
    old = model.forward(theta + 0.1 * rng.normal(size=len(theta)), obs).params
    act = model.distribution.sample(old, model.distribution.noise(rng, (rows,), np.float64))
    logp_old = model.distribution.log_prob(old, act)
    cast = lambda array: array if array.dtype == np.int64 else array.astype(dtype)
    acted = arguments.Acted(*map(cast, (obs, act, rng.normal(size=rows), old)))
    order = np.stack([rng.permutation(rows) for _ in range(2)])
    return Minibatches(model.spec, cast(theta), acted, cast(logp_old), order, draw(st.integers(1, rows)))


TERMS = st.builds(
    arguments.SurrogateTerms,
    st.sampled_from([math.inf, 0.2, 0.01]), st.sampled_from([0.0, 1.5]), st.sampled_from([0.0, 0.1]),
)  # fmt: skip


@given(minibatches(), TERMS)
def test_the_gradient_of_a_minibatch_is_the_references_PP1_PP2_PP3(cuda, case, terms):
    dtype, found = case.theta.dtype, []
    for twin in twins("surrogate_epochs"):
        grad, means = np.full_like(case.theta, np.nan), np.full(2, np.nan)
        rows = case.order[0, : case.size]
        twin.gradient(case.policy, case.theta, case.acted, case.logp_old, terms, rows, True, grad, means, None, None)
        found.append((grad, means))
    (grad, means), (expected, expected_means) = found
    ratios_on_the_edge = dtype == np.float32 and np.abs(means[1] - expected_means[1]) > 0
    if not ratios_on_the_edge:  # where a ratio is at the clip, rounding decides
        alike(grad, expected, dtype, case.condition)
        alike(means, expected_means, dtype, case.condition)


@given(
    minibatches(st.just(np.float64)), TERMS, st.sampled_from([math.inf, 0.05, 1e-3]), st.sampled_from([math.inf, 0.5]),
    st.booleans(),
)  # fmt: skip
def test_all_epochs_are_the_references_and_end_with_its_epochs_AC3(cuda, case, terms, max_kl, max_norm, normalizes):
    epochs, found = arguments.Epochs(case.size, arguments.Adam(0.03, 0.9, 0.999, 1e-5), max_norm), []
    for twin in twins("surrogate_epochs"):
        theta, (first, second), stats = case.theta.copy(), np.zeros((2, len(case.theta))), np.full(6, np.nan)
        twin.ascend(
            case.policy, case.acted, terms, normalizes, epochs, max_kl, True, case.order, 3, theta, first, second,
            stats, None, None,
        )  # fmt: skip
        found.append((theta, first, second, stats))
    for got, expected in zip(*found, strict=True):
        alike(got, expected, np.float64, 1e2 * case.condition)


def test_log_std_is_in_its_bounds_after_every_step(cuda):
    kernels, _ = twins("surrogate_epochs")
    rng, zeros = np.random.default_rng(0), np.zeros(8)
    acted = arguments.Acted(rng.normal(size=(8, 2)), rng.normal(size=(8, 1)), zeros, np.zeros((8, 2)))
    theta, (first, second), stats = np.array([0.1, 0.2, 0.3, 1.99]), np.zeros((2, 4)), np.empty(6)
    network = arguments.Network(np.array([2, 1]), 0)
    kernels.ascend(
        arguments.PolicySpec(network, arguments.Gaussian(), 1, (-20.0, 2.0)), acted,
        arguments.SurrogateTerms(0.2, 0.0, 1.0), False, arguments.Epochs(4, arguments.Adam(0.1), math.inf), math.inf,
        False, np.arange(8)[None], 0, theta, first, second, stats, None, None,
    )  # fmt: skip
    assert theta[-1] == 2.0
    assert stats[0] == 2


@given(minibatches(), st.booleans())
def test_the_surrogate_the_kl_and_the_entropy_are_the_references_IS3_TR5(cuda, case, wants_entropy):
    found = []
    for twin in twins("surrogate_value"):
        sums = np.full(3, np.nan)
        twin.surrogate_value(case.policy, case.theta, case.acted, case.logp_old, wants_entropy, sums, None)
        found.append(sums)
    alike(*found, case.theta.dtype, case.condition * len(case.logp_old))


@given(minibatches(), st.sampled_from([0.0, 0.1]))
def test_the_policy_gradient_is_the_references_PG9(cuda, case, ent_coef):
    found, (obs, act, weight, _) = [], case.acted
    for twin in twins("policy_gradient"):
        grad, entropy = np.full_like(case.theta, np.nan), np.full(1, np.nan)
        twin.gradient_and_entropy(case.policy, case.theta, obs, act, weight, ent_coef, grad, entropy, None)
        found.append((grad, entropy))
    for got, expected in zip(*found, strict=True):
        alike(got, expected, case.theta.dtype, case.condition * len(obs))


@given(minibatches(), SEEDS)
def test_the_fisher_product_is_the_references_TR9(cuda, case, seed):
    v, found = np.random.default_rng(seed).normal(size=case.theta.size).astype(case.theta.dtype), []
    for twin in twins("fisher"):
        out = np.full_like(v, np.nan)
        twin.fisher_product(case.policy, case.theta, case.forward(), v, out, None)
        found.append(out)
    alike(*found, case.theta.dtype, case.condition * len(case.logp_old))


@given(
    SEEDS, DTYPES, st.integers(1, 20), st.integers(1, 20), st.sampled_from([math.inf, 0.3]),
    st.sampled_from([math.inf, 0.5]),
)  # fmt: skip
def test_a_fit_is_the_references_AC1_AC3(cuda, seed, dtype, rows, size, clip_range, max_norm):
    rng, network = np.random.default_rng(seed), arguments.Network(np.array([3, 4, 1]), 0)
    epochs = arguments.Epochs(min(size, rows), arguments.Adam(0.01, 0.9, 0.99, 0.1), max_norm)
    theta, *batch = (rng.normal(size=shape).astype(dtype) for shape in (21, (rows, 3), rows, rows))
    order, found = np.stack([rng.permutation(rows) for _ in range(3)]), []
    for twin in twins("regression"):
        fitted, (first, second), loss, finite = theta.copy(), np.zeros((2, 21), dtype), np.full(3, np.nan), np.zeros(1)
        twin.fit(network, *batch, clip_range, epochs, order, 2, fitted, first, second, loss, finite, None)
        found.append((fitted, first, second, loss, finite))
    for got, expected in zip(*found, strict=True):
        alike(got, expected, dtype, 20)


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


def test_a_gradient_with_a_square_that_overflows_is_clipped_too_AC3(cuda):
    optimizer, _ = twins("optimizer")
    out = np.empty(2, np.float32)
    optimizer.clip_global_norm(np.array([3e30, 4e30], np.float32), 1.0, out)
    np.testing.assert_allclose(out, [0.6, 0.8], rtol=1e-6)
