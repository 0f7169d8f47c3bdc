"""Twin of `reference/multicategorical.py`, one thread a row (multicategorical.cuh).

`sizes` (K,), on the host, are the options of each choice.
"""

from minipg.kernels.gpu._rows import rows_of

_run = rows_of("multicategorical")


def sample(logits, uniform, sizes, out):
    """A choice by each uniform.   logits (B, D), uniform (B, K) in [0, 1) → out (B, K) int64."""
    _run("sample", len(logits), logits.shape[1], (sizes,), logits, uniform, out)


def mode(logits, sizes, out):
    """The likeliest of each choice.   logits (B, D) → out (B, K) int64."""
    _run("mode", len(logits), logits.shape[1], (sizes,), logits, out)


def log_prob(logits, act, sizes, out):
    """Σ_k log p_k(a_k).   logits (B, D), act (B, K) → out (B,)."""
    _run("log_prob", len(logits), logits.shape[1], (sizes,), logits, act, out)


def score(logits, act, sizes, out):
    """onehot(a_k) − p_k, side by side  (DI-1).   logits (B, D), act (B, K) → out (B, D)."""
    _run("score", len(logits), logits.shape[1], (sizes,), logits, act, out)


def kl(old, new, sizes, out):
    """Σ_k KL(old_k‖new_k).   old, new (B, D) → out (B,)."""
    _run("kl", len(old), old.shape[1], (sizes,), old, new, out)


def kl_gradient(old, new, sizes, out):
    """p_new − p_old of each choice.   old, new (B, D) → out (B, D)."""
    _run("kl_gradient", len(old), old.shape[1], (sizes,), old, new, out)


def entropy(logits, sizes, out):
    """Σ_k H_k  (DI-7).   logits (B, D) → out (B,)."""
    _run("entropy", len(logits), logits.shape[1], (sizes,), logits, out)


def entropy_gradient(logits, sizes, out):
    """∇H_k, side by side  (DI-7).   logits (B, D) → out (B, D)."""
    _run("entropy_gradient", len(logits), logits.shape[1], (sizes,), logits, out)


def fisher_product(logits, v, sizes, out):
    """(diag(p_k) − p_k p_kᵀ) v_k, side by side  (DI-3).   logits, v (B, D) → out (B, D), which may be v."""
    _run("fisher_product", len(logits), logits.shape[1], (sizes,), logits, v, out)
