"""Twin of `reference/regression.py`: every epoch without a number leaving the device."""

import math

import cupy
from minipg.kernels.gpu import mlp, optimizer
from minipg.kernels.gpu._arrays import gather, sum_columns
from minipg.kernels.gpu._cuda import Source

_run = Source("regression.cu")


def loss_and_gradient(sizes, activation, theta, obs, target, grad, told, work):
    """Σ (V(s) − target)² → told (1,), and its gradient in θ → grad (P,)  (AC-1)."""
    rows, units = len(obs), int(sizes[1:-1].sum())
    out, g, each = cupy.empty((rows, 1), obs.dtype), cupy.empty((rows, 1), obs.dtype), cupy.empty_like(target)
    hidden = cupy.empty(rows * units, obs.dtype)
    mlp.forward(theta, sizes, activation, obs, out, hidden)
    _run("misfit", rows, target, out, g, each)
    sum_columns(each, told)
    mlp.vjp(theta, sizes, activation, obs, hidden, g, grad, work)


def fit(
    sizes, activation, obs, target, old, order, minibatch_size, adam, limits, step, theta, first, second, loss, work
):
    """Minibatch Adam on mean (V(s) − target)²  (AC-1), the whole of it: every epoch, every minibatch."""
    clip_range, max_norm = limits
    inputs, units = int(sizes[0]), int(sizes[1:-1].sum())
    grad = cupy.empty_like(theta)
    for epoch in range(len(order)):
        for start in range(0, order.shape[1], minibatch_size):
            rows = order[epoch, start : start + minibatch_size]
            some = len(rows)
            x, out, g, hidden, each = (
                cupy.empty(shape, obs.dtype) for shape in ((some, inputs), (some, 1), (some, 1), some * units, some)
            )
            gather(rows, obs, x)
            mlp.forward(theta, sizes, activation, x, out, hidden)
            _run("residual", some, clip_range, rows, target, old, out, g, each)
            sum_columns(each, loss[epoch : epoch + 1], 1 / order.shape[1], add=start > 0)
            mlp.vjp(theta, sizes, activation, x, hidden, g, grad, work)
            if max_norm < math.inf:
                optimizer.clip_global_norm(grad, max_norm, grad)
            step += 1
            optimizer.adam(grad, *adam, step, theta, first, second)
