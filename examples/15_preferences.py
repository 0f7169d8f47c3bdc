"""Preferences in small: learn a reward from rankings, then tune a policy on it with a leash  (RH-1, RH-2).

    python examples/15_preferences.py

This is how language models are tuned, on a bandit. A hidden reward ranks pairs of trajectories. A reward model is
fitted to the rankings. PPO's clipped steps then raise r_φ(a) − β log π(a)/π_ref(a), which keeps π near π_ref. The
optimum is known: π_ref exp(r_φ/β)/Z.
"""

import numpy as np
from minipg.kernels.arguments import Acted, SurrogateTerms

from minipg import MLP, CategoricalPolicy
from minipg.algorithms.surrogate_epochs import surrogate_gradient
from minipg.gradient_check import check_gradient
from minipg.theory.finite_mdp import kl
from minipg.theory.preferences import leashed_optimum, leashed_reward, preference_gradient, preference_loss

ARMS, LENGTH, PAIRS, BETA = 5, 4, 2_000, 0.5
rng = np.random.default_rng(0)
hidden = np.array([0.0, 0.4, 0.8, 1.2, 1.6])
reference = np.array([0.4, 0.3, 0.15, 0.1, 0.05])

# a trajectory is 4 pulls of an arm, and its features are how often it pulled each
first, second = rng.multinomial(LENGTH, reference, size=(2, PAIRS)).astype(float)
prefers_first = rng.random(PAIRS) < 1 / (1 + np.exp(-(first - second) @ hidden))
better = np.where(prefers_first[:, None], first, second)
worse = np.where(prefers_first[:, None], second, first)
print(f"{PAIRS} pairs; the one of larger hidden return is preferred in "
      f"{np.mean((better - worse) @ hidden >= 0):.0%}")  # fmt: skip

phi = np.zeros(ARMS)
report = check_gradient(
    lambda x: preference_loss(x, better, worse), lambda x: preference_gradient(x, better, worse), phi
)
print(f"the reward model's gradient: {report.status}")
for _ in range(3000):
    phi -= preference_gradient(phi, better, worse)
phi -= phi[0]  # rankings say nothing about a constant
print(f"r_φ {phi.round(2)}, hidden reward {hidden}")

policy, obs = CategoricalPolicy(MLP((1, ARMS))), np.zeros((512, 1))  # one state: the logits are the biases
theta = np.zeros(policy.layout.size)
theta[-ARMS:] = np.log(reference)
for _ in range(400):
    params = policy.forward(theta, obs).params
    pi = np.exp(params[0]) / np.exp(params[0]).sum()
    act = policy.distribution.sample(params, policy.distribution.noise(rng, (len(obs),), np.float64))
    reward = leashed_reward(phi, pi, reference, BETA)[act]
    batch = Acted(obs, act, reward - reward.mean(), params)
    for _ in range(4):
        theta = theta + surrogate_gradient(policy, theta, batch, SurrogateTerms(0.2, 0.0, 0.0), np.arange(512)).gradient

best = leashed_optimum(phi, reference, BETA)
print(f"\nπ_ref                {reference}")
print(f"π_ref exp(r_φ/β)/Z   {best.round(4)}")
print(f"the policy found     {pi.round(4)}")
print(f"largest difference {np.abs(pi - best).max():.0e}; KL to the optimum {kl(best[None], pi[None])[0]:.0e}")
print(f"hidden reward: {reference @ hidden:.3f} of π_ref, {pi @ hidden:.3f} of the policy found")
