"""From a Batch to the rows of an update: advantages and critic targets."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minipg.checks import Array, namespace
from minipg.kernels.arguments import Acted, Steps
from minipg.rollout import Batch
from minipg.runtime.backend import Backend, choose, to_host
from minipg.value import ValueNetwork

ROWS = 512  # rows per thread: with fewer, a second thread costs more than it saves


class Samples(NamedTuple):
    """B rows: observation, action, Â, the critic's target Â + V(s) (`ret`), V(s), the distribution that acted (D,)."""

    obs: Array
    act: Array
    adv: Array
    ret: Array
    value: Array
    params: Array

    @property
    def acted(self) -> Acted:
        """The columns that a policy's update takes."""
        return Acted(self.obs, self.act, self.adv, self.params)


def estimate_advantages(critic: ValueNetwork, theta: Array, batch: Batch, gamma: float, gae_lambda: float) -> Samples:
    """GAE over the batch  (PG-12), then time and environments flattened into rows and invalid ones dropped.

    A truncated step is bootstrapped from V of the last observation of the episode, a terminated one from 0. If the next
    step was dropped, the step counts as truncated, with V of the observation in which the environment failed.
    """
    backend, rows, cut = critic.mlp.backend, batch.rew.size, batch.truncated
    xp, kernels, dtype = backend.xp, backend.kernels("advantages"), theta.dtype
    if np.count_nonzero(batch.dropped):
        cut = cut.copy()
        cut[:-1] |= backend.to_device(batch.dropped[1:])
    steps = Steps(batch.obs, batch.last_obs, batch.final_obs, batch.final_at, batch.rew, batch.terminated, cut)
    value = xp.empty(rows + len(batch.last_obs) + len(batch.final_obs), dtype)
    adv, ret = xp.empty(batch.rew.shape, dtype), xp.empty(batch.rew.shape, dtype)
    obs, act, params = (part.reshape(rows, *part.shape[2:]) for part in (batch.obs, batch.act, batch.params))
    spec, middle = critic.mlp.spec, rows // 2 // ROWS * ROWS if backend.on_host else 0
    new_work = lambda: xp.empty(kernels.work_size(critic.mlp.sizes, len(theta), rows), dtype)
    if middle:  # two threads

        def on_half(part: slice) -> None:
            kernels.values(spec, theta, obs[part], value[part], new_work())

        backend.map(on_half, [slice(0, middle), slice(middle, rows)])
    kernels.estimate(spec, theta, steps, rows if middle else 0, gamma, gae_lambda, value, adv, ret, new_work())
    samples = Samples(obs, act, adv.reshape(rows), ret.reshape(rows), value[:rows], params)
    if np.count_nonzero(batch.valid) == rows:
        return samples
    keep = backend.to_device(np.flatnonzero(batch.valid))
    return Samples(*(array[keep] for array in samples))


def normalize(adv: Array, backend: Backend | None = None) -> Array:
    """(Â − mean)/std. Advantages that are all equal become zeros, not NaN.   (B,) → (B,)."""
    backend = backend or Backend()
    out: Array = backend.xp.empty_like(adv)
    backend.kernels("advantages").normalize(adv, out)
    return out


def rescale(weight: Array) -> Array:
    """weight/√(mean weight²): scaled like `normalize`, but not centred. All zeros stay zeros.   (B,) → (B,)."""
    xp = namespace(weight)
    size = xp.sqrt(xp.square(weight.astype(np.float64)).mean()).astype(weight.dtype)
    return weight / choose(size == 0, weight.dtype.type(math.inf), size)


def explained_variance(value: Array, ret: Array, backend: Backend | None = None) -> float:
    """1 − Var(ret − V)/Var(ret): 1 is a perfect critic, 0 a constant one; NaN if ret is constant.   (B,) each."""
    backend = backend or Backend()
    out: Array = backend.xp.empty(1)
    backend.kernels("advantages").explained_variance(value, ret, out)
    return float(to_host(out)[0])
