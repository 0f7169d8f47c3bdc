"""Twin of `reference/advantages.py`."""

import math
from functools import cache

import numpy as np
from minipg.kernels.arguments import block_rows
from minipg.kernels.cpu import mlp, returns
from minipg.kernels.cpu._jit import jit, matrix, part, unowned


@jit
def values(critic, theta, obs, value, work):
    """V(s).   critic: a network, theta (P,), obs (B, O) → value (B,).   work (work_size,)."""
    _values(mlp._unowned(critic), unowned(theta), unowned(obs), unowned(value), unowned(work))


@jit
def estimate(critic, theta, steps, start, gamma, gae_lambda, value, adv, ret, work):
    """V(s), and by GAE Â and the critic's targets Â + V  (PG-12, AC-1).

    critic: a network; theta (P,); steps: T steps of N environments, K observations that ended truncated episodes
    → value (T·N + N + K,): V of every row, of the N observations after the last rows, and of those K; adv, ret (T, N).
    value[:start] has been computed already.   work (work_size,).
    """
    critic, theta, value, work = mlp._unowned(critic), unowned(theta), unowned(value), unowned(work)
    rows, envs = steps.rew.size, steps.rew.shape[1]
    obs = matrix(steps.obs, 0, rows, steps.obs.shape[2])
    _values(critic, theta, obs[start:], value[start:rows], work)
    _values(critic, theta, unowned(steps.last_obs), value[rows : rows + envs], work)
    _values(critic, theta, unowned(steps.final_obs), value[rows + envs :], work)
    ends = steps.terminated, steps.cut, steps.final_at
    returns.advantages(value, steps.rew, ends[0], ends[1], ends[2], gamma, gae_lambda, adv, ret)


@part
def _values(critic, theta, obs, value, work):
    for start in range(0, obs.shape[0], critic.block):
        stop = min(start + critic.block, obs.shape[0])
        mlp.forward(theta, critic, obs[start:stop], matrix(value, start, stop - start, 1), work)


@jit
def normalize(adv, out):
    """(Â − mean)/std. Advantages that are all equal become zeros, not NaN.   (B,) → (B,)."""
    origin, mean, squares, largest = np.float64(adv[0]), 0.0, 0.0, 0.0  # equal numbers have exactly this mean
    for i in range(adv.shape[0]):
        mean += adv[i] - origin
        largest = max(largest, abs(adv[i]))
    mean = origin + mean / adv.shape[0]
    for i in range(adv.shape[0]):
        squares += (adv[i] - mean) ** 2
    deviation = math.sqrt(squares / adv.shape[0])
    # a deviation within rounding error counts as 0
    scale = 0.0 if deviation <= 4 * np.finfo(adv.dtype).eps * largest else 1 / deviation
    for i in range(adv.shape[0]):
        out[i] = (adv[i] - mean) * scale


@jit
def explained_variance(value, ret, out):
    """1 − Var(ret − V)/Var(ret) → out (1,): 1 for a perfect critic, 0 for a constant one, NaN where ret is constant.

    value, ret (B,).
    """
    rows, mean, missed, spread, left = ret.shape[0], 0.0, 0.0, 0.0, 0.0
    origin, first = np.float64(ret[0]), np.float64(ret[0]) - value[0]  # equal numbers have exactly these means
    for i in range(rows):
        mean += ret[i] - origin
        missed += np.float64(ret[i]) - value[i] - first
    mean, missed = origin + mean / rows, first + missed / rows
    for i in range(rows):
        spread += (ret[i] - mean) ** 2
        left += (np.float64(ret[i]) - value[i] - missed) ** 2
    out[0] = 1 - left / spread if spread > 0 else math.nan


@cache
def work_size(sizes, n_params, rows):
    """The length of `work`, from the layer sizes, the length of θ and the number of rows."""
    return min(rows, block_rows(sizes, n_params)) * sum(sizes[1:-1])
