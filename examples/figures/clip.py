"""PPO's clipped objective and its gradient, beside the unclipped and the penalised one  (PP-1, PP-2, PP-3).

    python examples/figures/clip.py

One action out of two is taken with probability 0.4 by the old policy. As its logit moves, r = π/π_old moves from 0.2 to
1.9. The objectives and the clipped gradient come from the kernels with which PPO is trained.
"""

import numpy as np
from _style import BLUE, GREY, INK, ORANGE, VERMILLION, label, make

from minipg.distribution import categorical
from minipg.runtime.backend import Backend

BACKEND = Backend("numpy", 1)
EPSILON, BETA, OLD_PROBABILITY = 0.2, 1.0, 0.4
TEXTS = {
    "title": ("The clip takes away the gain of going too far, with its gradient.\n"
              "Where going too far does harm, the gradient stays.",
              "裁剪去掉走得过远的收益及其梯度\n走得过远若有害，梯度仍然保留"),
    "good": ("a good action: Â = 1", "好动作：Â = 1"),
    "bad": ("a bad action: Â = −1", "坏动作：Â = −1"),
    "objective": ("objective", "目标"),
    "gradient": ("gradient in log π", "对 log π 的梯度"),
    "ratio": ("ratio r = π / π_old", "比率 r = π / π_old"),
    "unclipped": ("unclipped r Â", "未裁剪 r Â"),
    "clipped": ("clipped", "裁剪"),
    "penalised": ("with KL penalty", "带 KL 惩罚"),
    "zero": ("gradient 0", "梯度为 0"),
}  # fmt: skip


def surrogate(kernel, logp, logp_old, adv, *options):
    out = np.empty_like(logp)
    getattr(BACKEND.kernels("surrogate"), kernel)(logp, logp_old, adv, *options, out)
    return out


def data():
    """Objectives and gradients in log π (341,) of each kind and each sign of Â, against the ratio."""
    ratio = np.linspace(0.2, 1.9, 341)
    logits = lambda p: np.stack([np.log(p), np.log1p(-p)], axis=1)
    new, old = logits(OLD_PROBABILITY * ratio), logits(np.full(len(ratio), OLD_PROBABILITY))
    softmax, act = categorical(2, BACKEND), np.zeros(len(ratio), np.int64)
    logp, logp_old = softmax.log_prob(new, act), softmax.log_prob(old, act)
    # along the logits, log π moves by 1 − π where the first logit moves by 1
    kl, kl_slope = softmax.kl(old, new), softmax.kl_gradient(old, new)[:, 0] / softmax.score(new, act)[:, 0]
    found = {"ratio": ratio}
    for sign in (1, -1):
        adv = np.full(len(ratio), float(sign))
        unclipped = surrogate("surrogate", logp, logp_old, adv)
        found["unclipped", sign] = unclipped, unclipped
        found["penalised", sign] = unclipped - BETA * kl, unclipped - BETA * kl_slope
        found["clipped", sign] = (surrogate("clipped", logp, logp_old, adv, EPSILON),
                                  surrogate("clipped_gradient", logp, logp_old, adv, EPSILON))  # fmt: skip
    return found


def draw(figure, found, text):
    figure.set_figheight(4.8)
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    for column, sign in enumerate((1, -1)):
        for row in (0, 1):
            axes = panels[row, column]
            axes.axvspan(1 - EPSILON, 1 + EPSILON, color=GREY, alpha=0.18, linewidth=0)
            axes.axvline(1, color=GREY, linewidth=0.8)
            for name, color, width in ("unclipped", ORANGE, 2), ("penalised", BLUE, 2), ("clipped", VERMILLION, 3):
                axes.plot(found["ratio"], found[name, sign][row], color=color, linewidth=width)
        panels[0, column].set_title((text.good, text.bad)[column])
        panels[1, column].set(xlabel=text.ratio, xticks=(0.4, 0.8, 1, 1.2, 1.6))
    panels[0, 0].set(ylabel=text.objective, ylim=(-2.5, 2))
    panels[1, 0].set(ylabel=text.gradient, ylim=(-3.2, 2.2))
    label(panels[0, 0], 1.42, 1.72, text.unclipped, "#a86f00", ha="right")
    label(panels[0, 0], 1.55, 0.75, text.clipped, VERMILLION)
    label(panels[0, 1], 1.6, -2.2, text.penalised, BLUE, ha="right")
    label(panels[1, 0], 1.55, -0.55, text.zero, VERMILLION)
    label(panels[1, 1], 0.5, 0.5, text.zero, VERMILLION, ha="center")
    label(panels[0, 0], 1, -2.2, f"1 ± {EPSILON}", INK, ha="center")


if __name__ == "__main__":
    print(make(__file__, data, draw, TEXTS))
