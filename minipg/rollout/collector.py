"""The collector: it steps the environments and returns one Batch per rollout."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from minipg.checks import Array, as_array, fitting
from minipg.envs import LIFE_LOST, MASK, ActionCodec, ObservationCodec, column, guarded, infos_of, shown_choices
from minipg.errors import EnvironmentFault, ShapeError
from minipg.policy import MaskedPolicy, Policy
from minipg.rollout.batch import (
    Batch,
    RunningEpisodes,
    copied,
    ended_episodes,
    ends_of_episodes,
    first_episodes,
    joined,
)
from minipg.rollout.normalizer import ObservationNormalizer, RewardScaler
from minipg.runtime.backend import to_host
from minipg.runtime.threads import OneBlasThread

_ENDLESS = 100_000  # steps: a longer episode is taken not to end
_LARGEST_REWARD = 1e15
_warn = logging.getLogger("minipg").warning


class Collector:
    """Steps a vector environment with a policy's sampled actions.

    `seed` resets the environments; with `state`, from another collector's `state()`, they continue from there. `rng`
    draws the random numbers of the actions. `normalizer` and `scaler`, if given, are updated in every step. With
    `clip_reward`, the batch has the signs of the rewards; returns of episodes are as the environment pays. An
    observation or reward that is not finite raises EnvironmentFault. If the policy computes on a device, every step
    copies its observations there and its actions back; all other arrays are copied once a rollout.

    Observations of bytes (uint8, int8) stay bytes in the batch, without a normalizer; all others are of `dtype`.

    Attributes: `obs` (N, O), the current observations; `running`, the current episode of every environment.
    """

    def __init__(
        self,
        envs: VectorEnv[Any, Any, Any],
        policy: Policy,
        *,
        seed: int,
        rng: np.random.Generator,
        dtype: type = np.float32,
        normalizer: ObservationNormalizer | None = None,
        scaler: RewardScaler | None = None,
        clip_reward: bool = False,
        state: dict[str, Array] | None = None,
    ) -> None:
        self.policy: Any = policy  # agents with a replay set another one
        self.envs, self.rng, self.dtype = envs, rng, dtype
        self.normalizer, self.scaler, self.clip_reward = normalizer, scaler, clip_reward
        kind, masked = policy.distribution.name, isinstance(policy, MaskedPolicy)
        spaces = envs.single_observation_space, envs.single_action_space
        self.observations = ObservationCodec(spaces[0], shown_choices(*spaces) if masked else ())
        self.actions = ActionCodec(envs.single_action_space, kind == "squashed", kind == "deterministic")
        self.next_step_reset = envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
        self._said_unread = False
        self.obs_dtype = np.dtype(dtype) if normalizer or not self.observations.bytes else self.observations.bytes
        self.steps, self._in_one_call = 0, None if clip_reward else _in_one_call(envs, policy)
        if state is None:
            self._restart(seed)
        else:
            self._restore(state)

    def _restart(self, seed: int | None) -> None:
        n = self.envs.num_envs
        self.running = RunningEpisodes(np.zeros(n), np.zeros(n, np.int64))
        self._resetting = np.zeros(n, bool)
        if self.scaler is not None:
            self.scaler.running[:] = 0
        raw, infos = self._guarded(self.envs.reset, seed=seed)
        self._say_unread(infos)
        first = self._rows(self._guarded(self.observations.rows, raw, n), "observation")
        self.obs = self._normalized(first, self._resetting)

    def state(self) -> dict[str, Array]:
        """The state between two rollouts, the environments' included; {} if these cannot save theirs."""
        save_state = getattr(self.envs, "save_state", None)
        if save_state is None:
            return {}
        state = {"steps": np.array(self.steps), "obs": to_host(self.obs), "resetting": self._resetting}
        state |= self.running._asdict() | ({} if self.scaler is None else {"discounted": to_host(self.scaler.running)})
        own = {name: array.copy() for name, array in state.items()}
        return own | {f"env.{name}": array for name, array in save_state().items()}

    def _restore(self, state: dict[str, Array]) -> None:
        """The inverse of `state`. Raises ShapeError for the state of other environments."""
        n = self.envs.num_envs
        like = {"steps": np.array(0), "obs": np.zeros((n, self.observations.size), self.obs_dtype)}
        like |= {"resetting": np.zeros(n, bool), "returns": np.zeros(n), "lengths": np.zeros(n, np.int64)}
        like |= {} if self.scaler is None else {"discounted": self.scaler.running}
        mine = fitting({name: array for name, array in state.items() if not name.startswith("env.")}, like)
        if not np.isfinite(mine["obs"]).all():
            raise ShapeError("obs: expected finite numbers")
        if mine["resetting"].any() and not self.next_step_reset:
            raise ShapeError("resetting: expected False everywhere, of environments that reset in the same step")
        self.steps, self.obs, self._resetting = int(mine["steps"]), self._to_device(mine["obs"]), mine["resetting"]
        self.running = RunningEpisodes(mine["returns"], mine["lengths"])
        if self.scaler is not None:
            self.scaler.running = self._to_device(mine["discounted"])
        restore_state = getattr(self.envs, "restore_state", None)
        if restore_state is None:
            raise ShapeError("env: these environments cannot restore a saved state")
        restore_state({k.removeprefix("env."): v for k, v in state.items() if k.startswith("env.")})

    def collect(self, theta: Array, n_steps: int, before_step: Callable[[int], None] | None = None) -> Batch:
        """`n_steps` steps of every environment under π_θ. The batch is valid until the next call.

        `before_step(t)`, if given, is called before step t, when the environments may be saved.
        """
        if before_step is None and self._in_one_call is not None:
            with OneBlasThread():
                return self._collected_in_one_call(self._in_one_call, theta, n_steps)
        # a number too large for the dtype becomes infinite; `_checked` finds it
        with np.errstate(over="ignore"), OneBlasThread():
            return self._collected(theta, n_steps, before_step)

    def collect_episodes(self, theta: Array, episodes: int, n_steps: int) -> Batch:
        """The next `episodes` whole episodes of every environment under π_θ, from a reset, `n_steps` at a time.

        The further steps of an environment that has finished its episodes are not valid. Raises EnvironmentFault if
        an episode does not end.
        """
        if self.steps:
            self._restart(None)
        parts, ended, first_step = [], np.zeros(self.envs.num_envs, np.int64), self.steps
        while (ended < episodes).any():
            if self.steps - first_step > _ENDLESS * self.envs.num_envs * episodes:
                what = f"has not ended {episodes} episodes in {_ENDLESS * episodes:,} steps"
                hint = "whole episodes have to end; set a time limit"
                raise EnvironmentFault(f"environment {int(np.argmin(ended))} {what}: {hint}")
            batch = self.collect(theta, n_steps)
            parts.append(copied(batch))  # the next rollout overwrites it
            ended += ends_of_episodes(parts[-1]).sum(axis=0)
        return first_episodes(joined(parts), episodes)

    def _collected_in_one_call(self, rollout: Callable[..., tuple[Batch, bool]], theta: Array, n_steps: int) -> Batch:
        draw = getattr(rollout, "noise", self.policy.distribution.noise)  # a rollout on a device draws its own noise
        noise = draw(self.rng, (n_steps, self.envs.num_envs), self.dtype)
        moments = [one.moments for one in (self.normalizer, self.scaler) if one is not None]
        before = [moment.state() for moment in moments]
        batch, finite = rollout(theta, self.obs, noise, self.running, self.normalizer, self.scaler)
        try:
            if not finite:
                self.look_over(*map(to_host, (batch.act, batch.obs, batch.last_obs, batch.final_obs, batch.rew)))
        except EnvironmentFault:  # the statistics have counted the bad number
            for moment, state in zip(moments, before, strict=True):
                moment.restore(state)
            raise
        self.steps += batch.rew.size
        self.obs = batch.last_obs
        return batch

    def look_over(self, act: Array, obs: Array, last_obs: Array, final_obs: Array, rew: Array) -> None:
        """Raise EnvironmentFault for the first number of a rollout that is not finite. Shapes as in a Batch."""
        after = len(rew)
        for values, what, first in (
            (act, "action", 0),
            (obs, "observation", 0),
            (last_obs[None], "observation", after),
            (final_obs[None], "final observation", after),
            (rew, "reward", 0),
        ):
            for t, row in enumerate(values, first):
                self._checked(row, what, after=t * self.envs.num_envs)

    def _collected(self, theta: Array, n_steps: int, before_step: Callable[[int], None] | None) -> Batch:
        envs, policy = self.envs, self.policy
        n, distribution, xp = envs.num_envs, policy.distribution, policy.backend.xp
        obs: Array = xp.empty((n_steps, n, self.observations.size), self.obs_dtype)
        noise = self._to_device(distribution.noise(self.rng, (n_steps, n), self.dtype))
        act: Array = xp.empty(noise.shape, np.int64 if distribution.discrete else self.dtype)
        params: Array = xp.empty((n_steps, n, distribution.n_params), self.dtype)
        rew: Array = np.empty((n_steps, n))
        terminated, truncated, dropped, life_lost = np.empty((4, n_steps, n), bool)
        resetting = np.empty((n_steps + 1, n), bool)
        resetting[:] = self._resetting
        sample = policy.acting(as_array("theta", theta, (policy.layout.size,), self.dtype, xp), n)
        final_obs: list[Array] = []
        final_at: list[int] = []

        for t in range(n_steps):
            if before_step is not None:
                before_step(t)
            obs[t] = self.obs
            sample(obs[t], noise[t], params[t], act[t])
            action = to_host(act[t])
            if not distribution.discrete:
                self._checked(action, "action")
            self.steps += n
            action = self.actions.to_env(action)
            rows, rew[t], terminated[t], truncated[t], infos = self._guarded(self._step, action)
            next_obs = self._rows(rows, "observation")
            self._checked(rew[t].astype(self.dtype), "reward")
            dropped[t] = infos.get("minipg.dropped", False)
            life_lost[t] = infos.get(LIFE_LOST, False)
            self._say_unread(infos)
            if self.next_step_reset:
                self._resetting = resetting[t + 1] = terminated[t] | truncated[t]
            if np.count_nonzero(truncated[t]):
                for i in np.flatnonzero(truncated[t] & ~terminated[t]).tolist():
                    final_at.append(t * n + i)
                    final_obs.append(next_obs[i : i + 1] if self.next_step_reset else self._final(infos, i))
            self.obs = self._normalized(next_obs, self._resetting)

        truncated &= ~terminated
        valid = ~(resetting[:-1] | dropped)
        returns, lengths = ended_episodes(rew, terminated | truncated, valid, dropped, self.running)
        life_lost &= valid & ~(terminated | truncated)
        terminated |= life_lost
        finals = self._to_device(
            np.concatenate(final_obs) if final_obs else np.empty((0, self.observations.size), self.obs_dtype)
        )
        ended, cut = self._to_device(terminated), self._to_device(truncated)
        return Batch(
            obs, act, params, self._scaled(rew, ended | cut, valid, dropped), ended, cut, valid, dropped, life_lost,
            self.obs, finals if self.normalizer is None else self.normalizer(finals),
            self._to_device(np.array(final_at, np.int64)), returns, lengths,
        )  # fmt: skip

    def _scaled(self, rew: Array, done: Array, valid: Array, dropped: Array) -> Array:
        """The rewards (T, N), clipped and divided by the running deviation as set, where the backend computes."""
        rew = np.sign(rew) if self.clip_reward else rew
        if self.scaler is None:
            if (largest := np.abs(rew).max()) > _LARGEST_REWARD:
                raise EnvironmentFault(
                    f"reward of size {largest:g} before step {self.steps}: expected at most {_LARGEST_REWARD:g}, as "
                    "squares of returns have to be finite (normalize_reward takes any reward); "
                    "the agent was not updated with it"
                )
            return self._to_device(rew.astype(self.dtype))
        rew, ends = self._to_device(rew), done | self._to_device(dropped)
        scaled: Array = self.policy.backend.xp.empty(rew.shape, self.dtype)
        for t in range(len(rew)):
            scaled[t] = self.scaler(rew[t], ends[t], valid[t])
        return scaled

    def _to_device(self, array: Array) -> Array:
        return self.policy.backend.to_device(array)

    def _step(self, action: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """A step of the environments: rows of observations (N, O), rewards (N,), both flags (N,), infos."""
        raw, reward, terminated, truncated, infos = self.envs.step(action)
        n = self.envs.num_envs
        rewards = column("rewards", reward, n, "biuf", "real numbers")
        ended, cut = (column("flags", flag, n, "biu", "of True or False") for flag in (terminated, truncated))
        return self.observations.rows(raw, n), rewards, ended, cut, infos_of(infos, n)

    def _guarded(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return guarded(f"at step {self.steps}", call, *args, **options)

    def _rows(self, rows: Array, what: str, first: int = 0) -> Array:
        """A checked copy of the rows in the batch's dtype: the environments may reuse their arrays."""
        return self._checked(np.array(rows, self.obs_dtype, order="C"), what, first)

    def _say_unread(self, infos: dict[str, Any]) -> None:
        """Log a line, once, for masks that the policy does not know."""
        if MASK in infos and not (self.observations.masks or self._said_unread):
            self._said_unread = True
            _warn(
                "masks of allowed actions are in the infos and are not read, so forbidden actions are taken: they have "
                "to be in those of reset too, and a vector environment's are not read (pass its id or a function)"
            )

    def _final(self, infos: dict[str, Any], i: int) -> Array:
        if "final_obs" not in infos:
            raise EnvironmentFault("the vector environment resets in the same step but gives no infos['final_obs']")
        return self._rows(self._guarded(self.observations.row, infos["final_obs"][i], i)[None], "final observation", i)

    def _normalized(self, obs: Array, resetting: Array) -> Array:
        """The observations, normalised after the statistics have counted them.

        A `resetting` (N,) environment shows the last observation of an episode. It is not counted.
        """
        obs = self._to_device(obs)
        if self.normalizer is None:
            return obs
        self.normalizer.update(obs[self._to_device(np.flatnonzero(~resetting))] if np.count_nonzero(resetting) else obs)
        return self.normalizer(obs)

    def _checked(self, values: Array, what: str, first: int = 0, after: int = 0) -> Array:
        """`values`, rows from environment `first` on. Raises EnvironmentFault for a number that is not finite."""
        if values.dtype.kind in "iu":  # no integer is infinite, and frames have many
            return values
        finite = np.isfinite(values)
        if np.count_nonzero(finite) < finite.size:
            bad = np.argwhere(~finite)[0]
            where = f"environment {first + bad[0]}" + (f", component {bad[1]}" if len(bad) > 1 else "")
            raise EnvironmentFault(
                f"{what} {values[tuple(bad)]} from {where} at step {self.steps + after}: expected finite numbers; "
                "the agent was not updated with it"
            )
        return values


def _in_one_call(envs: VectorEnv[Any, Any, Any], policy: Policy) -> Callable[..., tuple[Batch, bool]] | None:
    """The rollout in one kernel call, if there is one for these environments and this policy."""
    if not hasattr(envs, "in_kernels"):
        return None
    if hasattr(envs, "tally"):
        from minipg.rollout.device import on_device

        return on_device(envs, policy)
    from minipg.rollout.compiled import compiled_rollout  # imported here: other environments do not need its kernels

    return compiled_rollout(envs, policy)
