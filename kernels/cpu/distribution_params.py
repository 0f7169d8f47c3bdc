"""Twin of `reference/distribution_params.py`."""

import math

from minipg.kernels.arguments import MASKED, PolicySpec
from minipg.kernels.cpu import mlp
from minipg.kernels.cpu._jit import jit, part


@part
def _unowned(policy):
    """The same policy, without reference counting of its network's sizes."""
    return PolicySpec(mlp._unowned(policy.network), policy.family, policy.form, policy.log_std_range)


@jit
def parameters(form, bounds, obs, out, log_std, params):
    """The parameters of every row.   obs (B, O), out (B, n), log_std (A,) in form 1, else (0,) → params (B, D)."""
    (low, high), n = bounds, out.shape[1]
    for i in range(out.shape[0]):
        for j in range(n):
            z = out[i, j]
            if form == 2 and j >= n // 2:
                reach = high if z > 0 else -low
                z = reach * math.tanh(z / reach)
            params[i, j] = z
        for j in range(n, params.shape[1]):
            params[i, j] = log_std[j - n]
    if form == 3:
        _set_masked(obs, n, MASKED, params)


@jit
def push_forward(form, bounds, obs, out, d_out, d_log_std, d_params):
    """J v of `parameters`: the change of the parameters.   d_out (B, n), d_log_std (A,) → d_params (B, D)."""
    n = out.shape[1]
    _times_slope(form, bounds, obs, out, d_out, d_params)
    for i in range(out.shape[0]):
        for j in range(n, d_params.shape[1]):
            d_params[i, j] = d_log_std[j - n]


@jit
def pull_back(form, bounds, obs, out, u, g, log_std_grad):
    """Jᵀ u of `parameters`.   u (B, D) → g (B, n) in the outputs; that in log σ is added to log_std_grad (A,)."""
    n = out.shape[1]
    _times_slope(form, bounds, obs, out, u, g)
    for i in range(out.shape[0]):
        for j in range(n, u.shape[1]):
            log_std_grad[j - n] += u[i, j]


@part
def _times_slope(form, bounds, obs, out, x, y):
    """y[:, :n] ← x[:, :n] times the derivative of the parameters, which is diagonal: the same for J and Jᵀ."""
    (low, high), n = bounds, out.shape[1]
    for i in range(out.shape[0]):
        for j in range(n):
            y[i, j] = x[i, j]
            if form == 2 and j >= n // 2:
                tanh_z = math.tanh(out[i, j] / (high if out[i, j] > 0 else -low))
                y[i, j] *= 1 - tanh_z * tanh_z
    if form == 3:
        _set_masked(obs, n, 0, y)


@part
def _set_masked(obs, n, value, y):
    """y[i, j] ← value where the mask, the first n columns of obs, is 0."""
    for i in range(obs.shape[0]):
        for j in range(n):
            if obs[i, j] == 0:
                y[i, j] = value
