"""Random permutations that depend on a key alone: the Fisher–Yates shuffle with the numbers of SplitMix64.

For i = B−1, …, 1 entries i and j ≤ i are swapped. The numbers (Steele, Lea & Flood 2014) are, for k = 1, 2, …,

    x = key + k · 0x9E3779B97F4A7C15,           x ← (x ⊕ x ≫ 30) · 0xBF58476D1CE4E5B9,
    x ← (x ⊕ x ≫ 27) · 0x94D049BB133111EB,      x ← x ⊕ x ≫ 31      (mod 2⁶⁴)

and j = ⌊h · (i + 1) / 2³²⌋, h the upper 32 bits of x: the probabilities of two j differ by a fraction of B/2³² at most.
"""

import numpy as np
from minipg.kernels.reference._namespace import namespace

_STEP, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def shuffle(key, labels, order):
    """Each row of order (E, B) becomes a random permutation of `labels` (B,), determined by `key`, a uint64.

    A Python loop: about 0.15 µs per entry.
    """
    xp, permutations, last_first = namespace(order), np.empty(order.shape, np.int64), np.arange(order.shape[1])[:0:-1]
    numbers = _splitmix64(key, len(order) * len(last_first)).reshape(len(order), len(last_first))
    others = ((numbers >> 32) * (last_first.astype(np.uint64) + 1)) >> 32
    for epoch in range(len(order)):
        row = list(range(order.shape[1]))
        for i, j in zip(last_first.tolist(), others[epoch].tolist(), strict=True):
            row[i], row[j] = row[j], row[i]
        permutations[epoch] = row
    order[...] = labels[xp.asarray(permutations)]


def _splitmix64(key, count):
    with np.errstate(over="ignore"):  # uint64 wraps around on purpose
        x = key + np.arange(1, count + 1, dtype=np.uint64) * _STEP
        x = (x ^ (x >> 30)) * _FIRST
        x = (x ^ (x >> 27)) * _SECOND
        return x ^ (x >> 31)
