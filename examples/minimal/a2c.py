"""Advantage actor-critic (Mnih et al. 2016, arXiv:1602.01783), its synchronous form, on CartPole, whole in one file.

    OPENBLAS_NUM_THREADS=1 python examples/minimal/a2c.py 0        # on one thread, seed 0

Mean return of the last 100 episodes with seeds 0, 1 and 2: 478, 475 and 479, after at most 3.5 s of processor time.
The library's version: minipg/algorithms/a2c.py.
"""

import sys
import time
from itertools import pairwise

import gymnasium as gym
import numpy as np

ACTOR, CRITIC = (4, 64, 2), (4, 64, 1)  # layer sizes: the outputs are the logits of π(·|s), and V(s)
N_ENVS, N_STEPS, MAX_STEPS = 8, 5, 400_000
GAMMA = 0.99
RATE, VF_RATE, DECAY, EPSILON, MAX_NORM = 3e-3, 5e-3, 0.99, 1e-5, 0.5


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


def rmsprop(theta, second, g, rate):
    """One step uphill along g, which is first scaled to MAX_NORM if it is longer: θ′ and the squares′  (AC-3)."""
    g = g * min(1, MAX_NORM / np.linalg.norm(g))
    second = DECAY * second + (1 - DECAY) * g * g
    return theta + rate * g / np.sqrt(second + EPSILON), second


def update(theta, second, obs, act, adv):
    """One policy step along mean Â ∇log π(a|s): θ′ and the squares′  (PG-9).   obs (B, 4), act (B,), adv (B,)."""
    xs = forward(ACTOR, theta, obs)
    score = np.eye(ACTOR[-1])[act] - softmax(xs[-1])  # ∇log π(a|s) in the logits  (DI-1)
    return rmsprop(theta, second, vjp(ACTOR, theta, xs, adv[:, None] * score) / len(adv), RATE)


def critic_update(theta, second, obs, ret):
    """One critic step down the mean of (V(s) − ret)²: θ_v′ and the squares′  (AC-1).   obs (B, 4), ret (B,)."""
    xs = forward(CRITIC, theta, obs)
    return rmsprop(theta, second, vjp(CRITIC, theta, xs, 2 * (ret[:, None] - xs[-1])) / len(ret), VF_RATE)


def k_step_returns(rew, next_value, terminated, done):
    """R_t = r_t + γ R_{t+1}; at the end of the steps, and at a time limit, V(s_{t+1})  (PG-11).   all (T, N)."""
    ret, after = np.empty_like(rew), next_value[-1]
    for t in reversed(range(len(rew))):
        after = np.where(done[t], ~terminated[t] * next_value[t], after)
        ret[t] = after = rew[t] + GAMMA * after
    return ret


def main(seed=0):
    """Train until the mean return of the last 100 episodes is 475, or for MAX_STEPS. → That mean."""
    rng, returns, score, steps, mean = np.random.default_rng(seed), [], np.zeros(N_ENVS), 0, 0
    envs = gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")] * N_ENVS, autoreset_mode="Disabled")
    theta, theta_v = init(rng, ACTOR), init(rng, CRITIC)
    second, second_v = 0 * theta, 0 * theta_v  # RMSProp's running mean of the squared gradients
    V = lambda obs: forward(CRITIC, theta_v, obs)[-1][..., 0]
    obs, _ = envs.reset(seed=seed)
    while mean < 475 and steps < MAX_STEPS:
        batch = []
        for _ in range(N_STEPS):
            logits = forward(ACTOR, theta, obs)[-1]
            act = (logits + rng.gumbel(size=logits.shape)).argmax(1)  # a ~ π(·|s)
            next_obs, rew, terminated, truncated, _ = envs.step(act)
            done = terminated | truncated
            batch.append((obs, act, rew, next_obs, terminated, done))
            obs, score = next_obs, score + rew
            if done.any():
                returns, score = [*returns, *score[done]], score * ~done
                obs, _ = envs.reset(options={"reset_mask": done})
        states, acts, rew, next_obs, terminated, done = map(np.array, zip(*batch, strict=True))  # (T, N, …)
        ret = k_step_returns(rew, V(next_obs), terminated, done)
        rows, adv = states.reshape(-1, ACTOR[0]), ret - V(states)
        theta, second = update(theta, second, rows, acts.ravel(), adv.ravel())
        theta_v, second_v = critic_update(theta_v, second_v, rows, ret.ravel())
        steps, mean = steps + adv.size, np.mean(returns[-100:]) if returns else 0
        if steps % 10_000 == 0:
            print(f"{steps:7d} steps {time.process_time():5.1f} s   mean return of the last 100 episodes {mean:5.1f}")
    print(f"{steps:7d} steps {time.process_time():5.1f} s   mean return of the last 100 episodes {mean:5.1f}")
    return mean


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
