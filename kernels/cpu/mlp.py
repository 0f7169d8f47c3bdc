"""Twin of `reference/mlp.py`: BLAS for the matrix products, one vectorised loop for all between two products.

A batch goes through the network in blocks of rows. `hidden` holds the blocks in order, and in a block its layers.
The numbers `p` and `k` are where a layer begins in θ and in the `hidden` of a block. A layer's numbers are read in rows
of one for each bias: of all units, or of a convolution's filters.
"""

import numpy as np
from minipg.kernels.arguments import ConvLayers, DenseLayers, Network, SparseInput
from minipg.kernels.cpu import _conv_layers, _dense, _sparse
from minipg.kernels.cpu._jit import by_type, jit, matrix, part, unowned
from minipg.kernels.cpu._tanh import tanh

_KINDS = {DenseLayers: _dense, SparseInput: _sparse, ConvLayers: _conv_layers}
_ZERO, _ONE = np.float32(0), np.float32(1)  # a product with float64 is float64


@part
def _units(sizes):
    """Σ n_l over the hidden layers. A loop: NumPy's sum takes a second to compile."""
    total = 0
    for layer in range(1, sizes.shape[0] - 1):
        total += sizes[layer]
    return total


@part
def _biases(network, layer):
    """The number of biases of a layer: one for each unit, or for each filter."""
    return network.convs[layer, 9] if layer < network.convs.shape[0] else network.sizes[layer + 1]


@part
def _weights(network, layer):
    """The number of weights of a layer."""
    if layer < network.convs.shape[0]:
        return network.convs[layer, 3] ** 2 * network.convs[layer, 2] * network.convs[layer, 9]
    return network.sizes[layer] * network.sizes[layer + 1]


@part
def _unowned(network):
    """The same network, without reference counting of its arrays."""
    sizes, convs = unowned(network.sizes), unowned(network.convs)
    return Network(sizes, network.activation, convs, network.scale, network.block, network.kind)


@part
def size(network):
    """P: the number of parameters of a network."""
    total = 0
    for layer in range(network.sizes.shape[0] - 1):
        total += _weights(network, layer) + _biases(network, layer)
    return total


@part
def _widest(sizes):
    """The most units of a layer; the inputs are none."""
    most = sizes[1]
    for layer in range(2, sizes.shape[0]):
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


@by_type(_KINDS)
def _product(kernels, kind, network, layer, x, theta, p, y):
    """y = x W of a layer, whose W begins at θ[p]."""
    return lambda kind, network, layer, x, theta, p, y: kernels.product(network, layer, x, theta, p, y)


@by_type(_KINDS)
def _weight_gradient(kernels, kind, network, layer, x, g, out, p):
    """dW = the gradient in W of Σ g·(x W), from out[p] on."""
    return lambda kind, network, layer, x, g, out, p: kernels.weight_gradient(network, layer, x, g, out, p)


@by_type(_KINDS)
def _pull_back(kernels, kind, network, layer, theta, p, g, below, scratch, q):
    """below = g Wᵀ.   scratch is work memory from q on, as long as W."""
    return lambda kind, network, layer, theta, p, g, below, scratch, q: kernels.pull_back(
        network, layer, theta, p, g, below, scratch, q
    )


@by_type(_KINDS)
def _gathered(kernels, kind, obs, rows, work, start):
    """The chosen rows (M,) of obs (B, n₀) as a matrix, in work memory from `start` on."""
    return lambda kind, obs, rows, work, start: kernels.gathered(obs, rows, work, start)


@jit
def forward(theta, network, obs, out, hidden):
    """The network's output, and the hidden activations, which the derivatives need.

    theta (P,), obs (B, n₀) → out (B, n_L), hidden (B·Σ n_l over hidden layers,).
    """
    network, units = _unowned(network), _units(network.sizes)
    theta, obs, out, hidden = unowned(theta), unowned(obs), unowned(out), unowned(hidden)
    for start in range(0, obs.shape[0], network.block):
        stop = min(start + network.block, obs.shape[0])
        _forward(theta, network, obs[start:stop], out[start:stop], hidden[start * units : stop * units])


@part
def _forward(theta, network, obs, out, hidden):
    rows, last, scale = obs.shape[0], network.sizes.shape[0] - 2, theta.dtype.type(network.scale)
    h, p, k = out, 0, 0
    for layer in range(last + 1):
        m, width = network.sizes[layer + 1], _biases(network, layer)
        y = out if layer == last else matrix(hidden, k, rows, m)
        if layer == 0:  # obs may be bytes
            _product(network.kind, network, layer, obs, theta, p, y)
        else:
            _product(network.kind, network, layer, h, theta, p, y)
        p += _weights(network, layer)
        s, b = matrix(y, 0, rows * m // width, width), theta[p : p + width]
        if layer == last:
            for i in range(s.shape[0]):
                for j in range(width):
                    s[i, j] = scale * s[i, j] + b[j]
        else:
            for i in range(s.shape[0]):
                for j in range(width):
                    s[i, j] = _activated(scale * s[i, j] + b[j], network.activation)
        h, scale = y, _ONE
        p += width
        k += rows * m


@jit
def jvp(theta, network, obs, hidden, v, out, work):
    """J v: the derivative of the output along v.

    v (P,), hidden from `forward` → out (B, n_L).   work (3·B·max n_l, l ≥ 1,).
    """
    network, units = _unowned(network), _units(network.sizes)
    theta, obs, hidden, v = unowned(theta), unowned(obs), unowned(hidden), unowned(v)
    out, work = unowned(out), unowned(work)
    for start in range(0, obs.shape[0], network.block):
        stop = min(start + network.block, obs.shape[0])
        h = hidden[start * units : stop * units]
        _jvp(theta, network, obs[start:stop], h, v, out[start:stop], work)


@part
def _jvp(theta, network, obs, hidden, v, out, work):
    sizes, scale = network.sizes, theta.dtype.type(network.scale)
    rows, last, third = obs.shape[0], sizes.shape[0] - 2, obs.shape[0] * _widest(sizes)
    h, dh, p, k = out, out, 0, 0
    for layer in range(last + 1):
        m, width = sizes[layer + 1], _biases(network, layer)
        # dh and dy alternate between two of the three work arrays; the third holds dh W
        dy = out if layer == last else matrix(work, (layer % 2) * third, rows, m)
        product = matrix(work, 2 * third, rows, m)
        if layer == 0:  # obs may be bytes
            _product(network.kind, network, layer, obs, v, p, dy)
            product[:] = 0
        else:
            _product(network.kind, network, layer, h, v, p, dy)
            _product(network.kind, network, layer, dh, theta, p, product)
        p += _weights(network, layer)
        db, count = v[p : p + width], rows * m // width
        ds, dp = matrix(dy, 0, count, width), matrix(product, 0, count, width)
        if layer == last:
            for i in range(count):
                for j in range(width):
                    ds[i, j] = scale * ds[i, j] + dp[i, j] + db[j]
        else:
            h = matrix(hidden, k, rows, m)
            s = matrix(h, 0, count, width)
            for i in range(count):
                for j in range(width):
                    ds[i, j] = _sloped(scale * ds[i, j] + dp[i, j] + db[j], s[i, j], network.activation)
            dh = dy
        scale = _ONE
        p += width
        k += rows * m


@jit
def vjp(theta, network, obs, hidden, g, out, work):
    """Jᵀ g, summed over the batch: the gradient in θ of Σ g·output.

    g (B, n_L), hidden from `forward` → out (P,).   work (P + 2·B·max n_l, l ≥ 1,).
    """
    network, units = _unowned(network), _units(network.sizes)
    theta, obs, hidden, g = unowned(theta), unowned(obs), unowned(hidden), unowned(g)
    out, work = unowned(out), unowned(work)
    block_out, rest = work[: theta.shape[0]], work[theta.shape[0] :]
    if obs.shape[0] == 0:
        out[:] = 0
    for start in range(0, obs.shape[0], network.block):
        stop = min(start + network.block, obs.shape[0])
        h = hidden[start * units : stop * units]
        _vjp(theta, network, obs[start:stop], h, g[start:stop], block_out if start else out, rest)
        if start:
            for i in range(theta.shape[0]):
                out[i] += block_out[i]


@part
def _vjp(theta, network, obs, hidden, g, out, work):
    sizes, scale = network.sizes, theta.dtype.type(network.scale)
    rows, last, width = obs.shape[0], sizes.shape[0] - 2, _widest(sizes)
    p, k = theta.shape[0], hidden.shape[0]
    db = out[p - sizes[last + 1] :]
    db[:] = 0
    for i in range(rows):
        for j in range(g.shape[1]):
            db[j] += g[i, j]
    for layer in range(last, -1, -1):
        n, weights = sizes[layer], _weights(network, layer)
        p -= weights + _biases(network, layer)
        k -= rows * n
        if layer == 0:
            _weight_gradient(network.kind, network, layer, obs, g, out, p)
            if scale != _ONE:
                for i in range(p, p + weights):
                    out[i] *= scale
        else:
            h, below = matrix(hidden, k, rows, n), matrix(work, (layer % 2) * rows * width, rows, n)
            # work memory of `_pull_back` is where dW is written next
            _pull_back(network.kind, network, layer, theta, p, g, below, out, p)
            _weight_gradient(network.kind, network, layer, h, g, out, p)
            biases = _biases(network, layer - 1)
            db = out[p - biases : p]
            db[:] = 0
            count = rows * n // biases
            slopes, sums = matrix(h, 0, count, biases), matrix(below, 0, count, biases)
            for i in range(count):
                for j in range(biases):
                    sums[i, j] = _sloped(sums[i, j], slopes[i, j], network.activation)
                    db[j] += sums[i, j]
            g = below


@jit
def vjp_obs(theta, network, hidden, g, out, work):
    """The gradient in obs of Σ g·output.

    g (B, n_L) → out (B, n₀).   work (2·B·max n_l, l ≥ 1, and P more if there are convolutions).
    """
    network, units = _unowned(network), _units(network.sizes)
    theta, hidden, g, out, work = unowned(theta), unowned(hidden), unowned(g), unowned(out), unowned(work)
    for start in range(0, g.shape[0], network.block):
        stop = min(start + network.block, g.shape[0])
        _vjp_obs(theta, network, hidden[start * units : stop * units], g[start:stop], out[start:stop], work)


@part
def _vjp_obs(theta, network, hidden, g, out, work):
    sizes, scale = network.sizes, theta.dtype.type(network.scale)
    rows, last, width = g.shape[0], sizes.shape[0] - 2, _widest(sizes)
    p, k = theta.shape[0], hidden.shape[0]
    for layer in range(last, -1, -1):
        n = sizes[layer]
        p -= _weights(network, layer) + _biases(network, layer)
        k -= rows * n
        below = out if layer == 0 else matrix(work, (layer % 2) * rows * width, rows, n)
        _pull_back(network.kind, network, layer, theta, p, g, below, work, 2 * rows * width)
        if layer > 0:
            h = matrix(hidden, k, rows, n)
            for i in range(rows):
                for j in range(n):
                    below[i, j] = _sloped(below[i, j], h[i, j], network.activation)
        elif scale != _ONE:
            for i in range(rows):
                for j in range(n):
                    below[i, j] *= scale
        g = below
