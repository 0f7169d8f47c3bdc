"""A board of tiles that several threads share: each takes the next one, and none is taken twice.

A board is (SIZE,) int64: the next tile to take, and how many are done, on cache lines of their own. Every access is
atomic and in order, so what a thread wrote before it posted or finished a tile is there for whoever sees that it did.
"""

from minipg.kernels.cpu._jit import part
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LINE = 16
SIZE = 2 * LINE


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


@part
def post(board):
    """All tiles are to be done. Nobody may be at work on one."""
    _write(board, LINE, 0)
    _write(board, 0, 0)


@part
def next_tile(board, tiles):
    """A tile to do, or -1 where all are taken."""
    tile = _add(board, 0, 1) if _read(board, 0) < tiles else tiles
    return tile if tile < tiles else -1


@part
def finish(board):
    """One more tile is done."""
    _add(board, LINE, 1)


@part
def all_done(board, tiles):
    """Whether every tile is."""
    return _read(board, LINE) >= tiles
