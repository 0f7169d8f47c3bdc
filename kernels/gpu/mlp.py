"""`reference/mlp.py` by cuBLAS for the matrix products and one fused pass for everything beside them (mlp.cu).

Networks on images, with convolutions or a scale, are left to the reference.
"""

import cupy
from minipg.kernels._layers import activations, layers
from minipg.kernels.gpu._arrays import sum_columns, threads_for
from minipg.kernels.gpu._cuda import Source
from minipg.kernels.reference import mlp as reference

_NARROW = 8  # columns up to which the product g Wᵀ is computed by the pass that uses it
_LINEAR = 2  # the activation of the last layer
_run = Source("activation.cuh", "mlp.cu", NARROW=str(_NARROW))


def _on_images(network):
    return len(network.convs) > 0 or network.scale != 1


def _new_outputs(network, theta, obs):
    """The outputs (B, n_L) for obs (B, n₀), and the hidden activations."""
    rows, sizes = len(obs), network.sizes.tolist()
    out, hidden = cupy.empty((rows, sizes[-1]), theta.dtype), cupy.empty(rows * sum(sizes[1:-1]), theta.dtype)
    forward(theta, network, obs, out, hidden)
    return out, hidden


def forward(theta, network, obs, out, hidden):
    """theta (P,), sizes (L+1,), obs (B, n₀) → out (B, n_L), hidden (B·Σ n_l over hidden layers,)."""
    if _on_images(network):
        return reference.forward(theta, network, obs, out, hidden)
    sizes, h = network.sizes.tolist(), obs.astype(theta.dtype, copy=False)
    for (w, b), y in zip(layers(theta, network), [*activations(hidden, sizes, len(obs)), out], strict=True):
        cupy.matmul(h, w, out=y)
        _run(
            "add_bias_activate",
            threads_for(*y.shape),
            y.size,
            len(b),
            _LINEAR if y is out else network.activation,
            b,
            y,
        )
        h = y


def jvp(theta, network, obs, hidden, v, out, work):
    """J v.   v (P,), hidden as `forward` left it → out (B, n_L)."""
    if _on_images(network):
        return reference.jvp(theta, network, obs, hidden, v, out, work)
    sizes, h, dh = network.sizes.tolist(), obs.astype(theta.dtype, copy=False), None
    hs = [*activations(hidden, sizes, len(obs)), out]
    for (w, _), (dw, db), h_next in zip(layers(theta, network), layers(v, network), hs, strict=True):
        dy = out if h_next is out else cupy.empty_like(h_next)
        cupy.matmul(h, dw, out=dy)
        product = dy if dh is None else dh @ w
        phi = _LINEAR if h_next is out else network.activation
        _run("tangent", threads_for(*dy.shape), dy.size, len(db), phi, dh is None, product, db, h_next, dy)
        h, dh = h_next, dy


def _pull_back(activation, g, w, h):
    """φ′(h) (g Wᵀ) (B, n), and an array (R, n) float64 with the same sums down its columns."""
    threads, y = threads_for(*h.shape), cupy.empty_like(h)
    sums = cupy.empty(threads, "float64")
    if len(w.T) <= _NARROW:
        _run("narrow_times_slope", threads, h.size, *w.shape, activation, g, w, h, y, sums)
    else:
        cupy.matmul(g, w.T, out=y)
        _run("times_slope", threads, h.size, activation, h, y, sums)
    return y, sums.reshape(-1, len(w))


def vjp(theta, network, obs, hidden, g, out, work):
    """Jᵀ g, summed over the batch.   g (B, n_L), hidden as `forward` left it → out (P,)."""
    if _on_images(network):
        return reference.vjp(theta, network, obs, hidden, g, out, work)
    sizes, sums, obs = network.sizes.tolist(), g, obs.astype(theta.dtype, copy=False)
    hs = [obs, *activations(hidden, sizes, len(obs))]
    for h, (w, _), (dw, db) in reversed(list(zip(hs, layers(theta, network), layers(out, network), strict=True))):
        cupy.matmul(h.T, g, out=dw)
        sum_columns(sums, db)
        if h is not obs:
            g, sums = _pull_back(network.activation, g, w, h)


def vjp_obs(theta, network, hidden, g, out, work):
    """The gradient in obs of Σ g·output.   g (B, n_L) → out (B, n₀)."""
    if _on_images(network):
        return reference.vjp_obs(theta, network, hidden, g, out, work)
    sizes = network.sizes.tolist()
    (first, _), *rest = layers(theta, network)
    for h, (w, _) in reversed(list(zip(activations(hidden, sizes, len(g)), rest, strict=True))):
        g, _ = _pull_back(network.activation, g, w, h)
    cupy.matmul(g, first.T, out=out)
