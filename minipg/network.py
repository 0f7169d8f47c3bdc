"""The network. Checks arguments, cuts rows into tiles, and calls the kernels in `kernels/*/mlp.py` (the equations)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from minipg.checks import Array, as_array, as_flat, as_rows, require
from minipg.errors import unknown_name
from minipg.kernels import arguments
from minipg.kernels.arguments import Conv
from minipg.parameters import Layout
from minipg.runtime.backend import Backend

ACTIVATIONS = ("tanh", "relu")


class Tape(NamedTuple):
    """A forward pass, kept for the derivatives: obs (B, n₀), hidden (flat, tile after tile), out (B, n_L).

    The order of the activations inside a tile of `hidden` is private to a twin of the kernels.
    """

    obs: Array
    hidden: Array
    out: Array

    def tile(self, rows: slice) -> Tape:
        """Views of the rows of one tile of the batch (`backend.tiles_of`)."""
        units = self.hidden.size // len(self.obs)
        return Tape(self.obs[rows], self.hidden[rows.start * units : rows.stop * units], self.out[rows])


_LAYER = re.compile(r"([1-9]\d{0,3})x([1-9]\d{0,2})/([1-9]\d{0,2})(same)?", re.ASCII)


def convolutions(image: tuple[int, int, int], layers: Sequence[str]) -> tuple[Conv, ...]:
    """The shapes of convolution layers over an image (height, width, channels).

    A layer is FILTERSxKERNEL/STRIDE: 16x4/2 has 16 filters whose windows are 4×4 pixels, at every second pixel. Windows
    are inside the image; after 16x4/2same the next image is this one's size divided by the stride, with zeros around
    this one. Raises ConfigError.
    """
    shapes: list[Conv] = []
    height, width, channels = image
    for layer in layers:
        read = _LAYER.fullmatch(layer)
        form = "FILTERSxKERNEL/STRIDE (up to 9999, 999 and 999), as 16x4/2 or 16x4/2same"
        require(read is not None, "conv", form, layer)
        assert read is not None
        filters, kernel, stride = map(int, read.groups()[:3])
        (rows, top), (columns, left) = (_windows(n, kernel, stride, bool(read[4])) for n in (height, width))
        fits = f"windows of at most {min(height, width)} for an image of {height} × {width}"
        require(rows > 0 and columns > 0, "conv", fits, layer)
        shapes.append(Conv(height, width, channels, kernel, stride, top, left, rows, columns, filters))
        height, width, channels = rows, columns, filters
    return tuple(shapes)


def _windows(length: int, kernel: int, stride: int, same: bool) -> tuple[int, int]:
    """The number of windows along one side of an image, and of the zeros before it."""
    if not same:
        return (length - kernel) // stride + 1 if kernel <= length else 0, 0
    windows = -(-length // stride)
    return windows, max((windows - 1) * stride + kernel - length, 0) // 2


class Images(NamedTuple):
    """How a network reads its inputs: convolutions, a factor on all numbers, and whether zeros are skipped."""

    convs: tuple[Conv, ...] = ()
    scale: float = 1.0
    sparse: bool = False


@dataclass(frozen=True)
class MLP:
    """A multi-layer perceptron of layer sizes (n₀, …, n_L). It holds no parameters: θ is passed to every call.

    Its first layers may be convolutions  (CV-1): `convs` has their shapes, and `sizes` the numbers in each of their
    outputs. The network sees scale·obs. With `sparse`, zeros of inputs that are mostly zero are skipped on the host.
    """

    sizes: tuple[int, ...]
    activation: str = "tanh"
    backend: Backend = field(default_factory=Backend)
    convs: tuple[Conv, ...] = ()
    scale: float = 1.0
    sparse: bool = False

    def __post_init__(self) -> None:
        require(len(self.sizes) >= 2 and min(self.sizes) >= 1, "sizes", "two or more layer sizes ≥ 1", self.sizes)
        if self.activation not in ACTIVATIONS:
            raise unknown_name("activation", self.activation, ACTIVATIONS)
        require(len(self.convs) < len(self.sizes) - 1, "sizes", "a dense layer after the convolutions", self.sizes)
        for conv, n, m in zip(self.convs, self.sizes, self.sizes[1:], strict=False):
            shapes = (conv.height * conv.width * conv.channels, conv.rows * conv.columns * conv.filters)
            require((n, m) == shapes, "sizes", f"{shapes} around {conv}", (n, m))

    @cached_property
    def layout(self) -> Layout:
        """The names and shapes in θ: W0, b0, W1, b1, …"""
        shapes: list[tuple[int, ...]] = [(c.kernel, c.kernel, c.channels, c.filters) for c in self.convs]
        shapes += list(pairwise(self.sizes))[len(shapes) :]
        return Layout(tuple(one for i, s in enumerate(shapes) for one in ((f"W{i}", s), (f"b{i}", s[-1:]))))

    @cached_property
    def spec(self) -> arguments.Network:
        """The network as an argument of kernels."""
        convs = np.array(self.convs, np.int64).reshape(len(self.convs), len(Conv._fields))
        sizes, activation = np.array(self.sizes, np.int64), ACTIVATIONS.index(self.activation)
        dense = arguments.SparseInput() if self.sparse else arguments.DenseLayers()
        kind = arguments.ConvLayers() if self.convs else dense
        block = arguments.block_rows(self.sizes, self.layout.size)
        return arguments.Network(sizes, activation, convs, float(self.scale), block, kind)

    @cached_property
    def _units(self) -> int:
        return sum(self.sizes[1:-1])

    def init(self, rng: np.random.Generator, last_gain: float = 1.0, dtype: type = np.float32) -> Array:
        """θ (P,): orthogonal weights (Saxe et al. 2014; gain √2, in the last layer `last_gain`) and zero biases."""
        arrays = {}
        for name, shape in self.layout.entries[::2]:
            n, m = math.prod(shape[:-1]), shape[-1]
            q, r = np.linalg.qr(rng.standard_normal((max(n, m), min(n, m))))
            q = q * np.sign(np.diag(r))
            gain = last_gain if name == self.layout.entries[-2][0] else np.sqrt(2)
            arrays[name] = (gain * (q if n >= m else q.T)).reshape(shape)
        arrays |= {name: np.zeros(shape) for name, shape in self.layout.entries[1::2]}
        return self.backend.to_device(self.layout.flatten(arrays, dtype))

    def forward(self, theta: Array, obs: Array) -> Tape:
        """The output, and the tape for the derivatives.   theta (P,), obs (B, n₀) → Tape with out (B, n_L)."""
        xp = self.backend.xp
        theta = as_flat("theta", theta, self.layout.size, xp)
        obs = as_rows("obs", obs, self.sizes[0], theta.dtype, xp)
        hidden, out = xp.empty(len(obs) * self._units, theta.dtype), xp.empty((len(obs), self.sizes[-1]), theta.dtype)
        tape, kernel = Tape(obs, hidden, out), self.backend.kernels("mlp").forward

        def on_tile(rows: slice) -> None:
            x, h, y = tape.tile(rows)
            kernel(theta, self.spec, x, y, h)

        self.backend.map_rows(on_tile, len(obs))
        return tape

    def jvp(self, theta: Array, tape: Tape, v: Array) -> Array:
        """J v: the derivative of the output along v.   theta, v (P,), tape from `forward` → (B, n_L)."""
        xp = self.backend.xp
        theta = as_flat("theta", theta, self.layout.size, xp)
        v = as_array("v", v, theta.shape, theta.dtype, xp)
        out, kernel = xp.empty_like(tape.out), self.backend.kernels("mlp").jvp

        def on_tile(rows: slice) -> None:
            x, h, _ = tape.tile(rows)
            kernel(theta, self.spec, x, h, v, out[rows], xp.empty(3 * len(x) * max(self.sizes[1:]), theta.dtype))

        self.backend.map_rows(on_tile, len(out))
        return out

    def vjp(self, theta: Array, tape: Tape, g: Array) -> Array:
        """Jᵀ g, summed over the batch: the gradient in θ of Σ g·out.   tape from `forward`, g (B, n_L) → (P,)."""
        xp = self.backend.xp
        theta = as_flat("theta", theta, self.layout.size, xp)
        g = as_array("g", g, tape.out.shape, theta.dtype, xp)
        kernel = self.backend.kernels("mlp").vjp

        def on_tile(rows: slice) -> Array:
            (x, h, _), out = tape.tile(rows), xp.empty_like(theta)
            work = xp.empty(len(theta) + 2 * len(x) * max(self.sizes[1:]), theta.dtype)
            kernel(theta, self.spec, x, h, g[rows], out, work)
            return out

        return sum(self.backend.map_rows(on_tile, len(g)), start=xp.zeros_like(theta))

    def vjp_obs(self, theta: Array, tape: Tape, g: Array) -> Array:
        """The gradient in obs of Σ g·out.   theta (P,), tape from `forward`, g (B, n_L) → (B, n₀)."""
        xp = self.backend.xp
        theta = as_flat("theta", theta, self.layout.size, xp)
        g = as_array("g", g, tape.out.shape, theta.dtype, xp)
        out, kernel = xp.empty(tape.obs.shape, theta.dtype), self.backend.kernels("mlp").vjp_obs
        weights = len(theta) if self.convs else 0

        def on_tile(rows: slice) -> None:
            x, h, _ = tape.tile(rows)
            work = xp.empty(2 * len(x) * max(self.sizes[1:]) + weights, theta.dtype)
            kernel(theta, self.spec, h, g[rows], out[rows], work)

        self.backend.map_rows(on_tile, len(g))
        return out
