"""Categorical distribution over A actions; a row of parameters is its logits z, p = softmax(z)."""

from minipg.kernels.arguments import IMPOSSIBLE
from minipg.kernels.reference._namespace import namespace


def _log_softmax(logits):
    xp = namespace(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))


def _one_hot(act, actions):
    return act[:, None] == namespace(act).arange(actions)


def sample(logits, uniform, out):
    """a = number of k with p₀ + … + p_k ≤ u.   logits (B, A), uniform (B,) in [0, 1) → out (B,) int64.

    Where rounding would pass the last possible action, it is that one.
    """
    xp, log_p = namespace(logits), _log_softmax(logits)
    total = xp.exp(log_p).cumsum(axis=1)
    act = (total[:, :-1] <= uniform[:, None] * total[:, -1:]).sum(axis=1)
    last = logits.shape[1] - 1 - (log_p > IMPOSSIBLE)[:, ::-1].argmax(axis=1)
    out[...] = xp.minimum(act, last)


def mode(logits, out):
    """argmax_a p(a).   logits (B, A) → out (B,) int64."""
    out[...] = logits.argmax(axis=1)


def log_prob(logits, act, out):
    """log p(a)  (DI-4).   logits (B, A), act (B,) → out (B,)."""
    out[...] = _log_softmax(logits)[namespace(act).arange(len(act)), act]


def score(logits, act, out):
    """∇_z log p(a) = onehot(a) − p  (DI-1).   logits (B, A), act (B,) → out (B, A)."""
    xp = namespace(logits)
    out[...] = _one_hot(act, logits.shape[1]) - xp.exp(_log_softmax(logits))


def kl(old, new, out):
    """KL(old‖new) = Σ_a p_old (log p_old − log p_new)  (DI-6).   old, new (B, A) → out (B,)."""
    xp = namespace(old)
    log_old, log_new = _log_softmax(old), _log_softmax(new)
    out[...] = (xp.exp(log_old) * (log_old - log_new)).sum(axis=1)


def kl_gradient(old, new, out):
    """∇ KL(old‖new) in the new logits = p_new − p_old  (DI-6).   old, new (B, A) → out (B, A)."""
    xp = namespace(old)
    out[...] = xp.exp(_log_softmax(new)) - xp.exp(_log_softmax(old))


def entropy(logits, out):
    """H = −Σ_a p log p  (DI-7).   logits (B, A) → out (B,)."""
    log_p = _log_softmax(logits)
    out[...] = -(namespace(logits).exp(log_p) * log_p).sum(axis=1)


def entropy_gradient(logits, out):
    """∇_z H = −p (log p + H)  (DI-7).   logits (B, A) → out (B, A)."""
    log_p = _log_softmax(logits)
    p = namespace(logits).exp(log_p)
    out[...] = -p * (log_p - (p * log_p).sum(axis=1, keepdims=True))


def fisher_product(logits, v, out):
    """(diag(p) − p pᵀ) v  (DI-3).   logits, v (B, A) → out (B, A), which may be v."""
    p = namespace(logits).exp(_log_softmax(logits))
    out[...] = p * (v - (p * v).sum(axis=1, keepdims=True))
