"""Twin of `reference/surrogate.py`; r = π/π_old."""

import math

from minipg.kernels.cpu._jit import jit


@jit
def surrogate(logp, logp_old, adv, out):
    """r Â, which is also its own derivative in log π  (IS-3, PP-1).   logp, logp_old, adv (B,) → out (B,)."""
    for i in range(out.shape[0]):
        out[i] = math.exp(logp[i] - logp_old[i]) * adv[i]


@jit
def clipped(logp, logp_old, adv, clip_range, out):
    """min(r Â, clip(r, 1 − ε, 1 + ε) Â)  (PP-2).   (B,) each → out (B,)."""
    low, high = 1 - clip_range, 1 + clip_range
    for i in range(out.shape[0]):
        r = math.exp(logp[i] - logp_old[i])
        out[i] = min(r * adv[i], min(max(r, low), high) * adv[i])


@jit
def clipped_gradient(logp, logp_old, adv, clip_range, out):
    """The derivative of `clipped` in log π: r Â, or 0 where the clip binds  (PP-2).   (B,) each → out (B,)."""
    low, high = 1 - clip_range, 1 + clip_range
    for i in range(out.shape[0]):
        r = math.exp(logp[i] - logp_old[i])
        beyond = r > high if adv[i] > 0 else r < low
        out[i] = 0 if beyond else r * adv[i]
