"""The importance-sampled surrogate objective, one row at a time; r = π/π_old."""

from minipg.kernels.reference._namespace import namespace


def surrogate(logp, logp_old, adv, out):
    """r Â, whose mean is L(θ)  (IS-3).   logp, logp_old, adv (B,) → out (B,)."""
    out[...] = namespace(logp).exp(logp - logp_old) * adv


def surrogate_gradient(logp, logp_old, adv, out):
    """∂(r Â)/∂ log π = r Â, because r is its own derivative in log π  (IS-3).   (B,) each → out (B,)."""
    out[...] = namespace(logp).exp(logp - logp_old) * adv
