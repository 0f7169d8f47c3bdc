"""Twin of `reference/multicategorical.py`; `sizes` (K,) are the numbers of choices n_k of the components."""

from minipg.kernels.cpu import categorical
from minipg.kernels.cpu._jit import jit


@jit
def sample(logits, uniform, sizes, out):
    """a_k from the k-th uniform, as in categorical.py.   logits (B, D), uniform (B, K) in [0, 1) → out (B, K) int64."""
    for i in range(logits.shape[0]):
        start = 0
        for k in range(sizes.shape[0]):
            out[i, k] = categorical._sample(logits[i, start : start + sizes[k]], uniform[i, k])
            start += sizes[k]


@jit
def mode(logits, sizes, out):
    """The most probable choice of each component.   logits (B, D) → out (B, K) int64."""
    for i in range(logits.shape[0]):
        start = 0
        for k in range(sizes.shape[0]):
            out[i, k] = categorical._mode(logits[i, start : start + sizes[k]])
            start += sizes[k]


@jit
def log_prob(logits, act, sizes, out):
    """Σ_k log p_k(a_k)  (DI-4).   logits (B, D), act (B, K) → out (B,)."""
    for i in range(logits.shape[0]):
        start, total = 0, 0.0
        for k in range(sizes.shape[0]):
            total += categorical._log_prob(logits[i, start : start + sizes[k]], act[i, k])
            start += sizes[k]
        out[i] = total


@jit
def score(logits, act, sizes, out):
    """onehot(a_k) − p_k, concatenated  (DI-1).   logits (B, D), act (B, K) → out (B, D)."""
    for i in range(logits.shape[0]):
        start = 0
        for k in range(sizes.shape[0]):
            stop = start + sizes[k]
            categorical._score(logits[i, start:stop], act[i, k], out[i, start:stop])
            start = stop


@jit
def _score_and_log_prob(logits, act, sizes, out, logp):
    """`score` and `log_prob` at once.   → out (B, D), logp (B,)."""
    for i in range(logits.shape[0]):
        start, total = 0, 0.0
        for k in range(sizes.shape[0]):
            stop = start + sizes[k]
            total += categorical._score(logits[i, start:stop], act[i, k], out[i, start:stop])
            start = stop
        logp[i] = total


@jit
def kl(old, new, sizes, out):
    """Σ_k KL(old_k‖new_k)  (DI-6).   old, new (B, D) → out (B,)."""
    for i in range(old.shape[0]):
        start, total = 0, 0.0
        for k in range(sizes.shape[0]):
            stop = start + sizes[k]
            total += categorical._kl(old[i, start:stop], new[i, start:stop])
            start = stop
        out[i] = total


@jit
def kl_gradient(old, new, sizes, out):
    """p_new − p_old of each component, concatenated.   old, new (B, D) → out (B, D)."""
    for i in range(old.shape[0]):
        start = 0
        for k in range(sizes.shape[0]):
            stop = start + sizes[k]
            categorical._kl_gradient(old[i, start:stop], new[i, start:stop], out[i, start:stop])
            start = stop


@jit
def entropy(logits, sizes, out):
    """Σ_k H_k  (DI-7).   logits (B, D) → out (B,)."""
    for i in range(logits.shape[0]):
        start, total = 0, 0.0
        for k in range(sizes.shape[0]):
            stop = start + sizes[k]
            total += categorical._entropy(logits[i, start:stop])
            start = stop
        out[i] = total


@jit
def entropy_gradient(logits, sizes, out):
    """∇H_k, concatenated  (DI-7).   logits (B, D) → out (B, D)."""
    for i in range(logits.shape[0]):
        start = 0
        for k in range(sizes.shape[0]):
            stop = start + sizes[k]
            categorical._entropy_gradient(logits[i, start:stop], out[i, start:stop])
            start = stop


@jit
def fisher_product(logits, v, sizes, out):
    """(diag(p_k) − p_k p_kᵀ) v_k, concatenated  (DI-3).   logits, v (B, D) → out (B, D), which may be v."""
    for i in range(logits.shape[0]):
        start = 0
        for k in range(sizes.shape[0]):
            stop = start + sizes[k]
            categorical._fisher_product(logits[i, start:stop], v[i, start:stop], out[i, start:stop])
            start = stop
