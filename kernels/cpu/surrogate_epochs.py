"""Twin of `reference/surrogate_epochs.py`: every epoch in one call, a minibatch in tiles that stay in cache."""

import math
from functools import cache

from minipg.kernels.cpu import distribution_params, mlp, optimizer, surrogate
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._jit import jit, part
from minipg.kernels.cpu.categorical import _score_and_log_prob, entropy_gradient, kl, kl_gradient

_FUNCTIONS = ("_score_and_log_prob", "kl", "kl_gradient", "entropy_gradient")


@cache
def gradient(family):
    """`_gradient`, compiled for the distributions of that name."""
    return _gradient_of(family, jit)


@cache
def climb(family):
    """`_climb`, compiled for the distributions of that name."""
    return _climb_of(family, jit)


def _climb_of(family, how):
    """The same, or a part of a longer kernel."""
    return compiled_with(_climb, f"minipg.kernels.cpu.{family}", (), how, _gradient=_gradient_of(family, part))


def _gradient_of(family, how):
    module = f"minipg.kernels.cpu.{family}"
    covector = compiled_with(_covector, module, _FUNCTIONS, part)
    return compiled_with(_gradient, module, (), how, _covector=covector)


def _climb(policy, batch, terms, order, minibatch_size, adam, limits, step, theta, first, second, told, acted, work):
    (form, (low, high), _, sizes, _), (learning_rate, beta1, beta2, epsilon), (max_kl, max_norm) = policy, adam, limits
    grad, rest = work[: theta.shape[0]], work[theta.shape[0] :]
    taken, clipped = 0, 0.0
    for epoch in range(order.shape[0]):
        for start in range(0, order.shape[1], minibatch_size):
            rows = order[epoch, start : start + minibatch_size]
            _gradient(policy, theta, batch, terms, rows, max_kl < math.inf, grad, told, acted, rest)
            if told[0] > max_kl:
                told[0], told[1] = taken, clipped
                return
            taken, clipped = taken + 1, clipped + told[1]
            if max_norm < math.inf:
                optimizer.clip_global_norm(grad, max_norm, grad)
            optimizer.adam(grad, learning_rate, beta1, beta2, epsilon, step + taken, theta, first, second)
            if form == 1:
                for i in range(theta.shape[0] - sizes[-1], theta.shape[0]):
                    theta[i] = min(max(theta[i], low), high)
    told[0], told[1] = taken, clipped


def _gradient(policy, theta, batch, terms, rows, wants_kl, grad, told, acted, work):
    form, bounds, options, sizes, activation = policy
    obs, act, adv, old, logp_old = batch
    inputs, n, units = sizes[0], sizes[-1], mlp._units(sizes)
    network = theta.shape[0] - (n if form == 1 else 0)
    own, rest = work[:network], work[network:]
    grad[:] = 0
    told[:] = 0
    for start in range(0, rows.shape[0], mlp.TILE):
        some = rows[start : start + mlp.TILE]
        m = some.shape[0]
        a, b, c = m * inputs, m * (inputs + n), m * (inputs + 2 * n)
        x, out, g = rest[:a].reshape(m, inputs), rest[a:b].reshape(m, n), rest[b:c].reshape(m, n)
        hidden, scratch = rest[c : c + m * units], rest[c + m * units :]
        for i in range(m):
            for j in range(inputs):
                x[i, j] = obs[some[i], j]
        mlp.forward(theta[:network], sizes, activation, x, out, hidden)
        _covector(
            form, bounds, options, out, theta[network:], some, act, adv, old, logp_old, terms, wants_kl, rows.shape[0],
            g, grad[network:], told, acted[:m], scratch,
        )  # fmt: skip
        mlp.vjp(theta[:network], sizes, activation, x, hidden, g, own, scratch)
        for i in range(network):
            grad[i] += own[i]
    for i in range(2):
        told[i] /= rows.shape[0]


def _covector(
    form, bounds, options, out, log_std, rows, act, adv, old, logp_old, terms, wants_kl, total, g, log_std_grad, told,
    acted, work,
):  # fmt: skip
    """What a change of the outputs is worth → g (B, n); added to log_std_grad, and to told (2,), sums."""
    clip_range, beta, entropy_weight = terms
    count, width, share = rows.shape[0], old.shape[1], out.dtype.type(1 / total)
    lowest, highest = math.log1p(-min(clip_range, 1.0)), math.log1p(clip_range)
    params, before, u, more = work[: 4 * count * width].reshape(4, count, width)
    rest = work[4 * count * width : 4 * count * (width + 1)]
    logp, logp_before, gain, weight = rest.reshape(4, count)
    chosen, choices = acted.reshape(count, -1), act.reshape(act.shape[0], -1)
    for i in range(count):
        for j in range(chosen.shape[1]):  # not a row at once: such an assignment takes seconds to compile
            chosen[i, j] = choices[rows[i], j]
        gain[i] = adv[rows[i]]
        logp_before[i] = logp_old[rows[i]]
        for j in range(width):
            before[i, j] = old[rows[i], j]

    distribution_params.parameters(form, bounds, out, log_std, params)
    _score_and_log_prob(params, acted, *options, u, logp)
    surrogate.clipped_gradient(logp, logp_before, gain, clip_range, weight)
    for i in range(count):
        told[1] += not lowest <= logp[i] - logp_before[i] <= highest
        weight[i] *= share
        for j in range(width):
            u[i, j] *= weight[i]
    if beta > 0:
        kl_gradient(before, params, *options, more)
        for i in range(count):
            for j in range(width):
                u[i, j] -= share * beta * more[i, j]
    if entropy_weight > 0:
        entropy_gradient(params, *options, more)
        for i in range(count):
            for j in range(width):
                u[i, j] += share * entropy_weight * more[i, j]
    if wants_kl:
        kl(before, params, *options, logp)
        for i in range(count):
            told[0] += logp[i]
    distribution_params.pull_back(form, bounds, out, u, g, log_std_grad)
