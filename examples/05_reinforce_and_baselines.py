"""What a baseline does to REINFORCE: the same expected gradient, with a smaller variance  (PG-5, PG-6, PG-7).

    python examples/05_reinforce_and_baselines.py

First on a finite MDP whose gradient is known exactly, where the baseline is 0, the mean return, or V(s). Then REINFORCE
learns CartPole with each of the three.
"""

import numpy as np

from minipg import REINFORCE
from minipg.theory.finite_mdp import (
    finite_mdp,
    score,
    softmax_jacobian,
    softmax_policy,
    start_value_gradient,
    values,
)

STATES, ACTIONS, EPISODES, STEPS = 4, 2, 20_000, 40
rng = np.random.default_rng(0)

transitions = rng.dirichlet(np.ones(STATES), (STATES, ACTIONS))
rewards = 3 + rng.normal(size=(STATES, ACTIONS))
mdp = finite_mdp(transitions, rewards, np.full(STATES, 1 / STATES), gamma=0.8)
theta = rng.normal(size=(STATES, ACTIONS))
pi, jacobian = softmax_policy(theta), softmax_jacobian(theta)
V, exact = values(mdp, pi), start_value_gradient(mdp, pi, jacobian)
print(f"the MDP: V = {V.round(1)}, exact gradient of norm {np.linalg.norm(exact):.3f}\n")

# all episodes side by side; 0.8⁴⁰ is 1e-4, so what comes after is small
state = rng.integers(STATES, size=EPISODES)
states, actions = np.empty((2, STEPS, EPISODES), int)
for t in range(STEPS):
    act = (rng.random(EPISODES) > pi[state, 0]).astype(int)
    states[t], actions[t] = state, act
    state = (rng.random((EPISODES, 1)) > transitions[state, act].cumsum(1)[:, :-1]).sum(1)

G = np.zeros((STEPS + 1, EPISODES))
for t in reversed(range(STEPS)):
    G[t] = rewards[states[t], actions[t]] + mdp.gamma * G[t + 1]  # reward-to-go

grad_log_pi, discount = score(pi, jacobian), mdp.gamma ** np.arange(STEPS)
print("baseline   error of the mean   standard deviation of one episode's gradient")
for name, b in {"none": 0.0, "average": G[:-1].mean(), "value": V[states]}.items():
    weight = discount[:, None] * (G[:-1] - b)
    g = sum(weight[t][:, None] * grad_log_pi[states[t], actions[t]] for t in range(STEPS))  # (EPISODES, P)
    deviation = np.sqrt(g.var(axis=0).sum())
    print(f"{name:<8} {np.linalg.norm(g.mean(axis=0) - exact):>19.3f} {deviation:>46.3f}")

print("\nCartPole, mean return of the last episodes after 20,000 steps")
for baseline in ("none", "average", "value"):
    rows = []
    agent = REINFORCE("CartPole-v1", seed=0, threads=1, baseline=baseline)
    agent.learn(20_000, on_update=lambda _, row, rows=rows: rows.append(row))
    print(f"{baseline:<8} {rows[-1]['mean_return']:>19.0f}")
