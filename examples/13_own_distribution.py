"""A distribution of one's own: waiting times, exponential with rate e^z  (docs/your_own.md).

    python examples/13_own_distribution.py

Derivatives are checked by differences. Then an agent learns: in state s, a waiting time costs its squared distance from
1 + s. The spread of an exponential is a cost too, so the best mean is (1 + s)/2.
"""

import gymnasium as gym
import numpy as np
from scipy.special import log_ndtr

from minipg import MLP, PPO, Backend, NetworkPolicy
from minipg.distribution import Distribution
from minipg.gradient_check import check_gradient, check_jvp

into_out = lambda formula: lambda *args: args[-1].__setitem__(..., formula(*args[:-1]))  # out[...] = formula(…)


class Exponential:  # z (B, A) is the log of the rate, a (B, A) the action
    options = ()
    sample = into_out(lambda z, noise: -log_ndtr(noise) * np.exp(-z))  # Φ of normal noise is uniform
    mode = into_out(lambda z: np.exp(-z))  # the mean: the most probable waiting time is 0
    log_prob = into_out(lambda z, a: (z - a * np.exp(z)).sum(axis=1))
    score = into_out(lambda z, a: 1 - a * np.exp(z))
    kl = into_out(lambda old, new: (old - new + np.exp(new - old) - 1).sum(axis=1))
    kl_gradient = into_out(lambda old, new: np.exp(new - old) - 1)
    entropy = into_out(lambda z: (1 - z).sum(axis=1))
    entropy_gradient = into_out(lambda z: -np.ones_like(z))
    fisher_product = into_out(lambda z, v: v)  # the Hessian of the KL at new = old


family = Distribution("exponential", 1, 1, (1,), Backend("numpy"), functions=Exponential)
z, old, a = *np.random.default_rng(0).normal(size=(2, 8, 1)), np.linspace(0, 4, 8)[:, None]
print("score", check_gradient(lambda z: family.log_prob(z, a).sum(), lambda z: family.score(z, a), z).status)
print("kl_gradient", check_gradient(lambda z: family.kl(old, z).sum(), lambda z: family.kl_gradient(old, z), z).status)
print("entropy_gradient", check_gradient(lambda z: family.entropy(z).sum(), family.entropy_gradient, z).status)
print("fisher_product", check_jvp(lambda new: family.kl_gradient(z, new), family.fisher_product, z).status)


class Wait(gym.Env):
    observation_space, action_space = gym.spaces.Box(0, 1, (1,)), gym.spaces.Box(0, np.inf, (1,))

    def reset(self, **given):
        super().reset(**given)
        self.s = self.np_random.random(1, np.float32)
        return self.s, {}

    def step(self, action):
        return self.s, -(float(action[0] - 1 - self.s[0]) ** 2), True, False, {}


class ExponentialPPO(PPO):
    def _networks(self):
        return NetworkPolicy(MLP((1, 16, 1), "tanh", self.backend), family), super()._networks()[1]


agent = ExponentialPPO(Wait, seed=0, backend="numpy", n_steps=256, learning_rate=3e-3, hidden=(16,)).learn(25_000)
for s in (0.0, 0.5, 1.0):
    print(f"s = {s}: mean waiting time {agent.predict([s], deterministic=True)[0][0]:.2f}, best {(1 + s) / 2:.2f}")
