"""Proof that the checks bite: realistic slips, planted one at a time, and the law that catches each.

    python tests/audit/mutations.py [--only NAME] [--jobs N]

A slip changes one expression of a reference kernel or of an update rule, in a temporary copy of the tree; the checkout
is never touched. The laws named beside it must then fail. That the compiled twin disagrees does not count: tests with
"twins" in their name are left out, so it is the mathematics that notices. Rows of the table are printed as they come;
the exit status is 1 if a slip survives, is not found in its file, or if the laws fail without any slip.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
TIME_LIMIT = 600  # seconds for one slip
NO_VERDICT = "ImportError|NameError|SyntaxError|TypeError|AttributeError"  # its author would have noticed


class Slip(NamedTuple):
    """`old`, which stands in the file once (or count its `occurrence` from 1), becomes `new`, and `laws` must fail.

    `laws` are a file of tests and a part of their names: "theory TR9" is tests/test_theory.py -k TR9.
    """

    file: str
    name: str
    old: str
    new: str
    laws: str
    occurrence: int = 0


# file: (name, old, new, laws[, occurrence]).  The reason for the length of this file is that it is a table.
# fmt: off
# ruff: noqa: E501
SLIPS = {
"kernels/_layers.py": [
    ("layers off by one row of θ", "start = stop", "start = middle", "theory forward_is"),
    ("stale activations: every layer's in one place", "start += rows * m", "start += 0", "theory TR9"),
],
"kernels/reference/mlp.py": [
    ("layers without bias", "y = _plus_bias(_product(shape, h, w), b)", "y = _product(shape, h, w)", "theory forward_is"),
    ("a bias for each pixel's place, not its filter", "y.reshape(-1, len(b)) + b", "y.reshape(len(b), -1).T + b", "theory forward_is"),
    ("bytes are not scaled", "x * dtype.type(network.scale)", "x", "theory CV1"),
    ("ReLU clipped at 1", "xp.maximum(y, 0)", "xp.clip(y, 0, 1)", "theory forward_is"),
    ("tanh′ = 1 − h", "1 - h * h", "1 - h", "theory TR9"),
    ("ReLU′ = [h ≥ 0]", "(h > 0)", "(h >= 0)", "network TR9"),
    ("jvp without the layers below", "dy = _product(shape, dh, w) + dy", "pass", "theory TR9"),
    ("jvp without the layer's own weights", "_product(shape, dh, w) + dy", "_product(shape, dh, w)", "theory TR9"),
    ("jvp without the bias", "dy = _plus_bias(_product(shape, h, dw), db)", "dy = _product(shape, h, dw)", "theory TR9"),
    ("jvp without the slope", "_slope(network.activation, h_next) * dy", "dy", "theory TR9"),
    ("vjp: weight reshaped, not transposed", "return g @ w.T", "return g @ w.reshape(w.T.shape)", "theory TR9"),
    ("vjp: bias gradient dropped", "db[...] = g.reshape(-1, len(db)).sum(axis=0)", "db[...] = 0", "theory TR9"),
    ("vjp: bias gradient averaged", "g.reshape(-1, len(db)).sum(axis=0)", "g.reshape(-1, len(db)).mean(axis=0)", "theory vjp"),
    ("vjp: slope forgotten", "_pulled_back(shape, w, g) * _slope(network.activation, h)", "_pulled_back(shape, w, g)", "theory TR9"),
    ("vjp: slope of the layer above", "h.T @ g", "h.T @ (g * _slope(activation, g))", "theory TR9"),
    ("vjp: off by one layer", "if index > 0", "if index > 1", "theory TR9"),
    ("vjp to the inputs without slopes", "g = g * _slope(network.activation, h)", "pass", "theory vjp_obs"),
    ("vjp to the inputs without their scale", "out[...] = _inputs(network, g, g.dtype)", "out[...] = g", "theory CV1"),
],
"kernels/reference/conv.py": [
    ("windows turned around", "out += images[windows] @ w[offset]", "out += images[windows] @ w[::-1, ::-1][offset]", "theory sums_over_its_windows"),
    ("windows at every pixel", "slice(u, u + s * conv.rows, s)", "slice(u, u + conv.rows)", "theory sums_over_its_windows"),
    ("no zeros above the image", "(conv.top, max(bottom, 0))", "(0, conv.top + max(bottom, 0))", "theory sums_over_its_windows"),
    ("gradient in w of the last offset only", "dw[offset] += images", "dw[...] = images", "theory adjoint_CV1"),
    ("gradient in w without the rows of zeros", "images, g = _padded(conv, x), g.reshape(-1, conv.filters)",
     "images, g = namespace(x).roll(_padded(conv, x), conv.top, 1), g.reshape(-1, conv.filters)", "theory adjoint_CV1"),
    ("windows that overlap overwrite", "images[windows] += g @ w[offset].T", "images[windows] = g @ w[offset].T", "theory adjoint_CV1"),
    ("the image's gradient out of place", "inside = images[:, conv.top : conv.top + conv.height", "inside = images[:, : conv.height", "theory adjoint_CV1"),
],
"kernels/cpu/conv.py": [
    ("windows that overlap in one product", "apart = conv.width * c, dx.shape[0] // (conv.width * c), -(-k // s)",
     "apart = conv.width * c, dx.shape[0] // (conv.width * c), 1", "theory adjoint_CV1"),
    ("windows beyond the right edge read the next line", "start + conv.kernel > conv.width", "False", "theory CV1"),
],
"kernels/cpu/_sparse.py": [
    ("numbers after the last whole word are lost", "        for k in range(found.shape[0] * each, n):\n            _dense.add_multiple(x[i, k], w, k, y, i)", "        pass", "theory zeros"),
    ("words of four numbers, whatever their size", "n, each = x.shape[1], 8 // x.itemsize\n    y[:]", "n, each = x.shape[1], 1\n    y[:]", "theory zeros"),
],
"kernels/reference/categorical.py": [
    ("softmax without shift", "logits - logits.max(axis=1, keepdims=True)", "logits - 0", "theory extreme"),
    ("softmax shifted by the batch's maximum", "logits.max(axis=1, keepdims=True)", "logits.max()",
     "theory extreme"),
    ("sampling off by one action", "total[:, :-1] <=", "total[:, 1:] <=", "distributions sampling"),
    ("sampling: < for ≤", "total[:, :-1] <=", "total[:, :-1] <", "distributions never_drawn"),
    ("sampling: rounding passes the last possible action", "xp.minimum(act, last)", "act",
     "masks DI9"),
    ("score's sign", "_one_hot(act, logits.shape[1]) - xp.exp(_log_softmax(logits))",
     "xp.exp(_log_softmax(logits)) - _one_hot(act, logits.shape[1])", "theory DI1"),
    ("score without − p", " - xp.exp(_log_softmax(logits))", "", "theory DI1"),
    ("KL reversed", "xp.exp(log_old) * (log_old - log_new)", "xp.exp(log_new) * (log_new - log_old)",
     "theory DI6"),
    ("KL under the new probabilities", "xp.exp(log_old) *", "xp.exp(log_new) *", "theory DI6"),
    ("KL gradient's sign", "xp.exp(_log_softmax(new)) - xp.exp(_log_softmax(old))",
     "xp.exp(_log_softmax(old)) - xp.exp(_log_softmax(new))", "theory PP3"),
    ("entropy's sign", "out[...] = -(namespace", "out[...] = (namespace", "theory DI7"),
    ("entropy gradient's sign", "out[...] = -p *", "out[...] = p *", "theory DI7"),
    ("entropy gradient with 1 for H", "(log_p - (p * log_p).sum(axis=1, keepdims=True))", "(log_p + 1)",
     "theory DI7"),
    ("Fisher without centring", "p * (v - (p * v).sum(axis=1, keepdims=True))", "p * v", "theory DI3"),
    ("Fisher: diagonal alone", "p * (v - (p * v).sum(axis=1, keepdims=True))", "p * (1 - p) * v", "theory DI3"),
],
"kernels/reference/gaussian.py": [
    ("sample with the variance", "exp(log_std) * normal", "exp(2 * log_std) * normal", "theory DI2"),
    ("log-density without log σ", "z * z + 2 * log_std +", "z * z +", "theory DI4"),
    ("log-density without log 2π", " + math.log(2 * math.pi))", ")", "theory DI7"),
    ("score in μ over σ", "z * inverse_std\n    out_log_std[...] = z", "z\n    out_log_std[...] = z", "theory DI4"),
    ("score's sign in μ", "(act - mean) * inverse_std", "(mean - act) * inverse_std", "theory DI4"),
    ("log σ score without − 1", "z * z - 1", "z * z", "theory DI2"),
    ("KL reversed", "= _split(old), _split(new)", "= _split(new), _split(old)", "theory DI6", 1),
    ("KL over the old σ", "xp.exp(-log_std1)", "xp.exp(-log_std0)", "theory DI6", 1),
    ("KL: sign of the log ratio", "xp.expm1(d) - d", "xp.expm1(d) + d", "theory DI6"),
    ("KL that cancels: exp(d) − 1", "xp.expm1(d)", "xp.exp(d) - 1", "distributions DI6"),
    ("KL gradient in μ over σ", "z * inverse_std\n    out_log_std[...] = -xp", "z\n    out_log_std[...] = -xp",
     "theory DI6"),
    ("KL gradient in log σ without z²", "log_std1)) - z * z", "log_std1))", "theory DI6"),
    ("KL gradient's exponent without the 2", "-xp.expm1(2 * (", "-xp.expm1((", "theory DI6"),
    ("entropy without the ½ of e", "2 * math.pi * math.e", "2 * math.pi", "theory DI7"),
    ("entropy gradient's sign", "out_log_std[...] = 1", "out_log_std[...] = -1", "theory DI7"),
    ("Fisher 1 for 2", "2 * v_log_std", "v_log_std", "theory DI5"),
    ("Fisher over σ", "v_mean * inverse_std * inverse_std", "v_mean * inverse_std", "theory DI5"),
],
"kernels/reference/bernoulli.py": [
    ("softplus without |z|", "xp.log1p(xp.exp(-xp.abs(z)))", "xp.log1p(xp.exp(-z))", "distributions DI1"),
    ("sigmoid that overflows", "return xp.where(z >= 0, 1, small) / (1 + small)", "return xp.exp(z) / (1 + xp.exp(z))",
     "distributions saturated"),
    ("sampling the other bit", "uniform < _sigmoid(logits)", "uniform < _sigmoid(-logits)", "distributions bit"),
    ("sampling: ≤ for <", "uniform < _sigmoid(logits)", "uniform <= _sigmoid(logits)", "distributions bit"),
    ("mode above ¾", "out[...] = logits > 0", "out[...] = logits > 1", "distributions bits"),
    ("log-probability of the other bit", "act == 1, -logits", "act == 0, -logits", "distributions DI1"),
    ("score's sign", "act - _sigmoid(logits)", "_sigmoid(logits) - act", "distributions DI1"),
    ("KL of the ones alone", "(ones + zeros)", "(ones)", "theory DI6"),
    ("KL under the new probabilities", "_sigmoid(old) *", "_sigmoid(new) *", "theory DI6"),
    ("entropy of the ones alone", " + _sigmoid(-logits) * _softplus(logits)", "", "distributions DI7"),
    ("entropy gradient's sign", "-logits * _sigmoid(logits)", "logits * _sigmoid(logits)", "distributions DI7"),
    ("Fisher p for p (1 − p)", "_sigmoid(logits) * _sigmoid(-logits) * v", "_sigmoid(logits) * v", "theory DI8"),
],
"kernels/reference/multicategorical.py": [
    ("components off by one column", "yield k, slice(start, stop)", "yield k, slice(max(start - 1, 0), stop)",
     "distributions DI1"),
    ("one uniform for all", "uniform[:, k], out", "uniform[:, 0], out", "distributions choices"),
    ("the first component's action for all", "act[:, k], part", "act[:, 0], part", "distributions DI1"),
    ("log-probability of the last component alone", "        out += part", "        out[...] = part",
     "distributions DI1", 1),
    ("KL of the last component alone", "        out += part", "        out[...] = part", "theory DI6", 2),
    ("entropy of the last component alone", "        out += part", "        out[...] = part", "distributions DI7", 3),
],
"kernels/reference/squashed.py": [
    ("log-density's correction forgotten", "out += 2 * _log_cosh(act).sum(axis=1)", "pass", "distributions density"),
    ("log-density's correction's sign", "out += 2 * _log_cosh(act)", "out -= 2 * _log_cosh(act)",
     "distributions density"),
    ("log 1 − tanh as it stands", "xp.abs(u) + xp.log1p(xp.exp(-2 * xp.abs(u))) - math.log(2)",
     "-xp.log(1 - xp.tanh(u) ** 2) / 2", "distributions far_out"),
    ("entropy of the Gaussian", "out -= 2 * value.sum(axis=1)", "pass", "distributions DI7"),
    ("entropy gradient of the Gaussian in μ", "-2 * by_mean", "0 * by_mean", "distributions DI7"),
    ("entropy gradient in σ for log σ", "(sigma * x * slope)", "(x * slope)", "distributions DI7"),
    ("the narrow rule for wide σ", "xp.where(std[..., 0] <= 1, *pair)", "xp.where(std[..., 0] <= 1e9, *pair)",
     "distributions DI7"),
    ("wide: the remainder forgotten", "density.sum(-1),", "0,", "distributions DI7"),
    ("wide: tails without the smoothing", "sigma * sigma + TAU * TAU", "sigma * sigma + 0 * TAU",
     "distributions DI7"),
],
"kernels/_quadrature.py": [
    ("too coarse a step", "_STEP = 0.3", "_STEP = 0.6", "distributions DI7"),
    ("tails cut off", "= 28, 47", "= 14, 47", "distributions DI7"),
    ("remainder cut off", "= 28, 47", "= 28, 20", "distributions DI7"),
],
"kernels/reference/fisher.py": [
    ("metric of the distribution forgotten", "distribution.fisher_product(policy.family, params, d_params, d_params)",
     "pass", "theory TR9"),
    ("log σ left out of the direction", "d_out, v[n_network:], d_params)", "d_out, 0 * v[n_network:], d_params)",
     "theory TR9"),
    ("log σ looked for at the head of v", "d_out, v[n_network:], d_params)", "d_out, v[: len(v) - n_network], d_params)",
     "theory TR9"),
    ("log σ left out of the product", "outputs, d_params, g, out[n_network:])",
     "outputs, d_params, g, 0 * out[n_network:])", "theory TR9"),
],
"kernels/reference/surrogate.py": [
    ("ratio inverted", "exp(logp - logp_old) * adv", "exp(logp_old - logp) * adv", "theory IS3"),
    ("advantage forgotten", "exp(logp - logp_old) * adv", "exp(logp - logp_old)", "theory IS3"),
    ("clipped: the greater of the two", "xp.minimum(", "xp.maximum(", "theory PP2"),
    ("clip from 0", "clip(r, 1 - clip_range", "clip(r, 0 * clip_range", "theory PP2"),
    ("clip without the minimum", "xp.minimum(r * adv, xp.clip(r, 1 - clip_range, 1 + clip_range) * adv)",
     "xp.clip(r, 1 - clip_range, 1 + clip_range) * adv", "theory PP2"),
    ("clip on the wrong side", "where(adv > 0,", "where(adv < 0,", "theory PP2"),
    ("gradient 0 wherever r is outside", "xp.where(adv > 0, r > 1 + clip_range, r < 1 - clip_range)",
     "(r > 1 + clip_range) | (r < 1 - clip_range)", "theory PP2"),
    ("gradient without the ratio", "where(beyond, 0, r * adv)", "where(beyond, 0, adv)", "theory PP2"),
    ("gradient with the ratio inverted", "r = xp.exp(logp - logp_old)", "r = xp.exp(logp_old - logp)", "theory PP2", 2),
],
"kernels/reference/returns.py": [
    ("returns across a termination", "xp.where(terminated[t], 0, gamma * next_return)", "gamma * next_return", "theory PG7"),
    ("no bootstrap at truncation", "xp.where(truncated[t], next_value[t], next_return)",
     "xp.where(truncated[t], 0, next_return)", "theory PG7"),
    ("no bootstrap after the last row", "next_return = namespace(rew), next_value[-1]",
     "next_return = namespace(rew), 0 * next_value[-1]", "theory PG7"),
    ("returns forwards in time", "reversed(range(len(rew)))", "range(len(rew))", "theory PG7"),
    ("TD error bootstraps on termination", "namespace(rew).where(terminated, 0, gamma * next_value)",
     "gamma * next_value", "theory PG12"),
    ("TD error without γ", "gamma * next_value", "next_value", "theory PG12"),
    ("GAE over a truncation", "terminated[t] | truncated[t], 0", "terminated[t], 0", "theory PG12"),
    ("GAE over a termination", "terminated[t] | truncated[t], 0", "truncated[t], 0", "theory PG12"),
    ("GAE without γ", "gamma * gae_lambda * next_adv", "gae_lambda * next_adv", "theory PG12"),
    ("GAE of one step back", "next_adv = out[t]", "next_adv = delta[t]", "theory PG12"),
    ("no bootstrap from the final observation", "= value[rows + envs :]", "= 0", "theory PG12"),
    ("bootstrap from the reset observation", "next_value[final_at] = value[rows + envs :]", "pass", "theory PG12"),
    ("V(s) for V(s′)", "value[envs : rows + envs]", "value[:rows]", "theory PG12"),
    ("bootstrap decided by the cut", "reshape(rew.shape), terminated, gamma", "reshape(rew.shape), cut, gamma",
     "theory PG12"),
    ("critic's target is the advantage", "ret[...] = adv + state_value", "ret[...] = adv", "theory PG12"),
    ("GAE cut one step early", "terminated[t] | truncated[t], 0",
     "terminated[t - 1] | truncated[t - 1], 0",
     "theory PG12"),
],
"kernels/reference/optimizer.py": [
    ("targets keep what they should give up", "tau * theta + (1 - tau) * target", "(1 - tau) * theta + tau * target", "theory DP2"),
    ("moments may be subnormal", "abs(array) < xp.finfo(array.dtype).tiny", "array != array", "theory subnormal"),
    ("descent for ascent", "theta += learning_rate * velocity", "theta -= learning_rate * velocity", "theory AC3"),
    ("momentum that damps the gradient", "momentum * velocity + grad", "momentum * velocity + (1 - momentum) * grad",
     "theory AC3"),
    ("RMSProp: ε outside of the root", "namespace(grad).sqrt(second + settings.epsilon)",
     "(namespace(grad).sqrt(second) + settings.epsilon)", "theory AC3"),
    ("RMSProp: decay inverted", "settings.decay * second + (1 - settings.decay) * grad",
     "(1 - settings.decay) * second + settings.decay * grad", "theory AC3"),
    ("Adam without bias correction", "learning_rate / (1 - beta1**step)", "learning_rate", "theory AC3"),
    ("Adam: bias correction without its power", "beta2**step", "beta2", "theory AC3"),
    ("Adam: bias correction from step + 1", "beta1**step", "beta1 ** (step + 1)", "theory AC3"),
    ("Adam: ε inside the root", "(1 - beta2**step)) + epsilon)", "(1 - beta2**step) + epsilon))", "theory AC3"),
    ("Adam: second moment not squared", "(1 - beta2) * grad * grad", "(1 - beta2) * abs(grad)", "theory AC3"),
    ("clipping from the wrong side", "xp.fmax(norm, max_norm)", "xp.fmin(norm, max_norm)", "theory AC3"),
    ("clipping by the inverse", "(max_norm / xp.fmax(norm, max_norm))",
     "(xp.fmax(norm, max_norm) / max_norm)", "theory AC3"),
    ("clipping by the squared norm", ".sum() ** 0.5", ".sum()", "theory AC3"),
    ("infinity counts as finite", "namespace(array).isfinite(array).all()", "~namespace(array).isnan(array).any()",
     "theory wherever"),
    ("one finite number is enough", "isfinite(array).all()", "isfinite(array).any()", "theory wherever"),
],
"kernels/reference/moments.py": [
    ("Chan's merge without n·m/(n+m)", "d * d * (count[0] * rows / total)", "d * d", "theory moments"),
    ("merge without the means' distance", " + d * d * (count[0] * rows / total)", "", "theory moments"),
    ("deviations from the old mean", "(x - x_mean) ** 2", "(x - mean) ** 2", "theory moments"),
    ("mean moved by d/(n+m)", "d * (rows / total)", "d / total", "theory moments"),
    ("standardising by the variance", "xp.sqrt(xp.where(variance > 0, variance, 1))",
     "xp.where(variance > 0, variance, 1)", "kernels standardizing"),
    ("standardising: clipped before scaling", "xp.clip((x - mean) * scale, -limit, limit)",
     "xp.clip(x - mean, -limit, limit) * scale", "kernels standardizing"),
    ("standardising a constant: 0/0", "xp.where(variance > 0, variance, 1)", "variance", "kernels standardizing"),
],
"kernels/reference/frames.py": [
    ("the newer of two screens, not the larger", "xp.maximum(first, second)", "second", "atari mean_over_the_area"),
    ("a mean by area rounded down", "out[...] = whole + ((rest > total) | ((rest == total) & (whole % 2 == 1)))",
     "out[...] = whole", "atari mean_over_the_area"),
    ("difference: the frame before minus this one", "shown[:, 1] - shown[:, 0]", "shown[:, 0] - shown[:, 1]",
     "atari difference_of"),
],
"kernels/reference/policy_gradient.py": [
    ("score without its weight", "weight[:, None] * score", "score", "theory IS3"),
    ("entropy bonus's sign", "score + ent_coef", "score - ent_coef", "theory IS3"),
    ("log σ without a gradient", "u, g, grad[n_network:])", "u, g, 0 * grad[n_network:])", "theory IS3"),
    ("of the observations: entropy averaged twice", "entropies.sum(dtype=entropy.dtype)", "entropies.mean(dtype=entropy.dtype)",
     "algorithms only_climbed"),
    ("of the observations: no entropy bonus", "act, weight, ent_coef, grad, work)\n    entropies",
     "act, weight, 0.0, grad, work)\n    entropies", "algorithms only_climbed"),
],
"kernels/reference/shuffling.py": [
    ("the first place stays", "np.arange(order.shape[1])[:0:-1]", "np.arange(order.shape[1])[:1:-1]",
     "kernels likely"),
    ("a place is never left alone", "last_first.astype(np.uint64) + 1)", "last_first.astype(np.uint64))",
     "kernels likely"),
    ("every epoch the same", "others[epoch].tolist()", "others[0].tolist()", "kernels shuffles"),
    ("numbers of another generator", "x ^ (x >> 27)", "x ^ (x >> 26)", "kernels SplitMix64"),
],
"kernels/reference/regression.py": [
    ("gradient's sign", "out - target[:, None]", "target[:, None] - out", "theory AC1"),
    ("gradient without the 2", "2 * error, grad, None", "error, grad, None", "theory AC1"),
    ("error's sign", "error, moved = y - out", "error, moved = out - y", "theory AC3"),
    ("missing 1/B", "2 * error / len(y)", "2 * error", "theory AC3"),
    ("value loss without the 2", "2 * error / len(y)", "error / len(y)", "theory AC3"),
    ("targets not shuffled with their rows", "obs[rows], target[rows, None]",
     "obs[rows], target[: len(rows), None]", "theory AC3"),
    ("last minibatch dropped", "range(0, order.shape[1], epochs.minibatch_size)",
     "range(0, order.shape[1] - epochs.minibatch_size + 1, epochs.minibatch_size)", "theory AC3"),
    ("V clipped at once", "(abs(moved) <= clip_range) | ", "", "theory AC3"),
    ("rows beyond the clip range have a gradient", "xp.where(has_gradient, 2 * error / len(y), 0)", "2 * error / len(y)", "theory AC3"),
    ("critic's gradient never shortened", "optimizer.clip_global_norm(grad, epochs.max_grad_norm, grad)", "pass", "theory AC3"),
    ("Adam's step never counted", "step += 1", "step = 1", "theory AC3"),
    ("moments that overflow count as finite", " & optimizer.is_finite(first) & optimizer.is_finite(second)", "",
     "theory not_finite_says"),
],
"minipg/value.py": [
    ("gradient without 1/B", "sum(gradients) / len(obs)", "sum(gradients)", "theory AC1"),
    ("L2 gradient without the 2", "2 * l2 * theta", "l2 * theta", "theory AC1"),
    ("Adam's steps miscounted", "-(-len(obs) // rows)", "(len(obs) // rows)", "value adam"),
],
"minipg/policy.py": [
    ("jvp without log σ", "d_out, v_log_std, d_params)", "d_out, 0 * v_log_std, d_params)", "theory TR9"),
    ("vjp without log σ", "g_out), log_std_grad])", "g_out), 0 * log_std_grad])", "theory TR9"),
    ("fresh log σ without the map's inverse", "reach * math.atanh(inside / reach)", "inside",
     "policy deviation_of_the_state"),
    ("fresh log σ: one reach for both sides", "high if inside > 0 else -low", "high", "policy deviation_of_the_state"),
    ("projection of all of θ", "xp.concatenate([network, xp.clip(log_std, *LOG_STD_RANGE)])",
     "xp.clip(theta, *LOG_STD_RANGE)", "policy projection"),
],
"minipg/fisher.py": [
    ("missing 1/B", " / v.dtype.type(rows)", "", "theory TR9"),
    ("damping dropped", " + v.dtype.type(damping) * v", "", "theory TR9"),
],
"minipg/objective.py": [
    ("policy gradient without 1/B", " / theta.dtype.type(count)", "", "theory IS3"),
    ("advantages of the first tile for all", "weight[rows], float", "weight[: len(forward.obs)], float", "policy tiles", 1),
    ("surrogate summed, not averaged", "to_host(sums / count)", "to_host(sums)", "theory IS3"),
    ("surrogate of the first tile alone", "reduce(add, policy.backend.map_rows(on_tile, count), xp.zeros(3))",
     "policy.backend.map_rows(on_tile, count)[0]", "policy tiles"),
    ("log-probabilities of other actions", "policy.distribution.log_prob(old_params, act)",
     "policy.distribution.log_prob(old_params, act[::-1])", "theory IS3"),
    ("β halved above, doubled below", "if kl < target / 1.5", "if kl > target / 1.5", "theory PP4"),
    ("β adapts at once", "kl > 1.5 * target", "kl > target", "theory PP4"),
    ("β doubled twice", "return 2 * beta", "return 4 * beta", "theory PP4"),
],
"minipg/conjugate_gradient.py": [
    ("β inverted", "rr_next / rr", "rr / rr_next", "trust_region TR10"),
    ("α inverted", "rr / pAp", "pAp / rr", "trust_region TR10"),
    ("α of the first residual", "x, r, rr = x_next, r_next, rr_next", "x, r = x_next, r_next", "trust_region TR10"),
    ("steepest descent", "p = r_next + b.dtype.type(rr_next / rr) * p", "p = r_next", "trust_region TR10"),
    ("residual's sign", "r - alpha * Ap", "r + alpha * Ap", "trust_region TR10", 1),
    ("residual squared", "rr**0.5", "rr", "trust_region TR10", 1),
    ("curvature of the identity", "_dot(x, b - r)", "_dot(x, x)", "trust_region TR10", 1),
    ("tolerance not squared", "tol * tol * rr", "tol * rr", "trust_region TR10", 1),
    ("iterations off by one", "and done < iterations", "and done < iterations - 1", "trust_region TR10"),
    ("negative curvature followed", "if pAp <= 0:", "if pAp == 0:", "trust_region curvature"),
    ("what is not finite followed", "if not np.isfinite(rr_next) or not np.isfinite(x_next).all():", "if False:",
     "trust_region finite"),
    ("masked: x changes after the end", "xp.where(running, x_next, x)", "x_next", "cupy TR10"),
    ("masked: negative curvature followed", "positive & ((pAp > 0) | ~(running & finite))", "positive", "cupy TR10"),
    ("masked: what is not finite followed",
     "finite & ((xp.isfinite(rr_next) & xp.isfinite(x_next).all()) | ~running)", "finite", "cupy TR10"),
    ("masked: products counted to the end", "done + running", "done + 1", "cupy TR10"),
],
"minipg/line_search.py": [
    ("√(δ/xᵀAx)", "2 * max_kl / curvature", "max_kl / curvature", "trust_region TR7"),
    ("2δ/xᵀAx without the root", "math.sqrt(2 * max_kl / curvature)", "2 * max_kl / curvature", "trust_region TR7"),
    ("curvature's sign ignored", "curvature) if curvature > 0", "abs(curvature)) if curvature",
     "trust_region curvature"),
    ("search without KL", " and kl <= max_kl", "", "trust_region TR11"),
    ("search without improvement", "improvement > 0 and improvement >=", "improvement >=", "trust_region TR11"),
    ("search without finiteness", "math.isfinite(improvement) and ", "", "trust_region TR11"),
    ("NaN KL accepted", "kl <= max_kl", "not kl > max_kl", "trust_region TR11"),
    ("boundary excluded", "kl <= max_kl", "kl < max_kl", "trust_region boundary"),
    ("the step shrinks once", "fraction *= backtrack_coeff", "fraction = backtrack_coeff", "trust_region TR11"),
    ("expected gain of the whole step", "accept_ratio * fraction * expected", "accept_ratio * expected",
     "trust_region TR11"),
    ("failed search keeps the last trial", "(theta, False, 0.0,", "(candidate, False, 0.0,", "trust_region TR11"),
],
"minipg/algorithms/advantages.py": [
    ("bootstrap decided by truncation", "batch.rew, batch.terminated, cut)", "batch.rew, cut, cut)", "collector bootstrapped"),
    ("final observations forgotten", "batch.last_obs, batch.final_obs, batch.final_at", "batch.last_obs, 0 * batch.final_obs, batch.final_at",
     "collector bootstrapped"),
    ("advantages over a lost step", "cut[:-1] |= backend.to_device(batch.dropped[1:])", "pass", "faults PG12"),
    ("advantages cut at the lost step alone", "cut[:-1] |= backend.to_device(batch.dropped[1:])",
     "cut |= batch.dropped", "faults PG12"),
    ("rows of resets are kept", "array[keep] for array", "array for array", "collector never_learnt"),
    ("the second half's values forgotten", "slice(0, middle), slice(middle, rows)]", "slice(0, middle)]", "algorithms two_threads"),
    ("values of the first half for both", "obs[part], value[part]", "obs[: part.stop - part.start], value[part]",
     "algorithms two_threads"),
],
"minipg/algorithms/optimizers.py": [
    ("sum for mean", "reduce(add, x) / len(x)", "reduce(add, x)", "theory PP5"),
    ("Adam's step counted from 0", "state.second.copy(), state.step + 1", "state.second.copy(), max(state.step, 1)",
     "algorithms adam_counts"),
    ("gradient never shortened", "kernels.adam(clipped,", "kernels.adam(g,", "algorithms adam_counts"),
    ("descent", "theta, adam, g, learning_rate", "theta, adam, -g, learning_rate", "algorithms vpg_takes"),
    ("entropy bonus forgotten", "rows.adv, ent_coef)", "rows.adv, 0.0)", "algorithms vpg_takes"),
    ("schedule upwards", "max(1.0 - progress, 0.0)", "min(progress, 1.0)", "algorithms schedule"),
],
"minipg/algorithms/ppo.py": [
    ("target KL asked for too early", "1.5 * config.target_kl,", "1e-9 * config.target_kl,",
     "algorithms beyond_its_target"),
    ("fixed β forgotten", "if self.objective in (\"kl\", \"adaptive-kl\")",
     "if self.objective == \"adaptive-kl\"",
     "algorithms PP3"),
    ("fixed β adapted", "if adaptive and found.steps:", "if found.steps:",
     "algorithms PP3"),
    ("β never adapted", "beta = adapted_beta(beta, found.kl, config.target_kl)", "pass", "algorithms PP4"),
    ("clip without clipping", "if self.objective == \"clip\" else math.inf", "if False else math.inf",
     "algorithms PP2"),
    ("unclipped is clipped", "if self.objective == \"clip\" else math.inf", "if True else math.inf",
     "algorithms PP2"),
    ("ended early, said to be whole", "\"ok\" if found.steps == wanted else \"target KL\"", "\"ok\"",
     "algorithms beyond_its_target"),
    ("epochs that are not finite are kept", "if not found.finite:", "if False:", "algorithms gradient_that_is_not_finite"),
    ("one order for policy and critic", "samples, config, vf_order,", "samples, config, order,", "algorithms orders_of_their_own"),
    ("the clip range never shrinks", "self.clip_range * scheduled(self.clip_schedule, progress)", "self.clip_range",
     "settings changing_a_setting"),
    ("advantages never normalised", "normalize=config.normalize_advantage", "normalize=False",
     "settings changing_a_setting"),
],
"minipg/algorithms/surrogate_epochs.py": [
    ("Adam begins anew", "backend.to_device(order), adam.step,", "backend.to_device(order), 0,", "algorithms AC3"),
    ("Adam's steps miscounted", "adam.step + int(steps))", "adam.step + 1)", "algorithms two_epochs"),
    ("θ changed in place", "theta, first, second, stats = theta.copy(),", "theta, first, second, stats = theta,",
     "algorithms changes_nothing"),
    ("Adam's moments changed in place", "adam.first.copy(), adam.second.copy()", "adam.first, adam.second",
     "algorithms changes_nothing"),
],
"kernels/reference/surrogate_epochs.py": [
    ("penalty's sign", "- terms.kl_coef * kl_gradient", "+ terms.kl_coef * kl_gradient", "theory PP3"),
    ("KL penalty reversed", "kl_gradient(policy.family, old, params,",
     "kl_gradient(policy.family, params, old,", "theory PP3"),
    ("proximal gradient never clipped", "adv, terms.clip_range, weight)", "adv, math.inf, weight)", "theory PP2"),
    ("entropy bonus's sign", "+ terms.ent_coef * entropy_gradient", "- terms.ent_coef * entropy_gradient", "theory PP3"),
    ("mean over all but one", ") / len(obs)", ") / (len(obs) + 1)", "theory PP3"),
    ("advantages of another minibatch", "(array[chosen] for array in",
     "(array[chosen] if array.ndim > 1 else array[: len(chosen)] for array in", "algorithms tiles"),
    ("log σ without a gradient", "u, g, grad[n_network:])", "u, g, 0 * grad[n_network:])", "theory PP3"),
    ("KL summed, not averaged", "xp.stack([kl.mean()", "xp.stack([kl.sum()", "theory PP3"),
    ("target KL never asked for", "running = running & ~(kl > max_kl)", "pass", "algorithms beyond_its_target"),
    ("last minibatch dropped", "range(0, order.shape[1], epochs.minibatch_size)",
     "range(0, order.shape[1] - epochs.minibatch_size + 1, epochs.minibatch_size)", "algorithms beyond_its_target"),
    ("gradient never shortened", "optimizer.clip_global_norm(grad, epochs.max_grad_norm, grad)", "pass",
     "theory AC3"),
    ("log σ left outside of its range", "theta[n_network:] = xp.clip(theta[n_network:], low, high)", "pass",
     "algorithms AC3"),
    ("Adam's step never counted", "step + 1\n            optimizer.clip", "step\n            optimizer.clip", "theory AC3"),
    ("advantages never normalised", "    if normalizes:", "    if False:", "theory AC3"),
    ("share of the last minibatch alone", "beyond + running * share_beyond", "running * share_beyond", "theory AC3"),
    ("sums for means", "*(sums[i] / rows for i in range(3))", "*sums", "theory AC3"),
    ("the share beyond ε counts one side", "(abs(xp.exp(logp - logp_old) - 1) >", "(xp.exp(logp - logp_old) - 1 >",
     "theory AC3"),
    ("a step beyond the target KL is counted", "return taken, beyond\n            # reading",
     "return taken + 1, beyond\n            # reading", "theory AC3"),
    ("every epoch the first", "order[epoch, start", "order[0, start", "theory AC3"),
    ("rows by their place in the epoch", "terms, chosen, True, grad", "terms, xp.arange(len(chosen)), True, grad",
     "theory AC3"),
    ("a stale θ: gradients at the first of the epoch", "            gradient(policy, theta, acted,",
     "            stale = theta.copy() if start == 0 else stale\n            gradient(policy, stale, acted,", "theory AC3"),
    ("advantages always normalised", "    if normalizes:", "    if True:", "theory AC3"),
    ("moments that overflow count as finite", " & optimizer.is_finite(first) & optimizer.is_finite(second)", "",
     "theory not_finite_says"),
    ("the share beyond ε is a sum", "beyond / xp.maximum(taken, 1)", "beyond", "theory AC3"),
    ("nothing is measured", "    if measures:", "    if False:", "theory AC3"),
],
"kernels/arguments.py": [
    ("a masked logit of −10", "MASKED = -1e9", "MASKED = -10.0", "theory DI9"),
],
"kernels/reference/distribution_params.py": [
    ("bounded log σ without its slope", "if form == 2:\n        g[", "if False:\n        g[", "theory PP3"),
    ("bounded log σ: slope forgotten in J", "if form == 2:\n        d_params[", "if False:\n        d_params[",
     "theory TR9"),
    ("bounded log σ: slope 1 − tanh", "1 - namespace(z).tanh(z / _reach(bounds, z)) ** 2",
     "1 - namespace(z).tanh(z / _reach(bounds, z))", "theory TR9"),
    ("bounded log σ: one reach for both sides", "where(z > 0, high, -low)", "where(z > 0, high, high)",
     "policy deviation_of_the_state"),
    ("log σ's gradient averaged", "u[:, n:].sum(axis=0)", "u[:, n:].mean(axis=0)", "theory TR9"),
    ("log σ of the other bound", "where(z > 0, high, -low)", "where(z > 0, -low, high)",
     "policy deviation_of_the_state"),
    ("the mask in the last columns", "\n        params[obs[:, :n] == 0]", "\n        params[obs[:, -n:] == 0]", "theory DI9"),
    ("a masked logit that moves", "d_params[obs[:, :n] == 0] = 0", "pass", "theory DI9"),
    ("a masked logit with a gradient", "g[obs[:, :n] == 0] = 0", "pass", "theory DI9"),
    ("log σ of the outputs' order", "params[:, n:] = log_std", "params[:, n:] = log_std[::-1]", "theory PP3"),
],
"kernels/reference/surrogate_value.py": [
    ("KL reversed", "kl(policy.family, old, params,", "kl(policy.family, params, old,", "policy region"),
    ("ratio inverted", "surrogate(logp, logp_old, adv", "surrogate(logp_old, logp, adv", "theory IS3"),
    ("entropy never asked for", "if wants_entropy:", "if False:", "algorithms DI7"),
],
"kernels/reference/act.py": [
    ("σ is 1", "out, theta[n_network:], params)", "out, 0 * theta[n_network:], params)", "theory act_samples"),
    ("the noise of another state", "params, noise, act)", "params, noise[::-1].copy(), act)",
     "theory act_samples"),
],
"kernels/reference/advantages.py": [
    ("bootstrap decided by truncation", "steps.terminated, steps.cut,", "steps.cut, steps.cut,", "theory PG12"),
    ("final observations take the values of the last ones", "steps.final_obs, value[rows + envs :]",
     "0 * steps.final_obs, value[rows + envs :]", "theory PG12"),
    ("values after the rollout at its beginning", "steps.last_obs, value[rows", "steps.obs[0], value[rows", "theory PG12"),
    ("advantages not centred", "namespace(adv), _centred(adv)", "namespace(adv), adv", "theory normalized"),
    ("advantages over their variance", "xp.sqrt(xp.square(centred).mean())", "xp.square(centred).mean()", "theory normalized"),
    ("equal advantages: 0/0", "xp.where(negligible, xp.inf, deviation)", "deviation", "theory normalized"),
    ("explained variance of the critic alone", "(ret.astype(float) - value, ret)", "(value.astype(float), ret)", "theory explained"),
    ("explained variance that counts a bias", "xp.square(_centred(x)).mean() for x", "xp.square(x).mean() for x",
     "theory explained"),
    ("variance by n − 1", "xp.sqrt(xp.square(centred).mean())", "xp.sqrt(xp.square(centred).sum() / (len(adv) - 1))",
     "theory normalized"),
    ("equal numbers have a spread, if they are many", "    x = x - x[0]\n", "", "kernels however_many"),
    ("γ for λ", "gamma, gae_lambda, adv", "gamma, gamma, adv", "theory PG12"),
    ("λ for γ", "gamma, gae_lambda, adv", "gae_lambda, gae_lambda, adv", "theory PG12"),
    ("a constant return is explained", "spread, 1), xp.nan)", "spread, 1), 1.0)", "theory explained"),
],
"kernels/reference/actor_critic.py": [
    ("policy's gradient without 1/B", "    grad /= rows\n", "", "theory AC3"),
    ("critic climbs its loss", "grad /= -rows", "grad /= rows", "theory AC3"),
    ("gradient never shortened", "optimizer.clip_global_norm(grad, max_grad_norm, grad)", "pass", "theory AC3"),
    ("log σ left outside of its range", "tail[...] = xp.clip(tail, *low_high)", "pass", "kernels holds_log_std"),
    ("advantages never normalised", "    if normalizes:", "    if False:", "theory AC3"),
    ("entropy summed, not averaged", "entropy[0] / rows", "entropy[0]", "theory AC3"),
    ("loss summed, not averaged", "loss[0] / rows", "loss[0]", "theory AC3"),
    ("advantages always normalised", "    if normalizes:", "    if True:", "theory AC3"),
    ("entropy bonus's sign", "acted.act, adv, ent_coef,", "acted.act, adv, -ent_coef,", "theory AC3"),
    ("norm after it is clipped", "    return norm, ", "    norm = (grad.astype(float) ** 2).sum() ** 0.5\n    return norm, ",
     "theory AC3"),
    ("weights held in log σ's range", "theta[mlp.size(policy.network) :]", "theta",
     "kernels holds_log_std"),
    ("a step that is not finite counts as finite", "    return norm, xp.isfinite(norm) &",
     "    return norm, namespace(grad).ones((), bool) |", "theory not_finite_says"),
    ("squares that overflow count as finite", " & optimizer.is_finite(second)", "", "theory not_finite_says"),
],
"kernels/cpu/mlp.py": [
    ("references are counted at every layer", "    theta, obs, out, hidden = unowned(theta), unowned(obs), unowned(out), unowned(hidden)\n",
     "", "compiled_code counts"),
],
"kernels/cpu/regression.py": [
    ("references are counted at every minibatch", "    obs, target, old, order = unowned(obs), unowned(target), unowned(old), unowned(order)\n",
     "", "compiled_code counts"),
],
"minipg/algorithms/dppo.py": [
    ("gradients clipped before their mean", "mean([one.gradient for one in gradients])",
     "mean([x * min(1.0, agent.config.max_grad_norm / np.linalg.norm(x)) for x in (one.gradient for one in gradients)])", "dppo PP5"),
    ("policy never projected", "theta = agent.actor.project(theta)", "pass", "dppo PP5"),
    ("epochs stop at the target", "> 1.5 * config.target_kl", "> config.target_kl", "dppo PP5"),
    ("the critic's steps stop with the policy's", "if part is None and vf_part is None:", "if part is None:", "dppo PP5"),
    ("the critic stepped at the policy's rate", "config.vf_learning_rate * rate", "config.learning_rate * rate", "dppo PP5"),
    ("β adapted from the wrong end", "adapted_beta(beta, kl, config.target_kl)", "adapted_beta(beta, 1 / kl, config.target_kl)", "dppo PP5"),
    ("all workers begin with one seed", "if not (updates or worker or restarts):", "if not updates:", "dppo environments_and_batches"),
    ("a lost worker repeats its episodes", "(seed, updates, worker, restarts)", "(seed, updates, worker)", "dppo begins_anew"),
    ("a run that continues repeats its episodes", "partial(_seed_of, self.seed, self.updates)", "partial(_seed_of, self.seed, 0)", "dppo saved"),
    ("steps of one worker counted", "sum(report.steps for report in calls.reports)", "calls.reports[0].steps", "dppo environments_and_batches"),
],
"minipg/algorithms/dppo_worker.py": [
    ("advantages never normalised", "normalize(samples.adv, agent.backend) if config.normalize_advantage else samples.adv", "samples.adv", "dppo PP5"),
    ("policy and critic share an order", "_minibatch(self._vf_order,", "_minibatch(self._order,", "dppo PP5"),
    ("statistics never sent", "restore_statistics(agent.normalizer, agent.scaler, statistics)", "pass", "dppo every_worker_once"),
],
"minipg/algorithms/dppo_calls.py": [
    ("stale gradient applied", "elif version == self._version:", "elif not isinstance(content, Report):", "dppo never_applied"),
    ("late batch used", "if version == self._collecting and isinstance(content, Report):", "if isinstance(content, Report):", "dppo batch_that_arrives"),
    ("drop counted for the wrong worker", "self.drops[worker] += 1", "self.drops[0] += 1", "dppo counted_as_dropped"),
    ("every worker waited for", "engine, workers - drop, seed_of", "engine, workers, seed_of", "dppo one_slow"),
    ("one worker waited for", "engine, workers - drop, seed_of", "engine, 1, seed_of", "dppo never_applied"),
    ("a lost worker keeps its share", "for workers in (self._ready, self._asked):", "for workers in (self._asked,):", "dppo begins_anew"),
    ("a lost worker waited for", "for workers in (self._ready, self._asked):", "for workers in (self._ready,):", "dppo begins_anew"),
    ("two calls in flight", "if worker in self._engine.busy:", "if worker < 0:", "dppo never_applied"),
],
"minipg/rollout/compiled.py": [
    ("last observations of a half in the other's rows", "t * envs + half.start + n", "t * envs + n", "collector two_halves"),
    ("a half's state never put back", "array[half] = copy", "pass", "collector two_halves"),
],
"kernels/cpu/classic_control/pendulum.py": [
    ("gravity is always 10", "3 * dynamics.g", "3 * 10.0", "compiled step_from_any"),
    ("first speeds as wide as first angles", "(dynamics.y_init + dynamics.y_init)", "(dynamics.x_init + dynamics.x_init)", "compiled whole_episodes"),
],
"kernels/cpu/classic_control/cartpole.py": [
    ("the book's reward in no case", "if dynamics.sutton_barto_reward:", "if False:", "compiled step_from_any"),
    ("first states on both sides of 0", "dynamics.low + (dynamics.high", "-dynamics.high + (dynamics.high", "compiled whole_episodes"),
],
"kernels/cpu/classic_control/mountain_car_continuous.py": [
    ("the largest speed compared in single precision", "    if at_bound:", "    if False:", "compiled step_from_any"),
],
"minipg/envs/problems.py": [
    ("a lower bound above the upper one", "dynamics.low <= dynamics.high", "True", "compiled options_that"),
    ("an option is an argument too", "or key in _OTHERS", "", "compiled other_arguments"),
    ("numbers of single precision as arguments", "type(value) in (int, float) and", "", "compiled other_arguments"),
],
"minipg/envs/compiled.py": [
    ("options are forgotten", "restart(dynamics, where,", "restart(self.problem.dynamics, where,", "compiled vector_with_arguments"),
    ("a state that is set is in double precision", "np.float32 if array.dtype == _SINGLE else np.float64", "np.float64", "compiled step_from_any"),
    ("a state that was read changes in a step", "self._read_state = self._state.astype(np.float32 if single else np.float64)", "return self._state", "compiled state_is_read"),
],
"minipg/envs/register.py": [
    ("any time limit is the usual one", '"max_episode_steps": limit, ', "", "vectors time_limits"),
    ("arguments are forgotten", 'limit, **physics}', 'limit}', "vectors time_limits"),
],
"kernels/cpu/_jit.py": [
    ("exact only where no fast kernel came first", "fastmath=False, ", "", "kernels exact_kernel"),
],
"kernels/cpu/classic_control/rollout.py": [
    ("action never clipped", "min(max(np.float32(sampled[t, i]), -bound), bound)",
     "np.float32(sampled[t, i])",
     "collector step_by_step"),
    ("return of an episode goes on into the next", "returns[i], lengths[i] = 0, 0", "lengths[i] = 0",
     "collector step_by_step"),
    ("discounted return never reset", "discounted[i, 0] = 0", "pass", "collector step_by_step"),
    ("last observation is the first of the next episode", "final_obs[n_finals, j] = raw_obs[i, j]",
     "final_obs[n_finals, j] = obs[t, i, j]", "collector step_by_step"),
    ("statistics without the last step", "moments.merge(next_obs, obs_count", "moments.merge(obs[t], obs_count",
     "collector step_by_step"),
    ("a truncation that also terminated", "cuts[i] = cuts[i] and not ends[i]", "pass",
     "collector step_by_step"),
],
"kernels/gpu/arrays.cu": [
    ("a sum that forgets all but the first round", "e < entries; e += threads) sum += x[e];",
     "e < threads; e += threads) sum += x[e];", "cuda_kernels sums"),
    ("a sum of single precision", "double sum = 0;\n    for (i64 e = t; e < entries; e += threads) sum += x[e];",
     "real sum = 0;\n    for (i64 e = t; e < entries; e += threads) sum += x[e];", "cuda_kernels sums"),
],
"kernels/gpu/mlp.cu": [
    ("a bias by a wide layer's last round", "y[e] = entry;\n        sum += entry;",
     "y[e] = entry;\n        sum = entry;", "cuda_kernels a_pass_covers", 1),
    ("a bias by a narrow layer's last round", "y[e] = entry;\n        sum += entry;",
     "y[e] = entry;\n        sum = entry;", "cuda_kernels a_pass_covers", 2),
    ("a narrow product by its first row alone", "row += threads / m * n", "row += 0", "cuda_kernels a_pass_covers"),
    ("tanh′ for ReLU′ in a wide layer", "times_slope_of(y[e], h[e], activation);\n        y[e]",
     "times_slope_of(y[e], h[e], 0);\n        y[e]", "cuda_kernels a_pass_covers"),
    ("a narrow product of W for Wᵀ", "w[t % m * n + k]", "w[k * m + t % m]", "cuda_kernels law"),
],
"kernels/gpu/rows.cu": [
    ("the clip on the side that Â does not pull to", "gain > 0 ? r > 1 + clip_range", "gain < 0 ? r > 1 + clip_range",
     "cuda_kernels gradient_of_a_minibatch"),
    ("a penalty that pulls", "x[j] -= share * beta", "x[j] += share * beta", "cuda_kernels gradient_of_a_minibatch"),
    ("the old distribution of another row", "*p_old = old + row * width", "*p_old = old + i * width",
     "cuda_kernels gradient_of_a_minibatch"),
    ("a Fisher product without log σ", "x[j] = d_log_std[j - n];", "x[j] = 0;", "cuda_kernels fisher_product"),
],
"kernels/gpu/distribution_params.cuh": [
    ("no slope of the bound on log σ", "y[j] *= 1 - h * h;", "y[j] *= 1;", "cuda_kernels law"),
    ("a masked logit of −10", "#define MASKED (real)(-1e9)", "#define MASKED (real)(-10)", "cuda_kernels law"),
],
"kernels/gpu/returns.cu": [
    ("a trace over truncations", "terminated[e] || truncated[e] ?", "terminated[e] ?", "cuda_kernels law"),
],
"kernels/gpu/optimizer.cu": [
    ("gradients lengthened to the norm too", "norm > max_norm ? (real)(max_norm / norm) * grad[i] : grad[i]",
     "(real)(max_norm / norm) * grad[i]", "cuda_kernels AC3"),
],
"kernels/gpu/_inherit.py": [
    ("an inherited function calls the reference's", "return kernels(value.__name__.removeprefix(_REFERENCE))",
     "return value", "cuda_kernels inherited"),
],
"kernels/gpu/_cuda.py": [
    ("any dtype will do", "value.dtype == dtype and ", "", "cuda_sources refused"),
    ("strides are not looked at", " and value.flags.c_contiguous", "", "cuda_sources refused"),
    ("numbers cut to whole ones", 'isinstance(value, _NUMBERS if dtype.kind == "f" else _INTEGERS)', "True",
     "cuda_sources refused"),
    ("a dtype that no kernel has", "if dtype not in _TYPES:", "if dtype is None:", "cuda_sources refused"),
],
"kernels/gpu/classic_control/philox.cuh": [
    ("nine rounds", "round < 10", "round < 9", "device_envs philox"),
],
"kernels/gpu/classic_control/batch.cu": [
    ("the same episode again and again", "episode[n]++", "episode[n]", "device_envs first_state"),
    ("all environments alike", "philox(1, episode, n, 0, seed, 0)", "philox(1, episode, 0, 0, seed, 0)",
     "device_envs first_state"),
],
"kernels/gpu/classic_control/rollout.cu": [
    ("truncated where it terminated too", "++env->elapsed >= time_limit && !terminated",
     "++env->elapsed >= time_limit", "device_envs plain_collectors"),
    ("every last observation in the first slot", "env->cuts++;", "", "device_envs plain_collectors"),
    ("the return goes on into the next episode", "env->total = 0, env->length = 0;", "env->length = 0;",
     "device_envs plain_collectors"),
    ("the action as it was sampled", "return held((float)act, -bound, bound);", "return act;",
     "device_envs plain_collectors"),
    ("discounted returns over the ends of episodes", "if (terminated[n] || truncated[n]) discounted[n] = 0;", "",
     "device_envs plain_collectors"),
    ("what is left of eight outputs has none", "k < some; k++) sum[k] = fma", "k < 0; k++) sum[k] = fma",
     "device_envs plain_collectors"),
],
"kernels/reference/deterministic.py": [
    ("no slope of tanh", "u * (1 - mu * mu)", "u", "theory the_derivatives_of_mu"),
    ("jvp without the slope of tanh", "out *= 1 - mu * mu", "out *= 1", "theory the_derivatives_of_mu"),
    ("target actions beyond the bounds", "xp.clip(action + noise, -1, 1)", "action + noise", "theory targets_are"),
    ("target actions without noise", "action + noise", "action", "theory targets_are"),
    ("a value after a termination", "xp.where(terminated, 0, gamma * values.min(axis=0))", "gamma * values.min(axis=0)",
     "theory targets_are"),
    ("the greatest of the critics", "values.min(axis=0)", "values.max(axis=0)", "theory targets_are"),
    ("one critic for all", "thetas_q[k], next_obs", "thetas_q[0], next_obs", "theory targets_are"),
],
"kernels/reference/q_value.py": [
    ("critics climb their error", "grad / -len(target)", "grad / len(target)", "theory a_step_of_the_critics"),
    ("bias correction one step behind", "adam, step + 1, theta", "adam, step, theta", "theory a_step_of_the_critics"),
    ("the slope in the state", "row_grad[:, obs.shape[1] :]", "row_grad[:, : grad.shape[1]]", "theory the_slope_in_the_action"),
],
"minipg/rollout/replay.py": [
    ("the next episode's first observation", "next_obs[to_host(batch.final_at)] = to_host(batch.final_obs)", "pass",
     "off_policy every_transition"),
    ("a time limit is a termination", "flat(batch.terminated), next_obs", "flat(batch.terminated | batch.truncated), next_obs",
     "off_policy every_transition"),
    ("steps that only reset are kept", "np.flatnonzero(batch.valid)", "np.arange(rows)", "off_policy every_transition"),
    ("observations as they are held", "single = lambda x: x.astype(np.float32, copy=False)", "single = lambda x: x",
     "off_policy narrow_integers"),
    ("what is not there is drawn", "uniform * self.size", "uniform * self.capacity", "off_policy holds_the_newest"),
],
"minipg/rollout/exploration.py": [
    ("noise around 0 alone", "self._mean * params + noise", "noise", "off_policy without_noise"),
    ("the process starts again in every call", "self.state = out[t]", "out[t]", "off_policy goes_on_where or ornstein"),
],
"minipg/algorithms/off_policy.py": [
    ("first actions around the policy", "mean=float(self.steps >= config.learning_starts)", "mean=1.0", "off_policy first_actions"),
    ("a replay on disk that is not wanted", "        if not self.config.replay_on_disk:\n", "        if False:\n",
     "off_policy leaves_no_trace"),
    ("one gradient step, however many environments", "config.gradient_steps * batch.rew.size", "config.gradient_steps",
     "off_policy counted_per"),
],
"minipg/algorithms/td3.py": [
    ("the policy moves in every step", "if new_critics.step % config.policy_delay:", "if False:", "off_policy every_second"),
    ("noise of target actions not clipped", "-config.target_noise_clip, config.target_noise_clip)", "-9, 9)",
     "off_policy noise_of_target"),
    ("noise of target actions unscaled", "config.target_noise * normals", "normals", "off_policy noise_of_target"),
    ("one noise for the whole batch", "config.target_noise * normals", "config.target_noise * normals[:1] + 0 * normals",
     "off_policy noise_of_target"),
    ("the policy climbs the second critic", "new_critics.theta[0], batch.obs", "new_critics.theta[1], batch.obs", "off_policy first_critic"),
    ("targets of the critics stay", "polyak(backend, new_critics.theta, config.tau, state.critic_target)", "state.critic_target",
     "off_policy every_second"),
],
"minipg/algorithms/dpg.py": [
    ("features without the noise", "weight[:, None] * noise) / len(weight)", "weight[:, None] + 0 * noise) / len(weight)",
     "theory compatible_critic"),
    ("a sum of features for their mean", "weight[:, None] * noise) / len(weight)", "weight[:, None] * noise)",
     "theory compatible_critic"),
    ("no damping", "+ damping * w", "", "theory compatible_critic"),
    ("the value of the noisy policy", "ret=samples.ret - advantage", "ret=samples.ret", "deterministic without_noise"),
    ("the policy descends", "theta + natural_step(", "theta - natural_step(", "deterministic natural_step"),
    ("steps of any length", "* (real(action_step) / choose(size == 0, real(math.inf), size))", "* real(action_step)",
     "deterministic natural_step"),
    ("the natural direction for the plain one", "g = policy.vjp(theta, tape, slope) / len(slope)", "g = cg.x",
     "deterministic slope_of_the_compatible"),
    ("a step that is not finite is taken", "if cg.status == \"not finite\" or not (finite", "if not (finite",
     "deterministic not_finite"),
    ("the schedule stands still", "share = scheduled(config.schedule, progress)", "share = 1.0", "deterministic schedule"),
],
"minipg/algorithms/ddpg.py": [
    ("targets move all the way", "polyak(backend, new_theta, config.tau, state.target)", "new_theta", "off_policy DP2"),
    ("the policy descends", "theta, AdamState(*state[:3]), g,", "theta, AdamState(*state[:3]), -g,", "off_policy climbs"),
],
"minipg/envs/values.py": [
    ("integers wrap into the space's dtype", "if dtype.kind != \"f\" and not np.can_cast(array.dtype, dtype):", "if False:",
     "spaces outside"),
    ("keys that the space does not have", "or set(obs) != set(space.spaces)", "", "spaces parts_that"),
    ("reals where the space holds integers", "\"biuf\" if dtype.kind == \"f\" else \"biu\"", "\"biuf\"", "spaces outside"),
],
"minipg/envs/spaces.py": [
    ("an index beyond a Discrete is no flag at all", "if np.count_nonzero(flags) < flat.size:", "if False:", "spaces outside"),
    ("a bit may be 2", "if self.binary and np.count_nonzero(flat >> 1):", "if False:", "spaces outside"),
    ("predict takes NaN", "if np.count_nonzero(np.isfinite(rows)) < rows.size:", "if False:", "spaces outside"),
    ("bounds of actions do not count", "limits = [_few(space.low), _few(space.high)] if bounds else []", "limits = []",
     "again as_many_numbers"),
],
"minipg/envs/recipe.py": [
    ("wrappers inside out", "for layer in reversed(wrappers)]", "for layer in wrappers]", "again more_environments"),
    ("time limit forgotten", "spec, chain = replace(spec, max_episode_steps=chain[0][1][\"max_episode_steps\"]), chain[1:]",
     "chain = chain[1:]", "again more_environments"),
    ("statistics of a wrapper begin anew", "    if _is_gymnasiums(kind, _LEARNING):\n", "    if False:\n", "again cannot_be_made"),
    ("unrecorded arguments are the defaults", "if [p.kind for p in parameters] == [inspect.Parameter.POSITIONAL_OR_KEYWORD]:",
     "if True:", "again cannot_be_made"),
    ("a vector is what its first environment is", "if not all(equal(_all_of(other), _all_of(first)) for other in others):",
     "if False:", "again cannot_be_made"),
    ("one environment for two", "if env.unwrapped is self.first.unwrapped:", "if False:", "again new_environment"),
],
"minipg/envs/altered.py": [
    ("a changed environment is what its specification says", "if not made_late and not equal(value, now.get(name)):",
     "if False:", "again cannot_be_made"),
    ("state is taken for a change", "    for now in _played(fresh):\n", "    for now in ():\n", "again no_change"),
    ("what closing raises is not caught", "guarded(_WHEN, env.close)", "env.close()", "received exception_that"),
    ("wrappers in another order", "if _kinds(env) != kinds:", "if False:", "again cannot_be_made"),
],
"minipg/envs/recipe_file.py": [
    ("tuples become lists", "return {\"tuple\": [encode(item) for item in value]}", "return [encode(item) for item in value]",
     "again comes_back"),
    ("a file calls what it names", "if not (isinstance(wrapper, type) and issubclass(wrapper, gym.Wrapper)):", "if wrapper is None:",
     "again file_imports"),
    ("a name that a module lacks is asked for", "thing = vars(thing)[part]", "thing = getattr(thing, part)",
     "received imported_module"),
    ("a file imports what it names", "if module.partition(\".\")[0] == \"gymnasium\" or module == \"minipg.envs.atari\":", "if True:", "again file_imports"),
    ("an id means what it means now", "if now and description.get(\"id\") == env_id and now != description:", "if False:",
     "again registered_otherwise"),
],
"minipg/runs/seeds.py": [
    ("the process of a seed searches the working folder", "python_command(_MINIPG, \"train\", *args, \"--json\")",
     "[sys.executable, \"-m\", \"minipg\", \"train\", *args, \"--json\"]", "received imports_nothing"),
    ("a log is written into what is there", "with open_new(path_of(folder, seed, \".json\")) as out,",
     "with path_of(folder, seed, \".json\").open(\"wb\") as out,", "received folder_of_seeds"),
],
"minipg/runtime/child.py": [
    ("the process of an environment searches the working folder", "with outside_working_folder(),", "with suppress(),",
     "received imports_nothing"),
],
"minipg/envs/processes.py": [
    ("a process ends in a traceback", "with suppress(BaseException):", "with suppress(Exception):", "received exception_that"),
],
"minipg/__init__.py": [
    ("a session imports from the file's folder", "imports_for(\"numpy\") if name == \"load\" else nullcontext()",
     "nullcontext()", "received to_load"),
],
"kernels/cpu/_cache.py": [
    ("the checksum of compiled code is not compared", "if not _sound(content):", "if False:", "cache is_damaged"),
    ("code that has ended a process is loaded again", "if _left_behind(loading):", "if False:", "cache ended_a_process"),
],
"minipg/runtime/modules.py": [
    ("what is installed imports from the working folder", "return _searching(PathFinder", "return _searching(False and PathFinder",
     "received id_in_a_file"),
    ("the path is not put back", "sys.path.insert(place, entry)", "pass", "received id_in_a_file"),
    ("the user's own module is not found", "elsewhere) is not None)", "elsewhere) is not None or True)",
     "received caller_registers"),
],
"minipg/runtime/files.py": [
    ("what is no file is opened", "if not stat.S_ISREG(found.st_mode):", "if False:", "received file_that_is_named"),
    ("links in place of folders are followed", "    if folder.is_symlink():", "    if False:", "received are_a_link"),
],
"minipg/runs/checkpoints.py": [
    ("a replay that is a link is tidied", "        require_no_link(self.run / \"replay\")\n", "", "received replay_that"),
],
"minipg/rollout/replay_files.py": [
    ("a part of the replay that is a link is read", "        require_no_link(self._path(k))\n", "", "received of_a_replay"),
],
"minipg/runtime/storage.py": [
    ("arrays may overlap", "if any(end > entry.header_offset", "if any(end < 0", "received same_bytes"),
],
"minipg/runtime/progress.py": [
    ("a terminal obeys", "    if text.isprintable():", "    if True:", "received terminal"),
    ("a line of megabytes", "if len(text) <= most else", "if True else", "received terminal"),
],
"minipg/runs/recorder.py": [
    ("a torn line is a row", "while (line := file.readline(LONGEST_LINE)).endswith(b\"\\n\"):",
     "while line := file.readline(LONGEST_LINE):", "received torn_tail"),
    ("a damaged line is a row", "return math.inf", "return 0", "received damaged_line"),
],
"minipg/commands/seeds.py": [
    ("a file's algorithm is imported", "if module not in sys.modules]:", "if False]:", "own_algorithm imports_no_module"),
    ("what is in a seed's place is removed", "if run.is_file() or others or any(path.is_dir() for path in left):", "if False:",
     "cli left_alone"),
    ("a file's flags are believed", "            plan.require_runs(flags_of_train)\n", "", "cli own_folders"),
],
"minipg/envs/device.py": [
    ("a reset begins the seed's first episodes again", "if seed is not None:\n            self._seed = int(seed)\n",
     "if True:\n            self._seed = int(seed or 0)\n", "device_envs first_state"),
    ("the observation of the next episode for the last one's", "self._restart(terminated | truncated)\n", "pass\n",
     "device_envs vector_is"),
],
"minipg/rollout/device.py": [
    ("last observations as they are shown", "out.final_obs[:cuts] if normalizer is None else normalizer(out.final_obs[:cuts])",
     "out.final_obs[:cuts]", "device_envs plain_collectors"),
    ("all is well", "return batch, math.isfinite(total)", "return batch, True", "device_envs is_nan"),
],
"minipg/algorithms/a2c.py": [
    ("entropy bonus's sign", "samples.acted, config.ent_coef,", "samples.acted, -config.ent_coef,", "algorithms rmsprop"),
    ("V(s) for the critic's target", "samples.obs, samples.ret,", "samples.obs, samples.value,", "algorithms critic_step"),
    ("the critic's rate for the policy's", "config.rmsprop(config.learning_rate, progress)",
     "config.rmsprop(config.vf_learning_rate, progress)", "algorithms rmsprop"),
    ("squares forgotten", "(new, A2CState(second), info)", "(new, state, info)", "algorithms rmsprop"),
    ("a step that is not finite is taken", "    if not finite:\n        status", "    if False:\n        status",
     "algorithms gradient_that_is_not_finite"),
    ("a critic that is not finite is kept", "    if not finite:\n        return CriticFit",
     "    if False:\n        return CriticFit", "algorithms gradient_that_is_not_finite"),
],
"minipg/export/blueprint.py": [
    ("choices counted from 0", "(int(space.start),)", "(0,)", "export acts_as_predict"),
    ("outputs of σ are taken for actions", "np.ascontiguousarray(weight[:, :outputs]), bias[:outputs]", "weight, bias",
     "export acts_as_predict"),
    ("a deterministic policy's actions are not scaled", "codec.squash or codec.scale", "codec.squash",
     "export acts_as_predict"),
    ("any text of a file is written into a source", "return re.sub(", "return text or re.sub(", "export ends_no_comment"),
],
"minipg/export/python_file.py": [
    ("actions beyond the bounds", "x = np.clip(x, LOW, HIGH)", "x = x", "export acts_as_predict"),
    ("the last layer has an activation", "if k < len(policy.layers) - 1 else y", "if True else y", "export acts_as_predict"),
],
"minipg/envs/chosen.py": [
    ("the first wrapper outermost", "_wrapper(text) for text in wrappers)", "_wrapper(text) for text in reversed(wrappers))",
     "chosen reach_the_environment"),
    ("the time limit is an argument", "kwargs.pop(_LIMIT, spec.max_episode_steps)", "spec.max_episode_steps",
     "chosen reach_the_environment"),
],
"minipg/algorithms/agent_file.py": [
    ("settings that a file depends on change", "if name in fields & FIXED or", "if name in () or", "resume does_not_take"),
],
"minipg/algorithms/workers.py": [
    ("only the first worker's episodes are counted", "report.episodes for report in reports]",
     "report.episodes for report in reports[:1]]", "a3c counts_what_all"),
],
"minipg/algorithms/a3c.py": [
    ("gradient at the shared parameters", "step(agent.actor, self.theta, samples", "step(agent.actor, shared.theta, samples",
     "a3c stale_worker"),
    ("the critic's gradient at the shared parameters", "agent.critic, self.value, samples, config",
     "agent.critic, shared.value, samples, config", "a3c stale_worker"),
    ("θ_v never copied", "self.theta[:], self.value[:] = self.shared.theta, self.shared.value",
     "self.theta[:] = self.shared.theta", "a3c a2c_to_the_bit"),
    ("a worker's own step is stale", "= _total(shared.updates) - self._updates_before",
     "= _total(shared.updates) + 1 - self._updates_before", "a3c staleness"),
    ("rates by the interval", "(self._first + self._taken) / self._horizon", "self._first / self._horizon",
     "a3c a2c_to_the_bit"),
    ("every worker the first one's episodes", "if (number, made) != (0, 0):", "if False:", "a3c workers_see"),
    ("a worker that is made anew begins as before", "SeedSequence((seed, number, made))", "SeedSequence((seed, number))",
     "a3c workers_see"),
    ("statistics begin anew", "restore_statistics(self.agent.normalizer, self.agent.scaler, statistics)\n        self.collector",
     "self.collector", "a3c statistics_reach"),
    ("squares of the interval lost", "after[0], A2CState(after[1])", "after[0], self.state", "a3c a2c_to_the_bit"),
],
"minipg/algorithms/npg.py": [
    ("plain gradient for the natural one", "type(scale) * cg.x)", "type(scale) * g)", "algorithms npg_step"),
    ("fixed step normalized", "if config.step_rule == \"normalized\" else config.learning_rate", "",
     "algorithms npg_step"),
    ("account before the step", "adv, tape.params)(candidate)", "adv, tape.params)(theta)", "algorithms npg_account"),
    ("damping not handed on", "theta, fisher_tape, config.damping)", "theta, fisher_tape)",
     "algorithms npg_step"),
],
"minipg/algorithms/reinforce.py": [
    ("until-reward goes on after a reward", "done = done | (batch.rew != 0)", "pass", "algorithms until_reward"),
    ("reward-to-go for the return", "xp.where(starts[t], G[t], whole)", "G[t]", "algorithms weights"),
    ("discounted without γᵗ", "return discounts(batch, gamma) * G, G", "return G, G", "algorithms weights"),
    ("γᵗ over episodes", "xp.where(starts[t], now.dtype.type(1), now.dtype.type(gamma) * now)",
     "now.dtype.type(gamma) * now",
     "algorithms weights"),
    ("γᵗ G less V, not γᵗ V", "flat(discounts(batch, config.gamma)) * value", "value", "algorithms discounted"),
    ("no baseline, but centred", "rescale(weight) if config.baseline", "normalize(weight) if config.baseline",
     "algorithms without_a_baseline"),
    ("returns over episodes", "done, xp.zeros_like(done), gamma", "xp.zeros_like(done), xp.zeros_like(done), gamma",
     "algorithms weights"),
    ("average baseline not subtracted", "weight.mean() if config.baseline", "0 * weight.mean() if config.baseline",
     "algorithms average"),
    ("what is not valid is learnt from", "np.flatnonzero(batch.valid)", "np.arange(batch.valid.size)",
     "algorithms sees_just"),
],
"minipg/algorithms/dual.py": [
    ("λ falls where the KL is too large", "rate * (kl - max_kl)", "rate * (max_kl - kl)", "algorithms TR12"),
    ("λ below 0", "max(0.0, multiplier + rate * (kl - max_kl))", "multiplier + rate * (kl - max_kl)",
     "algorithms TR12"),
    ("λ stays", "        multiplier = next_multiplier(", "        next_multiplier(", "algorithms TR12"),
],
"minipg/envs/frames.py": [
    ("weights of a smaller screen: whole pixels only", "np.minimum(begin + span, left + unit) - np.maximum(begin, left)",
     "np.minimum(begin + span, left + unit) - left", "atari mean_over_the_area"),
    ("Pong without one of its backgrounds", "np.uint8(87), np.uint8(107)", "np.uint8(87), np.uint8(87)", "atari difference_of"),
],
"minipg/envs/atari.py": [
    ("the last screen twice, not the larger of two", "self._read(k % 2)", "self._read(0), self._read(1)",
     "atari raw_screens"),
    ("difference against the frame two before", "self._screens[0, :-1] = self._screens[0, 1:]", "pass",
     "atari raw_screens"),
    ("a lost life ends the game", "return self.frames.seen(self._screens)[0], total, terminated, truncated, {",
     "return self.frames.seen(self._screens)[0], total, terminated or lost, truncated, {", "atari changes_nothing_else"),
    ("no frames without an action", "integers(1, self.noop_max + 1)", "integers(1, 2)", "atari without_an_action"),
    ("the rewards of skipped frames are lost", "total += float(reward)", "total = float(reward)",
     "atari raw_screens"),
    ("the last life too is lost without the game's end", "0 < lives < self._lives and not (terminated or truncated)", "lives < self._lives",
     "atari changes_nothing_else"),
],
"minipg/envs/atari_pool.py": [
    ("EnvPool fires at the beginning", "use_fire_reset=False, ", "", "atari same_game"),
],
"minipg/rollout/batch.py": [
    ("a lost life ends a whole episode", " & ~batch.life_lost", "", "atari whole_games"),

    ("a step that only resets has a length", "lengths += valid[a:b].sum(axis=0)", "lengths += b - a",
     "collector known_one"),
    ("an episode begins with what the last one was paid", "returns[restarted], lengths[restarted] = 0, 0",
     "lengths[restarted] = 0", "collector known_one"),
    ("an episode ends with its rollout", "cumsum(axis=0)[-1]  #", "cumsum(axis=0)[-1] * 0 + rew[a:b].sum(axis=0)  #",
     "collector is_cut"),
    ("a further episode counts", "np.cumsum(done, axis=0) - done, episodes)",
     "np.cumsum(done, axis=0) - done, episodes + 1)", "algorithms sees_just"),
    ("final observations of later parts misplaced", "part.final_at + start * envs", "part.final_at + start",
     "algorithms joined"),
    ("half of an episode is a whole one", " & ~_dropped_episodes(batch.dropped, done)", "",
     "faults dropped_episode"),
    ("an episode starts with its end", "batch.terminated[:-1] | batch.truncated[:-1]",
     "batch.terminated[1:] | batch.truncated[1:]", "algorithms starts"),
],
"minipg/algorithms/trpo.py": [
    ("plain gradient for the natural one", "config.max_kl)) * cg.x", "config.max_kl)) * g", "trpo TR7"),
    ("improvement over 0", "return value - before, kl", "return value, kl", "trpo TR11"),
    ("advantages left as they are", "adv = normalize(adv, policy.backend)", "pass", "trpo scale_and_offset"),
    ("step not projected", "        project=policy.project,\n", "", "trpo log_std"),
    ("damping not handed on", "theta, fisher_tape, config.damping)", "theta, fisher_tape)", "trpo TR7"),
],
"minipg/rollout/normalizer.py": [
    ("statistics shift the mask", "out[:, : self.mask] = obs[:, : self.mask]", "pass", "masks statistics"),
    ("the rows before are counted by every worker", 'added = after["count"] - first', 'added = after["count"]', "a3c statistics_of"),
    ("means without the spread between workers", "+ d * d * (n * added / (n + added))", "", "a3c statistics_of"),
    ("discounted return runs over resets", "namespace(rew).where(done, 0, self.running[:, 0])", "self.running[:, 0]",
     "collector discounted_return"),
    ("reset before it is counted", "self.running[:, 0] = self.gamma * self.running[:, 0] + rew",
     "self.running[done] = 0; self.running[:, 0] = self.gamma * self.running[:, 0] + rew",
     "collector discounted_return"),
    ("rewards over the variance", "xp.sqrt(self.moments.square / self.moments.count)",
     "self.moments.square / self.moments.count", "collector discounted_return"),
],
"minipg/rollout/vine.py": [
    ("every action once, weight forgotten", "branches * probability * (q -", "branches * (q -", "vine TR13"),
    ("baseline not under the policy", "(probability * q).sum(axis=0)", "q.mean(axis=0)", "vine TR13"),
    ("no baseline", "(q - q.mean(axis=0))", "q", "vine TR13"),
    ("1/M for 1/(M−1)", "branches / (branches - 1) * (q", "(q", "vine TR13"),
    ("bootstrap on termination", "discount[terminated] = 0", "pass", "vine TR13"),
    ("bootstrap without γᴸ", "+ discount.reshape(branches, count) * last_value",
     "+ (discount > 0).reshape(branches, count) * last_value", "vine TR13"),
    ("no bootstrap", "+ discount.reshape(branches, count) * last_value", "+ 0 * last_value", "vine TR13"),
    ("rewards not discounted", "discount[going] * self._scaled(rew[going])", "self._scaled(rew[going])", "vine TR13"),
    ("the rest of a branch goes on after its end", "going = going & ~(terminated | truncated)", "going = going",
     "vine TR13"),
    ("truncated branches go on", "going = going & ~(terminated | truncated)", "going = going & ~terminated",
     "vine TR13"),
    ("no common random numbers in actions", "sample(one, noise[t - 1]) for one in params]",
     "sample(one, np.roll(noise[t - 1], m, 0)) for m, one in enumerate(params)]",
     "vine TR13"),
    ("noise of the step before", "noise[t - 1]) for one", "noise[max(t - 2, 0)]) for one", "vine TR13"),
    ("states of another environment", "saved[row] = snapshots.save(row - first)",
     "saved[row] = snapshots.save(envs - 1 - (row - first))", "vine TR13"),
    ("states that only reset", "at[batch.valid.ravel()[at]]", "at", "vine TR13"),
    ("main trajectory left in a branch", "with self.snapshots.apart():", "if True:", "vine TR13"),
    ("branch not standardised", "rows if normalizer is None else normalizer(rows)", "rows", "vine TR13"),
    ("branch rewards not scaled", "return rew if self._deviation is None else scaled(rew, self._deviation)",
     "return rew", "vine TR13"),
    ("σ(R) asked of the device in every step", "@cached_property", "@property", "cupy rollout_and_an_update"),
    ("V brought down branch by branch", "to_host(xp.stack([self.value(block) for block in self._seen(obs, count)]))",
     "np.stack([to_host(self.value(block)) for block in self._seen(obs, count)])", "cupy rollout_and_an_update"),
    ("observations brought up branch by branch",
     "return [rows[first : first + count] for first in range(0, len(rows), count)]",
     "up = self.collector.policy.backend.to_device; rows = to_host(rows); "
     "return [up(rows[first : first + count]) for first in range(0, len(rows), count)]", "cupy rollout_and_an_update"),
],
"minipg/envs/snapshots.py": [
    ("no common random numbers in environments: attributes forgotten", "[*parts, _attributes(env)]", "parts",
     "vine TR13"),
    ("one saved state, used up", "vars(thing).update(copy.deepcopy(saved))", "vars(thing).update(saved)", "vine bit"),
    ("time limit of a branch begins anew", "(xp.stack(rows) for rows in zip(*states, strict=True))",
     "(xp.stack(rows) * (rows[0].ndim > 0) for rows in zip(*states, strict=True))", "vine TR13"),
    ("a place in the arrays that go on for a saved state", "array[n].copy()", "array[n]", "vine bit"),
    ("a place in the device's arrays for a saved state", "array[n].copy()", "array[n]", "device_envs TR13"),
    ("MuJoCo's state without what was derived from it", "mujoco.mj_copyData(data, env.model, saved)",
     "[k := int(mujoco.mjtState.mjSTATE_INTEGRATION), x := np.zeros(mujoco.mj_stateSize(env.model, k)), "
     "mujoco.mj_getState(env.model, saved, x, k), mujoco.mj_setState(env.model, data, x, k), "
     "mujoco.mj_forward(env.model, data)]", "vine bit"),
    ("wrappers forgotten", "parts.append(_attributes(env, \"env\"))", "pass", "vine bit"),
    ("environments left in a branch", "            self.begin(states)\n", "            pass\n", "vine bit"),
],
"minipg/gradient_check/arguments.py": [
    ("dicts by position", "return [named[key] for key in keys]", "return list(named.values())", "gradient_check_inputs matched_by_name"),
],
"minipg/gradient_check/comparison.py": [
    ("the second half is never asked", "(places[: len(places) // 2], places[len(places) // 2 :])", "(places[: len(places) // 2],)", "gradient_check_inputs named_entry"),
    ("an unresolved output counts as right", "self.blind |= bool((~sure & ~found.broken).any())", "pass", "gradient_check_inputs no_step_is_usable"),
],
"minipg/gradient_check/complex_step.py": [
    ("whatever takes complex numbers is analytic", "if not (agree & np.isfinite(exact)).all():", "if not np.isfinite(exact).all():", "gradient_check kink"),
],
"minipg/gradient_check/derivatives.py": [
    ("u without f's structure", "function.out.build([part.copy() for part in parts])", "parts[0].copy()", "gradient_check_inputs any_structure"),
],
"minipg/gradient_check/diagnosis.py": [
    ("a wrong sign unseen", "if matches(-a):", "if matches(a):", "gradient_check_inputs from_one_number"),
],
"minipg/gradient_check/differences.py": [
    ("noise that the error does not cover", "np.where(agree, ~longer, kinked)", "~agree & kinked", "gradient_check_inputs coarser"),
],
"minipg/gradient_check/errors.py": [
    ("warnings leak", 'warnings.simplefilter("ignore", RuntimeWarning)', "pass", "gradient_check_inputs no_warning_leaves"),
],
"minipg/gradient_check/function.py": [
    ("f may raise nowhere", "return np.full(self.value.shape, np.nan)", "raise", "gradient_check_inputs raises_outside"),
    ("tiny steps see everything", "np.where(tiny, found.error + np.nan_to_num(np.fmin(*apart)), found.error)", "found.error", "gradient_check_inputs tiny_probability"),
],
"minipg/gradient_check/identities.py": [
    ("v may be subnormal", "float(np.finfo(part.dtype).tiny / np.finfo(part.dtype).eps)", "0.0", "gradient_check false_alarms_once"),
],
"minipg/gradient_check/numeric.py": [
    ("steps of many bits", "2.0 ** np.round(np.log2(scale * _SHORTEST * epsilon_in / np.finfo(np.float64).eps))",
     "scale * _SHORTEST * epsilon_in / np.finfo(np.float64).eps", "gradient_check false_alarms_once"),
    ("straight as far as 4", "_FAR = 2.0**-30, 2.0**-14, 2.0**2, 2.0**16, 2.0**32", "_FAR = 2.0**-30, 2.0**-14, 2.0**2", "gradient_check false_alarms_once"),
    ("plateaus are not flat", "error=np.where(flat, ends.doubt,", "error=np.where(flat, found.error,", "gradient_check_inputs forgotten_branch"),
],
"minipg/gradient_check/rounding.py": [
    ("a tiny v loses nothing", "2.0 ** -np.round(np.log2(size))", "1.0", "gradient_check false_alarms_once"),
    ("no second look at the same array", "same &= np.array_equal(g(given), g(moved), equal_nan=True)", "g(given), g(moved)", "gradient_check_inputs stale_cache"),
],
"minipg/gradient_check/stretches.py": [
    ("wide stairs decide", "(height if stairs else 3 * noise) / width", "3 * noise / width", "gradient_check_inputs cannot_decide or tiny_arguments"),
    ("every jump is a stair", "stairs = _may_be_stairs(change, edges, height, noise)", "stairs = True", "gradient_check_inputs forgotten_branch"),
    ("a stair comes gradually", "sudden = (first > 0) &", "sudden = (first < 0) &", "gradient_check_inputs coarser"),
    ("a slope shows in the last digit", "np.maximum(visible, 1)", "1", "gradient_check_inputs coarser"),
    ("narrow stairs are no noise", "return height / width, height, False", "return 0.0, 0.0, False", "gradient_check error_estimate or single"),
],
"minipg/theory/preferences.py": [
    ("preferences: loss of the other order", "-(better - worse) @ phi", "(better - worse) @ phi", "theory RH1"),
    ("preferences: p for 1 − p", "np.exp(difference @ phi))", "np.exp(-difference @ phi))", "theory RH1"),
    ("preferences: gradient without 1/N", " / len(difference)", "", "theory RH1"),
    ("leash of the wrong sign", "reward - beta * np.log", "reward + beta * np.log", "theory RH2"),
    ("leash without the reference", "np.log(policy / reference)", "np.log(policy)", "theory RH2"),
    ("optimum with β for 1/β", "(reward - reward.max()) / beta", "(reward - reward.max()) * beta", "theory RH2"),
    ("optimum without the reference", "reference * np.exp(", "np.exp(", "theory RH2"),
],
"minipg/theory/finite_mdp.py": [
    ("softmax Jacobian without centring", "np.eye(actions) - p[:, None, :]", "np.eye(actions)", "finite_mdp DI1"),
    ("visits: P not transposed", "mdp.gamma * P.T, mdp.start", "mdp.gamma * P, mdp.start", "finite_mdp visits_are"),
    ("action values without γ", "mdp.rewards + mdp.gamma * mdp.transitions @ values",
     "mdp.rewards + mdp.transitions @ values", "finite_mdp PG7"),
    ("advantage over the mean action value", "action_values(mdp, policy) - values(mdp, policy)[:, None]",
     "action_values(mdp, policy) - action_values(mdp, policy).mean(axis=1, keepdims=True)", "finite_mdp PG8"),
    ("start gradient under the stationary states", "visits(mdp, policy), jacobian, action_values",
     "stationary(mdp, policy), jacobian, action_values", "finite_mdp PG9"),
    ("average gradient with the discounted Q", "jacobian, differential_action_values(mdp, policy))",
     "jacobian, action_values(mdp, policy))", "finite_mdp PG9"),
    ("mean KL reversed", "@ kl(old, new)", "@ kl(new, old)", "finite_mdp TR5"),
    ("mean KL under the new visits", "visits(mdp, old) @ kl", "visits(mdp, new) @ kl", "finite_mdp TR5"),
    ("Fisher without 1 − γ", "(1 - mdp.gamma) * np.einsum(\"s,sa,sap,saq->pq\"", "np.einsum(\"s,sa,sap,saq->pq\"",
     "finite_mdp fisher_is"),
    ("natural step: length of x", "step_scale(float(gradient @ x), max_kl)", "step_scale(float(x @ x), max_kl)",
     "finite_mdp natural_step_spends"),
    ("local objective with Q for A", "new, advantages(mdp, policy))", "new, action_values(mdp, policy))",
     "finite_mdp local_objective"),
    ("C with 2 for 4", "float(4 * np.abs", "float(2 * np.abs", "finite_mdp TR3"),
    ("C with 1 − γ not squared", "mdp.gamma / (1 - mdp.gamma) ** 2)", "mdp.gamma / (1 - mdp.gamma))", "finite_mdp TR3"),
    ("ε = max A without the modulus", "np.abs(advantages(mdp, policy)).max()", "advantages(mdp, policy).max()",
     "finite_mdp TR3"),
    ("penalty on the mean KL", "kl(policy, new).max(axis=-1)", "kl(policy, new).mean(axis=-1)", "finite_mdp TR3"),
    ("maximiser towards the worst action", "adv.max(axis=1, keepdims=True) - adv",
     "adv - adv.min(axis=1, keepdims=True)", "finite_mdp TR4"),
    ("importance ratio inverted", "p / np.where(q == 0, np.inf, q)", "q / np.where(p == 0, np.inf, p)", "finite_mdp IS1"),
    ("importance variance without the mean", " - (p * f).sum() ** 2", "", "finite_mdp IS2"),
    ("drift in the 1-norm for total variation", "sum(axis=-1) / 2", "sum(axis=-1)", "finite_mdp IS4"),
    ("Q-learning towards the mean", "mdp.transitions @ q.max(axis=1)", "mdp.transitions @ q.mean(axis=1)",
     "finite_mdp PG13"),
],
}
# fmt: on

PLUGIN = '''"""Hypothesis finds the failing example and leaves it as it is; what is imported is this copy."""

from pathlib import Path

from hypothesis import Phase, settings


def pytest_configure(config):
    import minipg.kernels

    assert Path(minipg.kernels.__file__).is_relative_to(Path(__file__).parent), minipg.kernels.__file__
    parent = settings.get_profile("minipg")
    phases = [Phase.explicit, Phase.generate]
    settings.register_profile("mutation", parent, phases=phases, report_multiple_bugs=False)
    settings.load_profile("mutation")
'''


def slips() -> Iterator[Slip]:
    """The table, row by row."""
    for file, rows in SLIPS.items():
        for name, *rest in rows:
            yield Slip(file, name, *rest)


def copy_tree(folder: Path) -> None:
    """The package as it is installed, kernels inside, and its tests; Numba's cache comes along."""
    shutil.copytree(ROOT / "minipg", folder / "minipg")
    shutil.copytree(ROOT / "kernels", folder / "minipg" / "kernels")
    shutil.copytree(ROOT / "tests", folder / "tests")
    shutil.copy(ROOT / "setup.cfg", folder)
    (folder / "mutation_plugin.py").write_text(PLUGIN, encoding="utf-8")


def place(folder: Path, file: str) -> Path:
    """Where a file of the checkout stands in the copy."""
    return folder / "minipg" / file if file.startswith("kernels/") else folder / file


def planted(slip: Slip, text: str) -> str | None:
    """The file's text with the slip in it, or None where the old text is not there, or not as often as it should be."""
    pieces = text.split(slip.old)
    if len(pieces) < 2 or (len(pieces) != 2 and slip.occurrence == 0) or slip.occurrence >= len(pieces):
        return None
    at = slip.occurrence or 1
    return slip.old.join(pieces[:at]) + slip.new + slip.old.join(pieces[at:])


def run_laws(folder: Path, laws: str) -> tuple[str, str]:
    """Run a selection of tests in the copy: "passed", "failed" or "broken", and the first failure or the output.

    Code that cannot run is broken, whatever fails because of it.
    """
    file, _, names = laws.partition(" ")
    environment = os.environ | {
        "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1",
        "COLUMNS": "1000",
    }  # fmt: skip
    command = [
        sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider", "-p", "mutation_plugin",
        f"tests/test_{file}.py", "-k", f"({names}) and not twins",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return "broken", f"no verdict within {TIME_LIMIT} s"
    failed = re.search(r"^FAILED tests/\S+?::(\S+)(?: - (.*))?", done.stdout, re.MULTILINE)
    if done.returncode == 1 and failed:
        reason = failed[2] or ""
        return ("broken", reason) if re.match(NO_VERDICT, reason) else ("failed", failed[1])
    return ("passed" if done.returncode == 0 else "broken"), (done.stderr + done.stdout).strip()


def judge(slip: Slip, folder: Path) -> tuple[bool, str]:
    """Plant the slip in a copy of its own to find out who kills it, then take it out again."""
    path = place(folder, slip.file)
    before = path.read_text(encoding="utf-8")
    text = planted(slip, before)
    if text is None or text == before:
        return False, "NOT FOUND in the file"
    path.write_text(text, encoding="utf-8")
    try:
        verdict, detail = run_laws(folder, slip.laws)
    finally:
        path.write_text(before, encoding="utf-8")
    if verdict == "failed":
        return True, detail
    return False, "SURVIVED" if verdict == "passed" else f"BROKEN: {[*detail.splitlines(), ''][0][:100]}"


def whole_selections(chosen: list[Slip]) -> list[str]:
    """All laws that the slips name, a selection for each file of tests."""
    files: dict[str, dict[str, None]] = {}
    for slip in chosen:
        file, _, names = slip.laws.partition(" ")
        files.setdefault(file, {})[names] = None
    return [f"{file} {' or '.join(names)}" for file, names in files.items()]


def row(slip: str, file: str, killed: str, seconds: str, widths: tuple[int, int]) -> str:
    """One line of the table, in Markdown."""
    return f"| {file:<{widths[0]}} | {slip:<{widths[1]}} | {seconds:>4} | {killed} |"


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", metavar="NAME", default="", help="slips whose name, file or laws contain NAME")
    parser.add_argument("--jobs", metavar="N", type=int, default=1, help="slips tried at once (default 1)")
    options = parser.parse_args()
    chosen = [slip for slip in slips() if any(options.only in text for text in (slip.name, slip.file, slip.laws))]
    if not chosen or options.jobs < 1:
        parser.error(f"no slip is called {options.only!r}" if not chosen else "--jobs: expected at least 1")

    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="minipg-mutations-") as scratch:
        folders: SimpleQueue[Path] = SimpleQueue()
        for number in range(options.jobs):
            copy_tree(Path(scratch) / str(number))
            folders.put(Path(scratch) / str(number))

        def in_a_copy(work, *arguments):
            folder, begun = folders.get(), time.monotonic()
            try:
                return *work(*arguments, folder), f"{time.monotonic() - begun:.0f}"
            finally:
                folders.put(folder)

        with ThreadPoolExecutor(options.jobs) as pool:
            print(f"{len(chosen)} slips; first their laws without any slip ...", flush=True)
            selections = whole_selections(chosen)
            whole = pool.map(lambda laws: in_a_copy(lambda laws, folder: run_laws(folder, laws), laws), selections)
            for laws, (verdict, detail, _) in zip(selections, whole, strict=True):
                if verdict != "passed":
                    print(f"{verdict} without any slip: {laws}\n{detail}")
                    return 1
            print(f"... hold, {time.monotonic() - started:.0f} s\n", flush=True)

            widths = max(len(slip.file) for slip in chosen), max(len(slip.name) for slip in chosen)
            print(row("slip", "file", "killed by", "s", widths))
            print(row("-" * widths[1], "-" * widths[0], "-" * 9, "--:", widths), flush=True)
            survivors = []
            for slip, (killed, detail, seconds) in zip(
                chosen, pool.map(lambda slip: in_a_copy(judge, slip), chosen), strict=True
            ):
                survivors += [] if killed else [slip]
                print(row(slip.name, slip.file, f"`{detail}`" if killed else detail, seconds, widths), flush=True)
    killed_count = len(chosen) - len(survivors)
    print(f"\n{killed_count} of {len(chosen)} slips killed in {time.monotonic() - started:.0f} s")
    for slip in survivors:
        print(f"not killed: {slip.file}: {slip.name} ({slip.laws})")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
