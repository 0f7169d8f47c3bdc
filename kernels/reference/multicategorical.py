"""K independent choices, the k-th among n_k; a row of parameters is their logits side by side, so D = Σ n_k.

Every function is the categorical one of each component: log-probabilities, KL and entropy add up, the rest is side by
side. `sizes` (K,) are the n_k.
"""

from minipg.kernels.reference import categorical
from minipg.kernels.reference._namespace import namespace


def _parts(sizes):
    """(k, its columns) of every component."""
    stop = 0
    for k, size in enumerate(sizes.tolist()):
        start, stop = stop, stop + size
        yield k, slice(start, stop)


def sample(logits, uniform, sizes, out):
    """A choice by each uniform.   logits (B, D), uniform (B, K) in [0, 1) → out (B, K) int64."""
    for k, own in _parts(sizes):
        categorical.sample(logits[:, own], uniform[:, k], out[:, k])


def mode(logits, sizes, out):
    """The likeliest choice of each component.   logits (B, D) → out (B, K) int64."""
    for k, own in _parts(sizes):
        categorical.mode(logits[:, own], out[:, k])


def log_prob(logits, act, sizes, out):
    """Σ_k log p_k(a_k).   logits (B, D), act (B, K) → out (B,)."""
    part = namespace(out).empty_like(out)
    out[...] = 0
    for k, own in _parts(sizes):
        categorical.log_prob(logits[:, own], act[:, k], part)
        out += part


def score(logits, act, sizes, out):
    """onehot(a_k) − p_k, side by side  (DI-1).   logits (B, D), act (B, K) → out (B, D)."""
    for k, own in _parts(sizes):
        categorical.score(logits[:, own], act[:, k], out[:, own])


def kl(old, new, sizes, out):
    """Σ_k KL(old_k‖new_k).   old, new (B, D) → out (B,)."""
    part = namespace(out).empty_like(out)
    out[...] = 0
    for _, own in _parts(sizes):
        categorical.kl(old[:, own], new[:, own], part)
        out += part


def kl_gradient(old, new, sizes, out):
    """p_new − p_old of each component, side by side.   old, new (B, D) → out (B, D)."""
    for _, own in _parts(sizes):
        categorical.kl_gradient(old[:, own], new[:, own], out[:, own])


def entropy(logits, sizes, out):
    """Σ_k H_k  (DI-7).   logits (B, D) → out (B,)."""
    part = namespace(out).empty_like(out)
    out[...] = 0
    for _, own in _parts(sizes):
        categorical.entropy(logits[:, own], part)
        out += part


def entropy_gradient(logits, sizes, out):
    """∇H_k, side by side  (DI-7).   logits (B, D) → out (B, D)."""
    for _, own in _parts(sizes):
        categorical.entropy_gradient(logits[:, own], out[:, own])


def fisher_product(logits, v, sizes, out):
    """(diag(p_k) − p_k p_kᵀ) v_k, side by side  (DI-3).   logits, v (B, D) → out (B, D)."""
    for _, own in _parts(sizes):
        categorical.fisher_product(logits[:, own], v[:, own], out[:, own])
