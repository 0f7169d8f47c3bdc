"""KL balls are ellipses, and three steps are measured with three rulers  (DI-5, DI-6, TR-6, TR-7, TR-11).

    python examples/figures/kl_ellipses.py

The policy is a Gaussian over one action, θ = (μ, log σ). The reward is −(a − 1)², so the task is a bandit. The gradient
is an exact sum (Gauss–Hermite quadrature).
"""

import numpy as np
from _style import BLUE, GREEN, GREY, INK, VERMILLION, label, make

from minipg import conjugate_gradient, line_search
from minipg.distribution import gaussian
from minipg.line_search import step_scale
from minipg.runtime.backend import Backend

D, BEST = gaussian(1, Backend("numpy", 1)), 1.0
SMALL, LARGE = 0.05, 0.2  # KL of the left ellipses, KL of the steps at the right
CENTRES, START = ((-1.4, -1.2), (0.0, -0.4), (1.4, 0.6), (-1.4, 0.2), (1.4, -0.9)), (0.0, -0.8)
TEXTS = {
    "title": ("A ball of equal KL is an ellipse, narrow where σ is small.\nOnly TRPO measures the true KL of its step.",
              "等 KL 球是椭圆，σ 越小越窄\n只有 TRPO 检验这一步真正的 KL"),
    "balls": ("around five policies: KL = 0.05", "五个策略周围：KL = 0.05"),
    "steps": ("each step ≤ 0.2, by its own ruler", "三种步，各用各的尺，都 ≤ 0.2"),
    "mean": ("mean μ", "均值 μ"),
    "exact": ("exact KL", "精确 KL"),
    "plain": ("plain: KL {:.2f}", "普通梯度：KL {:.2f}"),
    "natural": ("natural: KL {:.2f}", "自然梯度：KL {:.2f}"),
    "trpo": ("TRPO: KL {:.2f}", "TRPO：KL {:.2f}"),
}  # fmt: skip


def kl(centre, points):
    """KL(centre‖θ′) of points (…, 2)."""
    flat = np.reshape(points, (-1, 2))
    return D.kl(np.tile(centre, (len(flat), 1)), flat).reshape(np.shape(points)[:-1])


def fisher(centre, v):
    """F v at one policy."""
    return D.fisher_product(np.array([centre]), v[None])[0]


def expected_reward(theta):
    """E[−(a − 1)²] = −(μ − 1)² − σ², and its gradient E[reward ∇log π], by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    act = (theta[0] + np.exp(theta[1]) * nodes)[:, None]
    reward, weights = -((act[:, 0] - BEST) ** 2), weights / weights.sum()
    return weights @ reward, (weights * reward) @ D.score(np.tile(theta, (len(act), 1)), act)


def data():
    """Grids of both measures around every centre, and the three steps from START with their KLs."""
    mean, log_std = np.linspace(-2.2, 2.2, 177), np.linspace(-2, 1.2, 129)
    grid = np.stack(np.meshgrid(mean, log_std), axis=-1)
    theta = np.array(START)
    value, gradient = expected_reward(theta)
    cg = conjugate_gradient(lambda v: fisher(theta, v), gradient)
    natural = step_scale(cg.curvature, LARGE) * cg.x
    evaluate = lambda new: (float(expected_reward(new)[0] - value), float(kl(theta, new)))
    found = line_search(evaluate, theta, natural, max_kl=LARGE, backtrack_coeff=0.95)
    steps = {"plain": np.sqrt(2 * LARGE) * gradient / np.linalg.norm(gradient), "natural": natural,
             "trpo": found.theta - theta}  # fmt: skip
    matrix = lambda centre: np.stack([fisher(centre, e) for e in np.eye(2)])
    quadratic = lambda centre: 0.5 * np.einsum("xyi,ij,xyj->xy", grid - centre, matrix(centre), grid - centre)
    return {
        "mean": mean, "log_std": log_std, "steps": steps,
        "exact": [kl(centre, grid) for centre in (*CENTRES, START)],
        "quadratic": [quadratic(np.array(centre)) for centre in (*CENTRES, START)],
        "kl": {name: float(kl(theta, theta + step)) for name, step in steps.items()},
        "half_square": {name: float(0.5 * step @ fisher(theta, step)) for name, step in steps.items()},
    }  # fmt: skip


def draw(figure, found, text):
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    for place, centre in enumerate((*CENTRES, START)):
        axes, level = (left, SMALL) if centre != START else (right, LARGE)
        x, y = found["mean"], found["log_std"]
        axes.contour(x, y, found["exact"][place], [level], colors=[BLUE], linewidths=2)
        axes.contour(x, y, found["quadratic"][place], [level], colors=[INK], linestyles="dashed", linewidths=1.3)
        axes.plot(*centre, "o", color=INK, markersize=4)
        axes.set(xlabel=text.mean, ylabel="log σ")
    left.set(xlim=(-2.2, 2.2), ylim=(-1.85, 1.2), title=text.balls)
    right.set_aspect("equal")
    right.set(xlim=(-0.68, 1.02), ylim=(-1.7, 0.05), xticks=(-0.5, 0, 0.5, 1), title=text.steps)
    angle, radius = np.linspace(0, 2 * np.pi, 100), np.sqrt(2 * LARGE)
    right.plot(radius * np.cos(angle), START[1] + radius * np.sin(angle), color=GREY, linestyle=":", linewidth=1.5)
    colors, places = (GREEN, VERMILLION, BLUE), ((0.34, -1.03), (0.36, -0.7), (0.26, -1.17))
    for name, color, place in zip(("natural", "plain", "trpo"), colors, places, strict=True):
        label(right, *place, getattr(text, name).format(found["kl"][name]), color, fontsize=9)
        arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
        right.annotate("", START + found["steps"][name], START, arrowprops=arrow)
    label(left, 0.45, 0.9, text.exact, BLUE, ha="right")
    label(left, 0.45, 0.5, "½ ΔᵀFΔ", INK, ha="right")
    label(right, 0.44, -0.28, "½ ‖Δ‖²", "#666666")


if __name__ == "__main__":
    print(make(__file__, data, draw, TEXTS))
