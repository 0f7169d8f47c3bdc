"""D independent bits; a row of parameters is their logits z, p = 1/(1 + e^{−z}) the probability of a 1."""

from minipg.kernels.reference._namespace import namespace


def _softplus(z):
    """log(1 + eᶻ) = max(z, 0) + log(1 + e^{−|z|}): −log p at −z, −log(1 − p) at z."""
    xp = namespace(z)
    return xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))


def _sigmoid(z):
    xp = namespace(z)
    small = xp.exp(-xp.abs(z))
    return xp.where(z >= 0, 1, small) / (1 + small)


def sample(logits, uniform, out):
    """a = [u < p].   logits (B, D), uniform (B, D) in [0, 1) → out (B, D) int64."""
    out[...] = uniform < _sigmoid(logits)


def mode(logits, out):
    """a = [p > ½].   logits (B, D) → out (B, D) int64."""
    out[...] = logits > 0


def log_prob(logits, act, out):
    """Σ [a log p + (1 − a) log(1 − p)]  (DI-4).   logits, act (B, D) → out (B,)."""
    out[...] = -_softplus(namespace(logits).where(act == 1, -logits, logits)).sum(axis=1)


def score(logits, act, out):
    """∇_z log p(a) = a − p  (DI-1).   logits, act (B, D) → out (B, D)."""
    out[...] = act - _sigmoid(logits)


def kl(old, new, out):
    """KL(old‖new) = Σ [p₀ (log p₀ − log p₁) + (1 − p₀) (log(1 − p₀) − log(1 − p₁))]  (DI-6).

    0 is old and 1 is new.   old, new (B, D) → out (B,).
    """
    ones = _sigmoid(old) * (_softplus(-new) - _softplus(-old))
    zeros = _sigmoid(-old) * (_softplus(new) - _softplus(old))
    out[...] = (ones + zeros).sum(axis=1)


def kl_gradient(old, new, out):
    """∇ KL(old‖new) in the new logits = p_new − p_old.   old, new (B, D) → out (B, D)."""
    out[...] = _sigmoid(new) - _sigmoid(old)


def entropy(logits, out):
    """H = −Σ [p log p + (1 − p) log(1 − p)]  (DI-7).   logits (B, D) → out (B,)."""
    out[...] = (_sigmoid(logits) * _softplus(-logits) + _sigmoid(-logits) * _softplus(logits)).sum(axis=1)


def entropy_gradient(logits, out):
    """∇_z H = −z p (1 − p)  (DI-7).   logits (B, D) → out (B, D)."""
    out[...] = -logits * _sigmoid(logits) * _sigmoid(-logits)


def fisher_product(logits, v, out):
    """diag(p (1 − p)) v  (DI-3, of logits (0, z)).   logits, v (B, D) → out (B, D), which may be v."""
    out[...] = _sigmoid(logits) * _sigmoid(-logits) * v
