"""The variance of an importance weight as two policies part  (IS-1, IS-2).

    python examples/figures/importance.py

Both policies choose among 81 actions, close to Gaussians of width 1. The data come from q, and the mean reward of p is
wanted. E_q[f p/q] is that mean at every distance (IS-1), but its variance grows as exp(d²) (IS-2).
"""

import numpy as np
from _style import BLUE, INK, VERMILLION, label, make

from minipg.theory.finite_mdp import importance_mean, importance_variance

SAMPLES, REPEATS, SEED, HIGHEST = 1000, 40, 0, 2.3
ACTIONS = np.linspace(-6, 9, 81)
TEXTS = {
    "title": ("Importance sampling is right on average.\nFar from the data, 1000 samples are not enough.",
              "重要性采样平均而言是对的\n离数据太远时，1000 个样本也不够"),
    "estimate": ("mean reward of p", "p 的平均奖励"),
    "distance": ("distance between p and q, in standard deviations", "p 与 q 的距离（以标准差计）"),
    "size": ("effective samples", "有效样本数"),
    "truth": ("truth", "真值"),
    "band": ("± 2 standard deviations, by IS-2", "±2 倍标准差，由 IS-2 算出"),
    "cloud": ("each dot: one estimate from 1000 samples of q\n({} of {} are above the picture)",
              "每点：用 q 的 1000 个样本估计一次\n（{} / {} 个在图外上方）"),
    "theory": ("exact: 1000 / E_q[(p/q)²]", "精确值：1000 / E_q[(p/q)²]"),
    "seen": ("from the samples: too high", "由样本估计：偏高"),
}  # fmt: skip


def policy(mean):
    """A Gaussian of width 1, restricted to ACTIONS: (81,)."""
    weights = np.exp(-0.5 * (ACTIONS - mean) ** 2)
    return weights / weights.sum()


def data():
    """At every distance: the truth, the estimates (REPEATS,), their exact deviation, and effective sample sizes."""
    rng, distance, q = np.random.default_rng(SEED), np.linspace(0, 3, 31), policy(0.0)
    reward, ones = 1 / (1 + np.exp(-ACTIONS)), np.ones(len(ACTIONS))
    rows = []
    for d in distance:
        p = policy(d)
        weight = p / q
        counts = rng.multinomial(SAMPLES, q, size=REPEATS)  # how often each action is drawn
        rows.append({
            "truth": importance_mean(p, q, reward),
            "estimates": counts @ (reward * weight) / SAMPLES,
            "deviation": np.sqrt(importance_variance(p, q, reward) / SAMPLES),
            "effective": (counts @ weight) ** 2 / (counts @ weight**2),
            "effective_theory": SAMPLES / (1 + importance_variance(p, q, ones)),
        })  # fmt: skip
    return {"distance": distance, "mean": [policy(d) @ reward for d in distance]} | {
        name: np.array([row[name] for row in rows]) for name in rows[0]
    }


def draw(figure, found, text):
    figure.set_figheight(4.8)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    x, jitter = found["distance"], np.linspace(-0.03, 0.03, REPEATS)
    low, high = (found["truth"] + side * 2 * found["deviation"] for side in (-1, 1))
    top.fill_between(x, low, high, color=BLUE, alpha=0.18, linewidth=0)
    spread = (x[:, None] + jitter).ravel()
    top.plot(spread, found["estimates"].ravel(), ".", color=BLUE, markersize=2.5, rasterized=True)
    top.plot(x, found["truth"], color=INK)
    top.set(ylabel=text.estimate, ylim=(-0.2, HIGHEST))
    bottom.plot(spread, found["effective"].ravel(), ".", color=VERMILLION, markersize=2.5, rasterized=True)
    bottom.plot(x, found["effective_theory"], color=INK)
    bottom.set(xlabel=text.distance, ylabel=text.size, yscale="log", xlim=(-0.08, 3.08), yticks=(1, 10, 100, 1000))
    bottom.set_yticklabels(["1", "10", "100", "1000"])
    label(top, 0.1, 0.9, text.truth, INK)
    label(top, 1.75, 1.95, text.band, BLUE, ha="right")
    label(top, 1.75, 1.4, text.cloud.format((found["estimates"] > HIGHEST).sum(), x.size * REPEATS), BLUE, ha="right")
    label(bottom, 1.4, 8, text.theory, INK, ha="right")
    label(bottom, 3.05, 250, text.seen, VERMILLION, ha="right")


if __name__ == "__main__":
    print(make(__file__, data, draw, TEXTS))
