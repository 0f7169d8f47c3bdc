"""A network over one flat parameter vector, its Jacobian–vector and vector–Jacobian products.

θ holds W₀ (n₀, n₁), b₀ (n₁), W₁ (n₁, n₂), b₁, … row by row; `sizes` is (n₀, …, n_L), and

    h₀ = scale·obs,   h_{l+1} = φ(h_l W_l + b_l)  for l < L−1,   out = h_{L−1} W_{L−1} + b_{L−1}.

The first layers may be convolutions: then h_l W_l is the convolution h_l ∗ W_l, which has one bias for each filter
(conv.py). φ is tanh (`activation` 0) or ReLU (1). The derivative of either is a function of φ's value h, so only the
values are kept: φ′ = 1 − h² and φ′ = [h > 0]. The order of the activations in `hidden` is private to a twin: pass it on
unread.
"""

from minipg.kernels._layers import activations, convs, layers
from minipg.kernels.reference import conv
from minipg.kernels.reference._namespace import namespace


def size(network):
    """P: the number of parameters of a network."""
    total = 0
    for shape, n, m in zip(convs(network), network.sizes[:-1].tolist(), network.sizes[1:].tolist(), strict=True):
        total += (n + 1) * m if shape is None else (shape.kernel**2 * shape.channels + 1) * shape.filters
    return total


def _new_hidden(network, theta, obs):
    return namespace(obs).empty(len(obs) * int(network.sizes[1:-1].sum()), theta.dtype)


def _slope(activation, h):
    return 1 - h * h if activation == 0 else (h > 0).astype(h.dtype)


def _product(shape, x, w):
    """x W: a matrix product, or a convolution."""
    if shape is None:
        return x @ w
    y = namespace(x).zeros((len(x), shape.rows * shape.columns * shape.filters), x.dtype)
    conv.add_product(shape, x, w, y)
    return y


def _plus_bias(y, b):
    """y + b, with one bias for each column, or for each filter."""
    return (y.reshape(-1, len(b)) + b).reshape(y.shape)


def _inputs(network, obs, dtype):
    """scale·obs. Rows of bytes become numbers of `dtype`."""
    x = obs.astype(dtype, copy=False)
    return x if network.scale == 1 else x * dtype.type(network.scale)


def forward(theta, network, obs, out, hidden):
    """The network's output, and the hidden activations, which the derivatives need.

    theta (P,), obs (B, n₀) → out (B, n_L), hidden (B·Σ n_l over hidden layers,).
    """
    xp, h = namespace(obs), _inputs(network, obs, theta.dtype)
    hs = [*activations(hidden, network.sizes, len(obs)), None]
    for shape, (w, b), h_next in zip(convs(network), layers(theta, network), hs, strict=True):
        y = _plus_bias(_product(shape, h, w), b)
        if h_next is None:
            out[...] = y
        else:
            h_next[...] = xp.tanh(y) if network.activation == 0 else xp.maximum(y, 0)
            h = h_next


def jvp(theta, network, obs, hidden, v, out, work):
    """J v: the derivative of the output along v (forward mode).

    v (P,), hidden from `forward` → out (B, n_L).   work (3·B·max n_l, l ≥ 1,).
    """
    h, dh = _inputs(network, obs, theta.dtype), None
    hs = [*activations(hidden, network.sizes, len(obs)), None]
    sweep = zip(convs(network), layers(theta, network), layers(v, network), hs, strict=True)
    for shape, (w, _), (dw, db), h_next in sweep:
        dy = _plus_bias(_product(shape, h, dw), db)
        if dh is not None:
            dy = _product(shape, dh, w) + dy
        if h_next is None:
            out[...] = dy
        else:
            h, dh = h_next, _slope(network.activation, h_next) * dy


def vjp(theta, network, obs, hidden, g, out, work):
    """Jᵀ g, summed over the batch: the gradient in θ of Σ g·output (reverse mode).

    g (B, n_L), hidden from `forward` → out (P,).   work (P + 2·B·max n_l, l ≥ 1,).
    """
    hs = [_inputs(network, obs, theta.dtype), *activations(hidden, network.sizes, len(obs))]
    sweep = zip(convs(network), hs, layers(theta, network), layers(out, network), strict=True)
    for index, (shape, h, (w, _), (dw, db)) in reversed(list(enumerate(sweep))):
        if shape is None:
            dw[...] = h.T @ g
        else:
            dw[...] = 0
            conv.add_weight_gradient(shape, h, g, dw)
        db[...] = g.reshape(-1, len(db)).sum(axis=0)
        if index > 0:
            g = _pulled_back(shape, w, g) * _slope(network.activation, h)


def vjp_obs(theta, network, hidden, g, out, work):
    """The gradient in obs of Σ g·output (reverse mode).

    g (B, n_L), hidden from `forward` → out (B, n₀).   work (2·B·max n_l, l ≥ 1, and P more if there are convolutions).
    """
    hs = [None, *activations(hidden, network.sizes, len(g))]
    for shape, h, (w, _) in reversed(list(zip(convs(network), hs, layers(theta, network), strict=True))):
        g = _pulled_back(shape, w, g)
        if h is not None:
            g = g * _slope(network.activation, h)
    out[...] = _inputs(network, g, g.dtype)


def _pulled_back(shape, w, g):
    """g Wᵀ: the gradient in x of Σ g·(x W)."""
    if shape is None:
        return g @ w.T
    dx = namespace(g).zeros((len(g), shape.height * shape.width * shape.channels), g.dtype)
    conv.add_input_gradient(shape, w, g, dx)
    return dx
