"""Twin of `reference/bernoulli.py`, one thread a row (bernoulli.cuh): a row of parameters is the logits of its bits."""

from minipg.kernels.gpu._rows import rows_of

_run = rows_of("bernoulli")


def sample(logits, uniform, out):
    """a = [u < p].   logits (B, D), uniform (B, D) in [0, 1) → out (B, D) int64."""
    _run("sample", len(logits), logits.shape[1], (), logits, uniform, out)


def mode(logits, out):
    """a = [p > ½].   logits (B, D) → out (B, D) int64."""
    _run("mode", len(logits), logits.shape[1], (), logits, out)


def log_prob(logits, act, out):
    """Σ [a log p + (1 − a) log(1 − p)].   logits (B, D), act (B, D) → out (B,)."""
    _run("log_prob", len(logits), logits.shape[1], (), logits, act, out)


def score(logits, act, out):
    """a − p  (DI-1).   logits (B, D), act (B, D) → out (B, D)."""
    _run("score", len(logits), logits.shape[1], (), logits, act, out)


def kl(old, new, out):
    """KL(old‖new).   old, new (B, D) → out (B,)."""
    _run("kl", len(old), old.shape[1], (), old, new, out)


def kl_gradient(old, new, out):
    """p_new − p_old, in the new logits.   old, new (B, D) → out (B, D)."""
    _run("kl_gradient", len(old), old.shape[1], (), old, new, out)


def entropy(logits, out):
    """H = −Σ [p log p + (1 − p) log(1 − p)]  (DI-7).   logits (B, D) → out (B,)."""
    _run("entropy", len(logits), logits.shape[1], (), logits, out)


def entropy_gradient(logits, out):
    """−z p (1 − p)  (DI-7).   logits (B, D) → out (B, D)."""
    _run("entropy_gradient", len(logits), logits.shape[1], (), logits, out)


def fisher_product(logits, v, out):
    """diag(p (1 − p)) v  (DI-3).   logits, v (B, D) → out (B, D), which may be v."""
    _run("fisher_product", len(logits), logits.shape[1], (), logits, v, out)
