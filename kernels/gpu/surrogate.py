"""Twin of `reference/surrogate.py`, one thread a row (surrogate.cu)."""

from minipg.kernels.gpu._cuda import Source

_run = Source("surrogate.cu")


def surrogate(logp, logp_old, adv, out):
    """r Â  (IS-3, PP-1).   (B,) each → out (B,)."""
    _run("surrogate", len(logp), logp, logp_old, adv, out)


def clipped(logp, logp_old, adv, clip_range, out):
    """min(r Â, clip(r, 1 − ε, 1 + ε) Â)  (PP-2).   (B,) each → out (B,)."""
    _run("clipped", len(logp), clip_range, logp, logp_old, adv, out)


def clipped_gradient(logp, logp_old, adv, clip_range, out):
    """Its derivative in log π: 0 where r is beyond the clip on the side that Â pulls to, elsewhere r Â  (PP-2)."""
    _run("clipped_gradient", len(logp), clip_range, logp, logp_old, adv, out)
