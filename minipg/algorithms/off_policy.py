"""What DDPG and TD3 share: environments fill a replay, and every step of them pays for gradient steps on it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import gymnasium as gym
import numpy as np

from minipg.algorithms.agent import Agent
from minipg.algorithms.agent_file import AgentFile
from minipg.algorithms.config import OffPolicyConfig
from minipg.algorithms.critic import Outcome
from minipg.checks import Array
from minipg.deterministic import DeterministicPolicy
from minipg.envs import ActionCodec
from minipg.errors import AgentFileError
from minipg.network import MLP
from minipg.q_value import CriticState, QNetwork
from minipg.rollout import Batch, Collector
from minipg.rollout.exploration import Explorer, Noise, NormalNoise, OrnsteinUhlenbeckNoise, UniformNoise
from minipg.rollout.replay import Replay, Transitions
from minipg.rollout.replay_files import ReplayFiles, checked, unfinished_chunk
from minipg.runtime.backend import to_host

ConfigT = TypeVar("ConfigT", bound=OffPolicyConfig)


class OffPolicyState(NamedTuple):
    """The policy's Adam moments (P,) and steps, the target networks (P,) and (K, P_q), and the noise (N, A)."""

    first: Array
    second: Array
    step: int
    target: Array
    critic_target: Array
    noise: Array


class OffPolicyInfo(NamedTuple):
    """Metrics of gradient steps."""

    status: str
    """ok, `collecting` before the first gradient step, or why nothing was learnt."""
    q_value: float = math.nan
    """Mean Q(s, μ(s)) of the last batch  (DP-1)."""
    critic_loss: float = math.nan
    """Mean squared error of the critics on the last batch, before their step  (AC-1)."""
    saturation: float = math.nan
    """Share of the numbers in μ(s), s of the last batch, that are within 1 % of a bound."""
    replay: float = 0.0
    """Share of the replay that is filled."""


class Learnt(NamedTuple):
    """The result of one gradient step."""

    theta: Array
    state: OffPolicyState
    critics: CriticState
    info: OffPolicyInfo


class OffPolicyAgent(Agent[ConfigT]):
    """An agent with a replay. Its algorithm defines `_gradient_step` and the number of critics."""

    n_critics = 1

    def _action_codec(self, space: gym.Space[Any]) -> ActionCodec:
        return ActionCodec(space, scale=True)

    def _networks(self) -> tuple[DeterministicPolicy, QNetwork]:
        config, inputs, size = self.config, self.observations.size, self.actions.size
        actor = MLP((inputs, *config.hidden, size), config.activation, self.backend)
        critic = MLP((inputs + size, *config.hidden, 1), config.activation, self.backend)
        return DeterministicPolicy(actor), QNetwork(critic, self.n_critics)

    def _statistics(self) -> tuple[None, None]:
        return None, None

    def _initial_state(self) -> OffPolicyState:
        config, zeros = self.config, self.backend.xp.zeros_like(self.theta)
        self.replay = Replay(config.buffer_size, self.observations.size, self.actions.size, self.observations.stored)
        self._q_value, self._unfinished = math.nan, (0, self.replay.between(0, 0))
        noise = np.zeros((config.num_envs, self.actions.size), np.float32)
        return OffPolicyState(zeros, zeros, 0, self.theta, self.value.theta, noise)

    def _collect(self, collector: Collector) -> Batch:
        config, noise = self.config, self._noise()
        collector.policy = Explorer(self.actor, noise, mean=float(self.steps >= config.learning_starts))
        batch = collector.collect(self.theta, config.train_freq)
        if isinstance(noise, OrnsteinUhlenbeckNoise):
            ended = to_host(batch.terminated | batch.truncated)[-1]
            self.state = self.state._replace(noise=np.where(ended[:, None], np.float32(0), noise.state))
        return batch

    def _noise(self) -> Noise:
        config = self.config
        if self.steps < config.learning_starts:
            return UniformNoise()
        if config.action_noise == "normal":
            return NormalNoise(config.action_noise_std)
        return OrnsteinUhlenbeckNoise(config.action_noise_std, self.state.noise)

    def _update(self, batch: Batch, progress: float, measure: bool = True) -> Outcome:
        config, info = self.config, OffPolicyInfo("collecting")
        self.replay.add(batch)
        filled = self.replay.size / self.replay.capacity
        if self.replay.added < config.learning_starts:  # a loaded agent whose replay is lost fills it first
            return Outcome(info._replace(replay=filled))
        for _ in range(config.gradient_steps * batch.rew.size):
            chosen = self.replay.sample(self.streams.shuffling.random(config.batch_size))
            rows = Transitions(*map(self.backend.to_device, chosen))
            self.theta, self.state, self.value, info = self._gradient_step(rows)
            self._q_value = self._q_value if math.isnan(info.q_value) else info.q_value
        if measure:
            mu = to_host(self.actor.forward(self.theta, rows.obs).params)
            info = info._replace(q_value=self._q_value, saturation=float((abs(mu) > 0.99).mean()), replay=filled)
        return Outcome(info)

    @property
    def costs(self) -> str:
        steps = self.config.gradient_steps
        plural = "" if steps == 1 else "s"
        return f"{steps} gradient step{plural} per environment step, replay of up to {self.replay.bytes / 1e6:,.0f} MB"

    def unsaved_replay(self) -> dict[str, Array]:
        if self.config.replay_on_disk:
            return unfinished_chunk(self.replay)
        added = self.replay.added
        return {"added": np.array(added), **self.replay.between(added, added)._asdict()}  # no transitions

    def restore_replay(self, file: AgentFile) -> None:
        added, arrays = file.count("replay.added"), file.part("replay")
        if added > 2**53:  # sums with it have to fit in int64
            raise AgentFileError(f"{file.path}: replay.added: expected at most 2^53, got {added}")
        rows = len(arrays.get("rew", ()))
        self._unfinished = (
            added,
            Transitions(
                *(checked(file.path, arrays, name, column, rows) for name, column in self.replay.rows._asdict().items())
            ),
        )
        if added == rows:  # there is no complete chunk
            self.replay.put(0, self._unfinished[1])

    def keep_replay_in(self, folder: Path) -> str:
        """Write the replay to files in this folder from now on, and take what they hold if the agent continues.

        Returns why the replay is empty, though it was not; "" if all is as it was.
        """
        added, rows = self._unfinished
        if not self.config.replay_on_disk:
            return "it was not kept on disk" if added > self.replay.added else ""
        self.replay.files = files = ReplayFiles(folder)
        why = files.restore(self.replay, added, rows) if added > self.replay.added else ""
        files.remove_later(self.replay)
        return why

    def forget_replay(self, steps: int) -> None:
        if self.replay.files is not None:  # a step adds one transition at most
            self.replay.files.forget(self.replay, self.replay.added - steps)

    def _gradient_step(self, batch: Transitions) -> Learnt:
        raise NotImplementedError
