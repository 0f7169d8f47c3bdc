"""Twin of `reference/policy_gradient.py`."""

from functools import cache

from minipg.kernels.cpu import distribution_params, mlp
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._jit import jit, part
from minipg.kernels.cpu.categorical import entropy, entropy_gradient, score


@cache
def gradient(family):
    """`_gradient`, compiled for the distributions of that name."""
    return _gradient_of(family, jit)


@cache
def from_observations(family):
    """`_from_observations`, compiled for the distributions of that name."""
    module = f"minipg.kernels.cpu.{family}"
    return compiled_with(_from_observations, module, ("entropy",), jit, _gradient=_gradient_of(family, part))


def _gradient_of(family, how):
    return compiled_with(_gradient, f"minipg.kernels.cpu.{family}", (), how, _covectors=_covectors_of(family))


def _covectors_of(family):
    return compiled_with(_covectors, f"minipg.kernels.cpu.{family}", ("score", "entropy_gradient"), part)


def _gradient(policy, theta, forward, act, weight, entropy_weight, grad, work):
    form, _, _, sizes, activation = policy
    obs, hidden, out, params = forward
    rows, n = out.shape
    network = theta.shape[0] - (n if form == 1 else 0)
    g, rest = work[: rows * n].reshape(rows, n), work[rows * n :]
    grad[network:] = 0
    _covectors(policy, out, params, act, weight, entropy_weight, g, grad[network:], rest)
    mlp.vjp(theta[:network], sizes, activation, obs, hidden, g, grad[:network], rest)


def _covectors(policy, out, params, act, weight, entropy_weight, g, log_std_grad, work):
    """Those of the outputs, g (B, n); those of log σ are added to log_std_grad.   work (2·B·D,)."""
    form, bounds, options, _, _ = policy
    rows, width = params.shape
    u, more = work[: rows * width].reshape(rows, width), work[rows * width : 2 * rows * width].reshape(rows, width)
    score(params, act, *options, u)
    for i in range(rows):
        for j in range(width):
            u[i, j] *= weight[i]
    if entropy_weight != 0:
        entropy_gradient(params, *options, more)
        for i in range(rows):
            for j in range(width):
                u[i, j] += entropy_weight * more[i, j]
    distribution_params.pull_back(form, bounds, out, u, g, log_std_grad)


def _from_observations(policy, theta, obs, act, weight, entropy_weight, grad, told, work):
    form, bounds, options, sizes, activation = policy
    rows, n, units = obs.shape[0], sizes[-1], mlp._units(sizes)
    network = theta.shape[0] - (n if form == 1 else 0)
    width = n + theta.shape[0] - network
    a, b, c = rows * n, rows * (n + width), rows * (n + width + units)
    out, params, hidden, rest = work[:a].reshape(rows, n), work[a:b].reshape(rows, width), work[b:c], work[c:]
    mlp.forward(theta[:network], sizes, activation, obs, out, hidden)
    distribution_params.parameters(form, bounds, out, theta[network:], params)
    _gradient(policy, theta, (obs, hidden, out, params), act, weight, entropy_weight, grad, rest)
    each = rest[:rows]
    entropy(params, *options, each)
    told[0] = 0
    for i in range(rows):
        told[0] += each[i]
