"""A dense layer: products with its matrix W (n, m), which begins at θ[p]."""

import numpy as np
from minipg.kernels.cpu._jit import matrix, part
from numba.extending import overload

SMALL = 64 * 64  # weights this small are transposed once, up front


@part
def product(network, layer, x, theta, p, y):
    """y = x W.   x (B, n) → y (B, m)."""
    _product(x, matrix(theta, p, network.sizes[layer], network.sizes[layer + 1]), y)


@part
def weight_gradient(network, layer, x, g, out, p):
    """dW = xᵀ g, from out[p] on.   x (B, n), g (B, m)."""
    _weight_gradient(x, g, matrix(out, p, network.sizes[layer], network.sizes[layer + 1]))


@part
def pull_back(network, layer, theta, p, g, below, scratch, q):
    """below = g Wᵀ.   g (B, m) → below (B, n).   scratch[q : q + n m] is work memory, if it is that long."""
    n, m = network.sizes[layer], network.sizes[layer + 1]
    if n * m <= SMALL and q + n * m <= scratch.shape[0]:
        transposed = matrix(scratch, q, m, n)
        transpose(matrix(theta, p, n, m), transposed)
        np.dot(g, transposed, below)
    else:
        np.dot(g, matrix(theta, p, n, m).T, below)


@part
def gathered(obs, rows, work, start):
    """The rows of obs (B, n) as a matrix, in work memory from `start` on, in its dtype: BLAS multiplies it."""
    x = matrix(work, start, rows.shape[0], obs.shape[1])
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[i, j] = obs[rows[i], j]
    return x


@part
def transpose(w, transposed):
    """W (n, m) → Wᵀ (m, n)."""
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            transposed[j, i] = w[i, j]


def _product(x, w, y):
    """y = x W."""


def _weight_gradient(x, g, dw):
    """dW = xᵀ g."""


# BLAS multiplies floats; observations of bytes take loops
@overload(_product, inline="always")
def _choose_product(x, w, y):
    return (lambda x, w, y: np.dot(x, w, y)) if x.dtype == w.dtype else lambda x, w, y: _product_of_bytes(x, w, y)


@overload(_weight_gradient, inline="always")
def _choose_weight_gradient(x, g, dw):
    if x.dtype == g.dtype:
        return lambda x, g, dw: np.dot(x.T, g, dw)
    return lambda x, g, dw: _weight_gradient_of_bytes(x, g, dw)


@part
def _product_of_bytes(x, w, y):
    y[:] = 0
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            add_multiple(x[i, k], w, k, y, i)


@part
def _weight_gradient_of_bytes(x, g, dw):
    dw[:] = 0
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            add_multiple(x[i, k], g, i, dw, k)


@part
def add_multiple(number, a, i, b, k):
    """Row k of b += the number times row i of a."""
    if number != 0:
        factor = b.dtype.type(number)
        for j in range(a.shape[1]):
            b[k, j] += factor * a[i, j]
