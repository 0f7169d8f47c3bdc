"""Twin of `reference/fisher.py`: forward mode, the distribution's own Fisher matrix in place, reverse mode."""

from minipg.kernels.gpu import categorical, mlp
from minipg.kernels.gpu._arrays import lanes
from minipg.kernels.gpu._cuda import Source
from minipg.kernels.gpu._work import carve

_run = Source("fisher.cu")


def categorical_product(theta, sizes, activation, obs, hidden, params, v, out, work):
    """theta, v (P,), obs (B, n₀), params (B, A) the logits → out (P,).   work (2 P + B·(A + 3·max n),)."""
    Jv, rest = carve(work, params.shape)
    mlp.jvp(theta, sizes, activation, obs, hidden, v, Jv, rest)
    categorical.fisher_product(params, Jv, Jv)
    mlp.vjp(theta, sizes, activation, obs, hidden, Jv, out, rest)


def gaussian_product(theta, sizes, activation, obs, hidden, params, v, out, work):
    """The same with the last A parameters log σ, which params (B, 2A) repeat in every row."""
    rows, size = len(params), params.shape[1] // 2
    network, log_std = theta[:-size], theta[-size:]
    Jv, rest = carve(work, (rows, size))
    mlp.jvp(network, sizes, activation, obs, hidden, v[:-size], Jv, rest)
    _run("over_variance", lanes(rows, size), Jv.size, size, log_std, Jv)
    _run("of_log_std", size, 2 * rows, v[-size:], out[-size:])
    mlp.vjp(network, sizes, activation, obs, hidden, Jv, out[:-size], rest)
