"""`reference/distribution_params.py`, one row a thread (distribution_params.cu)."""

from minipg.kernels.gpu._cuda import Source

_run = Source("distribution_params.cuh", "distribution_params.cu")


def parameters(form, bounds, obs, out, log_std, params):
    """obs (B, O), out (B, n), log_std (A,), which is (0,) unless the form is 1 → params (B, D)."""
    mask = obs.shape[1], obs
    _run("parameters", len(out), form, out.shape[1], *bounds, *mask, params.shape[1], out, log_std, params)
