"""Threads that share the tiles of a Fisher product, and spin between one product and the next.

Waking a thread takes about as long as computing a tile, and conjugate gradient needs one product after another. So a
helper thread polls the queue for the next product's tiles, in compiled code and without the GIL.
"""

from minipg.kernels.arguments import ForwardPass
from minipg.kernels.cpu import fisher, mlp
from minipg.kernels.cpu._jit import jit, unowned
from minipg.kernels.cpu._task_queue import all_done, finish, post, take

MOST_POLLS = 100_000  # polls of the queue, about a quarter of a millisecond


@jit
def share(is_caller, queue, tile_rows, policy, theta, forward, v, sums, work):
    """Take tiles of `tile_rows` rows from the queue: sums[t] (P,) ← Σ Jᵀ M J v over the rows of tile t  (TR-9).

    The calling thread (`is_caller`) posts the tiles, returns when all are done, and adds the other sums to the first,
    in order. A helper thread returns after MOST_POLLS polls without a tile. queue as in `_task_queue.py`, sums
    (tiles, P), work of a tile.
    """
    units, tiles, polls, rows = mlp._units(policy.network.sizes), sums.shape[0], MOST_POLLS, forward.params.shape[0]
    sums, obs, hidden = unowned(sums), unowned(forward.obs), unowned(forward.hidden)
    out, params = unowned(forward.out), unowned(forward.params)
    if is_caller:
        post(queue, tiles)
    while polls > 0:
        tile = take(queue)
        if tile >= 0:
            a = tile * tile_rows
            b = min(a + tile_rows, rows)
            part = ForwardPass(obs[a:b], hidden[a * units : b * units], out[a:b], params[a:b])
            fisher._fisher_product(policy, theta, part, v, sums[tile], work)
            finish(queue)
            polls = MOST_POLLS
        elif is_caller:
            polls = 0 if all_done(queue) else 1
        else:
            polls -= 1
    if is_caller:
        for tile in range(1, tiles):
            for i in range(theta.shape[0]):
                sums[0, i] += sums[tile, i]
