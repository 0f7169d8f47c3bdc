"""Twin of `reference/categorical.py`. One row at a time; log p_a = z_a − m − s with m = max z, s = log Σ e^{z−m}."""

import math

from minipg.kernels.cpu._jit import jit


@jit
def _log_normalizer(z):
    """(m, s): kept apart because z − m is exact where m + s would round."""
    m = z[0]
    for a in range(1, z.shape[0]):
        m = z[a] if not z[a] <= m else m
    total = 0.0
    for a in range(z.shape[0]):
        total += math.exp(z[a] - m)
    return m, z.dtype.type(math.log(total))


@jit
def sample(logits, uniform, out):
    """a = number of k with p₀ + … + p_k ≤ u.   logits (B, A), uniform (B,) in [0, 1) → out (B,) int64."""
    for i in range(logits.shape[0]):
        z = logits[i]
        m, _ = _log_normalizer(z)
        total = 0.0
        for a in range(z.shape[0]):
            total += math.exp(z[a] - m)
        threshold, below, action = uniform[i] * total, 0.0, 0
        for a in range(z.shape[0] - 1):
            below += math.exp(z[a] - m)
            action += below <= threshold
        out[i] = action


@jit
def mode(logits, out):
    """argmax_a p(a).   logits (B, A) → out (B,) int64."""
    for i in range(logits.shape[0]):
        best = 0
        for a in range(1, logits.shape[1]):
            best = a if logits[i, a] > logits[i, best] else best
        out[i] = best


@jit
def log_prob(logits, act, out):
    """log p(a).   logits (B, A), act (B,) → out (B,)."""
    for i in range(logits.shape[0]):
        m, s = _log_normalizer(logits[i])
        out[i] = logits[i, act[i]] - m - s


@jit
def score(logits, act, out):
    """onehot(a) − p  (DI-1).   logits (B, A), act (B,) → out (B, A)."""
    for i in range(logits.shape[0]):
        m, s = _log_normalizer(logits[i])
        for a in range(logits.shape[1]):
            out[i, a] = (a == act[i]) - math.exp(logits[i, a] - m - s)


@jit
def kl(old, new, out):
    """KL(old‖new).   old, new (B, A) → out (B,)."""
    for i in range(old.shape[0]):
        m0, s0 = _log_normalizer(old[i])
        m1, s1 = _log_normalizer(new[i])
        total = 0.0
        for a in range(old.shape[1]):
            log_old, log_new = old[i, a] - m0 - s0, new[i, a] - m1 - s1
            total += math.exp(log_old) * (log_old - log_new)
        out[i] = total


@jit
def kl_gradient(old, new, out):
    """p_new − p_old: the gradient of KL(old‖new) in the new logits.   old, new (B, A) → out (B, A)."""
    for i in range(old.shape[0]):
        m0, s0 = _log_normalizer(old[i])
        m1, s1 = _log_normalizer(new[i])
        for a in range(old.shape[1]):
            out[i, a] = math.exp(new[i, a] - m1 - s1) - math.exp(old[i, a] - m0 - s0)


@jit
def _entropy(z, m, s):
    total = 0.0
    for a in range(z.shape[0]):
        log_p = z[a] - m - s
        total -= math.exp(log_p) * log_p
    return total


@jit
def entropy(logits, out):
    """H = −Σ_a p log p  (DI-7).   logits (B, A) → out (B,)."""
    for i in range(logits.shape[0]):
        m, s = _log_normalizer(logits[i])
        out[i] = _entropy(logits[i], m, s)


@jit
def entropy_gradient(logits, out):
    """−p (log p + H)  (DI-7).   logits (B, A) → out (B, A)."""
    for i in range(logits.shape[0]):
        m, s = _log_normalizer(logits[i])
        h = _entropy(logits[i], m, s)
        for a in range(logits.shape[1]):
            log_p = logits[i, a] - m - s
            out[i, a] = -math.exp(log_p) * (log_p + h)


@jit
def fisher_product(logits, v, out):
    """(diag(p) − p pᵀ) v  (DI-3).   logits, v (B, A) → out (B, A), which may be v."""
    for i in range(logits.shape[0]):
        m, s = _log_normalizer(logits[i])
        mean = 0.0
        for a in range(logits.shape[1]):
            mean += math.exp(logits[i, a] - m - s) * v[i, a]
        for a in range(logits.shape[1]):
            out[i, a] = math.exp(logits[i, a] - m - s) * (v[i, a] - mean)
