"""Action distributions: floor 3 over `kernels/*/categorical.py` and `gaussian.py`, where the equations are.

Every family speaks of one array of parameters, (B, D): logits for the categorical one, (μ, log σ) for the Gaussian.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from minipg.backend import Backend
from minipg.checks import Array, as_array, require
from minipg.errors import ShapeError


@dataclass(frozen=True)
class Distribution:
    """One family at one size. `size` is A; a row has `n_params` = D numbers; an action has shape `act_shape`."""

    name: str
    size: int
    n_params: int
    act_shape: tuple[int, ...]
    backend: Backend

    def __post_init__(self) -> None:
        require(self.size >= 1, "size", "at least one action or dimension", self.size)

    @property
    def _kernels(self) -> ModuleType:
        return self.backend.kernels(self.name)

    def _params(self, name: str, value: Array) -> Array:
        dtype = np.float32 if np.asarray(value).dtype == np.float32 else np.float64
        return as_array(name, value, (None, self.n_params), dtype)

    def _act(self, act: Array, params: Array) -> Array:
        if self.act_shape:
            return as_array("act", act, (len(params), *self.act_shape), params.dtype)
        act = as_array("act", act, (len(params),), np.int64)
        if act.size and not (act.min() >= 0 and act.max() < self.size):
            raise ShapeError(f"act: expected indices from 0 to {self.size - 1}, got {act.min()} to {act.max()}")
        return act

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: type = np.float32) -> Array:
        """What `sample` turns into actions: uniforms (categorical) or normals (Gaussian), shape + act_shape."""
        draw = rng.standard_normal if self.act_shape else rng.random
        return draw(shape + self.act_shape, dtype)

    def sample(self, params: Array, noise: Array) -> Array:
        """One action a row.   params (B, D), noise (B, *act_shape) → (B, *act_shape)."""
        params = self._params("params", params)
        noise = as_array("noise", noise, (len(params), *self.act_shape), params.dtype)
        out = np.empty(noise.shape, params.dtype if self.act_shape else np.int64)
        self._kernels.sample(params, noise, out)
        return out

    def mode(self, params: Array) -> Array:
        """The likeliest action of each row.   params (B, D) → (B, *act_shape)."""
        params = self._params("params", params)
        out = np.empty((len(params), *self.act_shape), params.dtype if self.act_shape else np.int64)
        self._kernels.mode(params, out)
        return out

    def log_prob(self, params: Array, act: Array) -> Array:
        """log π(a)  (DI-4).   params (B, D), act (B, *act_shape) → (B,)."""
        params = self._params("params", params)
        out = np.empty(len(params), params.dtype)
        self._kernels.log_prob(params, self._act(act, params), out)
        return out

    def score(self, params: Array, act: Array) -> Array:
        """∇ log π(a) in the parameters of the row  (DI-1, DI-4).   → (B, D)."""
        params = self._params("params", params)
        out = np.empty_like(params)
        self._kernels.score(params, self._act(act, params), out)
        return out

    def kl(self, old: Array, new: Array) -> Array:
        """KL(old‖new)  (DI-6).   old, new (B, D) → (B,)."""
        old = self._params("old", old)
        out = np.empty(len(old), old.dtype)
        self._kernels.kl(old, as_array("new", new, old.shape, old.dtype), out)
        return out

    def kl_gradient(self, old: Array, new: Array) -> Array:
        """The gradient of KL(old‖new) in the new parameters  (DI-6).   old, new (B, D) → (B, D)."""
        old = self._params("old", old)
        out = np.empty_like(old)
        self._kernels.kl_gradient(old, as_array("new", new, old.shape, old.dtype), out)
        return out

    def entropy(self, params: Array) -> Array:
        """Entropy  (DI-7).   params (B, D) → (B,)."""
        params = self._params("params", params)
        out = np.empty(len(params), params.dtype)
        self._kernels.entropy(params, out)
        return out

    def entropy_gradient(self, params: Array) -> Array:
        """The entropy's gradient in the parameters of the row  (DI-7).   params (B, D) → (B, D)."""
        params = self._params("params", params)
        out = np.empty_like(params)
        self._kernels.entropy_gradient(params, out)
        return out

    def fisher_product(self, params: Array, v: Array) -> Array:
        """M v, with M the family's own Fisher matrix, row by row  (DI-3, DI-5).   params, v (B, D) → (B, D)."""
        params = self._params("params", params)
        out = np.empty_like(params)
        self._kernels.fisher_product(params, as_array("v", v, params.shape, params.dtype), out)
        return out


def categorical(n_actions: int, backend: Backend | None = None) -> Distribution:
    """A choice among `n_actions`, from logits."""
    return Distribution("categorical", n_actions, n_actions, (), backend or Backend())


def gaussian(n_dims: int, backend: Backend | None = None) -> Distribution:
    """A diagonal Gaussian over `n_dims` dimensions, from (μ, log σ)."""
    return Distribution("gaussian", n_dims, 2 * n_dims, (n_dims,), backend or Backend())
