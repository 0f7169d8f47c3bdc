"""`reference/shuffling.py`: the same orders for few rows; orders of many rows are drawn on the device, and differ."""

import cupy
import numpy as np
from minipg.kernels.cpu import shuffling as host
from minipg.kernels.gpu.classic_control import stream

_MANY = 2**16  # rows whose orders are drawn on the device rather than copied to it


def shuffle(key, labels, order):
    """Each row of order (E, B) becomes a random order of `labels` (B,), by the numbers of a uint64 key."""
    if order.shape[1] < _MANY:
        drawn = np.empty(order.shape, np.int64)
        host.shuffle(key, np.arange(order.shape[1]), drawn)
        places = cupy.asarray(drawn)
    else:
        places = cupy.empty(order.shape, "int64")
        stream.permutation(np.array([key, 0], np.uint64), places)
    order[...] = labels[places]
