"""Fisher–vector products of a Gaussian policy in float32: 11-64-64-3 of 2048 rows, 17-256-256-6 of 16 384."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from minipg.bench import operation_counts, peers
from minipg.bench.interleaved import Bench, Line, Samples, Side, best, line_of, paired, seconds_per_call
from minipg.bench.machine import PRODUCT, rate_sides, rates_of, thread_counts
from minipg.checks import Array
from minipg.errors import MinipgError
from minipg.fisher import fisher_operator
from minipg.network import MLP
from minipg.policy import GaussianPolicy
from minipg.runtime.backend import Backend
from minipg.runtime.threads import OneBlasThread

KEPT, REBUILT = "PyTorch, retained graph", "PyTorch, rebuilt graph"
_PEERS = (KEPT, REBUILT, "JAX")
SCALING = 1.6  # times faster on two threads than on one


def product_row(
    name: str, rows: int, sizes: tuple[int, ...], share: float, times: float, bench: Bench
) -> Iterator[Line]:
    """v ↦ F v by minipg and its peers. The goals are a `share` of R, and to be `times` as fast as PyTorch.

    Raises MinipgError if the sides disagree on F v.
    """
    what, block = f"Fisher–vector product, B = {rows}, {'-'.join(map(str, sizes))}", 0.1 if bench.quick else 0.3
    sides = {side: partial(_seconds, side, product, block) for side, product in sides_of(rows, sizes).items()}
    samples = bench.interleave(what, "s", {**rate_sides(), **sides}, 3 if bench.quick else 9)
    rates, flops = rates_of(bench, samples), rows * operation_counts.fisher_product(sizes)
    milliseconds = {side: [1e3 * s for s in values] for side, values in samples.items() if side.system != PRODUCT}

    fastest = best(milliseconds, "minipg", at_most=True)
    assert fastest is not None
    for side in [side for side in milliseconds if side.system == "minipg"]:
        achieved = [flops / s for s in samples[side]]
        percent = paired(achieved, samples[Side(PRODUCT, side.threads, "FLOP/s")], 100)
        yield line_of(name, what, side, milliseconds[side], "ms")
        asked = 100 * share if side == fastest else None
        yield line_of(name, what, f"share of R, {side}", percent, "%", asked, note=f"{flops / 1e6:,.0f} MFLOP")
    yield from scaling(name, what, milliseconds, rates, at_most=True)
    for system in ("minipg, NumPy twin", *_PEERS):
        if (quickest := best(milliseconds, system, at_most=True)) is not None:
            yield line_of(name, what, quickest, milliseconds[quickest], "ms")
    kept, goal = best(milliseconds, KEPT, at_most=True), f"faster than {KEPT}"
    if kept is None:
        yield Line(name, what, goal, None, "×", times, note=peers.missing("torch"))
    else:
        yield line_of(name, what, goal, paired(milliseconds[kept], milliseconds[fastest]), "×", times)
    if absent := peers.missing("jax"):
        yield Line(name, what, "JAX", None, "ms", note=absent)


def scaling(name: str, what: str, samples: Samples, rates: dict[int, float], at_most: bool = False) -> Iterator[Line]:
    """How much faster minipg is on two threads than on one, beside the same ratio of a matrix product."""
    one, two = samples.get(Side("minipg", 1)), samples.get(Side("minipg", 2))
    if one is None or two is None:
        yield Line(name, what, "2 threads against 1", None, "×", SCALING, note="this machine has one thread")
    else:
        ratios, note = paired(one, two) if at_most else paired(two, one), f"R: {rates[2] / rates[1]:.2f} ×"
        yield line_of(name, what, "2 threads against 1", ratios, "×", SCALING, note=note)


def sides_of(rows: int, sizes: tuple[int, ...]) -> dict[Side, Callable[[], Any]]:
    """The products of all sides on the same θ, v and batch, after a check that they agree."""
    rng, layout = np.random.default_rng(0), GaussianPolicy(MLP(sizes)).layout
    theta, v = 0.1 * rng.standard_normal((2, layout.size), np.float32)
    obs = rng.standard_normal((rows, sizes[0]), np.float32)
    sides: dict[Side, Callable[[], Any]] = {}
    for system, twin in (("minipg", "numba"), ("minipg, NumPy twin", "numpy")):
        for n in thread_counts():
            policy = GaussianPolicy(MLP(sizes, "tanh", Backend(twin, n)))
            sides[Side(system, n)] = partial(fisher_operator(policy, theta, policy.forward(theta, obs)), v)
    results = [product() for product in sides.values()]
    if not peers.missing("torch"):
        # the places in θ of the entries of torch's parameters: torch keeps W transposed
        places = [p.T.astype(int) for p in layout.views(np.arange(layout.size, dtype=float)).values()]
        order, parts = np.concatenate([p.ravel() for p in places]), [theta[place] for place in places]
        vector = peers.torch_vector(v[order])
        for system in (KEPT, REBUILT):
            product = partial(peers.torch_product(parts, obs, system == REBUILT), vector)
            results.append(product().numpy()[np.argsort(order)])
            sides |= {Side(system, n): product for n in thread_counts()}
    if not peers.missing("jax"):
        sides[Side("JAX")] = partial(peers.jax_product(sizes, theta, obs), v)
        results.append(np.asarray(sides[Side("JAX")]()))
    _agree(results)
    return sides


def _seconds(side: Side, product: Callable[[], Any], block: float) -> float:
    if side.threads and side.system in _PEERS:
        peers.torch_threads(side.threads)
    with nullcontext() if side.system in _PEERS else OneBlasThread():  # as in training
        return seconds_per_call(product, block)


def _agree(results: list[Array]) -> None:
    difference = max(float(np.abs(Fv - results[0]).max() / np.abs(results[0]).max()) for Fv in results)
    if not difference <= 1e-3:
        raise MinipgError(f"the sides disagree on F v, by {difference:.1e} of its largest entry")
