"""Fisher–vector products of whole policies, one batch of rows at a time  (TR-9).

Σ_rows Jᵀ M J v: forward mode through the network, the distribution's own Fisher matrix M, reverse mode back.
"""

from minipg.kernels.reference import categorical, gaussian, mlp
from minipg.kernels.reference._namespace import namespace


def categorical_product(theta, sizes, activation, obs, hidden, params, v, out, work):
    """Of a categorical policy, whose network's outputs are the logits.

    theta, v (P,), obs (B, n₀), hidden as `mlp.forward` left it, params (B, A) the logits → out (P,).
    work (2 P + B·(A + 3·max n),).
    """
    Jv = namespace(v).empty_like(params)
    mlp.jvp(theta, sizes, activation, obs, hidden, v, Jv, work)
    MJv = namespace(v).empty_like(params)
    categorical.fisher_product(params, Jv, MJv)
    mlp.vjp(theta, sizes, activation, obs, hidden, MJv, out, work)


def gaussian_product(theta, sizes, activation, obs, hidden, params, v, out, work):
    """Of a Gaussian policy, whose network's outputs are μ and whose last A parameters are log σ.

    theta, v (P,), obs (B, n₀), hidden as `mlp.forward` left it, params (B, 2A) = (μ, log σ) → out (P,).
    work (2 P + B·(A + 3·max n),).
    """
    size = params.shape[1] // 2
    Jv = namespace(v).empty_like(params)
    mlp.jvp(theta[:-size], sizes, activation, obs, hidden, v[:-size], Jv[:, :size], work)
    Jv[:, size:] = v[-size:]
    MJv = namespace(v).empty_like(params)
    gaussian.fisher_product(params, Jv, MJv)
    mlp.vjp(theta[:-size], sizes, activation, obs, hidden, MJv[:, :size], out[:-size], work)
    out[-size:] = MJv[:, size:].sum(axis=0)
