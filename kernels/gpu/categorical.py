"""Twin of `reference/categorical.py`, one thread a row (categorical.cuh): a row of parameters is its logits."""

from minipg.kernels.gpu._rows import rows_of

_run = rows_of("categorical")


def sample(logits, uniform, out):
    """a = number of k with p₀ + … + p_k ≤ u.   logits (B, A), uniform (B,) in [0, 1) → out (B,) int64."""
    _run("sample", len(logits), logits.shape[1], (), logits, uniform, out)


def mode(logits, out):
    """argmax_a p(a).   logits (B, A) → out (B,) int64."""
    _run("mode", len(logits), logits.shape[1], (), logits, out)


def log_prob(logits, act, out):
    """log p(a).   logits (B, A), act (B,) → out (B,)."""
    _run("log_prob", len(logits), logits.shape[1], (), logits, act, out)


def score(logits, act, out):
    """onehot(a) − p  (DI-1).   logits (B, A), act (B,) → out (B, A)."""
    _run("score", len(logits), logits.shape[1], (), logits, act, out)


def kl(old, new, out):
    """KL(old‖new).   old, new (B, A) → out (B,)."""
    _run("kl", len(old), old.shape[1], (), old, new, out)


def kl_gradient(old, new, out):
    """p_new − p_old, in the new logits.   old, new (B, A) → out (B, A)."""
    _run("kl_gradient", len(old), old.shape[1], (), old, new, out)


def entropy(logits, out):
    """H = −Σ p log p  (DI-7).   logits (B, A) → out (B,)."""
    _run("entropy", len(logits), logits.shape[1], (), logits, out)


def entropy_gradient(logits, out):
    """−p (log p + H)  (DI-7).   logits (B, A) → out (B, A)."""
    _run("entropy_gradient", len(logits), logits.shape[1], (), logits, out)


def fisher_product(logits, v, out):
    """(diag(p) − p pᵀ) v  (DI-3).   logits, v (B, A) → out (B, A), which may be v."""
    _run("fisher_product", len(logits), logits.shape[1], (), logits, v, out)
