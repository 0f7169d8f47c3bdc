"""Twin of `reference/surrogate_value.py`, a tile of rows at a time."""

from functools import cache

from minipg.kernels.cpu import distribution_params, mlp, surrogate
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._jit import jit
from minipg.kernels.cpu.categorical import entropy, kl, log_prob


@cache
def evaluate(family):
    """`_evaluate`, compiled for the distributions of that name."""
    return compiled_with(_evaluate, f"minipg.kernels.cpu.{family}", ("log_prob", "kl", "entropy"), jit)


def _evaluate(policy, theta, obs, act, adv, old, logp_old, wants_entropy, told, work):
    form, bounds, options, sizes, activation = policy
    n, units, width = sizes[-1], mlp._units(sizes), old.shape[1]
    network = theta.shape[0] - (n if form == 1 else 0)
    told[:] = 0
    for start in range(0, obs.shape[0], mlp.TILE):
        stop = min(start + mlp.TILE, obs.shape[0])
        m = stop - start
        a, b, c = m * n, m * (n + units), m * (n + units + width)
        out, hidden, params, each = work[:a].reshape(m, n), work[a:b], work[b:c].reshape(m, width), work[c : c + m]
        mlp.forward(theta[:network], sizes, activation, obs[start:stop], out, hidden)
        distribution_params.parameters(form, bounds, out, theta[network:], params)
        log_prob(params, act[start:stop], *options, each)
        surrogate.surrogate(each, logp_old[start:stop], adv[start:stop], each)
        for i in range(m):
            told[0] += each[i]
        kl(old[start:stop], params, *options, each)
        for i in range(m):
            told[1] += each[i]
        if wants_entropy:
            entropy(params, *options, each)
            for i in range(m):
                told[2] += each[i]
