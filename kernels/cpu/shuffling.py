"""Twin of `reference/shuffling.py`."""

import numpy as np
from minipg.kernels.cpu._jit import jit

_STEP, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_27, _30, _31, _32, _ONE = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32), np.uint64(1)


@jit
def shuffle(key, labels, order):
    """Each row of order (E, B) becomes a random permutation of `labels` (B,), determined by `key`, a uint64."""
    drawn = key
    for epoch in range(order.shape[0]):
        row = order[epoch]
        for i in range(row.shape[0]):
            row[i] = labels[i]
        for i in range(row.shape[0] - 1, 0, -1):
            drawn += _STEP
            x = (drawn ^ (drawn >> _30)) * _FIRST
            x = (x ^ (x >> _27)) * _SECOND
            x ^= x >> _31
            j = np.int64(((x >> _32) * (np.uint64(i) + _ONE)) >> _32)
            row[i], row[j] = row[j], row[i]
