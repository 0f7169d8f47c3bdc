"""Twin of `reference/mlp.py`: BLAS for the products, one fused vectorised pass for everything between them.

A batch goes through the network TILE rows at a time, so `hidden` holds tile after tile, in each layer after layer.
"""

import numpy as np
from minipg.kernels.cpu._jit import jit, part
from minipg.kernels.cpu._tanh import tanh

TILE = 128  # rows whose activations stay in a core's fastest caches


@part
def _units(sizes):
    """Σ n_l over the hidden layers. A loop, for to compile NumPy's sum takes a second."""
    total = 0
    for layer in range(1, sizes.shape[0] - 1):
        total += sizes[layer]
    return total


@part
def _widest(sizes):
    most = sizes[0]
    for layer in range(1, sizes.shape[0]):
        most = max(most, sizes[layer])
    return most


@part
def _add_bias_activate(y, b, activation):
    """y ← φ(y + b)."""
    if activation == 0:
        for i in range(y.shape[0]):
            for j in range(y.shape[1]):
                y[i, j] = tanh(y[i, j] + b[j])
    else:
        zero = y.dtype.type(0)
        for i in range(y.shape[0]):
            for j in range(y.shape[1]):
                s = y[i, j] + b[j]
                y[i, j] = zero if s < zero else s


@part
def _add_bias(y, b):
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] += b[j]


@part
def _times_slope(y, h, activation):
    """y ← φ′ y, the slope read off the activation's value h."""
    zero, one = y.dtype.type(0), y.dtype.type(1)
    if activation == 0:
        for i in range(y.shape[0]):
            for j in range(y.shape[1]):
                y[i, j] *= one - h[i, j] * h[i, j]
    else:
        for i in range(y.shape[0]):
            for j in range(y.shape[1]):
                y[i, j] = y[i, j] if h[i, j] > zero else zero


@part
def _sum_rows(y, out):
    out[:] = 0
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            out[j] += y[i, j]


@jit
def forward(theta, sizes, activation, obs, out, hidden):
    """theta (P,), sizes (L+1,), obs (B, n₀) → out (B, n_L), hidden (B·Σ n_l over hidden layers,)."""
    units = _units(sizes)
    for start in range(0, obs.shape[0], TILE):
        stop = min(start + TILE, obs.shape[0])
        _forward(theta, sizes, activation, obs[start:stop], out[start:stop], hidden[start * units : stop * units])


@part
def _forward(theta, sizes, activation, obs, out, hidden):
    rows, last = obs.shape[0], sizes.shape[0] - 2
    h, p, k = obs, 0, 0
    for layer in range(last + 1):
        n, m = sizes[layer], sizes[layer + 1]
        w, b = theta[p : p + n * m].reshape(n, m), theta[p + n * m : p + (n + 1) * m]
        if layer == last:
            np.dot(h, w, out)
            _add_bias(out, b)
        else:
            y = hidden[k : k + rows * m].reshape(rows, m)
            np.dot(h, w, y)
            _add_bias_activate(y, b, activation)
            h = y
        p += (n + 1) * m
        k += rows * m


@jit
def jvp(theta, sizes, activation, obs, hidden, v, out, work):
    """J v.   v (P,), hidden as `forward` left it → out (B, n_L).   work (3·B·max n_l,)."""
    units = _units(sizes)
    for start in range(0, obs.shape[0], TILE):
        stop = min(start + TILE, obs.shape[0])
        kept = hidden[start * units : stop * units]
        _jvp(theta, sizes, activation, obs[start:stop], kept, v, out[start:stop], work)


@part
def _jvp(theta, sizes, activation, obs, hidden, v, out, work):
    rows, last, width = obs.shape[0], sizes.shape[0] - 2, _widest(sizes)
    third = rows * width
    h, p, k = obs, 0, 0
    dh = work[0:0].reshape(rows, 0) if rows == 0 else work[: rows * sizes[0]].reshape(rows, sizes[0])
    for layer in range(last + 1):
        n, m = sizes[layer], sizes[layer + 1]
        w = theta[p : p + n * m].reshape(n, m)
        dw, db = v[p : p + n * m].reshape(n, m), v[p + n * m : p + (n + 1) * m]
        # two of the three work arrays take turns as dh and dy; the third holds dh W
        start = (layer % 2) * third
        dy = out if layer == last else work[start : start + rows * m].reshape(rows, m)
        np.dot(h, dw, dy)
        if layer > 0:
            product = work[2 * third : 2 * third + rows * m].reshape(rows, m)
            np.dot(dh, w, product)
            for i in range(rows):
                for j in range(m):
                    dy[i, j] += product[i, j] + db[j]
        else:
            _add_bias(dy, db)
        if layer < last:
            h = hidden[k : k + rows * m].reshape(rows, m)
            _times_slope(dy, h, activation)
            dh = dy
        p += (n + 1) * m
        k += rows * m


@part
def _pull_back(g, w, h, activation, start, work):
    """φ′(h) (g Wᵀ), in the work array that begins at `start`."""
    y = work[start : start + h.size].reshape(h.shape)
    np.dot(g, w.T, y)
    _times_slope(y, h, activation)
    return y


@jit
def vjp(theta, sizes, activation, obs, hidden, g, out, work):
    """Jᵀ g, summed over the batch.   g (B, n_L), hidden as `forward` left it → out (P,).   work (P + 2·B·max n_l,)."""
    units, own, rest = _units(sizes), work[: theta.shape[0]], work[theta.shape[0] :]
    if obs.shape[0] == 0:
        out[:] = 0
    for start in range(0, obs.shape[0], TILE):
        stop = min(start + TILE, obs.shape[0])
        kept = hidden[start * units : stop * units]
        _vjp(theta, sizes, activation, obs[start:stop], kept, g[start:stop], own if start else out, rest)
        if start:
            for i in range(theta.shape[0]):
                out[i] += own[i]


@part
def _vjp(theta, sizes, activation, obs, hidden, g, out, work):
    rows, last, width = obs.shape[0], sizes.shape[0] - 2, _widest(sizes)
    p, k = theta.shape[0], hidden.shape[0]
    for layer in range(last, -1, -1):
        n, m = sizes[layer], sizes[layer + 1]
        p -= (n + 1) * m
        k -= rows * n
        h = obs if layer == 0 else hidden[k : k + rows * n].reshape(rows, n)
        np.dot(h.T, g, out[p : p + n * m].reshape(n, m))
        _sum_rows(g, out[p + n * m : p + (n + 1) * m])
        if layer > 0:
            w = theta[p : p + n * m].reshape(n, m)
            g = _pull_back(g, w, h, activation, (layer % 2) * rows * width, work)


@jit
def vjp_obs(theta, sizes, activation, hidden, g, out, work):
    """The gradient in obs of Σ g·output.   g (B, n_L) → out (B, n₀).   work (2·B·max n_l,)."""
    units = _units(sizes)
    for start in range(0, g.shape[0], TILE):
        stop = min(start + TILE, g.shape[0])
        _vjp_obs(theta, sizes, activation, hidden[start * units : stop * units], g[start:stop], out[start:stop], work)


@part
def _vjp_obs(theta, sizes, activation, hidden, g, out, work):
    rows, last, width = g.shape[0], sizes.shape[0] - 2, _widest(sizes)
    p, k = theta.shape[0], hidden.shape[0]
    for layer in range(last, -1, -1):
        n, m = sizes[layer], sizes[layer + 1]
        p -= (n + 1) * m
        w = theta[p : p + n * m].reshape(n, m)
        if layer == 0:
            np.dot(g, w.T, out)
        else:
            k -= rows * n
            h = hidden[k : k + rows * n].reshape(rows, n)
            g = _pull_back(g, w, h, activation, (layer % 2) * rows * width, work)
