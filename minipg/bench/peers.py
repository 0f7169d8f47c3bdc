"""The peers: the only module that imports deep-learning frameworks, and only in the functions that need them."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from minipg.bench.machine import installed
from minipg.checks import Array
from minipg.errors import installing

Product = Callable[[Any], Any]


def missing(package: str) -> str:
    """Why a peer cannot be measured; empty if it can."""
    if installed(package):
        return ""
    extra = package if package in ("envpool", "mujoco") else "bench"
    return f"{package} is not installed: {'pip install jax' if package == 'jax' else installing(extra)}"


def torch_threads(threads: int) -> None:
    """Set the number of threads of PyTorch."""
    import torch

    torch.set_num_threads(threads)


def torch_product(parameters: list[Array], obs: Array, rebuilt: bool = False) -> Product:
    """v ↦ ∇(∇KL(old‖new)·v) by double backprop, through a graph that is kept, or `rebuilt` each time.   v (P,) → (P,).

    parameters: W and b of every layer, laid out as in torch.nn.Linear, then log σ.
    """
    import torch
    from torch.nn.functional import linear

    leaves = [torch.tensor(array, requires_grad=True) for array in parameters]
    *network, log_std = leaves
    rows = torch.from_numpy(obs)

    def gradient() -> Any:
        mean = rows
        for i in range(0, len(network), 2):
            mean = linear(torch.tanh(mean) if i else mean, network[i], network[i + 1])
        # in closed form: fewer nodes, and so faster, than torch.distributions.kl_divergence
        d, z = 2 * (log_std.detach() - log_std), (mean.detach() - mean) * torch.exp(-log_std)
        kl = 0.5 * (torch.expm1(d) - d + z * z).sum(1).mean()
        return torch.cat([g.flatten() for g in torch.autograd.grad(kl, leaves, create_graph=True)])

    kept = None if rebuilt else gradient()

    def product(v: Any) -> Any:
        g = gradient() if kept is None else kept
        return torch.cat([h.flatten() for h in torch.autograd.grad(g @ v, leaves, retain_graph=kept is not None)])

    return product


def torch_vector(v: Array) -> Any:
    """A tensor that shares the memory of v."""
    import torch

    return torch.from_numpy(v)


def jax_product(sizes: tuple[int, ...], theta: Array, obs: Array) -> Product:
    """v ↦ F v, compiled: forward mode over reverse mode.   v (P,) → (P,), in the order of θ."""
    import jax
    from jax import numpy as jnp

    def kl(theta: Any, rows: Any) -> Any:
        mean, start = rows, 0
        for i, (n, m) in enumerate(pairwise(sizes)):
            w, b = theta[start : start + n * m].reshape(n, m), theta[start + n * m : start + n * m + m]
            mean, start = (jnp.tanh(mean) if i else mean) @ w + b, start + n * m + m
        log_std = theta[start:]
        d = 2 * (jax.lax.stop_gradient(log_std) - log_std)
        z = (jax.lax.stop_gradient(mean) - mean) * jnp.exp(-log_std)
        return 0.5 * (jnp.expm1(d) - d + z * z).sum(1).mean()

    product = jax.jit(lambda theta, rows, v: jax.jvp(lambda t: jax.grad(kl)(t, rows), (theta,), (v,))[1])
    at, rows = jnp.asarray(theta), jnp.asarray(obs)
    return lambda v: product(at, rows, v).block_until_ready()


def sb3_training(algorithm: str, env: str, config: Any, threads: int, steps: int) -> float:
    """Steps per second of stable-baselines3 or sb3-contrib with the settings of one of minipg's configs.

    MlpPolicy has separate 64-64 tanh networks for actor and critic. One optimiser steps both, where minipg has two. The
    environments are stepped in one process, which is the default.
    """
    import sb3_contrib
    import stable_baselines3
    from stable_baselines3.common.env_util import make_vec_env

    torch_threads(threads)
    envs = make_vec_env(env, n_envs=config.num_envs, seed=0)
    shared = {"seed": 0, "device": "cpu", "n_steps": config.n_steps, "gamma": config.gamma,
              "gae_lambda": config.gae_lambda}  # fmt: skip
    if algorithm == "trpo":
        agent = sb3_contrib.TRPO(
            "MlpPolicy", envs, learning_rate=config.vf_learning_rate, batch_size=config.vf_minibatch_size,
            n_critic_updates=config.vf_epochs, target_kl=config.max_kl, cg_damping=config.damping,
            cg_max_steps=config.cg_iters, line_search_shrinking_factor=config.backtrack_coeff,
            line_search_max_iter=config.backtrack_iters, **shared,
        )  # fmt: skip
    elif algorithm == "ppo":
        agent = stable_baselines3.PPO(
            "MlpPolicy", envs, learning_rate=config.learning_rate, batch_size=config.minibatch_size,
            n_epochs=config.n_epochs, clip_range=config.clip_range, max_grad_norm=config.max_grad_norm, **shared,
        )  # fmt: skip
    else:
        agent = stable_baselines3.A2C(
            "MlpPolicy", envs, learning_rate=config.learning_rate, max_grad_norm=config.max_grad_norm, **shared
        )
    start = time.perf_counter()
    agent.learn(steps)
    seconds = time.perf_counter() - start
    envs.close()
    return float(agent.num_timesteps) / seconds
