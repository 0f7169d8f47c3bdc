"""Distributed PPO: the mean of the workers' gradients is the gradient of all their rows  (PP-5).

    python examples/10_dppo_workers.py

First the equation, on one batch cut into equal shares. Then an agent whose gradients come from two workers.
"""

import numpy as np
from minipg.kernels.arguments import Acted, SurrogateTerms

from minipg import DPPO, MLP, CategoricalPolicy
from minipg.algorithms.optimizers import mean
from minipg.algorithms.surrogate_epochs import surrogate_gradient

ROWS = 960
rng = np.random.default_rng(0)
policy = CategoricalPolicy(MLP((4, 16, 2)))
old = policy.init(rng, np.float64)
theta = old + 0.1 * rng.normal(size=len(old))  # as after some steps

obs, adv = rng.normal(size=(ROWS, 4)), rng.normal(size=ROWS)
params = policy.forward(old, obs).params
act = policy.distribution.sample(params, policy.distribution.noise(rng, (ROWS,), np.float64))
batch, terms = Acted(obs, act, adv, params), SurrogateTerms(clip_range=0.2, kl_coef=0.0, ent_coef=0.01)


def gradient(rows):
    """∇ of PPO's clipped objective on these rows of the batch."""
    return surrogate_gradient(policy, theta, batch, terms, rows).gradient


union = gradient(np.arange(ROWS))
for workers in (1, 2, 4, 8):
    shares = np.split(rng.permutation(ROWS), workers)
    found = mean([gradient(rows) for rows in shares])
    apart = np.abs(found - union).max() / np.abs(union).max()
    alone = np.linalg.norm(gradient(shares[0]) - union) / np.linalg.norm(union)
    print(f"{workers} workers: the mean differs from the union by {apart:.0e}; one worker alone by {100 * alone:.0f} %")

uneven = np.split(np.arange(ROWS), [ROWS // 4])
wrong = np.linalg.norm(mean([gradient(rows) for rows in uneven]) - union) / np.linalg.norm(union)
print(f"shares of unequal size: the plain mean is off by {100 * wrong:.0f} %, so workers have equal batches\n")

rows = []
agent = DPPO("CartPole-v1", seed=0, threads=1, workers=2, engine="threads", n_steps=64, learning_rate=1e-3)
agent.learn(40_000, on_update=lambda _, row: rows.append(row))
print(f"two workers on CartPole: {rows[-1]['steps']:,} steps, mean return {rows[-1]['mean_return']:.0f}")
print(f"gradients used of each: {rows[-1]['share_0']:.0%} and {rows[-1]['share_1']:.0%}")
agent.close()
