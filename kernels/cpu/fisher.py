"""Twin of `reference/fisher.py`: many rows in one call, so that threads need the interpreter only between calls.

A tile of rows goes through J, M and Jᵀ before the next one begins: it never leaves the cache.
"""

import math

from minipg.kernels.cpu import categorical, mlp
from minipg.kernels.cpu._jit import jit


@jit
def categorical_product(theta, sizes, activation, obs, hidden, params, v, out, work):
    """Σ_rows Jᵀ (diag(p) − p pᵀ) J v  (TR-9, DI-3).   theta, v (P,), params (B, A) → out (P,).

    work (2 P + B·(A + 3·max n),).
    """
    units, own, rest = mlp._units(sizes), work[: theta.shape[0]], work[theta.shape[0] :]
    out[:] = 0
    for start in range(0, params.shape[0], mlp.TILE):
        stop = min(start + mlp.TILE, params.shape[0])
        x, h, logits = obs[start:stop], hidden[start * units : stop * units], params[start:stop]
        g, scratch = rest[: logits.size].reshape(logits.shape), rest[logits.size :]
        mlp.jvp(theta, sizes, activation, x, h, v, g, scratch)
        categorical.fisher_product(logits, g, g)
        mlp.vjp(theta, sizes, activation, x, h, g, own, scratch)
        for i in range(own.shape[0]):
            out[i] += own[i]


@jit
def gaussian_product(theta, sizes, activation, obs, hidden, params, v, out, work):
    """Σ_rows Jᵀ diag(1/σ², 2) J v  (TR-9, DI-5); the last A parameters are log σ.   theta, v (P,) → out (P,).

    params (B, 2A).   work (2 P + B·(A + 3·max n),).
    """
    units, rows, size = mlp._units(sizes), params.shape[0], params.shape[1] // 2
    network = theta.shape[0] - size
    own, precision, rest = work[:network], work[network : network + size], work[network + size :]
    out[:] = 0
    for j in range(size):
        out[network + j] = 2 * rows * v[network + j]
        precision[j] = math.exp(-2 * theta[network + j])
    for start in range(0, rows, mlp.TILE):
        stop = min(start + mlp.TILE, rows)
        x, h, m = obs[start:stop], hidden[start * units : stop * units], stop - start
        g, scratch = rest[: m * size].reshape(m, size), rest[m * size :]
        mlp.jvp(theta[:network], sizes, activation, x, h, v[:network], g, scratch)
        for i in range(m):
            for j in range(size):
                g[i, j] *= precision[j]
        mlp.vjp(theta[:network], sizes, activation, x, h, g, own, scratch)
        for i in range(network):
            out[i] += own[i]
