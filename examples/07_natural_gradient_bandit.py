"""The natural gradient beside the plain one, on a bandit with three arms  (TR-7, TR-8).

    python examples/07_natural_gradient_bandit.py

The policy begins almost sure of the worst arm. There the probabilities hardly depend on θ, so the plain gradient is
tiny. The natural gradient divides by the Fisher matrix, which is as small. Then θ is written in other coordinates,
θ = H φ: the natural step moves the policy as before, the plain step does not.
"""

import numpy as np

from minipg.theory.finite_mdp import (
    finite_mdp,
    fisher,
    kl,
    natural_step,
    softmax_jacobian,
    softmax_policy,
    start_value,
    start_value_gradient,
)

# a bandit is an MDP with one state and γ = 0
bandit = finite_mdp(np.ones((1, 3, 1)), np.array([[0.0, 0.5, 1.0]]), np.ones(1), gamma=0.0)
first, max_kl, rate = np.array([6.0, 0.0, 0.0]), 0.01, 1.0


def plain(theta, H):
    """The step in φ along ∇_φ J = Hᵀ ∇_θ J."""
    pi, jacobian = softmax_policy(theta[None]), softmax_jacobian(theta[None]) @ H
    return rate * start_value_gradient(bandit, pi, jacobian)


def natural(theta, H):
    """The step in φ along F⁻¹∇_φ J, of length √(2δ/gᵀF⁻¹g)."""
    pi, jacobian = softmax_policy(theta[None]), softmax_jacobian(theta[None]) @ H
    return natural_step(start_value_gradient(bandit, pi, jacobian), fisher(bandit, pi, jacobian), max_kl)


print("expected reward after each of these numbers of steps, from a policy almost sure of the worst arm")
for step in (plain, natural):
    theta, curve = first, []
    for _ in range(101):
        curve.append(float(start_value(bandit, softmax_policy(theta[None]))))
        theta = theta + step(theta, np.eye(3))
    print(f"{step.__name__:<8}" + "   ".join(f"{n}: {curve[n]:.3f}" for n in (0, 10, 20, 50, 100)))

step = natural(first, np.eye(3))
pi, moved = softmax_policy(first[None]), softmax_policy((first + step)[None])
model = 0.5 * step @ fisher(bandit, pi, softmax_jacobian(first[None])) @ step
print(f"\none natural step: KL {model:.4f} by its quadratic model, which is δ; the true KL is {kl(pi, moved)[0]:.4f}")

H = np.array([[1.0, 0.0, 0.0], [3.0, 1.0, 0.0], [0.0, -2.0, 0.1]])  # other coordinates
theta = np.array([0.5, 0.0, -0.5])
for step in (plain, natural):
    same = [softmax_policy((theta + 1e-3 * M @ step(theta, M))[None])[0] for M in (np.eye(3), H)]
    change = np.abs(same[1] - same[0]).max() / np.abs(same[0] - softmax_policy(theta[None])[0]).max()
    print(f"{step.__name__:<8} in other coordinates: the policy moves differently by {100 * change:.1f} %")
