"""PPO on CartPole: minipg against a PPO in JAX whose whole training run is one compiled program, in turns.

    pip install jax && python examples/benchmarks/against_jax.py

Both sides do the same work: actor and critic apart, 64-64 tanh, GAE, the clipped objective, Adam on shuffled
minibatches for each network, gradients clipped to 0.5. The environments of both are compiled. Compilation is not
counted. `--check` trains the JAX side alone and prints the mean length of its episodes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax, random

from minipg import PPO
from minipg.bench.interleaved import Bench, Side, line_of, paired
from minipg.bench.machine import head, head_text
from minipg.bench.table import table

GAMMA, LAMBDA, CLIP, MAX_NORM, LEARNING_RATE, VF_LEARNING_RATE = 0.99, 0.95, 0.2, 0.5, 3e-4, 1e-3
SIZES, LIMIT = (4, 64, 64), 500
ROUNDS = 7


class Row(NamedTuple):
    """A setting of both sides, and the environment steps of a sample."""

    num_envs: int
    n_steps: int
    n_epochs: int
    minibatch_size: int
    steps: int


ROWS = {"ppo-4x128": Row(4, 128, 4, 128, 300_000), "ppo-8x256": Row(8, 256, 10, 256, 150_000)}


class Transition(NamedTuple):
    obs: Any
    act: Any
    logp: Any
    value: Any
    rew: Any
    terminated: Any
    done: Any
    final_value: Any


def network(key: Any, outputs: int) -> list[tuple[Any, Any]]:
    """Random weights and zero biases of an MLP."""
    sizes = (*SIZES, outputs)
    keys = random.split(key, len(sizes) - 1)
    return [(random.normal(k, (n, m)) / n**0.5, jnp.zeros(m)) for k, n, m in zip(keys, sizes, sizes[1:], strict=False)]


def apply(layers: Any, x: Any) -> Any:
    for w, b in layers[:-1]:
        x = jnp.tanh(x @ w + b)
    w, b = layers[-1]
    return x @ w + b


def cartpole(state: Any, act: Any) -> Any:
    """Gymnasium's CartPole-v1, one Euler step.   state (4,), act 0 or 1."""
    x, v, angle, spin = state
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    force = jnp.where(act == 1, 10.0, -10.0)
    push = (force + 0.05 * spin**2 * sin) / 1.1
    torque = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
    slide = push - 0.05 * torque * cos / 1.1
    return jnp.stack([x + 0.02 * v, v + 0.02 * slide, angle + 0.02 * spin, spin + 0.02 * torque])


def adam(grads: Any, moments: Any, params: Any, step: Any, learning_rate: float) -> Any:
    """One step of Adam down a gradient that is clipped to MAX_NORM."""
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads)))
    grads = jax.tree.map(lambda g: g * jnp.minimum(1, MAX_NORM / norm), grads)
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], grads)
    second = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g**2, moments[1], grads)
    rate = learning_rate * jnp.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    moved = jax.tree.map(lambda p, m, s: p - rate * m / (jnp.sqrt(s) + 1e-8), params, first, second)
    return moved, (first, second)


def policy_loss(actor: Any, obs: Any, act: Any, logp_old: Any, adv: Any) -> Any:
    logp = jax.nn.log_softmax(apply(actor, obs))[jnp.arange(len(act)), act]
    ratio = jnp.exp(logp - logp_old)
    return -jnp.minimum(ratio * adv, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * adv).mean()


def value_loss(critic: Any, obs: Any, ret: Any) -> Any:
    return ((apply(critic, obs)[:, 0] - ret) ** 2).mean()


def update(row: Row, carry: Any, _: Any) -> Any:
    """A rollout and all epochs on it."""

    def step(carry: Any, _: Any) -> Any:
        key, states, elapsed = carry
        key, acting, resetting = random.split(key, 3)
        logits = apply(actor, states)
        act = random.categorical(acting, logits)
        logp = jax.nn.log_softmax(logits)[jnp.arange(row.num_envs), act]
        moved, elapsed = jax.vmap(cartpole)(states, act), elapsed + 1
        terminated = (jnp.abs(moved[:, 0]) > 2.4) | (jnp.abs(moved[:, 2]) > 12 * jnp.pi / 180)
        done = terminated | (elapsed >= LIMIT)
        fresh = random.uniform(resetting, (row.num_envs, 4), minval=-0.05, maxval=0.05)
        value, final_value = apply(critic, states)[:, 0], apply(critic, moved)[:, 0]
        new = jnp.where(done[:, None], fresh, moved), jnp.where(done, 0, elapsed)
        return (key, *new), Transition(states, act, logp, value, jnp.ones(row.num_envs), terminated, done, final_value)

    def trace(adv: Any, t: Transition) -> Any:
        delta = t.rew + GAMMA * jnp.where(t.terminated, 0, t.final_value) - t.value
        adv = delta + GAMMA * LAMBDA * jnp.where(t.done, 0, adv)
        return adv, adv

    key, states, elapsed, actor, critic, moments, vf_moments, count = carry
    (key, states, elapsed), batch = lax.scan(step, (key, states, elapsed), None, row.n_steps)
    _, adv = lax.scan(trace, jnp.zeros(row.num_envs), batch, reverse=True)
    obs, act, logp, ret = batch.obs.reshape(-1, 4), batch.act.ravel(), batch.logp.ravel(), (adv + batch.value).ravel()
    adv = (adv.ravel() - adv.mean()) / (adv.std() + 1e-8)

    def minibatch(carry: Any, rows: Any) -> Any:
        actor, critic, moments, vf_moments, count = carry
        count += 1
        grads = jax.grad(policy_loss)(actor, obs[rows], act[rows], logp[rows], adv[rows])
        vf_grads = jax.grad(value_loss)(critic, obs[rows], ret[rows])
        actor, moments = adam(grads, moments, actor, count, LEARNING_RATE)
        critic, vf_moments = adam(vf_grads, vf_moments, critic, count, VF_LEARNING_RATE)
        return (actor, critic, moments, vf_moments, count), None

    key, shuffling = random.split(key)
    orders = jax.vmap(lambda k: random.permutation(k, len(obs)))(random.split(shuffling, row.n_epochs))
    learnt, _ = lax.scan(minibatch, (actor, critic, moments, vf_moments, count), orders.reshape(-1, row.minibatch_size))
    return (key, states, elapsed, *learnt), batch.done.sum()


def jax_run(row: Row) -> Callable[[], tuple[float, float]]:
    """A function that trains the JAX side for row.steps more: steps per second, and the mean length of episodes."""
    key, first, second = random.split(random.key(0), 3)
    nets = network(first, 2), network(second, 1)
    actor_moments, critic_moments = (jax.tree.map(jnp.zeros_like, (net, net)) for net in nets)
    carry = key, jnp.zeros((row.num_envs, 4)), jnp.zeros(row.num_envs, int), *nets, actor_moments, critic_moments, 0
    updates = row.steps // (row.num_envs * row.n_steps)
    whole = jax.jit(lambda carry: lax.scan(partial(update, row), carry, None, updates))
    carry, _ = jax.block_until_ready(whole(carry))  # compiles

    def sample() -> tuple[float, float]:
        nonlocal carry
        start = time.perf_counter()
        carry, ended = jax.block_until_ready(whole(carry))
        steps = updates * row.num_envs * row.n_steps
        return steps / (time.perf_counter() - start), steps / max(int(ended.sum()), 1)

    return sample


def minipg_run(row: Row) -> Callable[[], float]:
    """Sampling the steps per second of minipg."""
    agent = PPO(
        "CartPole-v1", num_envs=row.num_envs, n_steps=row.n_steps, n_epochs=row.n_epochs, vf_epochs=row.n_epochs,
        minibatch_size=row.minibatch_size, vf_minibatch_size=row.minibatch_size, hidden=SIZES[1:], gamma=GAMMA,
        gae_lambda=LAMBDA, learning_rate=LEARNING_RATE, vf_learning_rate=VF_LEARNING_RATE, clip_range=CLIP,
        max_grad_norm=MAX_NORM, schedule="constant", clip_schedule="constant",
    )  # fmt: skip
    agent.learn(row.steps, progress=False)

    def sample() -> float:
        before, start = agent.steps, time.perf_counter()
        agent.learn(row.steps, progress=False)
        return (agent.steps - before) / (time.perf_counter() - start)

    return sample


def main() -> None:
    """Print the table."""
    if sys.argv[1:] == ["--check"]:
        for name, row in ROWS.items():
            sample = jax_run(row)
            print(name, "mean length:", *(f"{sample()[1]:.0f}" for _ in range(ROUNDS)))
        return
    bench, lines = Bench(say=print), []
    for name, row in ROWS.items():
        ours, theirs, in_jax = Side("minipg"), Side("JAX, one program"), jax_run(row)
        sides = {ours: minipg_run(row), theirs: lambda in_jax=in_jax: in_jax()[0]}
        samples = bench.interleave(name, "steps/s", sides, ROUNDS)
        lines += [line_of(name, "PPO CartPole-v1", side, samples[side], "steps/s") for side in samples]
        ratios = paired(samples[ours], samples[theirs])
        lines.append(line_of(name, "PPO CartPole-v1", "minipg ÷ JAX", ratios, "×", goal=3))
    print(head_text(head(bench)))
    print(table(lines))


if __name__ == "__main__":
    main()
