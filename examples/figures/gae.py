"""GAE's λ trades bias against variance, and the best λ is between 0 and 1  (PG-12, PG-9).

    python examples/figures/gae.py

An MDP of five states, solved exactly. The critic is V plus an error. The gradient's estimate is the mean of
Â ∇log π over 100 pairs (s, a); its bias is an exact sum, its variance is measured on sampled trajectories.
The process is one of several drawn. With more pairs the variance shrinks, and the best λ moves towards 1.
"""

import numpy as np
from _style import BLUE, INK, ORANGE, SKY_BLUE, label, make

from minipg.returns import gae, td_errors
from minipg.runtime.backend import Backend
from minipg.theory import finite_mdp as exact

STATES, ACTIONS, GAMMA, STEPS, RUNS, BATCH, SEED = 5, 2, 0.9, 100, 10_000, 100, 7
LAMBDAS, ERRORS = np.linspace(0, 1, 21), {"good": 0.3, "poor": 1.0}
TEXTS = {
    "title": ("λ trades bias for variance. The best λ is in between,\nand a better critic allows a smaller one.",
              "λ 以偏差换方差，最优的 λ 居中\n评论家越准，λ 可以越小"),
    "good": ("a good critic", "较准的评论家"),
    "poor": ("a poor critic", "较差的评论家"),
    "error": ("squared error of the gradient", "梯度的平方误差"),
    "bias": ("bias²", "偏差²"),
    "variance": ("variance", "方差"),
    "best": ("least error:\nλ = {:.2f}", "误差最小：\nλ = {:.2f}"),
}  # fmt: skip


def problem():
    """A random MDP, a policy (S, A) and its Jacobian (S, A, S·A)."""
    rng = np.random.default_rng(SEED)
    moves, reward = rng.dirichlet(np.full(STATES, 0.3), (STATES, ACTIONS)), rng.normal(size=(STATES, ACTIONS))
    theta = rng.normal(size=(STATES, ACTIONS))
    mdp = exact.finite_mdp(moves, reward, np.full(STATES, 1 / STATES), GAMMA)
    return mdp, exact.softmax_policy(theta), exact.softmax_jacobian(theta), rng.normal(size=STATES)


def expected_advantage(mdp, policy, critic, lam):
    """E[Â | s, a] = δ̄(s,a) + γλ Σ_s′ P (I − γλ P_π)⁻¹ δ̄_π: (S, A)."""
    delta = mdp.rewards + GAMMA * mdp.transitions @ critic - critic[:, None]
    P, _ = exact.chain(mdp, policy)
    later = np.linalg.solve(np.eye(STATES) - GAMMA * lam * P, (policy * delta).sum(axis=1))
    return delta + GAMMA * lam * mdp.transitions @ later


def rollouts(mdp, policy, weights):
    """States (STEPS+1, RUNS) and actions (STEPS, RUNS), the first state drawn from `weights`."""
    rng = np.random.default_rng(SEED)
    pick = lambda probability: (rng.random(RUNS)[:, None] > probability.cumsum(axis=1)[:, :-1]).sum(axis=1)
    states, actions = [pick(np.tile(weights, (RUNS, 1)))], []
    for _ in range(STEPS):
        actions.append(pick(policy[states[-1]]))
        states.append(pick(mdp.transitions[states[-1], actions[-1]]))
    return np.array(states), np.array(actions)


def data():
    """For each critic and λ: bias² and variance of the gradient, and z: how far the sampled mean is from the exact."""
    mdp, policy, jacobian, noise = problem()
    rho, V = (1 - GAMMA) * exact.visits(mdp, policy), exact.values(mdp, policy)
    truth = (1 - GAMMA) * exact.start_value_gradient(mdp, policy, jacobian)
    s, a = rollouts(mdp, policy, rho)
    score, rewards = exact.score(policy, jacobian)[s[0], a[0]], mdp.rewards[s[:-1], a]
    never, numpy = np.zeros(rewards.shape, bool), Backend("numpy", 1)
    found = {}
    for name, size in ERRORS.items():
        critic = V + size * noise
        delta = td_errors(rewards, critic[s[:-1]], critic[s[1:]], never, GAMMA, numpy)
        rows = []
        for lam in LAMBDAS:
            adv = expected_advantage(mdp, policy, critic, lam)
            mean = np.einsum("s,sap,sa->p", rho, jacobian, adv)
            samples = gae(delta, never, never, GAMMA, lam, numpy)[0][:, None] * score
            z = np.abs(samples.mean(axis=0) - mean).max() / (samples.std(axis=0).max() / RUNS**0.5)
            rows.append([((mean - truth) ** 2).sum(), samples.var(axis=0).sum() / BATCH, z])
        found[name] = dict(zip(("bias", "variance", "z"), np.array(rows).T, strict=True))
    return found


def draw(figure, found, text):
    panels = figure.subplots(1, 2, sharey=True)
    panels[0].set_ylabel(text.error)
    for axes, name in zip(panels, ("good", "poor"), strict=True):
        bias, variance = found[name]["bias"], found[name]["variance"]
        total = bias + variance
        axes.stackplot(LAMBDAS, bias, variance, colors=[ORANGE, SKY_BLUE], alpha=0.7, linewidth=0)
        axes.plot(LAMBDAS, total, color=INK)
        best = total.argmin()
        axes.plot(LAMBDAS[best], total[best], "o", color=INK, markersize=7)
        axes.set(xlabel="λ", xlim=(0, 1), ylim=(0, 0.024), title=getattr(text, name))
        label(axes, LAMBDAS[best], total[best] + 0.0022, text.best.format(LAMBDAS[best]), INK, ha="center", va="bottom")
        if name == "poor":
            label(axes, 0.17, 0.005, text.bias, "#8a5a00", ha="center", va="center")
        label(axes, 0.66, np.interp(0.66, LAMBDAS, bias + total) / 2, text.variance, BLUE, ha="center", va="center")


if __name__ == "__main__":
    print(make(__file__, data, draw, TEXTS))
