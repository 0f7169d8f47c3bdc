"""One TRPO step by hand, station by station.

    python examples/01_one_trust_region_step.py

A contextual bandit with three arms takes the place of an environment: the state is two numbers, and the reward is 1 for
the best arm of that state. Every block is one station of the walk in the README, and prints its result.
"""

import numpy as np

from minipg import MLP, CategoricalPolicy, conjugate_gradient, fisher_operator, line_search
from minipg.line_search import step_scale
from minipg.objective import policy_gradient, surrogate_and_kl


def say(station: str, text: str) -> None:
    """Print one line of the walk."""
    print(f"{station:<16}{text}")


MAX_KL, DAMPING = 0.01, 1e-3
rng = np.random.default_rng(0)

policy = CategoricalPolicy(MLP((2, 16, 3)))
theta = policy.init(rng)
shapes = ", ".join(f"{name} {view.shape}" for name, view in policy.layout.views(theta).items())
say("θ", f"{len(theta)} numbers: {shapes}")

obs = rng.normal(size=(1000, 2)).astype(np.float32)
tape = policy.forward(theta, obs)
logits = tape.params
act = policy.distribution.sample(logits, policy.distribution.noise(rng, (len(obs),)))
say("obs → network", f"logits {logits.shape}; the initial policy picks the arms {np.bincount(act) / len(act)}")

best = (obs[:, 0] > 0).astype(int) + (obs[:, 1] > 1)
rew = (act == best).astype(np.float32)
adv = rew - rew.mean()
say("advantage", f"mean reward {rew.mean():.3f}; minus that baseline, from {adv.min():.2f} to {adv.max():.2f}")

g = policy_gradient(policy, theta, tape, act, adv)
say("policy gradient", f"‖g‖ = {np.linalg.norm(g):.3f}")

A = fisher_operator(policy, theta, tape, DAMPING)  # v ↦ A v, A = F + damping·I
cg = conjugate_gradient(A, g, iterations=10)
angle = np.degrees(np.arccos(g @ cg.x / (np.linalg.norm(g) * np.linalg.norm(cg.x))))
say("x ≈ A⁻¹g", f"{cg.iterations} Fisher–vector products, residual {cg.residual:.1e}; at {angle:.0f}° to g")

step = step_scale(cg.curvature, MAX_KL) * cg.x
objective = surrogate_and_kl(policy, obs, act, adv, logits)
before, _ = objective(theta)


def evaluate(candidate):
    """(improvement of the surrogate, KL(old‖candidate))."""
    value, kl = objective(candidate)
    return value - before, kl


found = line_search(evaluate, theta, step.astype(np.float32), max_kl=MAX_KL)
gain = f"surrogate {found.improvement:+.4f}"
say("line search", f"{found.fraction:.2f} of the step accepted: KL {found.kl:.4f} ≤ {MAX_KL}, {gain}")

old = np.exp(policy.distribution.log_prob(logits, best)).mean()
new = np.exp(policy.distribution.log_prob(policy.forward(found.theta, obs).params, best)).mean()
say("θ′", f"the best arm now has probability {new:.3f}, before {old:.3f}")
