"""Actor-critics on compiled environments: many updates in one call of a kernel (kernels/cpu/classic_control)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minipg.algorithms.advantages import Samples
from minipg.algorithms.agent import Agent
from minipg.algorithms.config import AdvantageConfig
from minipg.checks import Array
from minipg.rollout import Collector
from minipg.threads import Job, OneBlasThread, pool

C = TypeVar("C", bound=AdvantageConfig)

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


class InKernels:
    """An algorithm's own part: what kernels are told of an agent, and what is made of what they tell."""

    def learnt(self, agent: Any) -> tuple[Array, ...]:
        """θ, θ_v and whatever goes on with them, in the kernels' order."""
        raise NotImplementedError

    def own(self, agent: Any) -> Own | None:
        """What the algorithm adds to the inputs, where there are kernels for these settings."""
        raise NotImplementedError

    def given(self, agent: Any, shares: Array) -> tuple[Array, ...]:
        """What the next updates are told, (U, …) each; before them, shares (U,) of the run are over."""
        raise NotImplementedError

    def take(self, agent: Any, made: Made, samples: Samples) -> dict[str, Any]:
        """Set what was learnt, the last time from these samples; what happened, as `_update` returns it."""
        raise NotImplementedError


class CompiledAgent(Agent[C]):
    """An actor-critic whose updates kernels make, where there are some for its environments and settings.

    There are none for environments that are not compiled, for running statistics and squashed actions; of PPO, for a
    critic that is fitted by L-BFGS or not at all; of A2C, for normalised advantages and batches of more than a tile.
    """

    _in_kernels: InKernels
    _compiled: CompiledUpdates | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of: it has threads of its own to work with."""
        return {name: value for name, value in vars(self).items() if name != "_compiled"}

    def _compilable(self) -> bool:
        """Whether this is an agent as its algorithm's file says, of compiled environments as they are."""
        definer = next(c for c in type(self).__mro__ if "_update" in vars(c))
        if "_in_kernels" not in vars(definer) or type(self)._collect is not Agent._collect:
            return False
        envs: Any = self.envs
        if not hasattr(envs, "in_kernels") or envs.num_envs != self.config.num_envs:
            return False
        if self._collector is not None and self._collector.envs is not envs:
            return False
        from minipg.rollout.compiled import stepped_by_kernels  # kernels that other environments need not load

        sizes = self.actor.layout.size, self.critic.mlp.layout.size
        learnt = [one for one in self._in_kernels.learnt(self) if one.dtype != np.int64]  # steps are counted in int64
        return (
            stepped_by_kernels(envs, self.actor)
            and (self.normalizer, self.scaler) == (None, None)
            and all(one.dtype == np.float32 and one.shape in {(n,) for n in sizes} for one in learnt)
            and (self.theta.shape, self.value.theta.shape) == ((sizes[0],), (sizes[1],))
        )

    def _updates(self, until: int, most: int) -> dict[str, Any]:
        """Up to `most` in one call of a kernel, or a plain one.

        Raises EnvironmentFault where the next experience is not finite; what was learnt before it stays.
        """
        if not self._compilable():
            return self._one_update(until)
        if self._compiled is None or not self._compiled.serves(self):
            if (own := self._in_kernels.own(self)) is None:
                return self._one_update(until)
            compiled = CompiledUpdates(self, own)
            compiled.compile()  # which may be interrupted
            self._compiled = compiled
        collector, self._collector = self._collector or self._new_collector(), None
        row = self._updates_in_kernels(self._compiled, collector, until, most)
        self._collector = collector
        return row

    def _updates_in_kernels(
        self, compiled: CompiledUpdates, collector: Collector, until: int, most: int
    ) -> dict[str, Any]:
        config, streams, own = self.config, (self.streams.acting, self.streams.shuffling), self._in_kernels
        steps, before = config.num_envs * config.n_steps, [stream.bit_generator.state for stream in streams]
        wanted = min(most, compiled.most, math.ceil((until - self.steps) / steps))
        shares = (self.steps + steps * np.arange(wanted)) / until
        noise, shape = self.actor.distribution.noise, lambda updates: (updates * config.n_steps, config.num_envs)
        made = compiled(own.learnt(self), collector, noise(streams[0], shape(wanted)), own.given(self, shares))
        if made.updates < wanted:  # what was not used is drawn again
            for stream, state in zip(streams, before, strict=True):
                stream.bit_generator.state = state
            noise(streams[0], shape(made.updates + 1))
            own.given(self, shares[: made.updates])
        if not made.updates:
            compiled.look_over(collector)
        info = own.take(self, made, compiled.samples())
        row = self._row(made.updates, made.updates * steps, 0, made.returns, made.lengths, info)
        if made.updates < wanted:  # whose samples those were, so nobody is told of this row
            compiled.look_over(collector)
        return row


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

    def __init__(self, agent: CompiledAgent[Any], own: Own) -> None:
        policy, critic, config = agent.actor, agent.critic.mlp, agent.config
        envs: Any = agent.envs
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

    def serves(self, agent: CompiledAgent[Any]) -> bool:
        """Whether it was made for the agent as it is now."""
        envs: Any = agent.envs
        now = agent.config, agent.actor, agent.critic, envs, envs.time_limit
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
