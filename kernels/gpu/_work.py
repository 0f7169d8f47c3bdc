"""Pieces of one flat work array."""

import math


def carve(work, *shapes):
    """Views of `work` of these shapes, one after another, and what is left of it."""
    start = 0
    for shape in shapes:
        size = math.prod(shape)
        yield work[start : start + size].reshape(shape)
        start += size
    yield work[start:]
