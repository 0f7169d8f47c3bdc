"""Threads that share the tiles of a Fisher product, and linger between one product and the next.

To wake a thread takes about as long as to do its tile, and a conjugate gradient asks for one product after another. So
whoever helps stays a moment in compiled code and looks for more, where it needs no interpreter.
"""

from functools import cache

from minipg.kernels.cpu import fisher, mlp
from minipg.kernels.cpu._bind import compiled_with
from minipg.kernels.cpu._jit import jit
from minipg.kernels.cpu._task_queue import all_done, finish, post, take
from minipg.kernels.cpu.fisher import categorical_product as product

PATIENCE = 100_000  # looks at the board, which take about a quarter of a millisecond


@cache
def share(product):
    """`_share`, compiled for the Fisher product of that name."""
    kernel = getattr(fisher, product)
    return compiled_with(_share, "minipg.kernels.cpu.fisher", (), jit, f"_{product}", product=kernel)


def _share(leads, board, tile_rows, theta, sizes, activation, obs, hidden, params, v, sums, work):
    """Takes tiles of `tile_rows` rows from the board: sums[t] (P,) ← Σ Jᵀ M J v over the rows of tile t  (TR-9).

    Who leads posts the tiles, stays until all are done, and adds the other sums to the first, in their order; the
    others go when they have found none for a while.
    board as in `_board.py`, the other arguments as in `fisher.py`; sums (tiles, P), work (…,) for one tile.
    """
    units, tiles, patience = mlp._units(sizes), sums.shape[0], PATIENCE
    if leads:
        post(board, tiles)
    while patience > 0:
        tile = take(board)
        if tile >= 0:
            a = tile * tile_rows
            b = min(a + tile_rows, obs.shape[0])
            kept = hidden[a * units : b * units]
            product(theta, sizes, activation, obs[a:b], kept, params[a:b], v, sums[tile], work)
            finish(board)
            patience = PATIENCE
        elif leads:
            patience = 0 if all_done(board) else 1
        else:
            patience -= 1
    if leads:
        for tile in range(1, tiles):
            for i in range(theta.shape[0]):
                sums[0, i] += sums[tile, i]
