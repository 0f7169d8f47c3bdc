"""A queue of numbered tasks that several threads share: each takes the next one, and no task is taken twice.

A queue is (SIZE,) int64, zeros at first. It counts, each on a separate cache line, the tasks ever taken; those posted,
before the last post and including it; and those done. Every access is atomic and sequentially consistent: a thread that
sees a task posted or done also sees everything written before.
"""

from minipg.kernels.cpu._jit import part
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LINE = 16
TAKEN, BEFORE, POSTED, DONE = 0, LINE, LINE + 1, 2 * LINE
SIZE = 3 * LINE


def _pointer(context, builder, signature, arguments):
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return cgutils.get_item_pointer(context, builder, signature.args[0], array, [arguments[1]])


@intrinsic
def _read(typing, array, index):
    def code(context, builder, signature, arguments):
        return builder.load_atomic(_pointer(context, builder, signature, arguments), "seq_cst", 8)

    return types.int64(array, types.int64), code


@intrinsic
def _write(typing, array, index, value):
    def code(context, builder, signature, arguments):
        builder.store_atomic(arguments[2], _pointer(context, builder, signature, arguments), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), code


@intrinsic
def _add(typing, array, index, value):
    def code(context, builder, signature, arguments):
        return builder.atomic_rmw("add", _pointer(context, builder, signature, arguments), arguments[2], "seq_cst")

    return types.int64(array, types.int64, types.int64), code


@intrinsic
def _swap(typing, array, index, expected, value):
    def code(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        return builder.extract_value(builder.cmpxchg(pointer, arguments[2], arguments[3], "seq_cst", "seq_cst"), 1)

    return types.boolean(array, types.int64, types.int64, types.int64), code


@part
def post(queue, tasks):
    """Add `tasks` tasks. All tasks posted before must be done.   queue (SIZE,)."""
    before = _read(queue, POSTED)
    _write(queue, BEFORE, before)
    _write(queue, POSTED, before + tasks)


@part
def take(queue):
    """The number of a task, from 0, in the last post; -1 if all are taken."""
    task = -1
    while task < 0:
        taken = _read(queue, TAKEN)
        if taken >= _read(queue, POSTED):
            break
        if _swap(queue, TAKEN, taken, taken + 1):
            task = taken - _read(queue, BEFORE)
    return task


@part
def finish(queue):
    """Count one more task as done."""
    _add(queue, DONE, 1)


@part
def all_done(queue):
    """True if every posted task is done."""
    return _read(queue, DONE) >= _read(queue, POSTED)
