"""K independent choices, the k-th among n_k; a row of parameters is their logits, concatenated: D = Σ n_k.

Every function applies the categorical one to each component. Log-probabilities, KL and entropy are sums; the rest is
concatenated. `sizes` (K,) are the n_k.
"""

from minipg.kernels.reference import categorical
from minipg.kernels.reference._namespace import namespace


def _parts(sizes):
    """(k, the slice of its columns) for every component."""
    stop = 0
    for k, size in enumerate(sizes.tolist()):
        start, stop = stop, stop + size
        yield k, slice(start, stop)


def sample(logits, uniform, sizes, out):
    """a_k from the k-th uniform, as in categorical.py.   logits (B, D), uniform (B, K) in [0, 1) → out (B, K) int64."""
    for k, columns in _parts(sizes):
        categorical.sample(logits[:, columns], uniform[:, k], out[:, k])


def mode(logits, sizes, out):
    """The most probable choice of each component.   logits (B, D) → out (B, K) int64."""
    for k, columns in _parts(sizes):
        categorical.mode(logits[:, columns], out[:, k])


def log_prob(logits, act, sizes, out):
    """Σ_k log p_k(a_k)  (DI-4).   logits (B, D), act (B, K) → out (B,)."""
    part = namespace(out).empty_like(out)
    out[...] = 0
    for k, columns in _parts(sizes):
        categorical.log_prob(logits[:, columns], act[:, k], part)
        out += part


def score(logits, act, sizes, out):
    """onehot(a_k) − p_k, concatenated  (DI-1).   logits (B, D), act (B, K) → out (B, D)."""
    for k, columns in _parts(sizes):
        categorical.score(logits[:, columns], act[:, k], out[:, columns])


def kl(old, new, sizes, out):
    """Σ_k KL(old_k‖new_k)  (DI-6).   old, new (B, D) → out (B,)."""
    part = namespace(out).empty_like(out)
    out[...] = 0
    for _, columns in _parts(sizes):
        categorical.kl(old[:, columns], new[:, columns], part)
        out += part


def kl_gradient(old, new, sizes, out):
    """p_new − p_old of each component, concatenated.   old, new (B, D) → out (B, D)."""
    for _, columns in _parts(sizes):
        categorical.kl_gradient(old[:, columns], new[:, columns], out[:, columns])


def entropy(logits, sizes, out):
    """Σ_k H_k  (DI-7).   logits (B, D) → out (B,)."""
    part = namespace(out).empty_like(out)
    out[...] = 0
    for _, columns in _parts(sizes):
        categorical.entropy(logits[:, columns], part)
        out += part


def entropy_gradient(logits, sizes, out):
    """∇H_k, concatenated  (DI-7).   logits (B, D) → out (B, D)."""
    for _, columns in _parts(sizes):
        categorical.entropy_gradient(logits[:, columns], out[:, columns])


def fisher_product(logits, v, sizes, out):
    """(diag(p_k) − p_k p_kᵀ) v_k, concatenated  (DI-3).   logits, v (B, D) → out (B, D), which may be v."""
    for _, columns in _parts(sizes):
        categorical.fisher_product(logits[:, columns], v[:, columns], out[:, columns])
