"""Natural gradient does not depend on the parameters that describe the policy; the plain gradient does  (TR-8).

    python examples/figures/invariance.py

Two states, two actions each: the square of both probabilities holds every policy. The same policy is described by its
logits θ, or by φ with θ = h(φ). Small steps of either gradient are drawn in the square.
"""

import numpy as np
from _style import BLUE, INK, ORANGE, label, make

from minipg.line_search import step_scale
from minipg.theory import finite_mdp as exact

STARTS = ((0.12, 0.2), (0.25, 0.75), (0.72, 0.12))
STEPS, MAX_KL = 150, 5e-5
TEXTS = {
    "title": ("Described in other parameters, the plain gradient goes another way.\n"
              "The natural gradient goes the same way.",
              "换一组参数，普通梯度走另一条路\n自然梯度仍走同一条路"),
    "plain": ("plain gradient", "普通梯度"),
    "natural": ("natural gradient", "自然梯度"),
    "first": ("π(1 | state 1)", "π(1 | 状态 1)"),
    "second": ("π(1 | state 2)", "π(1 | 状态 2)"),
    "logits": ("in logits θ", "用 logit θ"),
    "other": ("in φ, θ = h(φ)", "用 φ，θ = h(φ)"),
    "both": ("both", "两者重合"),
}  # fmt: skip

# in state 1, action 1 pays now; in state 2 it pays later
MDP = exact.finite_mdp([[[0.8, 0.2], [0.1, 0.9]], [[0.2, 0.8], [0.9, 0.1]]], [[0.3, 0.5], [0.2, 0.35]], [0.5, 0.5], 0.8)


def logits(phi):
    """h(φ) = (φ₁ + φ₂, 3 sinh φ₂) and its Jacobian (2, 2)."""
    return np.array([phi[0] + phi[1], 3 * np.sinh(phi[1])]), np.array([[1, 1], [0, 3 * np.cosh(phi[1])]])


def inverse(theta):
    second = np.arcsinh(theta[1] / 3)
    return np.array([theta[0] - second, second])


def policy(theta):
    """The table (2, 2) and its Jacobian in θ (2, 2, 2): the logit of action 0 is 0."""
    whole = np.stack([np.zeros(2), theta], axis=1)
    return exact.softmax_policy(whole), exact.softmax_jacobian(whole)[:, :, 1::2]


def path(start, to_logits, parameters, natural):
    """Policies (STEPS+1, 2) along small steps in the given parameters."""
    x, points = parameters(np.log(start) - np.log1p(-np.array(start))), []
    for _ in range(STEPS + 1):
        theta, chain_rule = to_logits(x)
        table, jacobian = policy(theta)
        points.append(table[:, 1])
        jacobian = jacobian @ chain_rule
        gradient = exact.start_value_gradient(MDP, table, jacobian)
        fisher = exact.fisher(MDP, table, jacobian)
        plain = step_scale(gradient @ fisher @ gradient, MAX_KL) * gradient
        x = x + (exact.natural_step(gradient, fisher, MAX_KL) if natural else plain)
    return np.array(points)


def data():
    """Paths (starts, STEPS+1, 2) of both gradients in both parametrisations, and the map of J in the square."""
    side = np.linspace(0.01, 0.99, 41)
    table = lambda p, q: np.array([[1 - p, p], [1 - q, q]])
    as_it_is, same = lambda theta: (theta, np.eye(2)), lambda theta: theta
    found = {"side": side, "map": np.array([[exact.start_value(MDP, table(p, q)) for p in side] for q in side])}
    for name, natural in ("plain", False), ("natural", True):
        found[name, "logits"] = np.array([path(start, as_it_is, same, natural) for start in STARTS])
        found[name, "other"] = np.array([path(start, logits, inverse, natural) for start in STARTS])
    return found


def draw(figure, found, text):
    figure.set_figheight(4.4)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, name in zip(panels, ("plain", "natural"), strict=True):
        axes.contour(found["side"], found["side"], found["map"], 12, colors=["#cccccc"], linewidths=0.8)
        for kind, color, width, style in ("logits", BLUE, 4, "-"), ("other", ORANGE, 1.8, "--"):
            for line in found[name, kind]:
                axes.plot(*line.T, color=color, linewidth=width, linestyle=style)
        axes.plot(*np.array(STARTS).T, "o", color=INK, markersize=5, zorder=5)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=getattr(text, name), xlabel=text.first)
    panels[0].set_ylabel(text.second)
    label(panels[0], 0.33, 0.61, text.logits, BLUE, va="top")
    label(panels[0], 0.31, 0.95, text.other, "#b87800", ha="right")
    label(panels[1], 0.4, 0.6, text.both, INK)


if __name__ == "__main__":
    print(make(__file__, data, draw, TEXTS))
