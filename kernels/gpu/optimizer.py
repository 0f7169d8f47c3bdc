"""`reference/optimizer.py`, one parameter a thread (optimizer.cu). A gradient's norm stays on the device."""

import math

import cupy
from minipg.kernels.gpu._arrays import sum_squares
from minipg.kernels.gpu._cuda import Source

_run = Source("optimizer.cu")


def sgd(grad, learning_rate, momentum, theta, velocity):
    """u ← μ u + g, θ ← θ + α u  (AC-3).   All arrays (P,)."""
    _run("sgd", len(grad), learning_rate, momentum, grad, theta, velocity)


def rmsprop(grad, settings, theta, second):
    """s ← ρ s + (1 − ρ) g², θ ← θ + α g / √(s + ε)  (AC-3).   All arrays (P,)."""
    learning_rate, decay, epsilon = settings
    _run("rmsprop", len(grad), learning_rate, decay, 1 - decay, epsilon, grad, theta, second)


def adam(grad, settings, step, theta, first, second):
    """θ ← θ + α m̂ / (√v̂ + ε)  (AC-3); `step`, a number on the host, counts from 1.   All arrays (P,)."""
    learning_rate, beta1, beta2, epsilon = settings
    rate, correction2 = learning_rate / (1 - beta1**step), 1 / (1 - beta2**step)
    _run("adam", len(grad), rate, beta1, 1 - beta1, beta2, 1 - beta2, correction2, epsilon, grad, theta, first, second)


def clip_global_norm(grad, max_norm, out):
    """g · min(1, c/‖g‖).   grad (P,) → out (P,), which may be `grad`."""
    if max_norm == math.inf and out is grad:
        return
    square = cupy.empty(1, "float64")
    sum_squares(grad, square)
    _run("clip_norm", len(grad), max_norm, square, grad, out)
