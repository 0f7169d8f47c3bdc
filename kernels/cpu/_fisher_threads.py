"""Threads that share the tiles of a Fisher product, and spin between one product and the next.

Waking a thread takes about as long as computing a tile, and conjugate gradient needs one product after another. So a
helper thread stays in compiled code for a while, without the GIL, and polls the queue for the next product's tiles.
"""

from minipg.kernels.arguments import Forward
from minipg.kernels.cpu import fisher, mlp
from minipg.kernels.cpu._jit import jit, unowned
from minipg.kernels.cpu._task_queue import all_done, finish, post, take

PATIENCE = 100_000  # polls of the queue, about a quarter of a millisecond


@jit
def share(leads, queue, tile_rows, policy, theta, forward, v, sums, work):
    """Take tiles of `tile_rows` rows from the queue: sums[t] (P,) ← Σ Jᵀ M J v over the rows of tile t  (TR-9).

    The leader posts the tiles, returns when all are done, and adds the other sums to the first, in order. A helper
    returns when it has found no tile for PATIENCE polls. queue as in `_task_queue.py`, sums (tiles, P), work of a tile.
    """
    units, tiles, polls, rows = mlp._units(policy.network.sizes), sums.shape[0], PATIENCE, forward.params.shape[0]
    sums, obs, hidden = unowned(sums), unowned(forward.obs), unowned(forward.hidden)
    out, params = unowned(forward.out), unowned(forward.params)
    if leads:
        post(queue, tiles)
    while polls > 0:
        tile = take(queue)
        if tile >= 0:
            a = tile * tile_rows
            b = min(a + tile_rows, rows)
            part = Forward(obs[a:b], hidden[a * units : b * units], out[a:b], params[a:b])
            fisher._fisher_product(policy, theta, part, v, sums[tile], work)
            finish(queue)
            polls = PATIENCE
        elif leads:
            polls = 0 if all_done(queue) else 1
        else:
            polls -= 1
    if leads:
        for tile in range(1, tiles):
            for i in range(theta.shape[0]):
                sums[0, i] += sums[tile, i]
