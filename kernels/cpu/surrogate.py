"""Twin of `reference/surrogate.py`; r = π/π_old."""

import math

from minipg.kernels.cpu._jit import jit


@jit
def surrogate(logp, logp_old, adv, out):
    """r Â  (IS-3).   logp, logp_old, adv (B,) → out (B,)."""
    for i in range(out.shape[0]):
        out[i] = math.exp(logp[i] - logp_old[i]) * adv[i]


@jit
def surrogate_gradient(logp, logp_old, adv, out):
    """∂(r Â)/∂ log π = r Â  (IS-3).   (B,) each → out (B,)."""
    for i in range(out.shape[0]):
        out[i] = math.exp(logp[i] - logp_old[i]) * adv[i]
