"""Twin of `reference/optimizer.py`. Scalars are cast to the arrays' dtype: one float64 halves the speed of float32."""

import math

import numpy as np
from minipg.kernels.cpu._jit import jit, jit_sum, part


@jit
def sgd(grad, learning_rate, momentum, theta, velocity):
    """u ← μ u + g, θ ← θ + α u  (AC-3).   All arrays (P,)."""
    real = theta.dtype.type
    rate, kept = real(learning_rate), real(momentum)
    for i in range(theta.shape[0]):
        velocity[i] = kept * velocity[i] + grad[i]
        theta[i] += rate * velocity[i]


@jit
def rmsprop(grad, settings, theta, second):
    """s ← ρ s + (1 − ρ) g², θ ← θ + α g / √(s + ε)  (AC-3).   All arrays (P,)."""
    real = theta.dtype.type
    rate, eps = real(settings.learning_rate), real(settings.epsilon)
    kept, new = real(settings.decay), real(1 - settings.decay)
    for i in range(theta.shape[0]):
        second[i] = kept * second[i] + new * grad[i] * grad[i]
        theta[i] += rate * grad[i] / math.sqrt(second[i] + eps)


@jit
def adam(grad, settings, step, theta, first, second):
    """θ ← θ + α m̂ / (√v̂ + ε)  (AC-3); `step` counts from 1. Subnormal moments become 0.   All arrays (P,)."""
    real, (learning_rate, beta1, beta2, epsilon) = theta.dtype.type, settings
    rate, eps = real(learning_rate / (1 - beta1**step)), real(epsilon)
    kept1, new1, kept2, new2 = real(beta1), real(1 - beta1), real(beta2), real(1 - beta2)
    correction2, smallest, zero = real(1 / (1 - beta2**step)), np.finfo(theta.dtype).tiny, real(0)
    for i in range(theta.shape[0]):
        m, s = kept1 * first[i] + new1 * grad[i], kept2 * second[i] + new2 * grad[i] * grad[i]
        first[i], second[i] = zero if abs(m) < smallest else m, zero if s < smallest else s
        theta[i] += rate * first[i] / (math.sqrt(second[i] * correction2) + eps)


@jit
def polyak(theta, tau, target):
    """θ′ ← τ θ + (1 − τ) θ′  (DP-2).   theta (P,) → target (P,), changed in place."""
    new, kept = theta.dtype.type(tau), theta.dtype.type(1 - tau)
    for i in range(theta.shape[0]):
        target[i] = new * theta[i] + kept * target[i]


@jit_sum
def _norm(grad):
    squares = grad.dtype.type(0)
    for i in range(grad.shape[0]):
        squares += grad[i] * grad[i]
    total = np.float64(squares)
    if total == math.inf:  # a square in single precision overflows long before the norm would
        total = 0.0
        for i in range(grad.shape[0]):
            total += np.float64(grad[i]) ** 2
    return math.sqrt(total)


@jit
def clip_global_norm(grad, max_norm, out):
    """g · min(1, c/‖g‖).   grad (P,) → out (P,), which may be `grad`."""
    norm = _norm(grad)
    scale = grad.dtype.type(max_norm / norm if norm > max_norm else 1.0)
    for i in range(grad.shape[0]):
        out[i] = grad[i] * scale


@part
def _clip_in_place(grad, max_norm):
    """`clip_global_norm` in place: a loop over two names of one array would not vectorise.   → ‖g‖ before clipping."""
    norm = _norm(grad)
    if norm > max_norm:
        scale = grad.dtype.type(max_norm / norm)
        for i in range(grad.shape[0]):
            grad[i] *= scale
    return norm


@part
def is_finite(array):
    """True if every number is finite.   array (P,)."""
    finite = True
    for i in range(array.shape[0]):
        finite &= abs(array[i]) < math.inf
    return finite
