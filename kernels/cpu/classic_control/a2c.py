"""Advantage actor-critic in one call: what it learns from a batch, as tasks of `updates.py`.

minipg/algorithms/a2c.py says the same in the plain way. learnt: θ, θ_v and RMSProp's running squares of each. settings:
weight of the entropy; longest gradient, ρ and ε of RMSProp. given: rates of policy and critic (U, 2).
"""

import math
from functools import cache

from minipg.kernels.cpu import distribution_params, mlp, optimizer
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._jit import part, task
from minipg.kernels.cpu._lines import claim
from minipg.kernels.cpu.categorical import entropy
from minipg.kernels.cpu.classic_control.updates import OK
from minipg.kernels.cpu.policy_gradient import _covectors, _covectors_of

GRADIENT_NOT_FINITE, STEP_NOT_FINITE = 1, 2


@cache
def tasks(family):
    """`_climb` and `_fit`, compiled for the distributions of that name."""
    module = f"minipg.kernels.cpu.{family}"
    return compiled_with(_climb, module, ("entropy",), task, _covectors=_covectors_of(family)), _fit


def _climb(_, k, inputs):
    """A step of the policy along its gradient  (PG-9) → record: the gradient's norm, the entropy."""
    networks, learnt, settings, given, _, _, _, batch, _, record, room = inputs
    policy, theta, entropy_weight, place, work = networks[0], learnt[0], settings[1][0], room[0], room[2][0]
    form, bounds, options, sizes, activation = policy
    _, obs, act, params, _, _, _, adv, _, _, _, _ = batch
    rows, n, width = adv.size, sizes[-1], params.shape[3]
    network = theta.shape[0] - (n if form == 1 else 0)
    a, b = 2 * rows * n, rows * (2 * n + mlp._units(sizes))
    c = b + rows * width
    out, g = work[: rows * n].reshape(rows, n), work[rows * n : a].reshape(rows, n)
    x, hidden, p, rest = obs.reshape(rows, obs.shape[3]), work[a:b], work[b:c].reshape(rows, width), work[c:]
    mlp.forward(theta[:network], sizes, activation, x, out, hidden)
    distribution_params.parameters(form, bounds, out, theta[network:], p)
    entropy(p, *options, rest[:rows])
    record[k, 0, 1] = rest[:rows].mean()
    place[0, network:] = 0
    acted = act.reshape((rows,) + act.shape[3:])  # noqa: RUF005  Numba knows no star here
    _covectors(policy, out, p, acted, adv.reshape(rows), entropy_weight, g, place[0, network:], rest)
    claim(theta)
    mlp.vjp(theta[:network], sizes, activation, x, hidden, g, place[0, :network], rest)
    record[k, 0, 0], record[k, 0, 2] = _step(place, rows, given[0][k, 0], settings[1], theta, learnt[2])
    for i in range(network, theta.shape[0]):
        theta[i] = min(max(theta[i], bounds[0]), bounds[1])


@task
def _fit(_, k, inputs):
    """A step of the critic down its error  (AC-1) → record: the loss, the share of the targets' variance explained."""
    networks, learnt, settings, given, _, _, _, batch, _, record, room = inputs
    (sizes, activation), theta, place, work = networks[1], learnt[1], room[1], room[2][1]
    _, obs, _, _, _, _, _, _, ret, _, value, _ = batch
    rows, units = ret.size, mlp._units(sizes)
    out, g = work[:rows].reshape(rows, 1), work[rows : 2 * rows].reshape(rows, 1)
    x, hidden, rest = obs.reshape(rows, obs.shape[3]), work[2 * rows : rows * (2 + units)], work[rows * (2 + units) :]
    mlp.forward(theta, sizes, activation, x, out, hidden)
    record[k, 1, 0], record[k, 1, 1] = _loss(value, ret, out, g)
    claim(theta)
    mlp.vjp(theta, sizes, activation, x, hidden, g, place[0], rest)
    _, record[k, 1, 2] = _step(place, rows, given[0][k, 1], settings[1], theta, learnt[3])


@part
def _loss(value, ret, out, g):
    """The mean squared error of out (B, 1), and 1 − Var(ret − V)/Var(ret).   → g (B, 1), half of it downhill, times B.

    ret (G, T, n), V (G, …) as it was before, whose first T·n of each group are of its rows.
    """
    groups, rows = ret.shape[0], ret.shape[1] * ret.shape[2]
    targets, count = ret.reshape(groups, rows), groups * rows
    squared, mean, missed = 0.0, 0.0, 0.0
    for i in range(groups):
        for j in range(rows):
            error = targets[i, j] - out[i * rows + j, 0]
            g[i * rows + j, 0] = 2 * error
            squared += error * error
            mean += targets[i, j]
            missed += targets[i, j] - value[i, j]
    mean, missed, spread, left = mean / count, missed / count, 0.0, 0.0
    for i in range(groups):
        for j in range(rows):
            spread += (targets[i, j] - mean) ** 2
            left += (targets[i, j] - value[i, j] - missed) ** 2
    return squared / count, 1 - left / spread if spread > 0 else math.nan


@part
def _step(place, count, rate, settings, theta, squares):
    """θ and its running squares after RMSProp  (AC-3), or as they were where that is not finite.

    place (3, P), first in it the sum of `count` gradients uphill → the norm of their mean, NaN where there was no step,
    and what became of it.
    """
    (_, longest, decay, epsilon), grad, new, grown = settings, place[0], place[1], place[2]
    size, finite, share = theta.shape[0], True, theta.dtype.type(1 / count)
    for i in range(size):
        grad[i] *= share
        new[i], grown[i] = theta[i], squares[i]
    norm = optimizer._norm(grad)
    if norm > longest:
        optimizer.clip_global_norm(grad, longest, grad)
    optimizer.rmsprop(grad, rate, decay, epsilon, new, grown)
    for i in range(size):
        finite &= abs(new[i]) < math.inf and abs(grown[i]) < math.inf
    if not norm < math.inf:
        return math.nan, GRADIENT_NOT_FINITE
    if not finite:
        return math.nan, STEP_NOT_FINITE
    for i in range(size):
        theta[i], squares[i] = new[i], grown[i]
    return norm, OK
