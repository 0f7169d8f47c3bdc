"""The network. Checks arguments, cuts rows into tiles, and calls the kernels in `kernels/*/mlp.py` (the equations)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from minipg.checks import Array, as_array, as_flat, require
from minipg.errors import unknown_name
from minipg.kernels import arguments
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


@dataclass(frozen=True)
class MLP:
    """A multi-layer perceptron of layer sizes (n₀, …, n_L). It holds no parameters: θ is passed to every call."""

    sizes: tuple[int, ...]
    activation: str = "tanh"
    backend: Backend = field(default_factory=Backend)

    def __post_init__(self) -> None:
        require(len(self.sizes) >= 2 and min(self.sizes) >= 1, "sizes", "two or more layer sizes ≥ 1", self.sizes)
        if self.activation not in ACTIVATIONS:
            raise unknown_name("activation", self.activation, ACTIVATIONS)

    @cached_property
    def layout(self) -> Layout:
        """The names and shapes in θ: W0, b0, W1, b1, …"""
        shapes = enumerate(pairwise(self.sizes))
        return Layout(tuple(entry for i, (n, m) in shapes for entry in ((f"W{i}", (n, m)), (f"b{i}", (m,)))))

    @cached_property
    def spec(self) -> arguments.Network:
        """The network as an argument of kernels."""
        return arguments.Network(np.array(self.sizes, np.int64), ACTIVATIONS.index(self.activation))

    @cached_property
    def _units(self) -> int:
        return sum(self.sizes[1:-1])

    def init(self, rng: np.random.Generator, last_gain: float = 1.0, dtype: type = np.float32) -> Array:
        """θ (P,): orthogonal weights (Saxe et al. 2014; gain √2, in the last layer `last_gain`) and zero biases."""
        arrays = {}
        for index, (n, m) in enumerate(pairwise(self.sizes)):
            q, r = np.linalg.qr(rng.standard_normal((max(n, m), min(n, m))))
            q = q * np.sign(np.diag(r))
            gain = last_gain if index == len(self.sizes) - 2 else np.sqrt(2)
            arrays[f"W{index}"] = gain * (q if n >= m else q.T)
            arrays[f"b{index}"] = np.zeros(m)
        return self.backend.to_device(self.layout.flatten(arrays, dtype))

    def forward(self, theta: Array, obs: Array) -> Tape:
        """The output, and the tape for the derivatives.   theta (P,), obs (B, n₀) → Tape with out (B, n_L)."""
        xp = self.backend.xp
        theta = as_flat("theta", theta, self.layout.size, xp)
        obs = as_array("obs", obs, (None, self.sizes[0]), theta.dtype, xp)
        hidden, out = xp.empty(len(obs) * self._units, theta.dtype), xp.empty((len(obs), self.sizes[-1]), theta.dtype)
        tape, kernel = Tape(obs, hidden, out), self.backend.kernels("mlp").forward

        def on_tile(rows: slice) -> None:
            x, h, y = tape.tile(rows)
            kernel(theta, *self.spec, x, y, h)

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
            kernel(theta, *self.spec, x, h, v, out[rows], xp.empty(3 * len(x) * max(self.sizes), theta.dtype))

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
            work = xp.empty(len(theta) + 2 * len(x) * max(self.sizes), theta.dtype)
            kernel(theta, *self.spec, x, h, g[rows], out, work)
            return out

        return sum(self.backend.map_rows(on_tile, len(g)), start=xp.zeros_like(theta))

    def vjp_obs(self, theta: Array, tape: Tape, g: Array) -> Array:
        """The gradient in obs of Σ g·out.   theta (P,), tape from `forward`, g (B, n_L) → (B, n₀)."""
        xp = self.backend.xp
        theta = as_flat("theta", theta, self.layout.size, xp)
        g = as_array("g", g, tape.out.shape, theta.dtype, xp)
        out, kernel = xp.empty_like(tape.obs), self.backend.kernels("mlp").vjp_obs

        def on_tile(rows: slice) -> None:
            x, h, _ = tape.tile(rows)
            kernel(theta, *self.spec, h, g[rows], out[rows], xp.empty(2 * len(x) * max(self.sizes), theta.dtype))

        self.backend.map_rows(on_tile, len(g))
        return out
