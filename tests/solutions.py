"""Every exercise solved by hand, in NumPy: what a reader might write."""

import numpy as np

from minipg.theory.finite_mdp import action_values, advantages, kl, visits
from minipg.theory.lqr import value_matrix
from minipg.theory.lqr import visits as moments


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def one_hot(act, z):
    return np.eye(z.shape[1])[act]


def centred(p, x):
    return x - (p * x).sum(axis=1, keepdims=True)


def returns(rew, R, gamma):
    out = []
    for r in rew[::-1]:
        R = r + gamma * R
        out.append(R)
    return np.array(out[::-1])


def linear(obs, error):
    """The gradient in (w, b) of Σ error²/2, where ∂error is (s, 1)."""
    return np.append(obs.T @ error, error.sum())


def softmax_score(logits, act):
    return one_hot(act, logits) - softmax(logits)


def policy_gradient_theorem(theta, mdp):
    pi = softmax(theta)
    return visits(mdp, pi)[:, None] * pi * centred(pi, action_values(mdp, pi))


def classifier_gradient(logits, act, G):
    return G[:, None] * (softmax(logits) - one_hot(act, logits))


def credit(gamma, u):
    return np.array([sum(gamma ** (j - t) * u[t] for t in range(j + 1)) for j in range(len(u))])


def critic_gradient(theta, obs, target):
    return 2 * linear(obs, obs @ theta[:-1] + theta[-1] - target) / len(obs)


def gae_along(gamma, gae_lambda, v):
    delta = gamma * v[1:] - v[:-1]
    return returns(delta, 0.0, gamma * gae_lambda)


def worker_policy_gradient(W, obs, act, rew, value, last_value, gamma):
    return obs.T @ ((returns(rew, last_value, gamma) - value)[:, None] * softmax_score(obs @ W, act))


def worker_critic_gradient(theta, obs, rew, last_value, gamma):
    return -2 * linear(obs, returns(rew, last_value, gamma) - obs @ theta[:-1] - theta[-1])


def ratio_gradient(logits, logp_old, act, adv):
    r = softmax(logits)[np.arange(len(act)), act] / np.exp(logp_old)
    return (r * adv)[:, None] * softmax_score(logits, act) / len(adv)


def variance_gradient(p, q, f):
    return -(p**2) * f**2 / q**2


def local_objective_gradient(theta, policy, mdp):
    pi = softmax(theta)
    return visits(mdp, policy)[:, None] * pi * centred(pi, advantages(mdp, policy))


def penalty_gradient(theta, policy):
    gradient, pi = np.zeros_like(theta), softmax(theta)
    worst = kl(policy, pi).argmax()
    gradient[worst] = pi[worst] - policy[worst]
    return gradient


def softmax_fisher_product(logits, v):
    return np.stack([(np.diag(p) - np.outer(p, p)) @ row for p, row in zip(softmax(logits), v, strict=True)])


def policy_fisher_product(W, obs, v):
    p = softmax(obs @ W)
    return obs.T @ (p * centred(p, obs @ v)) / len(obs)


def energy_gradient(x, A, b):
    return A @ x - b


def solve_pullback(A, u):
    return np.linalg.inv(A).T @ u


def dual_gradient(logits, logits_old, act, adv, multiplier):
    logp_old = np.log(softmax(logits_old))[np.arange(len(act)), act]
    penalty = multiplier * (softmax(logits) - softmax(logits_old)) / len(act)
    return ratio_gradient(logits, logp_old, act, adv) - penalty


def vine_gradient(logits, q):
    return softmax(logits) * centred(softmax(logits), q)


def clip_gradient(logp, logp_old, adv, clip_range):
    r = np.exp(logp - logp_old)
    beyond = ((r > 1 + clip_range) & (adv > 0)) | ((r < 1 - clip_range) & (adv < 0))
    return np.where(beyond, 0, r * adv)


def gaussian_kl_gradient(params, old):
    (mean, log_std), (old_mean, old_log_std) = np.split(params, 2, axis=1), np.split(old, 2, axis=1)
    variance, away = np.exp(2 * log_std), mean - old_mean
    return np.hstack([away / variance, 1 - (np.exp(2 * old_log_std) + away**2) / variance])


def gradient_of_equal_shares(gradients):
    return gradients.mean(axis=0)


def gradient_of_unequal_shares(gradients, rows):
    return np.average(gradients, axis=0, weights=rows)


def action_gradient(action, state, gain, problem):
    after = problem.a @ state + problem.b @ action
    return -2 * problem.r @ action - 2 * problem.gamma * problem.b.T @ value_matrix(problem, gain) @ after


def deterministic_gradient(gain, problem):
    after = problem.a + problem.b @ gain
    slope = -2 * problem.r @ gain - 2 * problem.gamma * problem.b.T @ value_matrix(problem, gain) @ after
    return slope @ moments(problem, gain)


def gaussian_score(params, act):
    mean, log_std = np.split(params, 2, axis=1)
    z = (act - mean) / np.exp(log_std)
    return np.hstack([z / np.exp(log_std), z * z - 1])


def backward(theta, obs, u):
    h = np.tanh(obs @ theta["W0"] + theta["b0"])
    d = (u @ theta["W1"].T) * (1 - h * h)
    return {"W0": obs.T @ d, "b0": d.sum(axis=0), "W1": h.T @ u, "b1": u.sum(axis=0)}


def windows_of(x, g, stride, size):
    """Where in x the window of each position of g is."""
    for i, j in np.ndindex(g.shape[:2]):
        yield (i, j), np.s_[i * stride : i * stride + size, j * stride : j * stride + size]


def filter_gradient(w, x, g, stride):
    return sum(x[window][..., None] * g[place] for place, window in windows_of(x, g, stride, len(w)))


def image_gradient(x, w, g, stride):
    out = np.zeros_like(x)
    for place, window in windows_of(x, g, stride, len(w)):
        out[window] += w @ g[place]
    return out
