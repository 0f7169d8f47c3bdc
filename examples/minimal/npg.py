"""The natural policy gradient (Kakade 2001, "A natural policy gradient", NeurIPS 14) on CartPole, whole in one file.

    OPENBLAS_NUM_THREADS=1 python examples/minimal/npg.py 0        # on one thread, seed 0

Mean return of the last 100 episodes with seeds 0, 1 and 2: 477, 479 and 476, after at most 4.1 s of processor time.
The library's version: minipg/algorithms/npg.py. trpo.py is this with a line search.
"""

import sys
import time
from itertools import pairwise

import gymnasium as gym
import numpy as np

ACTOR, CRITIC = (4, 64, 2), (4, 64, 1)  # layer sizes: the outputs are the logits of π(·|s), and V(s)
N_ENVS, N_STEPS, MAX_STEPS = 8, 256, 400_000
GAMMA, LAMBDA = 0.99, 0.95
MAX_KL, DAMPING, CG_ITERS = 0.01, 0.1, 10


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


def jvp(sizes, theta, xs, v):
    """J v, the derivative of out as θ moves along v: from the first layer to the last."""
    dx = np.zeros_like(xs[0])  # obs does not move
    for (W, _), (dW, db), x in zip(layers(sizes, theta), layers(sizes, v), xs[:-1], strict=True):
        dx = x @ dW + db + (dx * (1 - x * x)) @ W
    return dx


def softmax(logits):
    """π(·|s) of every row."""
    return np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


def conjugate_gradient(product, b):
    """x with A x ≈ b, from products A v alone  (TR-10)."""
    x, r, p = np.zeros_like(b), b, b
    for _ in range(CG_ITERS):
        Ap = product(p)
        alpha = r @ r / (p @ Ap)
        x, r_next = x + alpha * p, r - alpha * Ap
        p, r = r_next + (r_next @ r_next) / (r @ r) * p, r_next
    return x


def update(theta, obs, act, adv):
    """θ′: one natural gradient step, to a quadratic model of the KL of δ.   obs (B, 4), act (B,), adv (B,)."""
    adv = (adv - adv.mean()) / adv.std()
    xs = forward(ACTOR, theta, obs)
    p = softmax(xs[-1])
    score = np.eye(ACTOR[-1])[act] - p  # ∇log π(a|s) in the logits  (DI-1)
    g = vjp(ACTOR, theta, xs, adv[:, None] * score) / len(adv)  # mean Â ∇log π(a|s)  (PG-9)

    def fisher_product(v):
        dz = jvp(ACTOR, theta, xs, v)
        dz = p * (dz - (p * dz).sum(1, keepdims=True))  # M dz, M = diag(p) − p pᵀ  (DI-3)
        return vjp(ACTOR, theta, xs, dz) / len(adv) + DAMPING * v  # (F + damping·I) v, F = mean Jᵀ M J  (TR-9)

    x = conjugate_gradient(fisher_product, g)
    return theta + np.sqrt(2 * MAX_KL / (x @ fisher_product(x))) * x  # ½ Δᵀ(F + damping·I)Δ = δ  (TR-6, TR-7)


def gae(delta, done):
    """Â_t = δ_t + γλ Â_{t+1}; the sum ends with the episode  (PG-12).   delta, done (T, N)."""
    adv, after = np.empty_like(delta), 0.0
    for t in reversed(range(len(delta))):
        adv[t] = after = delta[t] + GAMMA * LAMBDA * ~done[t] * after
    return adv


def fit(theta, obs, ret):
    """One Gauss–Newton step down the mean of (V(s) − ret)²  (AC-1), damped.   obs (B, 4), ret (B,)."""
    xs = forward(CRITIC, theta, obs)
    g = vjp(CRITIC, theta, xs, ret[:, None] - xs[-1]) / len(ret)
    product = lambda v: vjp(CRITIC, theta, xs, jvp(CRITIC, theta, xs, v)) / len(ret) + DAMPING * v  # mean Jᵀ J v
    return theta + conjugate_gradient(product, g)


def main(seed=0):
    """Train until the mean return of the last 100 episodes is 475, or for MAX_STEPS. → That mean."""
    rng, returns, score, steps, mean = np.random.default_rng(seed), [], np.zeros(N_ENVS), 0, 0
    envs = gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")] * N_ENVS, autoreset_mode="Disabled")
    theta, theta_v = init(rng, ACTOR), init(rng, CRITIC)
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
        adv = gae(rew + GAMMA * ~terminated * V(next_obs) - V(states), done)
        rows, ret = states.reshape(-1, ACTOR[0]), adv + V(states)
        theta = update(theta, rows, acts.ravel(), adv.ravel())
        theta_v = fit(theta_v, rows, ret.ravel())
        steps, mean = steps + adv.size, np.mean(returns[-100:])
        print(f"{steps:7d} steps {time.process_time():5.1f} s   mean return of the last 100 episodes {mean:5.1f}")
    return mean


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
