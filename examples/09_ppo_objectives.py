"""PPO's four objectives side by side on CartPole  (PP-1, PP-2, PP-3, PP-4).

    python examples/09_ppo_objectives.py

The first table is one row of a batch: the objective and its slope in log π as the ratio r moves away from 1. The second
one trains an agent with each objective, from the same seed.
"""

import numpy as np

from minipg import PPO, Backend

kernels = Backend("numpy").kernels("surrogate")
r, one = np.array([0.5, 0.9, 1.0, 1.1, 1.5]), np.ones(5)
for adv in (1.0, -1.0):
    logp, out, slope = np.log(r), np.empty(5), np.empty(5)
    kernels.clipped(logp, 0 * one, adv * one, 0.2, out)
    kernels.clipped_gradient(logp, 0 * one, adv * one, 0.2, slope)
    print(f"Â = {adv:+.0f}     r:   " + "  ".join(f"{x:>5.2f}" for x in r))
    for name, row in {"unclipped": adv * r, "clip": out, "slope of clip": slope}.items():
        print(f"  {name:<16}" + "  ".join(f"{x:>5.2f}" for x in row))

print("\nobjective     mean return   largest KL of an update   last β   rows beyond 1 ± 0.2")
for objective in ("unclipped", "clip", "kl", "adaptive-kl"):
    rows = []
    agent = PPO("CartPole-v1", seed=0, threads=1, objective=objective, num_envs=8, n_steps=128, learning_rate=1e-3)
    agent.learn(30_000, on_update=lambda _, row, rows=rows: rows.append(row))
    most, last = max(row["kl"] for row in rows), rows[-1]
    beyond = 100 * np.mean([row["clip_fraction"] for row in rows])
    beyond_text = f"{beyond:.1f} %" if objective == "clip" else "–"
    beta = f"{last['beta']:.3g}" if "kl" in objective else "–"
    print(f"{objective:<12} {last['mean_return']:>12.0f} {most:>25.4f} {beta:>8} {beyond_text:>22}")
