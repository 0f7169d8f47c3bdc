"""A dense layer whose input rows are mostly zero: only the nonzero numbers are multiplied.

The reference multiplies the zeros too. Sums over a row are in order of its nonzeros, so both differ in rounding only.
A row is read in words of eight bytes: most words of a sparse row are zero, and say so at once for several numbers.
"""

from minipg.kernels.cpu import _dense
from minipg.kernels.cpu._jit import called, matrix, matrix_like, part, words

DENSEST = 8  # the products are worth their jumps where fewer than one word in DENSEST is not zero
pull_back = _dense.pull_back


@part
def product(network, layer, x, theta, p, y):
    """y = x W, W (n, m) from θ[p] on.   x (B, n) → y (B, m)."""
    if layer == 0 and is_sparse(x):
        _product(x, matrix(theta, p, network.sizes[0], network.sizes[1]), y)
    else:
        _dense.product(network, layer, x, theta, p, y)


@part
def weight_gradient(network, layer, x, g, out, p):
    """dW = xᵀ g, from out[p] on.   x (B, n), g (B, m)."""
    if layer == 0 and is_sparse(x):
        _weight_gradient(x, g, matrix(out, p, network.sizes[0], network.sizes[1]))
    else:
        _dense.weight_gradient(network, layer, x, g, out, p)


@part
def gathered(obs, rows, work, start):
    """The rows of obs (B, n) as a matrix, in work memory from `start` on, in the dtype of obs: bytes are shorter."""
    x = matrix_like(work, start, rows.shape[0], obs.shape[1], obs)
    n, each = obs.shape[1], 8 // obs.itemsize
    for i in range(x.shape[0]):
        source, copy = words(obs, rows[i] * n, n), words(x, i * n, n)
        for word in range(source.shape[0]):
            copy[word] = source[word]
        for k in range(source.shape[0] * each, n):
            x[i, k] = obs[rows[i], k]
    return x


@called
def is_sparse(x):
    """True if fewer than one in DENSEST of the words of x (B, n) is not zero."""
    found = words(x, 0, x.size)
    nonzero = 0
    for i in range(found.shape[0]):
        nonzero += found[i] != 0
    return nonzero * DENSEST < found.shape[0]


@called
def _product(x, w, y):
    n, each = x.shape[1], 8 // x.itemsize
    y[:] = 0
    for i in range(x.shape[0]):
        found = words(x, i * n, n)
        for word in range(found.shape[0]):
            if found[word] != 0:
                for k in range(word * each, (word + 1) * each):
                    _dense.add_multiple(x[i, k], w, k, y, i)
        for k in range(found.shape[0] * each, n):
            _dense.add_multiple(x[i, k], w, k, y, i)


@called
def _weight_gradient(x, g, dw):
    n, each = x.shape[1], 8 // x.itemsize
    dw[:] = 0
    for i in range(x.shape[0]):
        found = words(x, i * n, n)
        for word in range(found.shape[0]):
            if found[word] != 0:
                for k in range(word * each, (word + 1) * each):
                    _dense.add_multiple(x[i, k], g, i, dw, k)
        for k in range(found.shape[0] * each, n):
            _dense.add_multiple(x[i, k], g, i, dw, k)
