"""Policy iteration on lower bounds: each touches the return at its policy, so the return never falls  (TR-3, TR-4).

    python examples/figures/bound.py

The policies lie on a line of softmax policies π_t, with t at the bottom. M_π = L_π − C max KL is below J everywhere and
equal to it at π. Its highest point is the next policy. The process and γ = 0.2 were chosen so that the steps
can be seen: as γ nears 1, C grows as 1/(1−γ)² and the steps become tiny.
"""

import numpy as np
from _style import BLUE, GREEN, GREY, INK, VERMILLION, label, make

from minipg.theory import finite_mdp as exact

ITERATIONS, SEED = 3, 197
LOWEST = -0.1  # of the picture
TEXTS = {
    "title": ("Each bound touches the return where it was made.\nIts highest point is a better policy.",
              "每条下界在构造它的策略处与回报相切\n它的最高点是更好的策略"),
    "line": ("t, along a line of policies π_t", "t：沿一条直线变化的策略 π_t"),
    "value": ("return", "回报"),
    "J": ("return J", "回报 J"),
    "L": ("L₀ alone is not a bound", "L₀ 本身不是下界"),
    "first": ("bound at π₀", "π₀ 处的下界"),
    "second": ("at π₁", "π₁ 处"),
    "third": ("at π₂", "π₂ 处"),
}  # fmt: skip


def data():
    """On a line of policies: J (N,), and for each iteration the index of π, M_π (N,) and L_π (N,)."""
    rng, t = np.random.default_rng(SEED), np.linspace(-0.5, 1.7, 441)
    mdp = exact.finite_mdp(rng.dirichlet(np.full(3, 0.5), (3, 2)), rng.normal(size=(3, 2)), np.full(3, 1 / 3), 0.2)
    start, direction = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    policies = np.array([exact.softmax_policy(start + x * direction) for x in t])
    J = np.array([exact.start_value(mdp, policy) for policy in policies])
    at, bounds, locals_ = [int(np.abs(t).argmin())], [], []
    for _ in range(ITERATIONS):
        bounds.append(exact.lower_bound(mdp, policies[at[-1]], policies))
        locals_.append(exact.local_objective(mdp, policies[at[-1]], policies))
        at.append(int(bounds[-1].argmax()))
    return {"t": t, "J": J, "at": at, "bounds": np.array(bounds), "local": np.array(locals_)}


def draw(figure, found, text):
    figure.set_figheight(4.4)
    axes = figure.subplots()
    t, J, at = found["t"], found["J"], found["at"]
    axes.plot(t, found["local"][0], color=GREY, linestyle="--", linewidth=1.5)
    axes.plot(t, J, color=INK, linewidth=2.5)
    for k, color in enumerate((VERMILLION, GREEN, BLUE)):
        bound = found["bounds"][k]
        axes.plot(t, bound, color=color)
        axes.vlines(t[at[k + 1]], bound[at[k + 1]], J[at[k + 1]], color=color, linestyle=":", linewidth=1.5)
        axes.plot(t[at[k + 1]], bound[at[k + 1]], "^", color=color, markersize=6)
        axes.plot(t[at[k]], J[at[k]], "o", color=INK, markersize=7, zorder=5)
        name = (text.first, text.second, text.third)[k]
        inside = int((bound > LOWEST + 0.012).nonzero()[0][-1])
        label(axes, t[inside] + 0.03, bound[inside], name, color, va="center")
    axes.plot(t[at[-1]], J[at[-1]], "o", color=INK, markersize=7, zorder=5)
    for k, place in enumerate(at):
        label(axes, t[place] - 0.03, J[place] + 0.015, f"π{'₀₁₂₃'[k]}", INK, ha="right")
    label(axes, 1.25, J[350] - 0.022, text.J, INK)
    label(axes, 1.1, found["local"][0][320] + 0.02, text.L, "#666666", ha="right")
    axes.set(xlabel=text.line, ylabel=text.value, xlim=(-0.4, 1.7), ylim=(LOWEST, 0.29))


if __name__ == "__main__":
    print(make(__file__, data, draw, TEXTS))
