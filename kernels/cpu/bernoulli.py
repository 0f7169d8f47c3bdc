"""Twin of `reference/bernoulli.py`."""

import math

from minipg.kernels.cpu._jit import jit, part


@part
def _softplus(z):
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


@part
def _sigmoid(z):
    small = math.exp(-abs(z))
    return (1 if z >= 0 else small) / (1 + small)


@jit
def sample(logits, uniform, out):
    """a = [u < p].   logits (B, D), uniform (B, D) in [0, 1) → out (B, D) int64."""
    for i in range(logits.shape[0]):
        for j in range(logits.shape[1]):
            out[i, j] = uniform[i, j] < _sigmoid(logits[i, j])


@jit
def mode(logits, out):
    """a = [p > ½].   logits (B, D) → out (B, D) int64."""
    for i in range(logits.shape[0]):
        for j in range(logits.shape[1]):
            out[i, j] = logits[i, j] > 0


@jit
def log_prob(logits, act, out):
    """Σ [a log p + (1 − a) log(1 − p)]  (DI-4).   logits, act (B, D) → out (B,)."""
    for i in range(logits.shape[0]):
        total = 0.0
        for j in range(logits.shape[1]):
            z = logits[i, j]
            total -= _softplus(-z if act[i, j] == 1 else z)
        out[i] = total


@jit
def score(logits, act, out):
    """a − p  (DI-1).   logits, act (B, D) → out (B, D)."""
    for i in range(logits.shape[0]):
        for j in range(logits.shape[1]):
            out[i, j] = act[i, j] - _sigmoid(logits[i, j])


@jit
def _score_and_log_prob(logits, act, out, logp):
    """`score` and `log_prob` at once.   → out (B, D), logp (B,)."""
    score(logits, act, out)
    log_prob(logits, act, logp)


@jit
def kl(old, new, out):
    """KL(old‖new) = Σ [p₀ (log p₀ − log p₁) + (1 − p₀) (log(1 − p₀) − log(1 − p₁))].   old, new (B, D) → out (B,)."""
    for i in range(old.shape[0]):
        total = 0.0
        for j in range(old.shape[1]):
            z0, z1 = old[i, j], new[i, j]
            total += _sigmoid(z0) * (_softplus(-z1) - _softplus(-z0))
            total += _sigmoid(-z0) * (_softplus(z1) - _softplus(z0))
        out[i] = total


@jit
def kl_gradient(old, new, out):
    """p_new − p_old: the gradient of KL(old‖new) in the new logits.   old, new (B, D) → out (B, D)."""
    for i in range(old.shape[0]):
        for j in range(old.shape[1]):
            out[i, j] = _sigmoid(new[i, j]) - _sigmoid(old[i, j])


@jit
def entropy(logits, out):
    """H = −Σ [p log p + (1 − p) log(1 − p)]  (DI-7).   logits (B, D) → out (B,)."""
    for i in range(logits.shape[0]):
        total = 0.0
        for j in range(logits.shape[1]):
            z = logits[i, j]
            total += _sigmoid(z) * _softplus(-z) + _sigmoid(-z) * _softplus(z)
        out[i] = total


@jit
def entropy_gradient(logits, out):
    """−z p (1 − p)  (DI-7).   logits (B, D) → out (B, D)."""
    for i in range(logits.shape[0]):
        for j in range(logits.shape[1]):
            z = logits[i, j]
            out[i, j] = -z * _sigmoid(z) * _sigmoid(-z)


@jit
def fisher_product(logits, v, out):
    """diag(p (1 − p)) v  (DI-3, of logits (0, z)).   logits, v (B, D) → out (B, D), which may be v."""
    for i in range(logits.shape[0]):
        for j in range(logits.shape[1]):
            out[i, j] = _sigmoid(logits[i, j]) * _sigmoid(-logits[i, j]) * v[i, j]
