"""Twin of `reference/mlp.py`: cuBLAS for the large products, one fused pass for everything beside them."""

import cupy
from minipg.kernels._layers import activations, layers
from minipg.kernels.gpu._arrays import lanes, sum_columns
from minipg.kernels.gpu._cuda import Source

_NARROW = 8  # a product with so few columns is made by the pass that needs it
_run = Source("activation.cuh", "mlp.cu", NARROW=str(_NARROW))


def _pass(name, y, *arguments):
    rows, m = y.shape
    _run(name, lanes(rows, m), rows * m, m, *arguments, y)


def forward(theta, sizes, activation, obs, out, hidden):
    """theta (P,), sizes (L+1,), obs (B, n₀) → out (B, n_L), hidden (B·Σ n_l over hidden layers,)."""
    h = obs
    for (w, b), y in zip(
        layers(theta, sizes.tolist()), [*activations(hidden, sizes.tolist(), len(obs)), out], strict=True
    ):
        cupy.matmul(h, w, out=y)
        if y is out:
            _pass("add_bias", y, b)
        else:
            _pass("add_bias_activate", y, activation, b)
        h = y


def jvp(theta, sizes, activation, obs, hidden, v, out, work):
    """J v.   v (P,), hidden as `forward` left it → out (B, n_L).   work (3·B·max n_l,)."""
    sizes, rows = sizes.tolist(), len(obs)
    third = rows * max(sizes)
    h, dh, hs = obs, None, [*activations(hidden, sizes, rows), None]
    for layer, ((w, _), (dw, db), h_next) in enumerate(zip(layers(theta, sizes), layers(v, sizes), hs, strict=True)):
        # two of the three work arrays take turns as dh and dy; the third holds dh W
        m, start = w.shape[1], layer % 2 * third
        dy = out if h_next is None else work[start : start + rows * m].reshape(rows, m)
        cupy.matmul(h, dw, out=dy)
        product = work[2 * third : 2 * third + rows * m].reshape(rows, m)
        if dh is not None:
            cupy.matmul(dh, w, out=product)
        if dh is None and h_next is None:
            _pass("add_bias", dy, db)
        elif dh is None:
            _pass("first_tangent", dy, activation, db, h_next)
        elif h_next is None:
            _pass("last_tangent", dy, product, db)
        else:
            _pass("tangent", dy, activation, product, db, h_next)
        h, dh = h_next, dy


def _pull_back(g, w, h, activation, layer, work):
    """φ′(h) (g Wᵀ) in this layer's half of `work`, and (R, n) float64 whose columns have the same sums."""
    rows, n = h.shape
    start, threads = layer % 2 * (work.size // 2), lanes(rows, n)
    y, sums = work[start : start + rows * n].reshape(rows, n), cupy.empty(threads, "float64")
    if len(w.T) <= _NARROW:
        _run("narrow_slope", threads, rows * n, n, len(w.T), activation, g, w, h, y, sums)
    else:
        cupy.matmul(g, w.T, out=y)
        _run("times_slope", threads, rows * n, activation, h, y, sums)
    return y, sums.reshape(-1, n)


def vjp(theta, sizes, activation, obs, hidden, g, out, work):
    """Jᵀ g, summed over the batch.   g (B, n_L), hidden as `forward` left it → out (P,).   work (P + 2·B·max n_l,)."""
    sizes = sizes.tolist()
    hs, room, sums = [obs, *activations(hidden, sizes, len(obs))], 2 * len(obs) * max(sizes), g
    sweep = list(zip(hs, layers(theta, sizes), layers(out, sizes), strict=True))
    for layer, (h, (w, _), (dw, db)) in reversed(list(enumerate(sweep))):
        cupy.matmul(h.T, g, out=dw)
        sum_columns(sums, db)
        if layer > 0:
            g, sums = _pull_back(g, w, h, activation, layer, work[:room])


def vjp_obs(theta, sizes, activation, hidden, g, out, work):
    """The gradient in obs of Σ g·output.   g (B, n_L) → out (B, n₀).   work (2·B·max n_l,)."""
    sizes = sizes.tolist()
    hs, room = [None, *activations(hidden, sizes, len(g))], 2 * len(g) * max(sizes)
    for layer, (h, (w, _)) in reversed(list(enumerate(zip(hs, layers(theta, sizes), strict=True)))):
        if h is None:
            cupy.matmul(g, w.T, out=out)
        else:
            g, _ = _pull_back(g, w, h, activation, layer, work[:room])
