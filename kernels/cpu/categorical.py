"""Twin of `reference/categorical.py`. One row at a time; log p_a = z_a − m − s with m = max z, s = log Σ e^{z−m}.

The functions of one row z (A,) serve `multicategorical.py` too.
"""

import math

from minipg.kernels.arguments import IMPOSSIBLE
from minipg.kernels.cpu._jit import jit, part


@part
def _highest(z):
    m = z[0]
    for a in range(1, z.shape[0]):
        m = z[a] if not z[a] <= m else m
    return m


@part
def _log_normalizer(z):
    """(m, s), not m + s: z − m is exact where m + s would round."""
    m, total = _highest(z), 0.0
    for a in range(z.shape[0]):
        total += math.exp(z[a] - m)
    return m, z.dtype.type(math.log(total))


@part
def _sample(z, uniform):
    m, _ = _log_normalizer(z)
    total = 0.0
    for a in range(z.shape[0]):
        total += math.exp(z[a] - m)
    threshold, below, action = uniform * total, 0.0, 0
    for a in range(z.shape[0] - 1):
        below += math.exp(z[a] - m)
        action += below <= threshold
    while action > 0 and z[action] - m < IMPOSSIBLE:  # rounding has passed the last possible action
        action -= 1
    return action


@part
def _mode(z):
    best = 0
    for a in range(1, z.shape[0]):
        best = a if z[a] > z[best] else best
    return best


@part
def _log_prob(z, act):
    m, s = _log_normalizer(z)
    return z[act] - m - s


@part
def _score(z, act, out):
    """onehot(a) − p → out (A,), and returns log p(a). p = e^{z−m}/Σ takes one exponential per logit, e^{log p} two."""
    m, total = _highest(z), 0.0
    for a in range(z.shape[0]):
        out[a] = math.exp(z[a] - m)
        total += out[a]
    for a in range(z.shape[0]):
        out[a] = (a == act) - out[a] / total
    return z[act] - m - z.dtype.type(math.log(total))


@part
def _kl(old, new):
    """With e = e^{z−m} and Σ e: Σ e_old (log e_old − log e_new) / Σ e_old + log Σ e_new − log Σ e_old."""
    m0, m1 = _highest(old), _highest(new)
    total0, total1, weighted = 0.0, 0.0, 0.0
    for a in range(old.shape[0]):
        e = math.exp(old[a] - m0)
        total0 += e
        total1 += math.exp(new[a] - m1)
        weighted += e * ((old[a] - m0) - (new[a] - m1))
    return weighted / total0 + (math.log(total1) - math.log(total0))


@part
def _kl_gradient(old, new, out):
    m0, m1, total0, total1 = _highest(old), _highest(new), 0.0, 0.0
    for a in range(old.shape[0]):
        out[a] = math.exp(new[a] - m1)
        total1 += out[a]
        total0 += math.exp(old[a] - m0)
    for a in range(old.shape[0]):
        out[a] = out[a] / total1 - math.exp(old[a] - m0) / total0


@jit
def kl_gradient(old, new, out):
    """p_new − p_old: the gradient of KL(old‖new) in the new logits.   old, new (B, A) → out (B, A)."""
    for i in range(old.shape[0]):
        _kl_gradient(old[i], new[i], out[i])


@part
def _entropy(z):
    """log Σ e − Σ e log e / Σ e, with e = e^{z−m}."""
    m, total, inner = _highest(z), 0.0, 0.0
    for a in range(z.shape[0]):
        e = math.exp(z[a] - m)
        total += e
        inner += e * (z[a] - m)
    return math.log(total) - inner / total


@part
def _entropy_gradient(z, out):
    m, s = _log_normalizer(z)
    h = _entropy(z)
    for a in range(z.shape[0]):
        log_p = z[a] - m - s
        out[a] = -math.exp(log_p) * (log_p + h)


@part
def _fisher_product(z, v, out):
    m, total, mean = _highest(z), 0.0, 0.0
    for a in range(z.shape[0]):
        e = math.exp(z[a] - m)
        total += e
        mean += e * v[a]
    mean /= total
    for a in range(z.shape[0]):
        out[a] = math.exp(z[a] - m) / total * (v[a] - mean)


@jit
def sample(logits, uniform, out):
    """a = number of k with p₀ + … + p_k ≤ u.   logits (B, A), uniform (B,) in [0, 1) → out (B,) int64."""
    for i in range(logits.shape[0]):
        out[i] = _sample(logits[i], uniform[i])


@jit
def mode(logits, out):
    """argmax_a p(a).   logits (B, A) → out (B,) int64."""
    for i in range(logits.shape[0]):
        out[i] = _mode(logits[i])


@jit
def log_prob(logits, act, out):
    """log p(a)  (DI-4).   logits (B, A), act (B,) → out (B,)."""
    for i in range(logits.shape[0]):
        out[i] = _log_prob(logits[i], act[i])


@jit
def score(logits, act, out):
    """onehot(a) − p  (DI-1).   logits (B, A), act (B,) → out (B, A)."""
    for i in range(logits.shape[0]):
        _score(logits[i], act[i], out[i])


@jit
def _score_and_log_prob(logits, act, out, logp):
    """`score` and `log_prob` at once.   → out (B, A), logp (B,)."""
    for i in range(logits.shape[0]):
        logp[i] = _score(logits[i], act[i], out[i])


@jit
def kl(old, new, out):
    """KL(old‖new)  (DI-6).   old, new (B, A) → out (B,)."""
    for i in range(old.shape[0]):
        out[i] = _kl(old[i], new[i])


@jit
def entropy(logits, out):
    """H = −Σ_a p log p  (DI-7).   logits (B, A) → out (B,)."""
    for i in range(logits.shape[0]):
        out[i] = _entropy(logits[i])


@jit
def entropy_gradient(logits, out):
    """−p (log p + H)  (DI-7).   logits (B, A) → out (B, A)."""
    for i in range(logits.shape[0]):
        _entropy_gradient(logits[i], out[i])


@jit
def fisher_product(logits, v, out):
    """(diag(p) − p pᵀ) v  (DI-3).   logits, v (B, A) → out (B, A), which may be v."""
    for i in range(logits.shape[0]):
        _fisher_product(logits[i], v[i], out[i])
