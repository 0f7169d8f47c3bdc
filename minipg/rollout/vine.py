"""Vine sampling  (TR-13): advantages from branches that leave a trajectory where it passed.

In K states of a rollout, chosen uniformly, M actions are tried. Each is followed for L steps under the policy:

    Q̂(s,a) = Σ_{t<L} γᵗ r_t + γᴸ V(s_L)        up to the episode's end; nothing follows a termination

The branches of one state have their random numbers in common: those of the policy's later actions, and those of the
environment. What is left between them is the difference that their first actions made.

Rows (s, a, Â), a branch each, are chosen so that the mean of r Â over them, r = π_θ(a|s)/π(a|s), is the estimate of
(1/K) Σ_s [E_{a∼π_θ} Q(s,a) − E_{a∼π} Q(s,a)], the local objective over these states  (TR-2):

    every one of |A| actions once   Â = |A| π(a|s) (Q̂(s,a) − Σ_b π(b|s) Q̂(s,b))
        (1/|A|) Σ_a r Â = Σ_a π_θ(a|s) Q̂(s,a) − Σ_b π(b|s) Q̂(s,b): no action is left to chance.
    M actions drawn from π          Â_m = Q̂_m − mean of the other branches' Q̂ = M/(M−1) (Q̂_m − Q̄)
        E[r(a_m) Q̂_m] = E_{π_θ} Q, and of the others r is independent with mean 1: unbiased at every θ.

The self-normalised Σ r Q̂ / Σ r equals Q̄ + (M−1)/M · (mean of r Â) / (mean of r): at θ = π its gradient is (M−1)/M of
that of the mean of r Â, the same direction; away from it only its own is biased. Every state has as many rows as any
other, so a mean over rows of what depends on the state alone (KL, Fisher matrix) is the mean over the rollout set.

If networks are on a device, so are the rows. What all branches show goes up, and their actions come down, once a step;
V of their ends comes down once. What is counted in between (Q̂, discounts, who is still going) is on the host.
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

if TYPE_CHECKING:  # it brings the compiled environments, which are loaded where they are used
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
    """A rollout, as it would be without them, and branches from `vine_states` of its states.

    `value` is the critic's V, (B, O) → (B,); `rng` draws which states, and whatever is drawn in the branches.
    """
    batch, chosen, states = _rollout_set(collector, snapshots, theta, settings, rng)
    policy, distribution = collector.policy, collector.policy.distribution
    xp, up = policy.backend.xp, policy.backend.to_device
    obs = batch.obs.reshape(batch.rew.size, -1)[up(chosen)]
    first = branching(distribution, policy.forward(theta, obs).params, settings.vine_branches, rng)
    noise = up(distribution.noise(rng, (settings.vine_length - 1, len(obs)), collector.dtype))
    with np.errstate(over="ignore"):  # a number too large for the dtype becomes infinite, and that is looked for
        follower = Follower(collector, snapshots, theta, value, settings.gamma)
        q, steps = follower.returns(states, first.act, noise)
    act = first.act.reshape(q.size, *first.act.shape[2:])
    paid = up(np.stack([branch_advantages(q, first.probability), q]).reshape(2, q.size).astype(obs.dtype))
    return batch._replace(branches=Branches(xp.concatenate([obs] * len(q)), act, paid[0], paid[1], steps))


def _rollout_set(
    collector: Collector, snapshots: Snapshots, theta: Array, settings: VineSettings, rng: np.random.Generator
) -> tuple[Batch, Array, list[Any]]:
    """A rollout, the flat rows (K,) of it that were chosen, and the states in which those actions were taken."""
    envs, chosen = collector.envs.num_envs, np.zeros(0, np.int64)
    places = settings.n_steps * envs
    while not len(chosen):  # nothing but resets was chosen, as a short rollout of few environments may be
        at = np.sort(rng.choice(places, min(settings.vine_states, places), replace=False))
        saved: dict[int, Any] = {}

        def passing(t: int, at: Array = at, saved: dict[int, Any] = saved) -> None:
            first = t * envs
            for place in at[np.searchsorted(at, first) : np.searchsorted(at, first + envs)].tolist():
                saved[place] = snapshots.save(place - first)

        batch = collector.collect(theta, settings.n_steps, passing)
        chosen = at[batch.valid.ravel()[at]]
    return batch, chosen, [saved[place] for place in chosen.tolist()]


class Branching(NamedTuple):
    """M first actions (M, K, …) in each of K states, and on the host π(a|s) (M, K) where they are all, else None."""

    act: Array
    probability: Array | None


def branching(distribution: Distribution, params: Array, branches: int, rng: np.random.Generator) -> Branching:
    """Every action once where they are no more than `branches`; as many draws elsewhere.   params (K, D)."""
    states, xp, up = len(params), distribution.backend.xp, distribution.backend.to_device
    if distribution.name == "categorical" and distribution.size <= branches:
        act = up(np.repeat(np.arange(distribution.size)[:, None], states, axis=1))
        log_prob = xp.stack([distribution.log_prob(params, act[m]) for m in range(len(act))])
        probability = np.exp(to_host(log_prob).astype(np.float64))
        return Branching(act, probability / probability.sum(axis=0))
    noise = up(distribution.noise(rng, (branches, states), params.dtype.type))
    return Branching(xp.stack([distribution.sample(params, noise[m]) for m in range(branches)]), None)


def branch_advantages(q: Array, probability: Array | None) -> Array:
    """The Â above.   q (M, K), probability (M, K) or None → (M, K)."""
    branches = len(q)
    if probability is not None:
        return branches * probability * (q - (probability * q).sum(axis=0))
    return branches / (branches - 1) * (q - q.mean(axis=0))


@dataclass(frozen=True)
class Follower:
    """What a branch is followed with: π_θ, V, γ, and the statistics and spaces of the collector, as they stand."""

    collector: Collector
    snapshots: Snapshots
    theta: Array
    value: Callable[[Array], Array]
    gamma: float

    def returns(self, states: list[Any], act: Array, noise: Array) -> tuple[Array, int]:
        """Q̂ (M, K), on the host, of the first actions act (M, K, …) in K saved states, and the steps that were taken.

        noise (L − 1, K, …) becomes the actions that follow, in all M branches of a state alike. The environments stand
        afterwards where they stood.
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
        """The same of as many branches as there are lanes, side by side.

        Networks see a block of K rows at a time, so that all branches of a state stand in the same row of a product of
        the same size: what is equal stays equal to the last bit.
        """
        branches, count = act.shape[:2]
        lanes, collector, xp = branches * count, self.collector, self.collector.policy.backend.xp
        self.snapshots.begin(states * branches)
        shown: Array = np.zeros((lanes, collector.observations.size), collector.dtype)
        q, discount, going, steps = np.zeros(lanes), np.ones(lanes), np.ones(lanes, bool), 0
        for t in range(len(noise) + 1):
            if t > 0:
                act = xp.stack([self._act(block, noise[t - 1]) for block in self._seen(shown, count)])
            told = collector.actions.to_env(to_host(act).reshape(lanes, *act.shape[2:]))
            raw, rew, terminated, truncated = guarded(f"at step {t} of a branch", self.snapshots.step, told, going)
            steps += int(going.sum())
            following = collector.observations.rows(raw, lanes)[going]
            shown[going] = _finite("observation", np.array(following, collector.dtype))
            q[going] += discount[going] * self._scaled(rew[going])
            discount[going] *= self.gamma
            discount[terminated] = 0
            going = going & ~(terminated | truncated)
            if not going.any():
                break
        after = to_host(xp.stack([self.value(block) for block in self._seen(shown, count)]))
        return q.reshape(branches, count) + discount.reshape(branches, count) * after, steps

    def _act(self, obs: Array, noise: Array) -> Array:
        policy = self.collector.policy
        return policy.distribution.sample(policy.forward(self.theta, obs).params, noise)

    def _seen(self, shown: Array, count: int) -> list[Array]:
        """What the environments show (M·K, O), as the networks see it: M blocks (K, O), where these compute."""
        rows, normalizer = self.collector.policy.backend.to_device(shown), self.collector.normalizer
        rows = rows if normalizer is None else normalizer(rows)
        return [rows[first : first + count] for first in range(0, len(rows), count)]

    def _scaled(self, rew: Array) -> Array:
        rew = _finite("reward", rew)
        return rew if self._deviation is None else scaled(rew, self._deviation)

    @cached_property
    def _deviation(self) -> Array | None:
        """What rewards are divided by, on the host."""
        return None if self.collector.scaler is None else to_host(self.collector.scaler.deviation)


def _finite(what: str, values: Array) -> Array:
    if not np.isfinite(values).all():
        bad = values[~np.isfinite(values)][0]
        raise EnvironmentFault(f"{what} {bad} in a branch: expected finite numbers; nothing was learnt from it")
    return values
