"""Ascent rules  (AC-3): `grad` points uphill; θ and the running statistics are changed in place."""

import math

from minipg.kernels.reference._namespace import namespace


def sgd(grad, learning_rate, momentum, theta, velocity):
    """u ← μ u + g, θ ← θ + α u; plain gradient ascent where the momentum μ is 0.   All arrays (P,)."""
    velocity[...] = momentum * velocity + grad
    theta += learning_rate * velocity


def rmsprop(grad, settings, theta, second):
    """s ← ρ s + (1 − ρ) g², θ ← θ + α g / √(s + ε).   All arrays (P,)."""
    second[...] = settings.decay * second + (1 - settings.decay) * grad * grad
    theta += settings.learning_rate * grad / namespace(grad).sqrt(second + settings.epsilon)


def adam(grad, settings, step, theta, first, second):
    """θ ← θ + α m̂ / (√v̂ + ε), with m̂, v̂ the bias-corrected moments; `step` counts from 1.   All arrays (P,).

    Moments too small for the dtype's full precision become 0. A gradient that stays 0 would let them decay into such
    numbers, which processors compute with fifteen times more slowly.
    """
    learning_rate, beta1, beta2, epsilon = settings
    first[...] = _normal(beta1 * first + (1 - beta1) * grad)
    second[...] = _normal(beta2 * second + (1 - beta2) * grad * grad)
    rate = learning_rate / (1 - beta1**step)
    theta += rate * first / (namespace(grad).sqrt(second / (1 - beta2**step)) + epsilon)


def _normal(array):
    """The array with 0 for its subnormal numbers."""
    xp = namespace(array)
    return xp.where(abs(array) < xp.finfo(array.dtype).tiny, 0, array)


def polyak(theta, tau, target):
    """θ′ ← τ θ + (1 − τ) θ′  (DP-2).   theta (P,) → target (P,), changed in place."""
    target[...] = tau * theta + (1 - tau) * target


def clip_global_norm(grad, max_norm, out):
    """g · min(1, c/‖g‖).   grad (P,) → out (P,), which may be `grad`."""
    xp = namespace(grad)
    norm = (grad.astype(float) ** 2).sum() ** 0.5  # a square in single precision may overflow
    out[...] = grad if max_norm == math.inf else grad * (max_norm / xp.fmax(norm, max_norm)).astype(grad.dtype)


def is_finite(array):
    """True if every number is finite.   array (P,)."""
    return namespace(array).isfinite(array).all()
