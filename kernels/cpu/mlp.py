"""Twin of `reference/mlp.py`: BLAS for the matrix products, one vectorised loop for all between two products.

A batch goes through the network in blocks of BLOCK rows. `hidden` holds the blocks in order, and in a block its layers.
The numbers `p` and `k` are where a layer begins in θ and in the `hidden` of a block.
"""

import numpy as np
from minipg.kernels.arguments import Network
from minipg.kernels.cpu._jit import jit, matrix, part, unowned
from minipg.kernels.cpu._tanh import tanh
from numba.extending import register_jitable

BLOCK = 128  # rows of a block: their activations fit in a core's fastest caches
SMALL = 64 * 64  # weights this small are transposed once, up front
_ZERO, _ONE = np.float32(0), np.float32(1)  # a product with float64 is float64


@part
def _units(sizes):
    """Σ n_l over the hidden layers. A loop: NumPy's sum takes a second to compile."""
    total = 0
    for layer in range(1, sizes.shape[0] - 1):
        total += sizes[layer]
    return total


@register_jitable
def size(sizes):
    """P: the number of parameters of a network with layer sizes (L+1,), an array or a tuple."""
    total = 0
    for layer in range(1, len(sizes)):
        total += (sizes[layer - 1] + 1) * sizes[layer]
    return total


@part
def _unowned(network):
    """The same network, without reference counting of its sizes."""
    return Network(unowned(network.sizes), network.activation)


@part
def _widest(sizes):
    most = sizes[0]
    for layer in range(1, sizes.shape[0]):
        most = max(most, sizes[layer])
    return most


@part
def _activated(s, activation):
    """φ(s): tanh if `activation` is 0, ReLU if it is 1."""
    return tanh(s) if activation == 0 else (_ZERO if s < _ZERO else s)


@part
def _sloped(y, h, activation):
    """φ′ y, with the slope φ′ computed from the activation h."""
    return y * (_ONE - h * h) if activation == 0 else (y if h > _ZERO else _ZERO)


@jit
def forward(theta, sizes, activation, obs, out, hidden):
    """The network's output, and the hidden activations, which the derivatives need.

    theta (P,), sizes (L+1,), activation 0 tanh or 1 ReLU, obs (B, n₀) → out (B, n_L), hidden (B·Σ n_l over hidden
    layers,).
    """
    theta, obs, out, hidden, units = unowned(theta), unowned(obs), unowned(out), unowned(hidden), _units(sizes)
    for start in range(0, obs.shape[0], BLOCK):
        stop = min(start + BLOCK, obs.shape[0])
        _forward(theta, sizes, activation, obs[start:stop], out[start:stop], hidden[start * units : stop * units])


@part
def _forward(theta, sizes, activation, obs, out, hidden):
    rows, last = obs.shape[0], sizes.shape[0] - 2
    h, p, k = obs, 0, 0
    for layer in range(last + 1):
        n, m = sizes[layer], sizes[layer + 1]
        w, b = matrix(theta, p, n, m), theta[p + n * m : p + (n + 1) * m]
        if layer == last:
            np.dot(h, w, out)
            for i in range(rows):
                for j in range(m):
                    out[i, j] += b[j]
        else:
            y = matrix(hidden, k, rows, m)
            np.dot(h, w, y)
            for i in range(rows):
                for j in range(m):
                    y[i, j] = _activated(y[i, j] + b[j], activation)
            h = y
        p += (n + 1) * m
        k += rows * m


@jit
def jvp(theta, sizes, activation, obs, hidden, v, out, work):
    """J v: the derivative of the output along v.

    v (P,), hidden from `forward` → out (B, n_L).   work (3·B·max n_l,).
    """
    theta, obs, hidden, v = unowned(theta), unowned(obs), unowned(hidden), unowned(v)
    out, work, units = unowned(out), unowned(work), _units(sizes)
    for start in range(0, obs.shape[0], BLOCK):
        stop = min(start + BLOCK, obs.shape[0])
        h = hidden[start * units : stop * units]
        _jvp(theta, sizes, activation, obs[start:stop], h, v, out[start:stop], work)


@part
def _jvp(theta, sizes, activation, obs, hidden, v, out, work):
    rows, last, width = obs.shape[0], sizes.shape[0] - 2, _widest(sizes)
    third = rows * width
    h, dh, p, k = obs, matrix(work, 0, rows, sizes[0]), 0, 0
    for layer in range(last + 1):
        n, m = sizes[layer], sizes[layer + 1]
        w = matrix(theta, p, n, m)
        dw, db = matrix(v, p, n, m), v[p + n * m : p + (n + 1) * m]
        # dh and dy alternate between two of the three work arrays; the third holds dh W
        start = (layer % 2) * third
        dy = out if layer == last else matrix(work, start, rows, m)
        product = matrix(work, 2 * third, rows, m)
        np.dot(h, dw, dy)
        if layer > 0:
            np.dot(dh, w, product)
        else:
            product[:] = 0
        if layer == last:
            for i in range(rows):
                for j in range(m):
                    dy[i, j] += product[i, j] + db[j]
        else:
            h = matrix(hidden, k, rows, m)
            for i in range(rows):
                for j in range(m):
                    dy[i, j] = _sloped(dy[i, j] + product[i, j] + db[j], h[i, j], activation)
            dh = dy
        p += (n + 1) * m
        k += rows * m


@jit
def vjp(theta, sizes, activation, obs, hidden, g, out, work):
    """Jᵀ g, summed over the batch: the gradient in θ of Σ g·output.

    g (B, n_L), hidden from `forward` → out (P,).   work (P + 2·B·max n_l,).
    """
    theta, obs, hidden, g = unowned(theta), unowned(obs), unowned(hidden), unowned(g)
    out, work, units = unowned(out), unowned(work), _units(sizes)
    block_out, rest = work[: theta.shape[0]], work[theta.shape[0] :]
    if obs.shape[0] == 0:
        out[:] = 0
    for start in range(0, obs.shape[0], BLOCK):
        stop = min(start + BLOCK, obs.shape[0])
        h = hidden[start * units : stop * units]
        _vjp(theta, sizes, activation, obs[start:stop], h, g[start:stop], block_out if start else out, rest)
        if start:
            for i in range(theta.shape[0]):
                out[i] += block_out[i]


@part
def _vjp(theta, sizes, activation, obs, hidden, g, out, work):
    rows, last, width = obs.shape[0], sizes.shape[0] - 2, _widest(sizes)
    p, k = theta.shape[0], hidden.shape[0]
    db = out[p - sizes[last + 1] :]
    db[:] = 0
    for i in range(rows):
        for j in range(g.shape[1]):
            db[j] += g[i, j]
    for layer in range(last, -1, -1):
        n, m = sizes[layer], sizes[layer + 1]
        p -= (n + 1) * m
        k -= rows * n
        w, dw = matrix(theta, p, n, m), matrix(out, p, n, m)
        if layer == 0:
            np.dot(obs.T, g, dw)
        else:
            start = (layer % 2) * rows * width
            h, below = matrix(hidden, k, rows, n), matrix(work, start, rows, n)
            if n * m <= SMALL:
                transposed = matrix(out, p, m, n)  # in the memory of dw, which is written later
                for i in range(n):
                    for j in range(m):
                        transposed[j, i] = w[i, j]
                np.dot(g, transposed, below)
            else:
                np.dot(g, w.T, below)
            np.dot(h.T, g, dw)
            db = out[p - n : p]
            db[:] = 0
            for i in range(rows):
                for j in range(n):
                    below[i, j] = _sloped(below[i, j], h[i, j], activation)
                    db[j] += below[i, j]
            g = below


@jit
def vjp_obs(theta, sizes, activation, hidden, g, out, work):
    """The gradient in obs of Σ g·output.   g (B, n_L) → out (B, n₀).   work (2·B·max n_l,)."""
    theta, hidden, g, out, work = unowned(theta), unowned(hidden), unowned(g), unowned(out), unowned(work)
    units = _units(sizes)
    for start in range(0, g.shape[0], BLOCK):
        stop = min(start + BLOCK, g.shape[0])
        _vjp_obs(theta, sizes, activation, hidden[start * units : stop * units], g[start:stop], out[start:stop], work)


@part
def _vjp_obs(theta, sizes, activation, hidden, g, out, work):
    rows, last, width = g.shape[0], sizes.shape[0] - 2, _widest(sizes)
    p, k = theta.shape[0], hidden.shape[0]
    for layer in range(last, -1, -1):
        n, m = sizes[layer], sizes[layer + 1]
        p -= (n + 1) * m
        w = matrix(theta, p, n, m)
        if layer == 0:
            np.dot(g, w.T, out)
        else:
            k -= rows * n
            start = (layer % 2) * rows * width
            h, below = matrix(hidden, k, rows, n), matrix(work, start, rows, n)
            np.dot(g, w.T, below)
            for i in range(rows):
                for j in range(n):
                    below[i, j] = _sloped(below[i, j], h[i, j], activation)
            g = below
