"""From a Batch to the rows an update learns from."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minipg.checks import Array, namespace
from minipg.returns import advantages
from minipg.rollout import Batch
from minipg.runtime.backend import choose, told
from minipg.value import ValueNetwork


class Samples(NamedTuple):
    """B rows: observation, action, Â, the critic's target Â + V(s), V(s), and the distribution (D,) that acted."""

    obs: Array
    act: Array
    adv: Array
    ret: Array
    value: Array
    params: Array


def estimate_advantages(critic: ValueNetwork, theta: Array, batch: Batch, gamma: float, gae_lambda: float) -> Samples:
    """GAE over the batch  (PG-12), then time and environments flattened into rows and invalid ones dropped.

    A truncated step is bootstrapped from V of the observation that ended the episode, a terminated one from nothing.
    A step whose successor was dropped is as good as truncated: by V of the state in which that one was lost.
    """
    steps, envs, size = batch.obs.shape
    rows, backend = steps * envs, critic.mlp.backend
    obs = backend.xp.concatenate([batch.obs.reshape(rows, size), batch.last_obs, batch.final_obs])
    values, cut = critic.predict(theta, obs), batch.truncated
    if np.count_nonzero(batch.dropped):
        cut = cut.copy()
        cut[:-1] |= backend.to_device(batch.dropped[1:])
    ends = batch.terminated, cut, batch.final_at
    adv, ret = advantages(values, batch.rew, *ends, gamma, gae_lambda, backend)
    obs, act, params = (part.reshape(rows, *part.shape[2:]) for part in (batch.obs, batch.act, batch.params))
    samples = Samples(obs, act, adv.reshape(rows), ret.reshape(rows), values[:rows], params)
    if np.count_nonzero(batch.valid) == rows:
        return samples
    keep = backend.to_device(np.flatnonzero(batch.valid))
    return Samples(*(array[keep] for array in samples))


def normalize(adv: Array) -> Array:
    """(Â − mean)/std. Advantages that are all equal carry no preference: they become zeros, not NaN.   (B,) → (B,)."""
    xp, centred = namespace(adv), adv - adv.mean()
    deviation = xp.sqrt(_variance(centred)).astype(adv.dtype)
    # a spread of mere rounding errors is no spread
    negligible = deviation <= 4 * float(np.finfo(adv.dtype).eps) * xp.abs(adv).max()
    return centred / choose(negligible, adv.dtype.type(math.inf), deviation)


def rescale(weight: Array) -> Array:
    """weight/√(mean weight²), 0 where all are: the size of a normalised one, the sign its own.   (B,) → (B,)."""
    xp = namespace(weight)
    size = xp.sqrt(xp.square(weight.astype(np.float64)).mean()).astype(weight.dtype)
    return weight / choose(size == 0, weight.dtype.type(math.inf), size)


def explained_variance(value: Array, ret: Array) -> float:
    """1 − Var(ret − V)/Var(ret): 1 is a perfect critic, 0 no better than a constant; NaN where ret is constant."""
    left, spread = told(_variance(ret - value), _variance(ret))
    return float(1 - left / spread) if spread > 0 else math.nan


def _variance(x: Array) -> Any:
    """x.var() in float64, sooner for the few hundred rows that a small batch has."""
    centred = x.astype(np.float64)
    centred -= centred.sum() / len(x)
    return centred @ centred / len(x)
