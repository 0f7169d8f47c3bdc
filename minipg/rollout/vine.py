"""Vine sampling  (TR-13): advantages from short rollouts that branch off a trajectory.

In K states of a rollout, chosen uniformly, M actions are tried. Each is followed for L steps under the policy:

    Q̂(s,a) = Σ_{t<L} γᵗ r_t + γᴸ V(s_L)        up to the end of the episode; 0 after a termination

The branches of one state use common random numbers, for the policy's later actions and in the environment. So they
differ only by the effect of their first actions.

Rows (s, a, Â), a branch each, are chosen so that the mean of r Â over them, r = π_θ(a|s)/π(a|s), is the estimate of
(1/K) Σ_s [E_{a∼π_θ} Q(s,a) − E_{a∼π} Q(s,a)], the local objective over these states  (TR-2):

    each of the |A| actions once    Â = |A| π(a|s) (Q̂(s,a) − Σ_b π(b|s) Q̂(s,b))
        (1/|A|) Σ_a r Â = Σ_a π_θ(a|s) Q̂(s,a) − Σ_b π(b|s) Q̂(s,b): exact, no action is sampled.
    M actions drawn from π          Â_m = Q̂_m − mean of the other branches' Q̂ = M/(M−1) (Q̂_m − Q̄)
        E[r(a_m) Q̂_m] = E_{π_θ} Q, and of the others r is independent with mean 1: unbiased at every θ.

The self-normalised Σ r Q̂ / Σ r equals Q̄ + (M−1)/M · (mean of r Â) / (mean of r): at θ = π its gradient is (M−1)/M of
that of the mean of r Â, the same direction; away from π it is biased. Every state has the same number of rows, so a
mean over rows of a function of the state (KL, Fisher matrix) is the mean over the rollout set.

If the networks are on a device, so are the rows. Every step copies the observations of all branches to the device and
their actions back; V of the last states is copied back once. Q̂, discounts and flags are on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from minipg.checks import Array
from minipg.distribution import Distribution
from minipg.envs import guarded
from minipg.errors import EnvironmentFault
from minipg.rollout.batch import Batch, Branches
from minipg.rollout.collector import Collector
from minipg.rollout.normalizer import scaled
from minipg.runtime.backend import to_host

if TYPE_CHECKING:  # it imports the compiled environments, which are loaded when they are used
    from minipg.envs.snapshots import Snapshots


class VineSettings(Protocol):
    """The settings of vine sampling."""

    @property
    def n_steps(self) -> int: ...
    @property
    def gamma(self) -> float: ...
    @property
    def vine_states(self) -> int: ...
    @property
    def vine_branches(self) -> int: ...
    @property
    def vine_length(self) -> int: ...


def collect_with_branches(
    collector: Collector,
    snapshots: Snapshots,
    theta: Array,
    value: Callable[[Array], Array],
    settings: VineSettings,
    rng: np.random.Generator,
) -> Batch:
    """A rollout, not changed by the branches, and branches from `vine_states` of its states.

    `value` is the critic's V, (B, O) → (B,). `rng` chooses the states, and draws the actions in the branches.
    """
    batch, chosen, states = _rollout_set(collector, snapshots, theta, settings, rng)
    policy, distribution = collector.policy, collector.policy.distribution
    xp, up = policy.backend.xp, policy.backend.to_device
    obs = batch.obs.reshape(batch.rew.size, -1)[up(chosen)]
    first = branching(distribution, policy.forward(theta, obs).params, settings.vine_branches, rng)
    noise = up(distribution.noise(rng, (settings.vine_length - 1, len(obs)), collector.dtype))
    with np.errstate(over="ignore"):  # a number too large for the dtype becomes infinite; `_finite` finds it
        follower = Follower(collector, snapshots, theta, value, settings.gamma)
        q, steps = follower.returns(states, first.act, noise)
    act = first.act.reshape(q.size, *first.act.shape[2:])
    paid = up(np.stack([branch_advantages(q, first.probability), q]).reshape(2, q.size).astype(collector.dtype))
    return batch._replace(branches=Branches(xp.concatenate([obs] * len(q)), act, paid[0], paid[1], steps))


def _rollout_set(
    collector: Collector, snapshots: Snapshots, theta: Array, settings: VineSettings, rng: np.random.Generator
) -> tuple[Batch, Array, list[Any]]:
    """A rollout, the chosen flat rows (K,) of it, and the saved environment states of these rows."""
    envs, chosen = collector.envs.num_envs, np.zeros(0, np.int64)
    rows = settings.n_steps * envs
    while not len(chosen):  # all chosen rows were resets, which can happen in a short rollout of few environments
        at = np.sort(rng.choice(rows, min(settings.vine_states, rows), replace=False))
        saved: dict[int, Any] = {}

        def before_step(t: int, at: Array = at, saved: dict[int, Any] = saved) -> None:
            first = t * envs
            for row in at[np.searchsorted(at, first) : np.searchsorted(at, first + envs)].tolist():
                saved[row] = snapshots.save(row - first)

        batch = collector.collect(theta, settings.n_steps, before_step)
        chosen = at[batch.valid.ravel()[at]]
    return batch, chosen, [saved[row] for row in chosen.tolist()]


class Branching(NamedTuple):
    """M first actions (M, K, …) in each of K states; π(a|s) (M, K) on the host if they are all actions, else None."""

    act: Array
    probability: Array | None


def branching(distribution: Distribution, params: Array, branches: int, rng: np.random.Generator) -> Branching:
    """Every action once if there are at most `branches` actions, else `branches` samples.   params (K, D)."""
    states, xp, up = len(params), distribution.backend.xp, distribution.backend.to_device
    if distribution.name == "categorical" and distribution.size <= branches:
        act = up(np.repeat(np.arange(distribution.size)[:, None], states, axis=1))
        log_prob = xp.stack([distribution.log_prob(params, act[m]) for m in range(len(act))])
        probability = np.exp(to_host(log_prob).astype(np.float64))
        return Branching(act, probability / probability.sum(axis=0))
    noise = up(distribution.noise(rng, (branches, states), params.dtype.type))
    return Branching(xp.stack([distribution.sample(params, noise[m]) for m in range(branches)]), None)


def branch_advantages(q: Array, probability: Array | None) -> Array:
    """Â of every branch, by the equations at the top of this file.   q (M, K), probability (M, K) or None → (M, K)."""
    branches = len(q)
    if probability is not None:
        return branches * probability * (q - (probability * q).sum(axis=0))
    return branches / (branches - 1) * (q - q.mean(axis=0))


@dataclass(frozen=True)
class Follower:
    """Follows branches with π_θ, V and γ, and the current statistics and spaces of the collector."""

    collector: Collector
    snapshots: Snapshots
    theta: Array
    value: Callable[[Array], Array]
    gamma: float

    def returns(self, states: list[Any], act: Array, noise: Array) -> tuple[Array, int]:
        """Q̂ (M, K), on the host, of the first actions act (M, K, …) in K saved states, and the number of steps taken.

        noise (L − 1, K, …): the random numbers of the later actions, the same in all M branches of a state. The
        environments are restored afterwards.
        """
        branches, count = act.shape[:2]
        width = self.snapshots.width
        high, wide = (branches, count) if width is None else (1, width)
        q, steps = np.empty((branches, count)), 0
        with self.snapshots.apart():
            for m in range(0, branches, high):
                for k in range(0, count, wide):
                    here = slice(m, m + high), slice(k, k + wide)
                    q[here], taken = self._followed(states[here[1]], act[here], noise[:, here[1]])
                    steps += taken
        return q, steps

    def _followed(self, states: list[Any], act: Array, noise: Array) -> tuple[Array, int]:
        """`returns` for at most as many branches as the environments step at once.

        The networks compute blocks of K rows, so all branches of a state are in the same row of products of the same
        size: equal inputs give equal bits.
        """
        branches, count = act.shape[:2]
        lanes, collector, policy = branches * count, self.collector, self.collector.policy
        xp = policy.backend.xp
        self.snapshots.begin(states * branches)
        obs: Array = np.zeros((lanes, collector.observations.size), collector.obs_dtype)
        q, discount, going, steps = np.zeros(lanes), np.ones(lanes), np.ones(lanes, bool), 0
        for t in range(len(noise) + 1):
            if t > 0:
                params = [policy.forward(self.theta, block).params for block in self._seen(obs, count)]
                act = xp.stack([policy.distribution.sample(one, noise[t - 1]) for one in params])
            actions = collector.actions.to_env(to_host(act).reshape(lanes, *act.shape[2:]))
            raw, rew, terminated, truncated = guarded(f"at step {t} of a branch", self.snapshots.step, actions, going)
            steps += int(going.sum())
            next_obs = collector.observations.rows(raw, lanes)[going]
            obs[going] = _finite("observation", np.array(next_obs, collector.obs_dtype))
            q[going] += discount[going] * self._scaled(rew[going])
            discount[going] *= self.gamma
            discount[terminated] = 0
            going = going & ~(terminated | truncated)
            if not going.any():
                break
        last_value = to_host(xp.stack([self.value(block) for block in self._seen(obs, count)]))
        return q.reshape(branches, count) + discount.reshape(branches, count) * last_value, steps

    def _seen(self, obs: Array, count: int) -> list[Array]:
        """The observations (M·K, O), normalised, in M blocks (K, O), where the networks compute."""
        rows, normalizer = self.collector.policy.backend.to_device(obs), self.collector.normalizer
        rows = rows if normalizer is None else normalizer(rows)
        return [rows[first : first + count] for first in range(0, len(rows), count)]

    def _scaled(self, rew: Array) -> Array:
        rew = _finite("reward", rew)
        rew = np.sign(rew) if self.collector.clip_reward else rew
        return rew if self._deviation is None else scaled(rew, self._deviation)

    @cached_property
    def _deviation(self) -> Array | None:
        """σ(R), the divisor of rewards, on the host."""
        return None if self.collector.scaler is None else to_host(self.collector.scaler.deviation)


def _finite(what: str, values: Array) -> Array:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = values[~np.isfinite(values)][0]
        raise EnvironmentFault(f"{what} {bad} in a branch: expected finite numbers; the agent was not updated with it")
    return values
