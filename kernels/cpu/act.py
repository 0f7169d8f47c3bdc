"""Twin of `reference/act.py`: all that a step of other environments needs of kernels, in one call."""

from functools import cache

from minipg.kernels.cpu import distribution_params, mlp
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._jit import jit
from minipg.kernels.cpu.categorical import sample


@cache
def act(family):
    """`_act`, compiled for the distributions of that name."""
    return _act_of(family, jit)


def _act_of(family, how):
    """The same, or a part of a longer kernel."""
    return compiled_with(_act, f"minipg.kernels.cpu.{family}", ("sample",), how)


def _act(policy, theta, obs, noise, params, act, work):
    form, bounds, options, sizes, activation = policy
    rows, n = obs.shape[0], sizes[-1]
    network = theta.shape[0] - (n if form == 1 else 0)
    out, hidden = work[: rows * n].reshape(rows, n), work[rows * n :]
    mlp.forward(theta[:network], sizes, activation, obs, out, hidden)
    distribution_params.parameters(form, bounds, out, theta[network:], params)
    sample(params, noise, *options, act)
