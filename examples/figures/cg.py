"""Conjugate gradient on a Fisher matrix: its error in the A-norm and its residual, product by product  (TR-10).

    python examples/figures/cg.py

A = F + damping·I, with F the Fisher matrix of a small network. ‖x − x*‖_A falls at every product. The residual, which
is what a program can see, goes up and down.
"""

import numpy as np
from _style import BLUE, GREY, VERMILLION, label, make

from minipg import MLP, GaussianPolicy, conjugate_gradient, fisher_operator
from minipg.algorithms.trpo import TRPOConfig
from minipg.objective import policy_gradient
from minipg.runtime.backend import Backend

PRODUCTS, SEED = 30, 1
DAMPINGS = {"none": 0.0, "damped": TRPOConfig.damping}
TEXTS = {
    "title": ("Conjugate gradient's error falls at every product, its residual does not.\n"
              "Damping makes both fall faster.",
              "共轭梯度：每做一次乘积，误差都下降，残差则未必\n阻尼使两者都更快下降"),
    "error": ("error x − x* in the A-norm, first = 1", "误差 x − x* 的 A-范数（初值为 1）"),
    "residual": ("residual ‖g − A x‖, first = 1", "残差 ‖g − A x‖（初值为 1）"),
    "products": ("Fisher–vector products", "Fisher–向量积的次数"),
    "none": ("no damping", "无阻尼"),
    "damped": ("damping {}", "阻尼 {}"),
    "usual": ("TRPO stops\nat {}", "TRPO 在\n第 {} 次停止"),
}  # fmt: skip


def data():
    """For each damping: errors in the A-norm and residuals (PRODUCTS+1,), both divided by their first value."""
    rng = np.random.default_rng(SEED)
    policy = GaussianPolicy(MLP((4, 8, 2), "tanh", Backend("numpy", 1)))
    theta = policy.mlp.init(rng, dtype=np.float64)
    theta = np.append(theta, [-0.5, -0.5])  # log σ
    obs = rng.normal(size=(500, 4)) * [1, 1, 0.5, 0.5]
    tape = policy.forward(theta, obs)
    act = policy.distribution.sample(tape.params, policy.distribution.noise(rng, (len(obs),), np.float64))
    g = policy_gradient(policy, theta, tape, act, obs[:, 0] * act[:, 0] - act[:, 1] ** 2)
    found = {}
    for name, damping in DAMPINGS.items():
        product = fisher_operator(policy, theta, tape, damping)
        A = np.stack([product(e) for e in np.eye(len(theta))])
        exact = np.linalg.solve(A, g)
        xs = [conjugate_gradient(product, g, iterations=k, tol=0.0).x for k in range(PRODUCTS + 1)]
        errors = np.array([np.sqrt((x - exact) @ A @ (x - exact)) for x in xs])
        residuals = np.array([np.linalg.norm(g - A @ x) for x in xs])
        found[name] = {"error": errors / errors[0], "residual": residuals / residuals[0], "size": len(theta),
                       "condition": np.linalg.cond(A)}  # fmt: skip
    return found


def draw(figure, found, text):
    panels = figure.subplots(1, 2, sharey=True)
    for axes, kind in zip(panels, ("error", "residual"), strict=True):
        for name, color in ("none", VERMILLION), ("damped", BLUE):
            axes.semilogy(found[name][kind], "o-", color=color, markersize=3, linewidth=1.6)
        axes.set(xlabel=text.products, title=getattr(text, kind))
        axes.axvline(TRPOConfig.cg_iters, color=GREY, linewidth=0.8)
    for axes, kind, above in zip(panels, ("error", "residual"), (2, 8), strict=True):
        label(axes, PRODUCTS, above * found["none"][kind][-2], text.none, VERMILLION, ha="right", va="bottom")
        label(axes, 18, 1e-4, text.damped.format(DAMPINGS["damped"]), BLUE)
    stop = TRPOConfig.cg_iters
    label(panels[0], stop - 0.5, 2e-9, text.usual.format(stop), "#666666", ha="right", va="center")


if __name__ == "__main__":
    print(make(__file__, data, draw, TEXTS))
