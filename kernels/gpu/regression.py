"""`reference/regression.py` with one row kernel between the two passes of a minibatch (regression.cu)."""

import cupy
from minipg.kernels.gpu import mlp, optimizer
from minipg.kernels.gpu._arrays import sum_columns
from minipg.kernels.gpu._cuda import Source
from minipg.kernels.reference.optimizer import is_finite

_run = Source("regression.cu")


def fit(network, obs, target, old, clip_range, epochs, order, step, theta, first, second, loss, finite, work):
    """Epochs of minibatch Adam on mean (V(s) − target)²  (AC-1, AC-3) → theta, first, second (P,) changed in place.

    obs (B, O), target, old (B,); order (E, B) int64 → loss (E,), finite (1,).
    """
    grad, size = cupy.empty_like(theta), epochs.minibatch_size
    for epoch in range(len(order)):
        for start in range(0, order.shape[1], size):
            rows = order[epoch, start : start + size]
            x = obs[rows]
            out, hidden = mlp._new_outputs(network, theta, x)
            g, squares = cupy.empty_like(out), cupy.empty_like(out)
            _run("residuals", len(rows), clip_range, rows, target, old, out, g, squares)
            sum_columns(squares, loss[epoch : epoch + 1], 1 / order.shape[1], add=start > 0)
            mlp.vjp(theta, network, x, hidden, g, grad, None)
            optimizer.clip_global_norm(grad, epochs.max_grad_norm, grad)
            step += 1
            optimizer.adam(grad, epochs.adam, step, theta, first, second)
    finite[...] = is_finite(theta) & is_finite(first) & is_finite(second)
