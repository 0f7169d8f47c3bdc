"""The collector: it keeps the environments' place between rollouts and fills one Batch at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from minipg.checks import Array, as_array, fitting
from minipg.envs import ActionCodec, ObservationCodec, column, guarded
from minipg.errors import EnvironmentFault, ShapeError
from minipg.policy import Policy
from minipg.rollout.batch import Batch, ended_episodes, first_episodes, joined
from minipg.rollout.normalizer import ObservationNormalizer, RewardScaler
from minipg.runtime.backend import to_host
from minipg.runtime.threads import OneBlasThread

_ENDLESS = 100_000  # steps


class Collector:
    """Steps a vector environment with a policy's sampled actions.

    `seed` starts the environments, or they go on from the `place` where another collector left them; `rng` draws the
    noise that becomes actions. Statistics of `normalizer` and `scaler`, where given, grow with every step. An
    observation or reward that is not finite raises EnvironmentFault. If the policy computes on a device, observations
    go up and actions come down, once a step each; what else is learnt from goes up once a rollout.

    `obs` (N, O) is what the next actions answer, `tally` the return and length of every episode so far, (N,) each.
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
        place: dict[str, Array] | None = None,
    ) -> None:
        self.envs, self.policy, self.rng, self.dtype = envs, policy, rng, dtype
        self.normalizer, self.scaler = normalizer, scaler
        self.observations = ObservationCodec(envs.single_observation_space)
        self.actions = ActionCodec(envs.single_action_space, policy.distribution.name == "squashed")
        self.next_step_reset = envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
        self.steps, self._in_one_call = 0, _in_one_call(envs, policy)
        if place is None:
            self._restart(seed)
        else:
            self._go_on(place)

    def _restart(self, seed: int | None) -> None:
        n = self.envs.num_envs
        self.tally = np.zeros(n), np.zeros(n, np.int64)
        self._resetting = np.zeros(n, bool)
        if self.scaler is not None:
            self.scaler.running[:] = 0
        raw, _ = self._guarded(self.envs.reset, seed=seed)
        first = self._rows(self._guarded(self.observations.rows, raw, n), "observation")
        self.obs = self._seen(first, self._resetting)

    def place(self) -> dict[str, Array]:
        """Where the environments stand between two rollouts; nothing where they cannot say so."""
        save_state = getattr(self.envs, "save_state", None)
        if save_state is None:
            return {}
        own = {"steps": np.array(self.steps), "obs": to_host(self.obs.copy()), "resetting": self._resetting.copy()}
        own |= {name: array.copy() for name, array in zip(("returns", "lengths"), self.tally, strict=True)}
        own |= {} if self.scaler is None else {"discounted": to_host(self.scaler.running.copy())}
        return own | {f"env.{name}": array for name, array in save_state().items()}

    def _go_on(self, place: dict[str, Array]) -> None:
        """The inverse of `place`. Raises ShapeError where it is that of other environments."""
        n = self.envs.num_envs
        like = {"steps": np.array(0), "obs": np.zeros((n, self.observations.size), self.dtype)}
        like |= {"resetting": np.zeros(n, bool), "returns": np.zeros(n), "lengths": np.zeros(n, np.int64)}
        like |= {} if self.scaler is None else {"discounted": self.scaler.running}
        own = fitting({name: array for name, array in place.items() if not name.startswith("env.")}, like)
        if not np.isfinite(own["obs"]).all():
            raise ShapeError("obs: expected finite numbers")
        if own["resetting"].any() and not self.next_step_reset:
            raise ShapeError("resetting: expected False everywhere, of environments that reset in the same step")
        self.steps, self.obs, self._resetting = int(own["steps"]), self._up(own["obs"]), own["resetting"]
        self.tally = own["returns"], own["lengths"]
        if self.scaler is not None:
            self.scaler.running = self._up(own["discounted"])
        restore_state = getattr(self.envs, "restore_state", None)
        if restore_state is None:
            raise ShapeError("env: these environments cannot take up a state")
        restore_state({k.removeprefix("env."): v for k, v in place.items() if k.startswith("env.")})

    def collect(self, theta: Array, n_steps: int, passing: Callable[[int], None] | None = None) -> Batch:
        """`n_steps` steps of every environment under π_θ. The batch is valid until the next call.

        Before step t, `passing(t)` is called with the environments at rest.
        """
        if passing is None and self._in_one_call is not None:
            return self._collected_in_one_call(self._in_one_call, theta, n_steps)
        # a number too large for the dtype becomes infinite, and that is looked for
        with np.errstate(over="ignore"), OneBlasThread():
            return self._collected(theta, n_steps, passing)

    def collect_episodes(self, theta: Array, episodes: int, n_steps: int) -> Batch:
        """The next `episodes` whole episodes of every environment under π_θ, from a reset, `n_steps` at a time.

        What the environments do while they wait for the slowest is not valid. Raises EnvironmentFault where an
        episode does not end.
        """
        if self.steps:
            self._restart(None)
        parts, ended, began = [], np.zeros(self.envs.num_envs, np.int64), self.steps
        while (ended < episodes).any():
            if self.steps - began > _ENDLESS * self.envs.num_envs * episodes:
                raise EnvironmentFault(
                    f"environment {int(np.argmin(ended))} has not ended {episodes} episodes in {_ENDLESS * episodes:,} "
                    "steps: whole episodes have to end; set a time limit"
                )
            batch = self.collect(theta, n_steps)
            parts.append(
                Batch(*(None if part is None else part.copy() for part in batch))
            )  # the next one overwrites it
            ended += to_host(parts[-1].terminated | parts[-1].truncated).sum(axis=0)
        return first_episodes(joined(parts), episodes)

    def _collected_in_one_call(self, rollout: Callable[..., tuple[Batch, bool]], theta: Array, n_steps: int) -> Batch:
        draw = getattr(rollout, "noise", self.policy.distribution.noise)  # on a device, its own
        noise = draw(self.rng, (n_steps, self.envs.num_envs), self.dtype)
        moments = [one.moments for one in (self.normalizer, self.scaler) if one is not None]
        before = [moment.state() for moment in moments]
        batch, sound = rollout(theta, self.obs, noise, self.tally, self.normalizer, self.scaler)
        try:
            if not sound:
                self.look_over(*map(to_host, (batch.act, batch.obs, batch.last_obs, batch.final_obs, batch.rew)))
        except EnvironmentFault:  # by then it has entered them
            for moment, state in zip(moments, before, strict=True):
                moment.restore(state)
            raise
        self.steps += batch.rew.size
        self.obs = batch.last_obs
        return batch

    def look_over(self, act: Array, obs: Array, last_obs: Array, final_obs: Array, rew: Array) -> None:
        """Raise EnvironmentFault for what is not finite in the next steps, shaped as in a Batch."""
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

    def _collected(self, theta: Array, n_steps: int, passing: Callable[[int], None] | None) -> Batch:
        envs, policy = self.envs, self.policy
        n, distribution, xp = envs.num_envs, policy.distribution, policy.backend.xp
        obs: Array = xp.empty((n_steps, n, self.observations.size), self.dtype)
        noise = self._up(distribution.noise(self.rng, (n_steps, n), self.dtype))
        act: Array = xp.empty(noise.shape, np.int64 if distribution.discrete else self.dtype)
        params: Array = xp.empty((n_steps, n, distribution.n_params), self.dtype)
        rew: Array = np.empty((n_steps, n))
        terminated, truncated, dropped = np.empty((3, n_steps, n), bool)
        resetting = np.empty((n_steps + 1, n), bool)
        resetting[:] = self._resetting
        acts = policy.acting(as_array("theta", theta, (policy.layout.size,), self.dtype, xp), n)
        final_obs: list[Array] = []
        final_at: list[int] = []

        for t in range(n_steps):
            if passing is not None:
                passing(t)
            obs[t] = self.obs
            acts(obs[t], noise[t], params[t], act[t])
            told = to_host(act[t])
            if not distribution.discrete:
                self._checked(told, "action")
            self.steps += n
            shown, rew[t], terminated[t], truncated[t], infos = self._guarded(self._step, self.actions.to_env(told))
            following = self._rows(shown, "observation")
            self._checked(rew[t].astype(self.dtype), "reward")
            dropped[t] = infos.get("minipg.dropped", False)
            if self.next_step_reset:
                self._resetting = resetting[t + 1] = terminated[t] | truncated[t]
            if np.count_nonzero(truncated[t]):
                for i in np.flatnonzero(truncated[t] & ~terminated[t]).tolist():
                    final_at.append(t * n + i)
                    final_obs.append(following[i : i + 1] if self.next_step_reset else self._final(infos, i))
            self.obs = self._seen(following, self._resetting)

        truncated &= ~terminated
        valid = ~(resetting[:-1] | dropped)
        gained, lasted = ended_episodes(rew, terminated | truncated, valid, dropped, self.tally)
        finals = self._up(np.concatenate(final_obs) if final_obs else np.empty((0, self.observations.size), self.dtype))
        ended, cut = self._up(terminated), self._up(truncated)
        return Batch(
            obs, act, params, self._scaled(rew, ended | cut, valid, dropped), ended, cut, valid, dropped,
            self.obs, finals if self.normalizer is None else self.normalizer(finals),
            self._up(np.array(final_at, np.int64)), gained, lasted,
        )  # fmt: skip

    def _scaled(self, rew: Array, done: Array, valid: Array, dropped: Array) -> Array:
        """The rewards (T, N) as the learner sees them."""
        if self.scaler is None:
            return self._up(rew.astype(self.dtype))
        rew, over = self._up(rew), done | self._up(dropped)
        scaled: Array = self.policy.backend.xp.empty(rew.shape, self.dtype)
        for t in range(len(rew)):
            scaled[t] = self.scaler(rew[t], over[t], valid[t])
        return scaled

    def _up(self, array: Array) -> Array:
        return self.policy.backend.to_device(array)

    def _step(self, told: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """A step of the environments: rows of observations (N, O), rewards (N,), both flags (N,), infos."""
        raw, reward, terminated, truncated, infos = self.envs.step(told)
        n = self.envs.num_envs
        rewards = column("rewards", reward, n, "biuf", "real numbers")
        ended, cut = (column("flags", flag, n, "biu", "of True or False") for flag in (terminated, truncated))
        return self.observations.rows(raw, n), rewards, ended, cut, infos

    def _guarded(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        return guarded(f"at step {self.steps}", call, *args, **options)

    def _rows(self, rows: Array, what: str, first: int = 0) -> Array:
        """A copy of the rows in the learner's dtype, looked over; the environments may reuse their own arrays."""
        return self._checked(np.array(rows, self.dtype, order="C"), what, first)

    def _final(self, infos: dict[str, Any], i: int) -> Array:
        if "final_obs" not in infos:
            raise EnvironmentFault("the vector environment resets in the same step but gives no infos['final_obs']")
        return self._rows(self._guarded(self.observations.row, infos["final_obs"][i])[None], "final observation", i)

    def _seen(self, obs: Array, resetting: Array) -> Array:
        """The observations as the networks see them, after those that are acted in have entered the statistics.

        An episode's last observation, which a `resetting` (N,) environment shows, is not one of them.
        """
        obs = self._up(obs)
        if self.normalizer is None:
            return obs
        self.normalizer.update(obs[self._up(np.flatnonzero(~resetting))] if np.count_nonzero(resetting) else obs)
        return self.normalizer(obs)

    def _checked(self, values: Array, what: str, first: int = 0, after: int = 0) -> Array:
        finite = np.isfinite(values)
        if np.count_nonzero(finite) < finite.size:
            bad = np.argwhere(~finite)[0]
            place = f"environment {first + bad[0]}" + (f", component {bad[1]}" if len(bad) > 1 else "")
            raise EnvironmentFault(
                f"{what} {values[tuple(bad)]} from {place} at step {self.steps + after}: expected finite numbers; "
                "nothing was learnt from it"
            )
        return values


def _in_one_call(envs: VectorEnv[Any, Any, Any], policy: Policy) -> Callable[..., tuple[Batch, bool]] | None:
    if not hasattr(envs, "in_kernels"):
        return None
    if hasattr(envs, "tally"):
        from minipg.rollout.device import on_device

        return on_device(envs, policy)
    from minipg.rollout.compiled import compiled_rollout  # kernels that other environments need not load

    return compiled_rollout(envs, policy)
