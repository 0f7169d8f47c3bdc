"""REINFORCE (Williams 1992) with reward-to-go and an average baseline, on CartPole, whole in one file.

    OPENBLAS_NUM_THREADS=1 python examples/minimal/reinforce.py 0        # on one thread, seed 0

Mean return of the last 100 episodes with seeds 0, 1 and 2: 479, 477 and 479, after at most 12.8 s of processor time.
The library's version: minipg/algorithms/reinforce.py.
"""

import sys
import time
from itertools import pairwise

import gymnasium as gym
import numpy as np

SIZES = (4, 64, 2)  # layer sizes: the outputs are the logits of π(·|s)
EPISODES, MAX_STEPS = 10, 1_000_000
GAMMA, RATE = 0.99, 1e-2


def init(rng, sizes):
    """θ, one flat vector: of every layer the weights, of variance 1/inputs, then the biases, which are 0."""
    return np.concatenate([x for n, m in pairwise(sizes) for x in (rng.normal(size=n * m) / n**0.5, np.zeros(m))])


def layers(sizes, theta):
    """[(W, b), …]: views of θ."""
    parts = np.split(theta, np.cumsum([length for n, m in pairwise(sizes) for length in (n * m, m)])[:-1])
    return [(W.reshape(-1, len(b)), b) for W, b in zip(parts[::2], parts[1::2], strict=True)]


def forward(sizes, theta, obs):
    """The inputs of all layers, then the output: [obs, tanh(obs W + b), …, out]."""
    xs = [obs]
    for W, b in layers(sizes, theta):
        xs.append(np.tanh(xs[-1] @ W + b))
    return [*xs[:-1], xs[-2] @ W + b]  # no tanh after the last layer


def vjp(sizes, theta, xs, g):
    """Jᵀ g, the gradient in θ of Σ g·out: from the last layer back to the first.   xs from `forward`, g like out."""
    parts = []
    for (W, _), x in zip(reversed(layers(sizes, theta)), reversed(xs[:-1]), strict=True):
        parts = [(x.T @ g).ravel(), g.sum(0), *parts]
        g = (g @ W.T) * (1 - x * x)  # tanh′ = 1 − tanh²
    return np.concatenate(parts)


def softmax(logits):
    """π(·|s) of every row."""
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


def adam(theta, first, second, t, g):
    """One step of Adam uphill along g, the t-th: θ′, the moments′ and t + 1  (AC-3)."""
    first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
    return theta + RATE * first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8), first, second, t + 1


def update(theta, first, second, t, obs, act, ret):
    """One step of Adam along mean Ĝ ∇log π(a|s), Ĝ = (G − mean)/std.   obs (B, 4), act (B,), ret (B,): G."""
    weight = (ret - ret.mean()) / ret.std()  # the mean is the baseline  (PG-6)
    xs = forward(SIZES, theta, obs)
    score = np.eye(SIZES[-1])[act] - softmax(xs[-1])  # ∇log π(a|s) in the logits  (DI-1)
    g = vjp(SIZES, theta, xs, weight[:, None] * score) / len(act)  # PG-9
    return adam(theta, first, second, t, g)


def rewards_to_go(rew):
    """G_t = r_t + γ G_{t+1} of one episode  (PG-7).   (T,)."""
    ret, after = np.empty(len(rew)), 0.0
    for t in reversed(range(len(rew))):
        ret[t] = after = rew[t] + GAMMA * after
    return ret


def play(env, theta, rng):
    """One episode: obs (T, 4), act (T,), rew (T,)."""
    (obs, _), done, steps = env.reset(), False, []
    while not done:
        act = rng.choice(SIZES[-1], p=softmax(forward(SIZES, theta, obs[None])[-1])[0])  # a ~ π(·|s)
        next_obs, rew, terminated, truncated, _ = env.step(act)
        steps.append((obs, act, rew))
        obs, done = next_obs, terminated or truncated
    return map(np.array, zip(*steps, strict=True))


def main(seed=0):
    """Train until the mean return of the last 100 episodes is 475, or for MAX_STEPS. → That mean."""
    rng, env, returns, steps, mean = np.random.default_rng(seed), gym.make("CartPole-v1"), [], 0, 0
    env.reset(seed=seed)
    theta = init(rng, SIZES)
    learner = theta, 0 * theta, 0 * theta, 1  # θ, Adam's moments, the number of the next step
    while mean < 475 and steps < MAX_STEPS:
        batch = []
        for _ in range(EPISODES):
            obs, act, rew = play(env, learner[0], rng)
            batch.append((obs, act, rewards_to_go(rew)))
            returns.append(rew.sum())
        obs, act, ret = map(np.concatenate, zip(*batch, strict=True))
        learner = update(*learner, obs, act, ret)
        steps, mean = steps + len(act), np.mean(returns[-100:])
        print(f"{steps:7d} steps {time.process_time():5.1f} s   mean return of the last 100 episodes {mean:5.1f}")
    return mean


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
