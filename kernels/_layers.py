"""A network's layers in flat arrays of any library, as reference/mlp.py has them: views, one after another."""

from itertools import pairwise


def layers(theta, sizes):
    """W_l and b_l as views of θ."""
    start = 0
    for n, m in pairwise(sizes):
        yield theta[start : start + n * m].reshape(n, m), theta[start + n * m : start + (n + 1) * m]
        start += (n + 1) * m


def activations(hidden, sizes, rows):
    """h₁, …, h_{L−1} as (B, n_l) views of one flat array."""
    start = 0
    for m in sizes[1:-1]:
        yield hidden[start : start + rows * m].reshape(rows, m)
        start += rows * m
