"""Chapter 13: pixels.

The docstring of a function is what a reader finds in the exercise, so it does not have the answer.
"""

from __future__ import annotations

import numpy as np

from minipg.checks import Array
from minipg.exercises.exercise import Exercise, Problem
from minipg.exercises.parts import same
from minipg.gradient_check import check_gradient
from minipg.kernels.arguments import Conv
from minipg.kernels.reference import conv as conv_kernels
from minipg.network import convolutions


def _shape(x: Array, w: Array, stride: int) -> Conv:
    height, width, channels = x.shape
    return convolutions((height, width, channels), [f"{w.shape[3]}x{w.shape[0]}/{stride}"])[0]


def filter_gradient(w: Array, x: Array, g: Array, stride: int) -> Array:
    """∂/∂w of Σ g·y, y[i,j,c′] = Σ_{u,v,c} x[s·i+u, s·j+v, c] w[u,v,c,c′], the convolution of x with stride s  (CV-1).

    w (K, K, C, D), x (H, W, C), g (I, J, D) → (K, K, C, D).
    """
    out = np.zeros_like(w)
    conv_kernels.add_weight_gradient(_shape(x, w, stride), x.reshape(1, -1), g.reshape(1, -1), out)
    return out


def image_gradient(x: Array, w: Array, g: Array, stride: int) -> Array:
    """∂/∂x of Σ g·y, y[i,j,c′] = Σ_{u,v,c} x[s·i+u, s·j+v, c] w[u,v,c,c′], the convolution of x with stride s  (CV-1).

    x (H, W, C), w (K, K, C, D), g (I, J, D) → (H, W, C). Windows overlap where K > s.
    """
    out = np.zeros((1, x.size))
    conv_kernels.add_input_gradient(_shape(x, w, stride), w, g.reshape(1, -1), out)
    return out.reshape(x.shape)


def _draw(rng: np.random.Generator, size: int) -> tuple[Array, Array, Array, int]:
    """x, w, g and a stride: windows of 2 × 2 that overlap, lie side by side, or leave pixels out."""
    stride = 1 + size % 3
    x, w = rng.normal(size=(size + 3, 5, 1 + size % 2)), rng.normal(size=(2, 2, 1 + size % 2, size))
    conv = _shape(x, w, stride)
    return x, w, rng.normal(size=(conv.rows, conv.columns, conv.filters)), stride


def _sum(x: Array, w: Array, g: Array, stride: int) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[:2], axis=(0, 1))[::stride, ::stride]
    result: Array = (g * np.einsum("ijcuv,uvcd->ijd", windows, w)).sum()
    return result


def _filter_gradient(rng: np.random.Generator, size: int) -> Problem:
    x, w, g, stride = _draw(rng, size)
    return Problem(lambda w: _sum(x, w, g, stride), w, {"w": same, "x": x, "g": g, "stride": stride})


def _image_gradient(rng: np.random.Generator, size: int) -> Problem:
    x, w, g, stride = _draw(rng, size)
    return Problem(lambda x: _sum(x, w, g, stride), x, {"x": same, "w": w, "g": g, "stride": stride})


EXERCISES = {
    13: (
        Exercise(check_gradient, filter_gradient, _filter_gradient, (conv_kernels.add_weight_gradient,)),
        Exercise(check_gradient, image_gradient, _image_gradient, (conv_kernels.add_input_gradient,)),
    ),
}
