"""Twin of `reference/shuffling.py`: the same orders of few rows; those of many are found on the device, other ones."""

import cupy
import numpy as np
from minipg.kernels.cpu import shuffling as host
from minipg.kernels.gpu.classic_control import stream

_MANY = 2**16  # rows, whose orders it is sooner to find than to bring up


def shuffle(key, labels, order):
    """Each row of order (E, B) becomes a random order of `labels` (B,), by the numbers of a key, uint64 of the host."""
    if order.shape[1] < _MANY:
        drawn = np.empty(order.shape, np.int64)
        host.shuffle(key, np.arange(order.shape[1]), drawn)
        places = cupy.asarray(drawn)
    else:
        places = cupy.empty(order.shape, "int64")
        stream.permutation(np.array([key, 0], np.uint64), places)
    order[...] = labels[places]
