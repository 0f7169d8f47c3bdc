"""Environments in processes of their own: for slow steps, and for environments that may crash or hang."""

from __future__ import annotations

import logging
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import CloudpickleWrapper, batch_space, concatenate, create_empty_array, iterate

from minipg.checks import Array
from minipg.envs.action_mask import choices_of, says_masks
from minipg.envs.faults import LIFE_LOST, Checked, Misbehaviour, describe
from minipg.errors import EnvironmentFault
from minipg.runtime.child import START_TIMEOUT, Child, Lost, answers, exit_if_unguarded
from minipg.runtime.messages import packed, receive, send

_RESTARTS = 10  # of one environment, with no episode ended between them

_warn = logging.getLogger("minipg").warning


class ProcessVectorEnv(VectorEnv[Any, Array, Array]):
    """`num_envs` environments, each in its own process; the step that ends an episode also resets it.

    An environment whose process ends, or that takes more than `timeout` seconds to answer, is restarted with a new
    seed. infos["minipg.dropped"] (N,) is True for it in that step: its episode is lost, the observation is the first of
    the next one, and reward and flags mean nothing. After more than ten restarts with no episode ended between them,
    or if an environment raises, an EnvironmentFault is raised. The infos hold nothing else but final_obs and LIFE_LOST.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        make: Callable[[], gym.Env[Any, Any]],
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        num_envs: int,
        timeout: float,
    ) -> None:
        exit_if_unguarded()
        self.num_envs, self.timeout, self._make = num_envs, timeout, CloudpickleWrapper(make)
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self._obs: Any = create_empty_array(observation_space, num_envs)
        self._children: dict[int, Child] = {}
        self._busy: set[int] = set()  # numbers of those that have not answered the last call, and may be gone
        self._seeds: list[int | None] = [None] * num_envs
        self._lost, self._in_a_row = [0] * num_envs, [0] * num_envs

    def start(self) -> None:
        """Start the processes, unless they run already. An agent that is loaded may never need them."""
        if not self._children:
            try:
                self._start(range(self.num_envs))
            except BaseException:
                self.close_extras()
                self._children.clear()
                raise

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """The first observations (N, …) of new episodes, and no infos. The first reset starts the processes."""
        self.start()
        if isinstance(seed, int | np.integer):
            seed = [int(seed) + n for n in range(self.num_envs)]
        seeds: list[int | None] = [None] * self.num_envs if seed is None else list(seed)
        self._seeds = [old if new is None else new for old, new in zip(self._seeds, seeds, strict=True)]
        self._in_a_row = [0] * self.num_envs
        for n in sorted(self._busy):  # a call was interrupted: an answer that still comes belongs to that call
            self._end(n)
            self._start([n])
            seeds[n] = self._fresh_seed(n) if seeds[n] is None else seeds[n]
        first = self._first_observations(dict(enumerate(seeds)), options)
        return self._stacked([first[n] for n in range(self.num_envs)]), {}

    def step(self, actions: Array) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """obs (N, …), rew (N,), terminated (N,), truncated (N,), and infos, as above."""
        if self._busy or not self._children:
            raise ResetNeeded("call reset after a step that was interrupted")
        answers = self._ask({n: ("step", act) for n, act in enumerate(iterate(self.action_space, actions))})
        lost = {n: answer for n, answer in answers.items() if isinstance(answer, Lost)}
        first = self._first_observations({n: self._restarted(n, answer) for n, answer in lost.items()})
        answers |= {n: (obs, 0.0, False, False, None, False) for n, obs in first.items()}
        obs, rew, terminated, truncated, finals, lives = zip(*(answers[n] for n in range(self.num_envs)), strict=True)
        infos: dict[str, Any] = {LIFE_LOST: np.array(lives)} if any(lives) else {}
        ended = np.array([a or b for a, b in zip(terminated, truncated, strict=True)])
        if ended.any():
            infos["final_obs"], infos["_final_obs"] = np.full(self.num_envs, None, object), ended
            for n in np.flatnonzero(ended).tolist():
                infos["final_obs"][n], self._in_a_row[n] = finals[n], 0
        if lost:
            infos["minipg.dropped"] = np.isin(np.arange(self.num_envs), list(lost))
        return self._stacked(obs), np.array(rew, np.float64), np.array(terminated), np.array(truncated), infos

    def close_extras(self, **_: Any) -> None:
        """End all processes. A process that waits for a call ends by itself; the others are killed after a second."""
        for child in self._children.values():
            child.pipe.close()
        for n, child in self._children.items():
            child.join(0 if n in self._busy else 1)
            self._end(n)

    def _stacked(self, obs: Sequence[Any]) -> Any:
        return concatenate(self.single_observation_space, obs, self._obs)

    def _start(self, numbers: Iterable[int]) -> None:
        for n in numbers:
            self._children[n] = Child(_serve, n, self._make)
        for n, answer in self._answers(set(numbers), START_TIMEOUT).items():
            if isinstance(answer, Lost):
                raise EnvironmentFault(f"environment {n} {answer.why} while it was made in a process of its own")

    def _end(self, n: int) -> None:
        self._busy.add(n)
        self._children[n].end()

    def _ask(self, requests: dict[int, tuple[str, Any]]) -> dict[int, Any]:
        """The answer of each environment to its request, or as Lost why there is none."""
        self._busy |= set(requests)
        until = time.monotonic() + self.timeout
        for n, request in requests.items():
            self._children[n].send(request, until)
        return self._answers(set(requests), self.timeout)

    def _answers(self, numbers: set[int], timeout: float) -> dict[int, Any]:
        self._busy |= numbers
        found: dict[int, Any] = {}
        for n, answer in answers({n: self._children[n] for n in numbers}, timeout):
            found[n] = answer
            if not isinstance(answer, Lost):
                self._busy.discard(n)
        for n in sorted(numbers):
            if isinstance(found[n], Misbehaviour):
                raise found[n]
        return found

    def _first_observations(
        self, seeds: dict[int, int | None], options: dict[str, Any] | None = None
    ) -> dict[int, Any]:
        """The first observations of new episodes. An environment that is lost in its reset is restarted."""
        first: dict[int, Any] = {}
        while seeds:
            answers = self._ask({n: ("reset", {"seed": seed, "options": options}) for n, seed in seeds.items()})
            seeds = {n: self._restarted(n, answer) for n, answer in answers.items() if isinstance(answer, Lost)}
            first |= {n: answer for n, answer in answers.items() if n not in seeds}
        return first

    def _restarted(self, n: int, lost: Lost) -> int | None:
        """Restart a lost environment → the seed for its first reset. Raises EnvironmentFault after too many."""
        self._end(n)
        self._lost[n] += 1
        self._in_a_row[n] += 1
        if self._in_a_row[n] > _RESTARTS:
            raise EnvironmentFault(
                f"environment {n} {lost.why}, {self._in_a_row[n]} times since it last ended an episode: "
                "--vec gymnasium steps it in this process and shows its own error"
            )
        _warn(f"environment {n} {lost.why}: its episode is dropped, and it is restarted")
        self._start([n])
        return self._fresh_seed(n)

    def _fresh_seed(self, n: int) -> int | None:
        seed = self._seeds[n]
        if seed is not None:
            seed = int(np.random.SeedSequence((seed, n, self._lost[n])).generate_state(1)[0] >> 1)
        return seed


def says_masks_in_process(make: Callable[[], gym.Env[Any, Any]], actions: gym.Space[Any], timeout: float) -> bool:
    """`says_masks` of an environment in a process of its own, which ends then: a reset may end or hold a process."""
    if not choices_of(actions):
        return False
    exit_if_unguarded()
    child = Child(_serve, 0, CloudpickleWrapper(make))
    try:
        made = child.receive(time.monotonic() + START_TIMEOUT, Lost("did not start"))
        if made is not None:
            return False  # it is reported where the environments are started
        child.send(("masks", None))
        return child.receive(time.monotonic() + timeout, Lost("did not answer")) is True
    finally:
        child.end()


def _serve(number: int, make: Callable[[], gym.Env[Any, Any]], pipe: socket.socket) -> None:
    """The program of a process: make the environment, and answer calls until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent
    try:
        env = Checked(make(), number)
    except BaseException as error:  # an environment may raise anything
        what = f"environment {number} raised {type(error).__name__} while it was made in a process of its own"
        send(pipe, packed(Misbehaviour(what, describe(error))))
        return
    send(pipe, packed(None))
    with suppress(EOFError, OSError):  # the parent has closed the pipe, or ended
        while True:
            send(pipe, _answer(env, *receive(pipe)))
    with suppress(BaseException):  # an environment may raise anything
        env.close()


def _answer(env: Checked, command: str, argument: Any) -> bytes:
    try:
        if command == "masks":
            return packed(says_masks(env.env))
        if command == "reset":
            return packed(env.reset(**argument)[0])
        obs, rew, terminated, truncated, info = env.step(argument)
        final = None
        if terminated or truncated:
            final, (obs, _) = obs, env.reset()
        return packed((obs, rew, terminated, truncated, final, LIFE_LOST in info))
    except Misbehaviour as fault:
        return packed(Misbehaviour(fault.what, fault.detail))
    except Exception as error:
        what = f"environment {env.number} returned what cannot be sent from its process"
        return packed(Misbehaviour(what, f"{type(error).__name__}: {describe(error)}"))
