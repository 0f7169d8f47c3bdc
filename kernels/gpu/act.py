"""`reference/act.py` from this twin's network and row kernels."""

from functools import cache

import cupy
from minipg.kernels.gpu import distribution_params, mlp
from minipg.kernels.gpu._families import row_kernels


@cache
def act(family):
    """a ~ π_θ(·|s), of a policy with distributions of that family: a kernel."""
    run = row_kernels(family)

    def _act(policy, theta, obs, noise, params, act, work):
        form, bounds, options, sizes, activation = policy
        rows, n = len(obs), int(sizes[-1])
        count = len(theta) - (n if form == 1 else 0)
        out, hidden = cupy.empty((rows, n), obs.dtype), cupy.empty(rows * int(sizes[1:-1].sum()), obs.dtype)
        mlp.forward(theta[:count], sizes, activation, obs, out, hidden)
        distribution_params.parameters(form, bounds, out, theta[count:], params)
        run("sample", options, params, noise, act)

    return _act
