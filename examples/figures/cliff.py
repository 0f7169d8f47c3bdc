"""The cliff: one plain gradient step falls off it, steps within a trust region do not  (TR-7, TR-11).

    python examples/figures/cliff.py

A walker on eight places is paid more, the nearer it is to the edge, and pays for ever once it has fallen. Its policy
has two parameters: the drive θ₁ and the brake θ₂. The return J(θ) is exact, and so are all gradients. The plain step
size was chosen to fall and stay down; from other starts, or with other sizes, a fallen policy may climb again.
"""

import numpy as np
from _style import BLUE, GREY, INK, VERMILLION, label, make
from matplotlib.colors import LinearSegmentedColormap

from minipg.line_search import line_search
from minipg.theory import finite_mdp as exact

PLACES, UPDATES, MAX_KL, STEP_SIZE, START = 8, 16, 0.02, 96.0, (-3.2, 0.0)
TEXTS = {
    "title": ("On a cliff, a plain gradient step falls.\nA trust-region step does not.",
              "悬崖上，普通梯度的一步会跌落\n信任区域内的步不会"),
    "drive": ("drive θ₁", "前进倾向 θ₁"),
    "brake": ("brake θ₂, near the edge", "边缘处的制动 θ₂"),
    "map": ("exact return J(θ): light is high", "精确回报 J(θ)：越亮越高"),
    "updates": ("update", "更新次数"),
    "ret": ("return J", "回报 J"),
    "plain": ("plain gradient", "普通梯度"),
    "trust": ("trust region", "信任区域"),
    "fall": ("it falls, and the\ngradient is almost 0", "跌落之后，\n梯度几乎为 0"),
    "start": ("start", "起点"),
}  # fmt: skip


def walk() -> exact.MDP:
    """Actions: back, forward. Forward from the last place is the fall; the fallen state is the last one."""
    moves, reward = np.zeros((PLACES + 1, 2, PLACES + 1)), np.full((PLACES + 1, 2), -1.0)
    for place in range(PLACES):
        moves[place, 0, max(place - 1, 0)] = moves[place, 1, place + 1] = 1
        reward[place] = place / (PLACES - 1)
    moves[PLACES, :, PLACES] = 1
    return exact.finite_mdp(moves, 0.05 * reward, np.eye(PLACES + 1)[:PLACES].mean(axis=0), 0.95)


def policy(theta):
    """π(forward|place) = σ(θ₁ − θ₂ x), x from −1 to 1: the table (S, 2), and its Jacobian (S, 2, 2)."""
    features = np.stack([np.ones(PLACES), -np.linspace(-1, 1, PLACES)], axis=1)
    features = np.vstack([features, [0, 0]])  # nothing is to be chosen after the fall
    forward = 1 / (1 + np.exp(-features @ theta))
    slope = (forward * (1 - forward))[:, None] * features
    return np.stack([1 - forward, forward], axis=1), np.stack([-slope, slope], axis=1)


def plain_step(mdp, theta):
    return theta + STEP_SIZE * exact.start_value_gradient(mdp, *policy(theta))


def trust_region_step(mdp, theta):
    """The natural step of KL δ, shortened until L improves and the mean KL is at most δ."""
    old, jacobian = policy(theta)
    gradient, fisher = exact.start_value_gradient(mdp, old, jacobian), exact.fisher(mdp, old, jacobian)

    def evaluate(candidate):
        new = policy(candidate)[0]
        gain = exact.local_objective(mdp, old, new) - exact.start_value(mdp, old)
        return float(gain), float(exact.mean_kl(mdp, old, new))

    return line_search(evaluate, theta, exact.natural_step(gradient, fisher, MAX_KL), max_kl=MAX_KL).theta


def data():
    """Both paths (UPDATES+1, 2) and their returns, and the map of J."""
    mdp, J = walk(), lambda theta: exact.start_value(walk(), policy(np.array(theta))[0])
    drive, brake = np.linspace(-6, 12, 49), np.linspace(-1.5, 12, 37)
    found = {"drive": drive, "brake": brake, "map": np.array([[J((x, y)) for x in drive] for y in brake])}
    for name, step in ("plain", plain_step), ("trust", trust_region_step):
        path = [np.array(START)]
        for _ in range(UPDATES):
            path.append(step(mdp, path[-1]))
        found[name], found[f"{name}_return"] = np.array(path), np.array([J(theta) for theta in path])
    return found


def draw(figure, found, text):
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    shades = LinearSegmentedColormap.from_list("cliff", ["#56646f", "#b9c0c0", "#fdf8ea"])
    left.contourf(found["drive"], found["brake"], found["map"], 10, cmap=shades)
    for name, color in ("plain", VERMILLION), ("trust", BLUE):
        left.plot(*found[name].T, "o-", color=color, markersize=4, linewidth=1.6)
        right.plot(found[f"{name}_return"], "o-", color=color, markersize=4, linewidth=1.6)
    left.set(xlim=(-6, 12), ylim=(-1.5, 12), xlabel=text.drive, ylabel=text.brake, title=text.map)
    label(left, -3.3, -1.0, text.start, INK)
    label(left, 6.2, 3.1, text.plain, VERMILLION, ha="center")
    label(left, 2.3, 7.6, text.trust, BLUE, ha="right")
    right.axhline(0, color=GREY, linewidth=0.8)
    right.set(xlabel=text.updates, ylabel=text.ret, ylim=(-0.8, 0.9))
    label(right, 15.5, 0.77, text.trust, BLUE, ha="right")
    label(right, 4, -0.52, text.fall, VERMILLION, va="bottom")


if __name__ == "__main__":
    print(make(__file__, data, draw, TEXTS))
