"""The layers of a network that begins with convolutions (conv.py). The others are dense."""

from minipg.kernels.arguments import Conv
from minipg.kernels.cpu import _dense, _sparse
from minipg.kernels.cpu._jit import matrix, part, row
from minipg.kernels.cpu.conv import add_input_gradient, add_product, add_weight_gradient

gathered = _sparse.gathered


@part
def product(network, layer, x, theta, p, y):
    """y = x W, W from θ[p] on.   x (B, n) → y (B, m)."""
    if layer < network.convs.shape[0]:
        shape = _shape_of(network.convs, layer)
        y[:] = 0
        add_product(shape, _flat(x), theta[p : p + _weights(shape)], _flat(y))
    else:
        _dense.product(network, layer, x, theta, p, y)


@part
def weight_gradient(network, layer, x, g, out, p):
    """dW = the gradient in W of Σ g·(x W), from out[p] on.   x (B, n), g (B, m)."""
    if layer < network.convs.shape[0]:
        shape = _shape_of(network.convs, layer)
        dw = out[p : p + _weights(shape)]
        dw[:] = 0
        add_weight_gradient(shape, _flat(x), _flat(g), dw)
    else:
        _dense.weight_gradient(network, layer, x, g, out, p)


@part
def pull_back(network, layer, theta, p, g, below, scratch, q):
    """below = g Wᵀ.   g (B, m) → below (B, n).   scratch is work memory from q on, as long as W."""
    if layer < network.convs.shape[0]:
        shape = _shape_of(network.convs, layer)
        offsets, transposed = _weights(shape) // shape.filters, scratch[q : q + _weights(shape)]
        _dense.transpose(matrix(theta, p, offsets, shape.filters), matrix(scratch, q, shape.filters, offsets))
        below[:] = 0
        add_input_gradient(shape, transposed, _flat(g), _flat(below))
    else:
        _dense.pull_back(network, layer, theta, p, g, below, scratch, q)


@part
def _shape_of(convs, layer):
    """Row `layer` of an array (C, 10) as a `Conv`."""
    r = convs[layer]
    return Conv(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9])


@part
def _weights(shape):
    """The number of weights."""
    return shape.kernel * shape.kernel * shape.channels * shape.filters


@part
def _flat(x):
    """The numbers of a matrix in C order."""
    return row(x, 0, x.shape[0] * x.shape[1])
