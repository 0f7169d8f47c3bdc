"""The kernel that makes many updates of an actor-critic in one call, and all that it works on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minipg.algorithms.advantages import Samples
from minipg.checks import Array
from minipg.rollout import Collector
from minipg.runtime.threads import Job, OneBlasThread, pool

MOST_STEPS, MOST_MET = 2**15, 2**31  # in one call, which nothing interrupts: steps, and parameters met
PER_STEP = 16  # so many parameters of a row take as long as a step of an optimizer does for one
_APART = 128  # rows between the arrays of two groups, so that no cache line is both's: of flags, it takes so many


class Own(NamedTuple):
    """What an algorithm adds to the kernels' inputs."""

    tasks: tuple[Any, Any]  # kernels: what the policy learns, and the critic
    settings: tuple[Any, ...]
    room: tuple[Array, ...]
    work: int  # numbers that either side works on
    met: int  # parameters that an update meets, counting every row and every step
    one_by_one: bool = False  # whether an update has to be looked at before the next


class Made(NamedTuple):
    """What a call came to: how many updates, what was learnt, what was told, episodes that ended."""

    updates: int  # fewer than wanted where the experience after them is not finite, and nothing was learnt from it
    learnt: tuple[Array, ...]
    record: Array  # (U, 2, 3) of each update, as the kernel says
    returns: Array  # (K,)
    lengths: Array  # (K,)


def groups_of(envs: int) -> int:
    """In how many groups so many environments stand."""
    return 2 if envs >= 4 and envs % 2 == 0 else 1


def in_groups(envs: int, steps: int) -> Array:
    """The kernel's number of every row of a batch, (T·N,) int64: a group's rows come after another's."""
    groups = groups_of(envs)
    rows = np.arange(steps * envs).reshape(groups, steps, envs // groups)
    return rows.swapaxes(0, 1).reshape(-1)


class CompiledUpdates:
    """The kernel of an agent's updates, and all that it works on. To be called by one thread at a time."""

    def __init__(self, agent: Any, own: Own) -> None:
        policy, critic, config, envs = agent.actor, agent.critic.mlp, agent.config, agent.envs
        family, problem, steps, count = policy.distribution, envs.problem, config.n_steps, config.num_envs
        groups = groups_of(count)
        most = 1 if own.one_by_one else min(MOST_STEPS // (steps * count), MOST_MET // own.met)
        n, self.most = count // groups, max(1, most)
        cuts, shape = n * (steps // envs.time_limit + 1), (groups, steps, n)
        seen, single = (steps + 1) * n + cuts, np.float32
        self._backend, self._envs = policy.backend, envs
        self._made_for = agent.config, agent.actor, agent.critic, envs, envs.time_limit
        self._helper: Job[int] | None

        self._learnt = tuple(np.empty_like(one) for one in agent._in_kernels.learnt(agent))
        given = agent._in_kernels.given(agent, np.zeros(0))
        self._given = tuple(np.empty((self.most, *one.shape[1:]), one.dtype) for one in given)
        self._plan = np.zeros(1, np.int64)
        self._noise = np.empty((self.most, *shape, *family.act_shape), single)
        kind, flags = np.int64 if family.discrete else single, np.empty((2, groups, steps + _APART, n), bool)
        self.batch = (
            np.empty((groups, seen, policy.mlp.sizes[0]), single), np.empty((*shape, policy.mlp.sizes[0]), single),
            np.empty((*shape, *family.act_shape), kind), np.empty((*shape, family.n_params), single),
            np.empty(shape, single), *flags, np.empty(shape, single), np.empty(shape, single),
            np.empty((groups, cuts), np.int64), np.empty((groups, seen), single), np.empty((groups, n, 1)),
        )  # fmt: skip
        self._shown = self.batch[0][:, steps * n : (steps + 1) * n]
        apart = n + _APART
        limit, *arrays, draws = envs.in_kernels()
        self._places = [np.empty((groups, apart, *array.shape[1:]), array.dtype) for array in arrays]
        self._tally = np.empty((groups, apart)), np.empty((groups, apart), np.int64)
        ended = (self.most, *shape)
        self._ended = np.empty(ended), np.empty(ended, np.int64), np.zeros((self.most, groups, 2), np.int64)
        self._record = np.zeros((self.most, 2, 3))
        sizes = policy.mlp.sizes, critic.sizes
        of_values = self._backend.kernels("mlp").TILE * max(map(sum, sizes)) + n * sum(policy.mlp.sizes)
        room = (
            np.empty((3, policy.layout.size), single), np.empty((3, critic.layout.size), single),
            np.empty((2, own.work), single), np.empty((groups, of_values), single), *own.room,
        )  # fmt: skip
        bound = np.inf if problem.actions else problem.act_high
        settings = (float(bound), float(config.gamma), float(config.gae_lambda)), own.settings
        self._inputs = (
            (policy.in_kernels, critic.spec), self._learnt, settings, self._given,
            (limit, *self._places, np.empty((groups, *draws.shape))), self._tally, self._noise, self.batch,
            self._ended, self._record, room,
        )  # fmt: skip
        from minipg.kernels.cpu.classic_control import updates  # which other agents need not load

        self._kernels = updates.live(problem.file, family.name), updates.appraise, *own.tasks, updates.updates
        self._addresses = np.zeros(len(self._kernels), np.int64)
        self._begin_anew()

    def compile(self, order: Sequence[int] = (0, 3, 4, 1, 2)) -> None:
        """Compile what groups live through (0) and its worth (1), what policy and critic learn (2, 3), the loop (4)."""
        from numba import typeof

        address_of = self._backend.kernels("_address").address_of
        for_all = tuple(map(typeof, (True, *self._for_all())))
        for one in order:
            which = typeof(one)
            self._addresses[one] = address_of(self._kernels[one], (which, which, for_all[-1]) if one < 4 else for_all)

    def _begin_anew(self) -> None:
        """A rota that nobody works by yet: a forked child's threads are others."""
        self._threads, self._helper = pool(self._backend.threads), None
        self._rota: Array = np.zeros(self._backend.kernels("_rota").size_for(2 * len(self._shown) + 2), np.int64)

    def _for_all(self) -> tuple[Any, ...]:
        return self._rota, self._plan, self._addresses[:4], self._inputs

    def serves(self, agent: Any) -> bool:
        """Whether it was made for the agent as it is now."""
        now = agent.config, agent.actor, agent.critic, agent.envs, agent.envs.time_limit
        return all(one is other or one == other for one, other in zip(now, self._made_for, strict=True))

    def __call__(self, learnt: tuple[Array, ...], collector: Collector, noise: Array, given: tuple[Array, ...]) -> Made:
        """As many updates as are `given`, or fewer: they end before experience that is not finite.

        noise (U·T, N, …). What is `learnt` comes back in new arrays; the collector and its environments stand where
        the last experience ended.
        """
        _, groups, steps, n = self._noise.shape[:4]
        wanted = len(given[0])
        _, *arrays, _ = self._envs.in_kernels()
        places = [*zip(self._places, arrays, strict=True), *zip(self._tally, collector.tally, strict=True)]
        for ours, theirs in places:
            ours[:, :n] = theirs.reshape(groups, n, *theirs.shape[1:])
        for ours, theirs in (*zip(self._learnt, learnt, strict=True), (self._shown, collector.obs)):
            ours[:] = theirs.reshape(ours.shape)
        for ours, theirs in zip(self._given, given, strict=True):
            ours[:wanted] = theirs
        self._noise[:wanted] = noise.reshape(wanted, steps, groups, n, *noise.shape[2:]).swapaxes(1, 2)
        self._plan[0] = wanted
        made = self._run()
        for ours, theirs in places:
            theirs[:] = ours[:, :n].reshape(theirs.shape)
        collector.steps += made * groups * steps * n
        collector.obs = self._shown.reshape(groups * n, -1).copy()
        returns, lengths = (each[:made].swapaxes(1, 2) for each in self._ended[:2])  # environments in their order
        over = np.nonzero(lengths)
        after = tuple(ours.copy() for ours in self._learnt)
        return Made(made, after, self._record[:made], returns[over], lengths[over])

    def _run(self) -> int:
        if self._threads is not pool(self._backend.threads):
            self._begin_anew()
        updates, helper = self._kernels[4], self._helper
        with OneBlasThread():
            # one who has begun may be about to go, so another waits to follow
            if self._backend.threads > 1 and (helper is None or helper.begun):
                self._helper = self._backend.submit(updates, False, *self._for_all())
            updates(True, *self._for_all())
        made = int(self._plan[0])
        if made < 0:
            raise RuntimeError("a kernel raised an error: its arrays do not fit together")
        return made

    def samples(self) -> Samples:
        """The last experience, in the kernel's own arrays, a group's rows after another's."""
        _, obs, act, params, _, _, _, adv, ret, _, value, _ = self.batch
        groups, rows = len(ret), ret[0].size
        flat = lambda array: array.reshape(groups * rows, *array.shape[3:])
        return Samples(flat(obs), flat(act), flat(adv), flat(ret), value[:, :rows].reshape(-1), flat(params))

    def look_over(self, collector: Collector) -> None:
        """Raise EnvironmentFault for what is not finite in the last experience."""
        seen, obs, act, _, rew, *_ = self.batch
        groups, steps, n = rew.shape
        by_steps = lambda array: array.swapaxes(0, 1).reshape(steps, groups * n, *array.shape[3:])
        cuts = self._ended[2][self._plan[0], :, 0].tolist()
        finals = [group[(steps + 1) * n :][:count] for group, count in zip(seen, cuts, strict=True)]
        collector.look_over(by_steps(act), by_steps(obs), collector.obs, np.concatenate(finals), by_steps(rew))
