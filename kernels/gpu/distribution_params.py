"""`reference/distribution_params.py`, one row a thread (distribution_params.cu)."""

import cupy
from minipg.kernels.gpu._arrays import sum_columns
from minipg.kernels.gpu._cuda import Source

_run = Source("distribution_params.cuh", "distribution_params.cu")


def parameters(form, bounds, out, log_std, params):
    """out (B, n), log_std (A,), which is (0,) unless the form is 1 → params (B, D)."""
    _run("parameters", len(out), form, out.shape[1], *bounds, params.shape[1], out, log_std, params)


def push_forward(form, bounds, out, d_out, d_log_std, d_params):
    """d_out (B, n), d_log_std (A,) → d_params (B, D)."""
    _run("push_forward", len(out), form, out.shape[1], *bounds, d_params.shape[1], out, d_out, d_log_std, d_params)


def pull_back(form, bounds, out, u, g, log_std_grad):
    """Covectors of the parameters, u (B, D) → of the outputs, g (B, n); those of log σ are added to log_std_grad."""
    tail = cupy.empty((len(u), u.shape[1] - out.shape[1]), u.dtype)
    _run("pull_back", len(out), form, out.shape[1], *bounds, u.shape[1], out, u, g, tail)
    sum_columns(tail, log_std_grad, add=True)
