"""TRPO from branches of the trajectories  (TR-13): its settings, and the rows of an update. See rollout/vine.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from minipg.algorithms.advantages import Samples
from minipg.algorithms.config import OnPolicyConfig
from minipg.checks import Array
from minipg.field_docs import documented
from minipg.policy import Policy
from minipg.rollout import Batch, Collector
from minipg.rollout.vine import Branches, collect_with_branches

if TYPE_CHECKING:
    from minipg.algorithms.agent import Agent
    from minipg.envs.snapshots import Snapshots


@documented
@dataclass(frozen=True, kw_only=True)
class VineConfig(OnPolicyConfig):
    """The settings of vine sampling."""

    sampling: Literal["single-path", "vine"] = "single-path"
    """single-path (trajectories, GAE) or vine (branches from their states; their steps count too; TR-13)."""
    vine_states: int = 128
    """States of a rollout from which branches start (vine)."""
    vine_branches: int = 4
    """Actions tried in each state: samples of the policy, or every action if there are no more than this (vine)."""
    vine_length: int = 50
    """Steps of a branch; after them the critic's V is used (vine)."""


def new_snapshots(agent: Agent[Any]) -> Snapshots:
    """What saves and restores the agent's environments. Raises ConfigError if they cannot be saved."""
    from minipg.envs.snapshots import snapshots_of  # imported here: it loads the compiled environments

    return snapshots_of(agent.envs)


def collect(agent: Agent[Any], snapshots: Snapshots, collector: Collector) -> Batch:
    """A rollout, and branches from some of its states."""
    value = lambda obs: agent.critic.predict(agent.value.theta, obs)
    return collect_with_branches(collector, snapshots, agent.theta, value, agent.config, agent.streams.branching)


def samples_of(policy: Policy, theta: Array, branches: Branches) -> Samples:
    """The rows of a policy's update, one for each branch.   theta (P,) of the policy that acted."""
    params = policy.forward(theta, branches.obs).params
    return Samples(branches.obs, branches.act, branches.adv, branches.q, branches.q - branches.adv, params)
