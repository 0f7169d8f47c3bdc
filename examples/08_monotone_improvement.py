"""Monotone improvement: maximise a lower bound of J again and again, and J never falls  (TR-3, TR-4).

    python examples/08_monotone_improvement.py

M(π̃) = L(π̃) − C max KL(π‖π̃) lies below J and touches it at π. So its maximum is a policy that is no worse. The steps are
safe and small; a trust region of a fixed radius (TR-5) takes larger steps, and the bound promises nothing about them.
"""

from itertools import pairwise

import numpy as np

from minipg.theory.finite_mdp import (
    finite_mdp,
    fisher,
    kl,
    lower_bound,
    minorize_maximize,
    natural_step,
    optimal_action_values,
    softmax_jacobian,
    softmax_policy,
    start_value,
    start_value_gradient,
)

STATES, ACTIONS, ITERATIONS = 6, 3, 100
rng = np.random.default_rng(1)
transitions = rng.dirichlet(np.ones(STATES), (STATES, ACTIONS))
mdp = finite_mdp(transitions, rng.normal(size=(STATES, ACTIONS)), np.full(STATES, 1 / STATES), gamma=0.5)
best = float(mdp.start @ optimal_action_values(mdp).max(axis=1))
print(f"a random MDP: the best policy has J = {best:.4f}\n")

theta = np.zeros((STATES, ACTIONS))
pi, J, slack = softmax_policy(theta), [], []
print("iteration        J   bound on the next   J of the next   max KL")
for i in range(ITERATIONS):
    new = minorize_maximize(mdp, pi)
    J.append(float(start_value(mdp, pi)))
    bound, after = float(lower_bound(mdp, pi, new)), float(start_value(mdp, new))
    slack.append(after - bound)
    if i in (0, 1, 10, 50, ITERATIONS - 1):
        print(f"{i:>9} {J[-1]:>8.4f} {bound:>19.4f} {after:>15.4f} {kl(pi, new).max():>8.1e}")
    pi = new

falls = sum(b < a - 1e-12 for a, b in pairwise(J))
print(f"\nJ fell in {falls} of {ITERATIONS} iterations; the bound held in {sum(s >= -1e-12 for s in slack)}")

steps, trust = 0, theta
while start_value(mdp, softmax_policy(trust)) < J[-1]:
    pi, jacobian = softmax_policy(trust), softmax_jacobian(trust)
    g, F = start_value_gradient(mdp, pi, jacobian), fisher(mdp, pi, jacobian)
    trust, steps = trust + natural_step(g, F, max_kl=0.01).reshape(trust.shape), steps + 1
print(f"natural steps of KL 0.01 reach the same J in {steps} iterations instead of {ITERATIONS}")
