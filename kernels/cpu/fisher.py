"""Twin of `reference/fisher.py`: a tile in one call, so that threads need the interpreter only between tiles."""

import math

from minipg.kernels.cpu import categorical, mlp
from minipg.kernels.cpu._jit import jit


@jit
def categorical_product(theta, sizes, activation, obs, hidden, params, v, out, work):
    """Σ_rows Jᵀ (diag(p) − p pᵀ) J v  (TR-9, DI-3).   theta, v (P,), params (B, A) → out (P,).

    work (B·(A + 3·max n),).
    """
    g, rest = work[: params.size].reshape(params.shape), work[params.size :]
    mlp.jvp(theta, sizes, activation, obs, hidden, v, g, rest)
    categorical.fisher_product(params, g, g)
    mlp.vjp(theta, sizes, activation, obs, hidden, g, out, rest)


@jit
def gaussian_product(theta, sizes, activation, obs, hidden, params, v, out, work):
    """Σ_rows Jᵀ diag(1/σ², 2) J v  (TR-9, DI-5); the last A parameters are log σ.   theta, v (P,) → out (P,).

    params (B, 2A).   work (B·(A + 3·max n),).
    """
    rows, size = params.shape[0], params.shape[1] // 2
    network = theta.shape[0] - size
    g, rest = work[: rows * size].reshape(rows, size), work[rows * size :]
    mlp.jvp(theta[:network], sizes, activation, obs, hidden, v[:network], g, rest)
    for j in range(size):
        inverse_std = math.exp(-theta[network + j])
        out[network + j] = 2 * rows * v[network + j]
        for i in range(rows):
            g[i, j] *= inverse_std * inverse_std
    mlp.vjp(theta[:network], sizes, activation, obs, hidden, g, out[:network], rest)
