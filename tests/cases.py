"""Random cases for the laws, and the numeric derivative they are held against."""

import dataclasses
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from minipg import (
    MLP,
    Backend,
    StateGaussianPolicy,
)
from minipg.policy import MaskedPolicy, Policy, policy_for
from minipg.theory.distributions import FAMILIES
from minipg.theory.policies import KINDS, observations, policy_of

TWINS = ("numpy", "numba")
backends = st.sampled_from([Backend(name, 1) for name in TWINS])
seeds = st.integers(0, 2**32 - 1)


class NetworkCase(NamedTuple):
    """A network, θ, a direction in θ, inputs and a covector for the outputs; all float64."""

    mlp: MLP
    theta: np.ndarray
    v: np.ndarray
    obs: np.ndarray
    g: np.ndarray


@st.composite
def networks(draw, activations=("tanh", "relu")):
    """Zero to three hidden layers, widths and batches down to one."""
    sizes = draw(st.tuples(st.integers(1, 5), st.lists(st.integers(1, 7), max_size=3), st.integers(1, 4)))
    mlp = MLP((sizes[0], *sizes[1], sizes[2]), draw(st.sampled_from(activations)), draw(backends))
    rng, rows = np.random.default_rng(draw(seeds)), draw(st.integers(1, 9))
    theta, v = rng.normal(size=(2, mlp.layout.size))
    return NetworkCase(mlp, theta, v, rng.normal(size=(rows, mlp.sizes[0])), rng.normal(size=(rows, mlp.sizes[-1])))


def given_kinds(*strategies):
    """`given`, with examples enough for every family or kind of policy in both twins."""
    return lambda test: settings(max_examples=120)(given(*strategies)(test))


class DistributionCase(NamedTuple):
    """A distribution, two sets of parameters, actions, noise and a direction in the parameters; all float64."""

    distribution: object
    params: np.ndarray
    other: np.ndarray
    act: np.ndarray
    noise: np.ndarray
    v: np.ndarray


@st.composite
def distributions(draw, families=tuple(FAMILIES), scale=(1e-2, 1.0, 3.0)):
    """Any family, sizes and batches down to one."""
    distribution = FAMILIES[draw(st.sampled_from(families))](draw(st.integers(1, 6)), draw(backends))
    rng, rows = np.random.default_rng(draw(seeds)), draw(st.integers(1, 7))
    params, other, v = rng.normal(size=(3, rows, distribution.n_params)) * draw(st.sampled_from(scale))
    noise = distribution.noise(rng, (rows,), np.float64)
    return DistributionCase(distribution, params, other, distribution.sample(params, noise), noise, v)


class PolicyCase(NamedTuple):
    """A policy, θ, a direction, observations, actions and advantages; all float64."""

    policy: Policy
    theta: np.ndarray
    v: np.ndarray
    obs: np.ndarray
    act: np.ndarray
    adv: np.ndarray


@st.composite
def policies(draw, rows=st.integers(2, 12)):
    """A small tanh policy of any kind on a random batch."""
    family, state_dependent = draw(st.sampled_from(KINDS))
    hidden = draw(st.lists(st.integers(1, 5), max_size=2))
    distribution = FAMILIES[family](draw(st.integers(1, 3)), draw(backends))
    policy = policy_of(distribution, state_dependent, (draw(st.integers(1, 4)), *hidden))
    rng, count = np.random.default_rng(draw(seeds)), draw(rows)
    theta, v = 0.5 * rng.normal(size=(2, policy.layout.size))
    obs = observations(policy, rng.normal(size=(count, policy.mlp.sizes[0])), rng)
    noise = policy.distribution.noise(rng, (count,), np.float64)
    act = policy.distribution.sample(policy.forward(theta, obs).params, noise)
    return PolicyCase(policy, theta, v, obs, act, rng.normal(size=count))


def on_twin(model, twin):
    """The same distribution, or a policy of the same kind, computed by another twin."""
    if not hasattr(model, "mlp"):
        return dataclasses.replace(model, backend=twin)
    of_state = isinstance(model, StateGaussianPolicy)
    masked = isinstance(model, MaskedPolicy)
    sizes = model.mlp.sizes[:-1]
    return policy_for(on_twin(model.distribution, twin), sizes, state_dependent_std=of_state, masked=masked)


def derivative(f, x, v, steps=(1e-2, 1e-3, 1e-4, 1e-5)):
    """d/dt f(x + t v) at 0: central differences extrapolated once, at the step where halving it changes least."""
    tries = []
    for h in steps:
        coarse = (f(x + h * v) - f(x - h * v)) / (2 * h)
        fine = (f(x + h / 2 * v) - f(x - h / 2 * v)) / h
        tries.append((np.abs(fine - coarse).max(initial=0), (4 * fine - coarse) / 3))
    return min(tries, key=lambda pair: pair[0])[1]


def close(a, b, rtol=1e-8, scale=None):
    """Equal up to rtol of the larger magnitude anywhere in the two (or of `scale`)."""
    a, b = np.asarray(a), np.asarray(b)
    size = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0)) if scale is None else scale
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * size + 1e-300)
