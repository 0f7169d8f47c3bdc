"""Action distributions: argument checks around the kernels of each family, which have the equations.

Every family has one array of parameters, (B, D): logits if it is discrete, (μ, log σ) if it is Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minipg.checks import Array, as_array, require
from minipg.errors import ShapeError
from minipg.kernels import arguments
from minipg.runtime.backend import Backend


@dataclass(frozen=True)
class Distribution:
    """One family at one size. `size` is A; a row has `n_params` = D numbers; an action has shape `act_shape`.

    `sizes` are the numbers of options of a multicategorical, else (). `functions` are those of a family of one's own,
    on the backend numpy: an object with the functions of kernels/reference/gaussian.py, and `options = ()`. Its
    actions are real numbers, unless it says `discrete = True`.
    """

    name: str
    size: int
    n_params: int
    act_shape: tuple[int, ...]
    backend: Backend
    sizes: tuple[int, ...] = ()
    functions: Any = None

    def __post_init__(self) -> None:
        require(self.size >= 1, "size", "at least one action or dimension", self.size)
        require(all(n >= 1 for n in self.sizes), "sizes", "at least one option each", self.sizes)
        own = self.functions is not None
        require(not own or self.backend.name == "numpy", "backend", f"numpy for {self.name}", self.backend.name)

    @property
    def discrete(self) -> bool:
        """True if actions are indices (int64), False if they are real numbers."""
        real = self.name in ("gaussian", "squashed") or self.functions is not None
        return getattr(self.functions, "discrete", not real)

    @property
    def _kernels(self) -> Any:
        return self.backend.kernels(self.name) if self.functions is None else self.functions

    @property
    def _xp(self) -> Any:
        return self.backend.xp

    @cached_property
    def family(self) -> Any:
        """The family as an argument of kernels: its type chooses the functions (kernels/arguments.py)."""
        if self.functions is not None:
            return self.functions
        kind = getattr(arguments, self.name.capitalize())
        return kind((np.array(self.sizes, np.int64),)) if self.sizes else kind()

    def _params(self, name: str, value: Array) -> Array:
        array = self._xp.asarray(value)
        dtype = np.float32 if array.dtype == np.float32 else np.float64
        return as_array(name, array, (None, self.n_params), dtype, self._xp)

    def actions(self, act: Array, rows: int, dtype: Any) -> Array:
        """`act` (rows, *act_shape) as int64 if discrete, else as `dtype`. Raises ShapeError for a wrong shape or index.

        On a device indices are not checked: reading them would wait for the device.
        """
        act = as_array("act", act, (rows, *self.act_shape), np.int64 if self.discrete else dtype, self._xp)
        if self.discrete and self.backend.on_host and act.size:
            options = self.sizes or (2 if self.name == "bernoulli" else self.size)
            if (act.view(np.uint64).max(axis=0) >= options).any():  # -1 is too large as well, as uint64
                last = np.subtract(options, 1).tolist()
                raise ShapeError(f"act: expected indices from 0 to {last}, got {act.min()} to {act.max(axis=0)}")
        return act

    def _new_act(self, params: Array) -> Array:
        return self._xp.empty((len(params), *self.act_shape), np.int64 if self.discrete else params.dtype)

    def noise(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: type = np.float32) -> Array:
        """The random numbers that `sample` takes: uniforms (discrete) or normals (Gaussian), shape + act_shape."""
        draw = rng.random if self.discrete else rng.standard_normal
        return draw(shape + self.act_shape, dtype)

    def sample(self, params: Array, noise: Array) -> Array:
        """One action per row.   params (B, D), noise (B, *act_shape) → (B, *act_shape)."""
        params = self._params("params", params)
        noise = as_array("noise", noise, (len(params), *self.act_shape), params.dtype, self._xp)
        out = self._new_act(params)
        self._kernels.sample(params, noise, *self.family.options, out)
        return out

    def mode(self, params: Array) -> Array:
        """The mode of each row: the most probable choice, or the mean.   params (B, D) → (B, *act_shape)."""
        params = self._params("params", params)
        out = self._new_act(params)
        self._kernels.mode(params, *self.family.options, out)
        return out

    def log_prob(self, params: Array, act: Array) -> Array:
        """log π(a) of each row  (DI-4).   params (B, D), act (B, *act_shape) → (B,)."""
        params = self._params("params", params)
        out = self._xp.empty(len(params), params.dtype)
        self._kernels.log_prob(params, self.actions(act, len(params), params.dtype), *self.family.options, out)
        return out

    def score(self, params: Array, act: Array) -> Array:
        """∇ log π(a) in the parameters of the row  (DI-1, DI-4).   params (B, D), act → (B, D)."""
        params = self._params("params", params)
        out = self._xp.empty_like(params)
        self._kernels.score(params, self.actions(act, len(params), params.dtype), *self.family.options, out)
        return out

    def kl(self, old: Array, new: Array) -> Array:
        """KL(old‖new) of each row  (DI-6).   old, new (B, D) → (B,)."""
        old = self._params("old", old)
        out = self._xp.empty(len(old), old.dtype)
        self._kernels.kl(old, as_array("new", new, old.shape, old.dtype, self._xp), *self.family.options, out)
        return out

    def kl_gradient(self, old: Array, new: Array) -> Array:
        """The gradient of KL(old‖new) in the new parameters  (DI-6).   old, new (B, D) → (B, D)."""
        old = self._params("old", old)
        out = self._xp.empty_like(old)
        self._kernels.kl_gradient(old, as_array("new", new, old.shape, old.dtype, self._xp), *self.family.options, out)
        return out

    def entropy(self, params: Array) -> Array:
        """Entropy of each row  (DI-7).   params (B, D) → (B,)."""
        params = self._params("params", params)
        out = self._xp.empty(len(params), params.dtype)
        self._kernels.entropy(params, *self.family.options, out)
        return out

    def entropy_gradient(self, params: Array) -> Array:
        """The entropy's gradient in the parameters of the row  (DI-7).   params (B, D) → (B, D)."""
        params = self._params("params", params)
        out = self._xp.empty_like(params)
        self._kernels.entropy_gradient(params, *self.family.options, out)
        return out

    def fisher_product(self, params: Array, v: Array) -> Array:
        """M v, with M the distribution's Fisher matrix, row by row  (DI-3, DI-5).   params, v (B, D) → (B, D)."""
        params = self._params("params", params)
        out = self._xp.empty_like(params)
        self._kernels.fisher_product(
            params, as_array("v", v, params.shape, params.dtype, self._xp), *self.family.options, out
        )
        return out


def categorical(n_actions: int, backend: Backend | None = None) -> Distribution:
    """A choice among `n_actions`, from logits."""
    return Distribution("categorical", n_actions, n_actions, (), backend or Backend())


def gaussian(n_dims: int, backend: Backend | None = None) -> Distribution:
    """A diagonal Gaussian over `n_dims` dimensions, from (μ, log σ)."""
    return Distribution("gaussian", n_dims, 2 * n_dims, (n_dims,), backend or Backend())


def bernoulli(n_bits: int, backend: Backend | None = None) -> Distribution:
    """`n_bits` independent bits, from logits."""
    return Distribution("bernoulli", n_bits, n_bits, (n_bits,), backend or Backend())


def multicategorical(sizes: Sequence[int], backend: Backend | None = None) -> Distribution:
    """Independent choices, the k-th among `sizes[k]`, from their logits, concatenated."""
    sizes = tuple(int(n) for n in sizes)
    return Distribution("multicategorical", len(sizes), sum(sizes), (len(sizes),), backend or Backend(), sizes)


def squashed(n_dims: int, backend: Backend | None = None) -> Distribution:
    """tanh of a diagonal Gaussian over `n_dims` dimensions, from (μ, log σ). An action is u, before tanh."""
    return Distribution("squashed", n_dims, 2 * n_dims, (n_dims,), backend or Backend())
