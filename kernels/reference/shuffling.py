"""Random orders, of numbers that depend on a key alone.

Fisher and Yates exchange the last place with one up to it, then the one before, down to the first; numbers are
SplitMix64's (Steele, Lea & Flood 2014), the upper halves of

    x = key + k · 0x9E3779B97F4A7C15,           x ← (x ⊕ x ≫ 30) · 0xBF58476D1CE4E5B9,
    x ← (x ⊕ x ≫ 27) · 0x94D049BB133111EB,      x ⊕ x ≫ 31      (mod 2⁶⁴, k = 1, 2, …)

and place i is exchanged with ⌊half · (i + 1) / 2³²⌋: no place is likelier than another by more than B/2³².
"""

import numpy as np
from minipg.kernels.reference._namespace import namespace

_STEP, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def shuffle(key, labels, order):
    """Each row of order (E, B) becomes a random order of `labels` (B,), by the numbers of `key`, a uint64.

    Place after place in Python, some 0.15 µs each.
    """
    xp, places, last_first = namespace(order), np.empty(order.shape, np.int64), np.arange(order.shape[1])[:0:-1]
    numbers = _splitmix64(key, len(places) * len(last_first)).reshape(len(places), len(last_first))
    others = ((numbers >> 32) * (last_first.astype(np.uint64) + 1)) >> 32
    for epoch in range(len(places)):
        row = list(range(order.shape[1]))
        for i, j in zip(last_first.tolist(), others[epoch].tolist(), strict=True):
            row[i], row[j] = row[j], row[i]
        places[epoch] = row
    order[...] = labels[xp.asarray(places)]


def _splitmix64(key, count):
    with np.errstate(over="ignore"):  # of uint64, as it is meant
        x = key + np.arange(1, count + 1, dtype=np.uint64) * _STEP
        x = (x ^ (x >> 30)) * _FIRST
        x = (x ^ (x >> 27)) * _SECOND
        return x ^ (x >> 31)
