"""Twin of `reference/surrogate_epochs.py`: one pass over a minibatch between the two sweeps through the network.

Everything stays on the device, whatever a step is worth included. Only where a KL is to end the epochs, a minibatch's
two numbers are fetched before its step is taken.
"""

import math
from functools import cache, partial

import cupy
from minipg.kernels.gpu import mlp, optimizer
from minipg.kernels.gpu._arrays import clamp, gather, sum_columns
from minipg.kernels.gpu._families import row_kernels


@cache
def gradient(family):
    """∇L over some rows, of a policy whose distributions have that name: a kernel."""
    run = row_kernels(family)

    def _gradient(policy, theta, batch, terms, rows, wants_kl, grad, told, acted, work):
        form, bounds, options, sizes, activation = policy
        obs, act, adv, old, logp_old = batch
        some, inputs, n, units, width = len(rows), int(sizes[0]), int(sizes[-1]), int(sizes[1:-1].sum()), old.shape[1]
        count = len(theta) - (n if form == 1 else 0)
        empty = partial(cupy.empty, dtype=old.dtype)
        x, out, g, hidden = empty((some, inputs)), empty((some, n)), empty((some, n)), empty(some * units)
        params, u, v = (empty((some, width)) for _ in range(3))
        tail, each = empty((some, width - n)), empty((some, 2))
        gather(rows, obs, x)
        mlp.forward(theta[:count], sizes, activation, x, out, hidden)
        run(
            "surrogate_gradient", options, params, form, n, *bounds, out, theta[count:], rows, act, adv, old, logp_old,
            *terms, wants_kl, u, v, g, tail, each,
        )  # fmt: skip
        sum_columns(each, told, 1 / some)
        sum_columns(tail, grad[count:])
        mlp.vjp(theta[:count], sizes, activation, x, hidden, g, grad[:count], work)

    return _gradient


@cache
def climb(family):
    """Minibatch Adam on L  (AC-3): a kernel. It ends before a step from where a mean KL exceeds `max_kl`."""
    slope = gradient(family)

    def _climb(
        policy, batch, terms, order, minibatch_size, adam, limits, step, theta, first, second, told, acted, work
    ):  # fmt: skip
        form, (low, high), _, sizes, _ = policy
        max_kl, max_norm = limits
        grad, rest = work[: len(theta)], work[len(theta) :]
        watched, here = max_kl < math.inf, cupy.empty(2)
        told[...] = 0
        for epoch in range(len(order)):
            for start in range(0, order.shape[1], minibatch_size):
                rows = order[epoch, start : start + minibatch_size]
                slope(policy, theta, batch, terms, rows, watched, grad, here, acted, rest)
                if watched and cupy.asnumpy(here)[0] > max_kl:
                    return
                here[0], step = 1, step + 1
                told += here
                if max_norm < math.inf:
                    optimizer.clip_global_norm(grad, max_norm, grad)
                optimizer.adam(grad, *adam, step, theta, first, second)
                if form == 1:
                    clamp(theta[-sizes[-1] :], low, high)

    return _climb
