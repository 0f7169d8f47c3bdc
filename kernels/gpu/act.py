"""Twin of `reference/act.py`."""

from functools import cache
from importlib import import_module

from minipg.kernels.gpu import distribution_params, mlp
from minipg.kernels.gpu._work import carve


@cache
def act(family):
    """a ~ π_θ(·|s), of a policy whose distributions have that name: a kernel."""
    distribution = import_module(f"minipg.kernels.gpu.{family}")

    def _act(policy, theta, obs, noise, params, act, work):
        form, bounds, options, sizes, activation = policy
        rows, n = len(obs), int(sizes[-1])
        count = len(theta) - (n if form == 1 else 0)
        out, hidden = carve(work, (rows, n))
        mlp.forward(theta[:count], sizes, activation, obs, out, hidden)
        distribution_params.parameters(form, bounds, out, theta[count:], params)
        distribution.sample(params, noise, *options, act)

    return _act
