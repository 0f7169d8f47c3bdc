"""The layers of a network as views of flat arrays, in the order of reference/mlp.py. For NumPy and CuPy."""

from itertools import pairwise

from minipg.kernels.arguments import Conv


def convs(network):
    """The shape of each layer: a `Conv`, or None for a dense layer."""
    shapes = [Conv(*row) for row in network.convs.tolist()]
    return shapes + [None] * (len(network.sizes) - 1 - len(shapes))


def layers(theta, network):
    """(W_l, b_l) as views of θ, from the first layer to the last.   theta (P,).

    W_l is (n_l, n_{l+1}), or (kernel, kernel, channels, filters) of a convolution.
    """
    start = 0
    for conv, (n, m) in zip(convs(network), pairwise(network.sizes.tolist()), strict=True):
        shape = (n, m) if conv is None else (conv.kernel, conv.kernel, conv.channels, conv.filters)
        middle = start + (n * m if conv is None else conv.kernel**2 * conv.channels * conv.filters)
        stop = middle + shape[-1]
        yield theta[start:middle].reshape(shape), theta[middle:stop]
        start = stop


def activations(hidden, sizes, rows):
    """h₁, …, h_{L−1} as (B, n_l) views of `hidden`, which is flat; rows is B."""
    start = 0
    for m in sizes[1:-1]:
        yield hidden[start : start + rows * m].reshape(rows, m)
        start += rows * m
