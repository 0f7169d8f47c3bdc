"""The deterministic policy gradient on a linear-quadratic regulator, where it is a formula  (DP-1).

    python examples/11_deterministic_policy_gradient.py

A policy a = K s steers s′ = A s + B a at the cost sᵀQ s + aᵀR a. Its gradient is checked by differences, estimated from
states that the policy visits, and climbed to the gain that the Riccati equation gives.
"""

import numpy as np

from minipg.gradient_check import check_gradient
from minipg.theory import lqr

rng = np.random.default_rng(0)
A, B = np.array([[1.0, 0.1], [0.0, 1.0]]), np.array([[0.0], [0.1]])  # a cart: position, speed; a push
task = lqr.LQR(A, B, q=np.eye(2), r=0.1 * np.eye(1), start=np.eye(2), gamma=0.95)
K = np.array([[-0.5, -1.0]])
exact = lqr.policy_gradient(task, K)

report = check_gradient(lambda K: lqr.expected_return(task, K), lambda K: lqr.policy_gradient(task, K), K)
print(f"exact gradient {exact.round(2)[0]}: {report.status}")

# DP-1 from samples: E over visited states of ∇_θ μ ∇_a Q, and ∇_K (K s) is s
print("\nepisodes   sampled gradient    relative error")
for episodes in (100, 10_000, 100_000):
    s, total = rng.normal(size=(episodes, 2)), np.zeros_like(K)
    for t in range(200):
        slope = lqr.action_gradient(task, K, s, s @ K.T)  # ∇_a Q(s, a) at a = μ(s)
        total += task.gamma**t * slope.T @ s / episodes
        s = s @ (A + B @ K).T
    error = np.linalg.norm(total - exact) / np.linalg.norm(exact)
    print(f"{episodes:>8,}   {np.array2string(total[0], precision=2):<18} {error:>12.1%}")

best = lqr.best_gain(task)
print(f"\nRiccati's gain {best.round(4)[0]}, J = {lqr.expected_return(task, best):.4f}")
for i in range(401):
    if i in (0, 10, 100, 400):
        print(f"step {i:>3}: K = {K.round(4)[0]}, J = {lqr.expected_return(task, K):.4f}")
    K = K + 0.01 * lqr.policy_gradient(task, K)
