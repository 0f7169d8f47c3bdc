"""Returns and advantages over (T, N) arrays: argument checks around `kernels/*/returns.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from minipg.checks import Array, as_array, require
from minipg.runtime.backend import Backend


def _float(name: str, value: Array, shape: tuple[int | None, ...], xp: Any, like: Array | None = None) -> Array:
    value = xp.asarray(value)
    dtype = value.dtype if like is None else like.dtype
    return as_array(name, value, shape, np.float32 if dtype == np.float32 else np.float64, xp)


def discounted_returns(
    rew: Array, next_value: Array, terminated: Array, truncated: Array, gamma: float, backend: Backend | None = None
) -> Array:
    """G_t = r_t + γ G_{t+1}  (PG-7), with G_{t+1} = 0 after a termination and V(final observation) after a truncation.

    rew, next_value (T, N), terminated, truncated (T, N) bool → (T, N). The last row is bootstrapped from next_value.
    """
    backend = backend or Backend()
    xp = backend.xp
    rew = _float("rew", rew, (None, None), xp)
    next_value = _float("next_value", next_value, rew.shape, xp, rew)
    terminated = as_array("terminated", terminated, rew.shape, bool, xp)
    truncated = as_array("truncated", truncated, rew.shape, bool, xp)
    out = xp.empty_like(rew)
    backend.kernels("returns").discounted_returns(rew, next_value, terminated, truncated, gamma, out)
    return out


def td_errors(
    rew: Array, value: Array, next_value: Array, terminated: Array, gamma: float, backend: Backend | None = None
) -> Array:
    """δ_t = r_t + γ (1 − terminated) V(s_{t+1}) − V(s_t)  (PG-12).   all (T, N) → (T, N)."""
    backend = backend or Backend()
    xp = backend.xp
    rew = _float("rew", rew, (None, None), xp)
    value = _float("value", value, rew.shape, xp, rew)
    next_value = _float("next_value", next_value, rew.shape, xp, rew)
    out = xp.empty_like(rew)
    terminated = as_array("terminated", terminated, rew.shape, bool, xp)
    backend.kernels("returns").td_errors(rew, value, next_value, terminated, gamma, out)
    return out


def advantages(
    value: Array,
    rew: Array,
    terminated: Array,
    cut: Array,
    final_at: Array,
    gamma: float,
    gae_lambda: float,
    backend: Backend | None = None,
) -> tuple[Array, Array]:
    """Â (T, N) by GAE over a batch, and the critic's targets Â + V (T, N)  (PG-12, AC-1).

    value (T·N + N + K,): V of every row, of the N observations after the last rows, and of the K last observations of
    truncated episodes, which followed the flat rows final_at (K,). rew (T, N); terminated, cut (T, N) bool: both end
    the trace, `terminated` alone ends the value.
    """
    backend = backend or Backend()
    xp = backend.xp
    rew = _float("rew", rew, (None, None), xp)
    final_at = as_array("final_at", final_at, (None,), np.int64, xp)
    value = _float("value", value, (rew.size + rew.shape[1] + len(final_at),), xp, rew)
    if backend.on_host and len(final_at):  # reading a device's would wait for it
        inside = final_at.min() >= 0 and final_at.max() < rew.size
        require(bool(inside), "final_at", f"rows from 0 to {rew.size - 1}", final_at.tolist())
    ends = as_array("terminated", terminated, rew.shape, bool, xp), as_array("cut", cut, rew.shape, bool, xp)
    adv, ret = xp.empty_like(rew), xp.empty_like(rew)
    backend.kernels("returns").advantages(value, rew, *ends, final_at, float(gamma), float(gae_lambda), adv, ret)
    return adv, ret


def gae(
    delta: Array,
    terminated: Array,
    truncated: Array,
    gamma: float,
    gae_lambda: float,
    backend: Backend | None = None,
) -> Array:
    """Â_t = Σ_l (γλ)ˡ δ_{t+l}, the sum ending with the episode  (PG-12).   all (T, N) → (T, N)."""
    backend = backend or Backend()
    xp = backend.xp
    delta = _float("delta", delta, (None, None), xp)
    terminated = as_array("terminated", terminated, delta.shape, bool, xp)
    truncated = as_array("truncated", truncated, delta.shape, bool, xp)
    out = xp.empty_like(delta)
    backend.kernels("returns").gae(delta, terminated, truncated, gamma, gae_lambda, out)
    return out
