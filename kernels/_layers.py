"""The layers of a network as views of flat arrays, in the order of reference/mlp.py. For NumPy and CuPy."""

from itertools import pairwise


def layers(theta, sizes):
    """(W_l, b_l) as views of θ, from the first layer to the last.   theta (P,), sizes (L+1,)."""
    start = 0
    for n, m in pairwise(sizes):
        yield theta[start : start + n * m].reshape(n, m), theta[start + n * m : start + (n + 1) * m]
        start += (n + 1) * m


def activations(hidden, sizes, rows):
    """h₁, …, h_{L−1} as (B, n_l) views of `hidden`, which is flat; rows is B."""
    start = 0
    for m in sizes[1:-1]:
        yield hidden[start : start + rows * m].reshape(rows, m)
        start += rows * m
