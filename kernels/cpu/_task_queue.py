"""A board of tasks that several threads share: each takes the next one, and none is taken twice.

A board is (SIZE,) int64, zeros at first: how many tasks were ever taken; how many were posted, before the last post and
with it; and how many are done, on cache lines of their own. Every access is atomic and in order, so what a thread wrote
before it posted or finished a task is there for whoever sees that it did.
"""

from minipg.kernels.cpu._jit import part
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LINE = 16
TAKEN, BEFORE, POSTED, DONE = 0, LINE, LINE + 1, 2 * LINE
SIZE = 3 * LINE


def _place(context, builder, signature, arguments):
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return cgutils.get_item_pointer(context, builder, signature.args[0], array, [arguments[1]])


@intrinsic
def _read(typing, array, index):
    def code(context, builder, signature, arguments):
        return builder.load_atomic(_place(context, builder, signature, arguments), "seq_cst", 8)

    return types.int64(array, types.int64), code


@intrinsic
def _write(typing, array, index, value):
    def code(context, builder, signature, arguments):
        builder.store_atomic(arguments[2], _place(context, builder, signature, arguments), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), code


@intrinsic
def _add(typing, array, index, value):
    def code(context, builder, signature, arguments):
        return builder.atomic_rmw("add", _place(context, builder, signature, arguments), arguments[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), code


@intrinsic
def _swap(typing, array, index, expected, value):
    def code(context, builder, signature, arguments):
        place = _place(context, builder, signature, arguments)
        return builder.extract_value(builder.cmpxchg(place, arguments[2], arguments[3], "seq_cst", "seq_cst"), 1)

    return types.boolean(array, types.int64, types.int64, types.int64), code


@part
def post(board, tasks):
    """So many tasks, or rounds of them, are to be done. All that were posted before are done."""
    before = _read(board, POSTED)
    _write(board, BEFORE, before)
    _write(board, POSTED, before + tasks)


@part
def take(board):
    """A task to do, from 0 up to how many were posted, or -1 where all are taken."""
    task = -1
    while task < 0:
        taken = _read(board, TAKEN)
        if taken >= _read(board, POSTED):
            break
        if _swap(board, TAKEN, taken, taken + 1):
            task = taken - _read(board, BEFORE)
    return task


@part
def finish(board):
    """One more task is done."""
    _add(board, DONE, 1)


@part
def all_done(board):
    """Whether every task is."""
    return _read(board, DONE) >= _read(board, POSTED)
