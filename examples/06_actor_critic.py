"""An actor and a critic: what λ changes in the advantage, and A2C with λ from 0 to 1  (PG-11, PG-12, AC-1).

    python examples/06_actor_critic.py

GAE's ends are the TD error (λ = 0) and the return minus the value (λ = 1). In between it mixes them: a larger λ trusts
the rewards more and the critic less.
"""

import numpy as np

from minipg import A2C
from minipg.returns import discounted_returns, gae, td_errors

rng = np.random.default_rng(0)
T, N, GAMMA = 50, 2_000, 0.95

# every step pays 1 on average, with deviation 1: the true value is 1/(1 − γ) = 20 everywhere; the critic says 15
rew = 1 + rng.normal(size=(T, N))
value, next_value = np.full((T, N), 15.0), np.full((T, N), 15.0)
terminated, truncated = np.zeros((T, N), bool), np.zeros((T, N), bool)
truncated[-1] = True
delta = td_errors(rew, value, next_value, terminated, GAMMA)
G = discounted_returns(rew, next_value, terminated, truncated, GAMMA)

print("λ      mean of Â₀ − (true value − V)   standard deviation of Â₀")
for lam in (0.0, 0.5, 0.9, 0.95, 1.0):
    adv = gae(delta, terminated, truncated, GAMMA, lam)
    print(f"{lam:<5} {adv[0].mean() - 5:>31.2f} {adv[0].std():>26.2f}")

ends = {0: delta, 1: G - value}
for lam, expected in ends.items():
    error = np.abs(gae(delta, terminated, truncated, GAMMA, lam) - expected).max()
    print(f"λ = {lam}: GAE equals {'the TD error' if lam == 0 else 'G − V'} up to {error:.0e}")

print("\nA2C on CartPole, mean return of the last episodes after 40,000 steps")
for lam in (0.0, 0.9, 1.0):
    rows = []
    agent = A2C("CartPole-v1", seed=0, threads=1, num_envs=8, n_steps=16, gae_lambda=lam, learning_rate=2e-3)
    agent.learn(40_000, on_update=lambda _, row, rows=rows: rows.append(row))
    print(f"λ = {lam:<4} {rows[-1]['mean_return']:>6.0f}")
