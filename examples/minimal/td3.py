"""Twin delayed deterministic policy gradient (Fujimoto et al. 2018, arXiv:1802.09477) on Pendulum, whole in one file.

    OPENBLAS_NUM_THREADS=1 python examples/minimal/td3.py 0        # on one thread, seed 0

Mean return of 10 episodes with seeds 0, 1 and 2: −133, −133 and −132, after at most 15.3 s of processor time.
The library's version: minipg/algorithms/td3.py.
"""

import sys
import time
from itertools import pairwise

import gymnasium as gym
import numpy as np

ACTOR, CRITIC = (3, 64, 64, 1), (4, 64, 64, 1)  # layer sizes of μ(s), before its tanh, and of Q(s, a)
STEPS, RANDOM_STEPS, BATCH = 10_000, 1000, 128
GAMMA, TAU, RATE, NOISE = 0.98, 0.01, 1e-3, 0.1
TARGET_NOISE, TARGET_CLIP, DELAY = 0.2, 0.5, 2  # of the target action; critic steps for each of the actor
SCALE = 2  # Pendulum's torque is from −2 to 2


def init(rng, sizes):
    """θ, one flat vector: of every layer the weights, of variance 1/inputs, then the biases, which are 0."""
    return np.concatenate([x for n, m in pairwise(sizes) for x in (rng.normal(size=n * m) / n**0.5, np.zeros(m))])


def layers(sizes, theta):
    """[(W, b), …]: views of θ."""
    parts = np.split(theta, np.cumsum([length for n, m in pairwise(sizes) for length in (n * m, m)])[:-1])
    return [(W.reshape(-1, len(b)), b) for W, b in zip(parts[::2], parts[1::2], strict=True)]


def forward(sizes, theta, obs):
    """The inputs of all layers, then the output: [obs, max(obs W + b, 0), …, out]."""
    xs = [obs]
    for W, b in layers(sizes, theta):
        xs.append(np.maximum(xs[-1] @ W + b, 0))
    return [*xs[:-1], xs[-2] @ W + b]  # no ReLU after the last layer


def vjp(sizes, theta, xs, g):
    """The gradients of Σ g·out in θ and in the inputs, from the last layer to the first.   xs from `forward`."""
    parts = []
    for (W, _), x in zip(reversed(layers(sizes, theta)), reversed(xs[:-1]), strict=True):
        parts = [(x.T @ g).ravel(), g.sum(0), *parts]
        g_inputs = g @ W.T
        g = g_inputs * (x > 0)  # the derivative of the ReLU is 0 or 1
    return np.concatenate(parts), g_inputs


def adam(theta, first, second, t, g):
    """One step of Adam uphill along g, the t-th: θ′, the moments′ and t + 1  (AC-3)."""
    first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
    return theta + RATE * first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8), first, second, t + 1


def mu(theta, obs):
    """The action μ(s), from −1 to 1.   obs (B, 3) → (B, 1)."""
    return np.tanh(forward(ACTOR, theta, obs)[-1])


def q(theta_q, obs, act):
    """The inputs of Q's layers, and Q(s, a) (B, 1).   obs (B, 3), act (B, 1)."""
    xs = forward(CRITIC, theta_q, np.hstack([obs, act]))
    return xs, xs[-1]


def policy_gradient(theta, theta_q, obs):
    """mean ∇_θ μ(s) ∇_a Q(s, a) at a = μ(s)  (DP-1).   obs (B, 3)."""
    xs = forward(ACTOR, theta, obs)
    act = np.tanh(xs[-1])
    xs_q, value = q(theta_q, obs, act)
    g_act = vjp(CRITIC, theta_q, xs_q, np.ones_like(value))[1][:, ACTOR[0] :]  # ∇_a Q: of the inputs (s, a), those of a
    return vjp(ACTOR, theta, xs, g_act * (1 - act * act))[0] / len(obs)  # tanh′ = 1 − tanh²


def value_gradient(theta_q, obs, act, y):
    """The gradient of −mean (Q(s, a) − y)²  (AC-1).   obs (B, 3), act, y (B, 1)."""
    xs, value = q(theta_q, obs, act)
    return vjp(CRITIC, theta_q, xs, 2 * (y - value))[0] / len(obs)


def update(actor, critics, target, targets_q, obs, act, rew, next_obs, terminated, normal):
    """One step: actor′ and both critics′, each (θ, two moments, the number of the next step), and the target networks′.

    obs, next_obs (B, 3), act, rew, terminated (B, 1), normal (B, 1): standard normal numbers.
    """
    smooth = mu(target, next_obs) + np.clip(TARGET_NOISE * normal, -TARGET_CLIP, TARGET_CLIP)
    after = [q(theta_q, next_obs, np.clip(smooth, -1, 1))[1] for theta_q in targets_q]
    y = rew + GAMMA * (1 - terminated) * np.minimum(*after)  # DP-3
    critics = [adam(*critic, value_gradient(critic[0], obs, act, y)) for critic in critics]
    if (critics[0][-1] - 1) % DELAY == 0:
        actor = adam(*actor, policy_gradient(actor[0], critics[0][0], obs))
        target = TAU * actor[0] + (1 - TAU) * target  # DP-2
        targets_q = [TAU * critic[0] + (1 - TAU) * old for critic, old in zip(critics, targets_q, strict=True)]
    return actor, critics, target, targets_q


def play(env, theta, seed):
    """The return of one episode without noise."""
    (obs, _), done, total = env.reset(seed=seed), False, 0.0
    while not done:
        obs, rew, terminated, truncated, _ = env.step(SCALE * mu(theta, obs[None])[0])
        total, done = total + rew, terminated or truncated
    return total


def main(seed=0):
    """Train for STEPS. → The mean return of 10 episodes without noise."""
    rng, env, replay = np.random.default_rng(seed), gym.make("Pendulum-v1"), np.empty((STEPS, 9))
    learner = lambda theta: (theta, 0 * theta, 0 * theta, 1)  # with Adam's moments and the number of its next step
    theta, thetas_q = init(rng, ACTOR), [init(rng, CRITIC), init(rng, CRITIC)]
    layers(ACTOR, theta)[-1][0][:] *= 0.01  # the first actions are near 0, where tanh is not flat
    state = learner(theta), [learner(theta_q) for theta_q in thetas_q], theta, thetas_q
    obs, _ = env.reset(seed=seed)
    for n in range(STEPS):
        act = mu(state[0][0], obs[None])[0] + NOISE * rng.normal(size=1)
        act = np.clip(act, -1, 1) if n >= RANDOM_STEPS else rng.uniform(-1, 1, 1)
        next_obs, rew, terminated, truncated, _ = env.step(SCALE * act)
        replay[n] = np.hstack([obs, act, rew, next_obs, terminated])
        obs = env.reset()[0] if terminated or truncated else next_obs
        if n >= RANDOM_STEPS:
            batch = replay[rng.integers(n + 1, size=BATCH)]
            state = update(*state, *np.split(batch, [3, 4, 5, 8], axis=1), rng.normal(size=(BATCH, 1)))
        if (n + 1) % 1000 == 0:
            score = np.mean([play(gym.make("Pendulum-v1"), state[0][0], episode) for episode in range(10)])
            print(f"{n + 1:7d} steps {time.process_time():5.1f} s   mean return of 10 episodes {score:7.1f}")
    return score


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
