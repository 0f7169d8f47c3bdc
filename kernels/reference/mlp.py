"""A multi-layer perceptron over one flat parameter vector, its Jacobian–vector and vector–Jacobian products.

θ holds W₀ (n₀, n₁), b₀ (n₁), W₁ (n₁, n₂), b₁, … row by row; `sizes` is (n₀, …, n_L), and

    h₀ = obs,   h_{l+1} = φ(h_l W_l + b_l)  for l < L−1,   out = h_{L−1} W_{L−1} + b_{L−1}.

φ is tanh (`activation` 0) or ReLU (1). The derivative of either is a function of φ's value h, so only the values are
kept: φ′ = 1 − h² and φ′ = [h > 0]. The order of the activations in `hidden` is private to a twin: pass it on unread.
"""

from itertools import pairwise

from minipg.kernels._layers import activations, layers
from minipg.kernels.reference._namespace import namespace


def size(sizes):
    """P: the number of parameters of a network with layer sizes (L+1,), an array or a tuple."""
    return sum((int(n) + 1) * int(m) for n, m in pairwise(sizes))


def _new_hidden(sizes, obs):
    return namespace(obs).empty(len(obs) * int(sizes[1:-1].sum()), obs.dtype)


def _slope(activation, h):
    return 1 - h * h if activation == 0 else (h > 0).astype(h.dtype)


def forward(theta, sizes, activation, obs, out, hidden):
    """The network's output, and the hidden activations, which the derivatives need.

    theta (P,), sizes (L+1,), obs (B, n₀) → out (B, n_L), hidden (B·Σ n_l over hidden layers,).
    """
    xp = namespace(obs)
    weights = list(layers(theta, sizes))
    h = obs
    for (w, b), h_next in zip(weights[:-1], activations(hidden, sizes, len(obs)), strict=True):
        y = h @ w + b
        h_next[...] = xp.tanh(y) if activation == 0 else xp.maximum(y, 0)
        h = h_next
    w, b = weights[-1]
    out[...] = h @ w + b


def jvp(theta, sizes, activation, obs, hidden, v, out, work):
    """J v: the derivative of the output along v (forward mode).

    v (P,), hidden from `forward` → out (B, n_L).   work (3·B·max n_l,).
    """
    h, dh = obs, None
    hs = [*activations(hidden, sizes, len(obs)), None]
    for (w, _), (dw, db), h_next in zip(layers(theta, sizes), layers(v, sizes), hs, strict=True):
        dy = h @ dw + db if dh is None else dh @ w + h @ dw + db
        if h_next is None:
            out[...] = dy
        else:
            h, dh = h_next, _slope(activation, h_next) * dy


def vjp(theta, sizes, activation, obs, hidden, g, out, work):
    """Jᵀ g, summed over the batch: the gradient in θ of Σ g·output (reverse mode).

    g (B, n_L), hidden from `forward` → out (P,).   work (P + 2·B·max n_l,).
    """
    hs = [obs, *activations(hidden, sizes, len(obs))]
    sweep = zip(hs, layers(theta, sizes), layers(out, sizes), strict=True)
    for index, (h, (w, _), (dw, db)) in reversed(list(enumerate(sweep))):
        dw[...] = h.T @ g
        db[...] = g.sum(axis=0)
        if index > 0:
            g = g @ w.T * _slope(activation, h)


def vjp_obs(theta, sizes, activation, hidden, g, out, work):
    """The gradient in obs of Σ g·output (reverse mode).

    g (B, n_L), hidden from `forward` → out (B, n₀).   work (2·B·max n_l,).
    """
    hs = [None, *activations(hidden, sizes, len(g))]
    for h, (w, _) in reversed(list(zip(hs, layers(theta, sizes), strict=True))):
        g = g @ w.T if h is None else g @ w.T * _slope(activation, h)
    out[...] = g
