"""Laws of the network: the forward pass, its derivatives in forward and reverse mode, and how these agree.

One network in four reads images: it begins with convolutions. One in four has inputs that are mostly zero."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minipg.checks import Array
from minipg.network import ACTIVATIONS, MLP, Images, Tape, convolutions
from minipg.theory.case import Case, error_ratio, slope_error_ratio


class Draw(NamedTuple):
    """A network, θ, a direction in θ, inputs, a covector for the outputs, and the forward pass."""

    mlp: MLP
    theta: Array
    v: Array
    obs: Array
    g: Array
    tape: Tape


def _draw(case: Case, kind: str | None = None) -> Draw:
    """A network of zero to three hidden layers, random parameters and inputs; widths and batches down to one."""
    hidden = [case.count(7) for _ in range(case.rng.integers(4))]
    layers: tuple[int, ...] = (case.count(5),)
    kind, images = kind or case.one_of("dense", "dense", "sparse", "images"), Images()
    if kind == "images":
        layers, images = random_images(case)
    elif kind == "sparse":
        layers, images = (case.count(40),), Images(sparse=True)
    mlp = MLP((*layers, *hidden, case.count(4)), case.one_of(*ACTIVATIONS), case.backend, *images)
    theta, v, rows = case.normal(mlp.layout.size), case.normal(mlp.layout.size), case.count(9)
    obs, g = case.normal(rows, mlp.sizes[0]), case.normal(rows, mlp.sizes[-1])
    if kind == "sparse":
        obs = np.where(case.rng.random(obs.shape) < 0.03, obs, 0)
    return Draw(mlp, theta, v, obs, g, mlp.forward(theta, obs))


def random_images(case: Case) -> tuple[tuple[int, ...], Images]:
    """One or two convolutions over a small image, and the sizes of the input and of their outputs."""
    height, width, channels = case.count(7), case.count(7), case.count(3)
    image, layers = (height, width, channels), []
    for _ in range(case.rng.integers(1, 3)):
        # narrow, wide and uneven numbers of filters: a kernel may compute several at once
        filters, kernel = case.one_of(1, 3, case.count(8), 16, 21), int(case.rng.integers(1, min(height, width, 4) + 1))
        layers.append(f"{filters}x{kernel}/{case.rng.integers(1, 4)}{case.one_of('', 'same')}")
        height, width = convolutions(image, layers)[-1][7:9]
    convs = convolutions(image, layers)
    sizes = image[0] * image[1] * image[2], *(conv.rows * conv.columns * conv.filters for conv in convs)
    return sizes, Images(convs, case.one_of(1.0, 0.5))


def _affine(mlp: MLP, layer: int, x: Array, w: Array, b: Array) -> Array:
    """x W + b of a layer in float64. A convolution is summed window by window, as CV-1 has it."""
    if layer >= len(mlp.convs):
        return x @ w + b
    conv = mlp.convs[layer]
    height, width = ((n - 1) * conv.stride + conv.kernel for n in (conv.rows, conv.columns))
    framed = np.zeros((len(x), max(height, conv.height + conv.top), max(width, conv.width + conv.left), conv.channels))
    bottom, right = conv.top + conv.height, conv.left + conv.width
    framed[:, conv.top : bottom, conv.left : right] = x.reshape(len(x), conv.height, conv.width, conv.channels)
    y = np.empty((len(x), conv.rows, conv.columns, conv.filters))
    for i in range(conv.rows):
        for j in range(conv.columns):
            p, q = conv.stride * i, conv.stride * j
            y[:, i, j] = np.tensordot(framed[:, p : p + conv.kernel, q : q + conv.kernel], w, 3) + b
    return y.reshape(len(x), -1)


def forward_is_affine_maps_with_activations_between(case: Case) -> float:
    """out = φ(… φ(scale·obs W₀ + b₀) …) W + b."""
    return _forward_error(case, _draw(case))


def a_convolution_sums_over_its_windows_CV1(case: Case) -> float:
    """y[i,j,c′] = b[c′] + Σ x[s·i+u, s·j+v, c] w[u,v,c,c′], whose terms beyond the image are 0."""
    return _forward_error(case, _draw(case, "images"))


def _forward_error(case: Case, draw: Draw) -> float:
    mlp, theta, _, obs, _, tape = draw
    arrays, h = mlp.layout.views(theta.astype(np.float64)), mlp.scale * obs.astype(np.float64)
    layers = len(mlp.sizes) - 1
    for layer in range(layers):
        h = _affine(mlp, layer, h, arrays[f"W{layer}"], arrays[f"b{layer}"])
        if layer + 1 < layers:
            h = np.tanh(h) if mlp.activation == "tanh" else np.maximum(h, 0)
    return error_ratio(case, tape.out, h, np.abs(h).max() + _reach(mlp, theta, obs))


def jvp_is_the_derivative_along_a_direction_TR9(case: Case) -> float:
    """J v = d/dt f_{θ+tv}."""
    mlp, theta, v, obs, _, tape = _draw(case)
    Jv = mlp.jvp(theta, tape, v)
    return slope_error_ratio(case, Jv, lambda x: mlp.forward(x, obs).out, theta, v, 1 + _reach(mlp, theta, obs, v))


def vjp_is_the_adjoint_of_jvp_TR9(case: Case) -> float:
    """⟨g, J v⟩ = ⟨Jᵀ g, v⟩."""
    mlp, theta, v, _, g, tape = _draw(case)
    left, right = g * mlp.jvp(theta, tape, v), mlp.vjp(theta, tape, g) * v
    terms = np.abs(left).sum() + np.abs(right).sum() + _reach(mlp, theta, tape.obs, v) * np.abs(g).sum()
    return error_ratio(case, left.sum(dtype=float), right.sum(dtype=float), terms)


def vjp_obs_is_the_gradient_in_the_inputs_TR9(case: Case) -> float:
    """Jᵀ g in the inputs = ∇_obs Σ g·out."""
    mlp, theta, _, obs, g, tape = _draw(case)
    u = case.normal(*obs.shape)
    terms = mlp.vjp_obs(theta, tape, g) * u
    value = lambda x: (g.astype(float) * mlp.forward(theta.astype(float), x).out).sum()
    size = np.abs(terms).sum() + _reach(mlp, theta, u) * np.abs(g).sum()
    return slope_error_ratio(case, [terms.sum(dtype=float)], value, obs, u, size)


def both_derivatives_of_a_convolution_are_adjoint_CV1(case: Case) -> float:
    """⟨g, J v⟩ = ⟨Jᵀ g, v⟩ where v is a change of θ or of the image."""
    mlp, theta, v, obs, g, tape = _draw(case, "images")
    dx = case.normal(*obs.shape)
    changed = lambda t: mlp.forward(theta.astype(float), obs.astype(float) + t * dx.astype(float)).out
    left, right = g * mlp.jvp(theta, tape, v), mlp.vjp(theta, tape, g) * v
    terms = np.abs(left).sum() + np.abs(right).sum() + _reach(mlp, theta, obs, v) * np.abs(g).sum()
    inputs = mlp.vjp_obs(theta, tape, g) * dx
    size = np.abs(inputs).sum() + _reach(mlp, theta, dx) * np.abs(g).sum()
    one, zero = np.ones(1), np.zeros(1)
    value = lambda t: (g.astype(float) * changed(float(t[0]))).sum()
    return max(
        error_ratio(case, left.sum(dtype=float), right.sum(dtype=float), terms),
        slope_error_ratio(case, [inputs.sum(dtype=float)], value, zero, one, size),
    )


def zeros_that_are_skipped_change_nothing_but_rounding_TR9(case: Case) -> float:
    """A network that looks for zeros has the outputs and derivatives of one that multiplies them."""
    mlp, theta, v, obs, g, tape = _draw(case, "sparse")
    dense = MLP(mlp.sizes, mlp.activation, mlp.backend)
    other, reach = dense.forward(theta, obs), 1 + _reach(mlp, theta, obs, np.ones_like(v))
    return max(
        error_ratio(case, tape.out, other.out, _reach(mlp, theta, obs) + np.abs(tape.out).max()),
        error_ratio(case, mlp.jvp(theta, tape, v), dense.jvp(theta, other, v), 1 + _reach(mlp, theta, obs, v)),
        error_ratio(case, mlp.vjp(theta, tape, g), dense.vjp(theta, other, g), reach * np.abs(g).sum()),
    )


def vjp_of_a_batch_is_the_sum_over_its_rows_in_any_order_TR9(case: Case) -> float:
    """Jᵀ g of a batch is Σ_i Jᵀ g of its rows."""
    mlp, theta, v, obs, g, tape = _draw(case)
    one = lambda i: mlp.vjp(theta, mlp.forward(theta, obs[i : i + 1]), g[i : i + 1]).astype(float)
    size = 1 + _reach(mlp, theta, obs, np.ones_like(v)) * np.abs(g).sum()
    return error_ratio(case, mlp.vjp(theta, tape, g), sum(one(i) for i in case.rng.permutation(len(obs))), size)


def _reach(mlp: MLP, theta: Array, obs: Array, v: Array | None = None) -> float:
    """A bound on the terms of the outputs, or of J v if v is given: absolute values passed through the network."""
    arrays, moves = mlp.layout.views(np.abs(theta).astype(float)), None
    if v is not None:
        moves = mlp.layout.views(np.abs(v).astype(float))
    h, dh = mlp.scale * np.abs(obs).astype(float), 0 * obs.astype(float)
    for layer in range(len(mlp.sizes) - 1):
        W, b = arrays[f"W{layer}"], arrays[f"b{layer}"]
        if moves is not None:
            dh = _affine(mlp, layer, dh, W, 0 * b)
            dh = dh + _affine(mlp, layer, h, moves[f"W{layer}"], moves[f"b{layer}"])
        h = _affine(mlp, layer, h, W, b)
    return float((h if v is None else dh).max())
