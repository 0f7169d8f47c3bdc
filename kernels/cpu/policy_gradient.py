"""Twin of `reference/policy_gradient.py`."""

from functools import cache

from minipg.kernels.cpu import head, mlp
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._jit import jit
from minipg.kernels.cpu.categorical import entropy_gradient, score


@cache
def gradient(family):
    """`_gradient`, compiled for the distributions of that name."""
    return compiled_with(_gradient, f"minipg.kernels.cpu.{family}", ("score", "entropy_gradient"), jit)


def _gradient(policy, theta, forward, act, weight, entropy_weight, grad, work):
    form, bounds, options, sizes, activation = policy
    obs, hidden, out, params = forward
    (rows, n), width = out.shape, params.shape[1]
    network = theta.shape[0] - (n if form == 1 else 0)
    a, b, c = rows * width, 2 * rows * width, rows * (2 * width + n)
    u, more, g = work[:a].reshape(rows, width), work[a:b].reshape(rows, width), work[b:c].reshape(rows, n)
    score(params, act, *options, u)
    for i in range(rows):
        for j in range(width):
            u[i, j] *= weight[i]
    if entropy_weight != 0:
        entropy_gradient(params, *options, more)
        for i in range(rows):
            for j in range(width):
                u[i, j] += entropy_weight * more[i, j]
    grad[network:] = 0
    head.pull_back(form, bounds, out, u, g, grad[network:])
    mlp.vjp(theta[:network], sizes, activation, obs, hidden, g, grad[:network], work[c:])
