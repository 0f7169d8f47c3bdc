"""Arrays that one thread writes and others read: the lines of a core's cache that they lie on."""

from minipg.kernels.cpu._jit import part
from minipg.kernels.cpu._task_queue import _place
from numba import types
from numba.extending import intrinsic

APART = 16  # numbers of four bytes: no line is shorter than 64


@intrinsic
def _keep(typing, array, index):
    def code(context, builder, signature, arguments):
        place = _place(context, builder, signature, arguments)
        # atomic, or the compiler would see that nothing changes
        builder.store_atomic(builder.load(place), place, "monotonic", array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64), code


@part
def claim(array):
    """Begin to have an array (P,) to oneself that others have read and that one is about to change.

    A core asks all others to forget a line before it writes there. Asked while there is something else to compute,
    they have answered by the time of the change; asked at the change, it waits for each.
    """
    for i in range(0, array.shape[0], APART):
        _keep(array, i)
