"""The importance-sampled objectives, one row at a time; r = π/π_old = exp(log π − log π_old)."""

from minipg.kernels.reference._namespace import namespace


def surrogate(logp, logp_old, adv, out):
    """r Â, whose mean is L(θ)  (IS-3, PP-1).   logp, logp_old, adv (B,) → out (B,).

    r Â is also its derivative in log π, because ∂r/∂log π = r.
    """
    out[...] = namespace(logp).exp(logp - logp_old) * adv


def clipped(logp, logp_old, adv, clip_range, out):
    """min(r Â, clip(r, 1 − ε, 1 + ε) Â)  (PP-2).   (B,) each → out (B,)."""
    xp = namespace(logp)
    r = xp.exp(logp - logp_old)
    out[...] = xp.minimum(r * adv, xp.clip(r, 1 - clip_range, 1 + clip_range) * adv)


def clipped_gradient(logp, logp_old, adv, clip_range, out):
    """The derivative of `clipped` in log π  (PP-2): 0 where Â > 0 and r > 1 + ε, or Â ≤ 0 and r < 1 − ε; else r Â.

    (B,) each → out (B,).
    """
    xp = namespace(logp)
    r = xp.exp(logp - logp_old)
    beyond = xp.where(adv > 0, r > 1 + clip_range, r < 1 - clip_range)
    out[...] = xp.where(beyond, 0, r * adv)
