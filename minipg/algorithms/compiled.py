"""A2C on compiled environments: many updates in one call of kernels/cpu/classic_control/a2c.py, where the loop is."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minipg.algorithms.agent import Agent
from minipg.algorithms.ascent import StepInfo, scheduled
from minipg.algorithms.critic import CriticFit, outcome
from minipg.backend import tiles_of
from minipg.checks import Array
from minipg.rollout import Collector
from minipg.threads import Job, OneBlasThread, pool

# in one call, which nothing interrupts: steps, and parameters met (a step of RMSProp meets each about 16 times)
MOST_STEPS, MOST_MET, PER_STEP = 2**14, 2**28, 16
_STATUS = ("ok", "gradient not finite", "step not finite")


def in_one_call(agent: Agent[Any]) -> bool:
    """Whether there is a kernel for this agent's updates: of compiled environments as they are, a tile of rows each."""
    if not hasattr(agent.envs, "in_kernels"):
        return False
    from minipg.rollout.compiled import stepped_by_kernels  # kernels that other environments need not load

    config, sizes = agent.config, (agent.actor.layout.size, agent.critic.mlp.layout.size) * 2
    return (
        stepped_by_kernels(agent.envs, agent.actor)
        and all(one.dtype == np.float32 and one.shape == (n,) for one, n in zip(_learnt(agent), sizes, strict=True))
        and not (config.normalize_obs or config.normalize_reward or config.normalize_advantage)
        and len(tiles_of(config.num_envs * config.n_steps)) == 1
    )


def updates_in_one_call(
    agent: Agent[Any], compiled: CompiledUpdates, collector: Collector, until: int, most: int
) -> dict[str, Any]:
    """Up to `most` updates of A2C, and the metrics after the last: it stops after one that was not all right.

    Raises EnvironmentFault where the next experience is not finite; what was learnt before it stays.
    """
    config, value, stream = agent.config, agent.value, agent.streams.acting
    steps = config.num_envs * config.n_steps
    wanted = min(most, compiled.most, math.ceil((until - agent.steps) / steps))
    shares = [scheduled(config.schedule, (agent.steps + k * steps) / until) for k in range(wanted)]
    rates = np.outer(shares, (config.learning_rate, config.vf_learning_rate))
    draw = lambda updates: agent.actor.distribution.noise(stream, (updates * config.n_steps, config.num_envs))
    before, noise = stream.bit_generator.state, draw(wanted)
    made = compiled(_learnt(agent), collector, noise, rates)
    if made.lived < wanted:  # what was not used is drawn again
        stream.bit_generator.state = before
        draw(made.lived)
    if not made.updates:
        compiled.look_over(collector)
    (norm, entropy, status), (loss, explained, missed) = made.numbers.tolist()
    theta, value_theta, second, value_second = made.learnt
    agent.theta, agent.state = theta, agent.state._replace(second=second)
    good = value.step + made.updates - (missed != 0)
    agent.value = value._replace(theta=value_theta, second=value_second, step=good)
    fit = CriticFit(agent.value, math.nan if missed else loss, "critic not finite" if missed else "ok")
    info = {**outcome(StepInfo(_STATUS[int(status)], norm, entropy), fit), "explained_variance": explained}
    row = agent._row(made.updates, made.updates * steps, 0, made.returns, made.lengths, info)
    if made.lived > made.updates:
        compiled.look_over(collector)
    return row


class Learnt(NamedTuple):
    """What an update changes: θ (P,) and θ_v (Q,), and RMSProp's running squares of each."""

    theta: Array
    value_theta: Array
    second: Array
    value_second: Array


def _learnt(agent: Agent[Any]) -> Learnt:
    return Learnt(agent.theta, agent.value.theta, agent.state.second, agent.value.second)


class Made(NamedTuple):
    """What a call came to: how many updates, of how many the experience, what the last one told, who ended."""

    learnt: Learnt
    updates: int
    lived: int  # one more than updates where the last experience was not finite
    numbers: Array  # (2, 3) as the kernel's record
    returns: Array  # (E,)
    lengths: Array  # (E,)


class CompiledUpdates:
    """The kernel of an agent's updates, and all that it works on. To be called by one thread at a time."""

    def __init__(self, agent: Agent[Any]) -> None:
        from minipg.kernels.cpu.classic_control.a2c import updates  # kernels that other agents need not load

        policy, critic, config = agent.actor, agent.critic.mlp, agent.config
        envs: Any = agent.envs
        family, problem, steps, count = policy.distribution, envs.problem, config.n_steps, config.num_envs
        groups = 2 if count >= 4 and count % 2 == 0 else 1
        n = count // groups
        cuts, rows, shape = n * (steps // envs.time_limit + 1), count * steps, (groups, steps, n)
        seen, single, numbers = (steps + 1) * n + cuts, np.float32, policy.layout.size + critic.layout.size
        self.most = max(1, min(MOST_STEPS // rows, MOST_MET // (numbers * (rows + PER_STEP))))
        self._kernel, self._backend, self._envs = updates(problem.file, family.name), policy.backend, envs
        self._made_for = agent.config, agent.actor, agent.critic, envs, envs.time_limit

        self._learnt = Learnt(*(np.empty(one.layout.size, single) for one in (policy, critic, policy, critic)))
        self._plan, self._rates = np.zeros(3, np.int64), np.empty((self.most, 2))
        self._noise = np.empty((self.most, *shape, *family.act_shape), single)
        kind, flags = np.int64 if family.discrete else single, np.empty((2, *shape), bool)
        self._batch = (
            np.empty((groups, seen, policy.mlp.sizes[0]), single), np.empty((*shape, policy.mlp.sizes[0]), single),
            np.empty((*shape, *family.act_shape), kind), np.empty((*shape, family.n_params), single),
            np.empty(shape, single), *flags, np.empty(shape, single), np.empty(shape, single),
            np.empty((groups, cuts), np.int64), np.empty((groups, seen), single), np.empty((groups, n, 1)),
        )  # fmt: skip
        self._shown = self._batch[0][:, steps * n : (steps + 1) * n]
        ended = (self.most, groups, steps * n)
        self._ended = np.empty(ended), np.empty(ended, np.int64), np.zeros((self.most, groups, 3), np.int64)
        self._record, self._draws = np.zeros((self.most, 2, 3)), np.empty((groups, problem.draws))
        sizes = policy.mlp.sizes, critic.sizes
        of_a_row = max(map(sum, sizes)) + 2 * max(map(max, sizes)) + 4 * family.n_params
        work = np.empty((2, numbers + max(rows, seen) * of_a_row), single)
        self._room = np.empty((3, policy.layout.size), single), np.empty((3, critic.layout.size), single), work
        self._networks = policy.in_kernels, critic.spec
        bound = np.inf if problem.actions else problem.act_high
        of_returns, of_steps = ("gamma", "gae_lambda", "ent_coef"), ("max_grad_norm", "rms_decay", "rms_epsilon")
        floats = lambda names: tuple(float(getattr(config, name)) for name in names)
        self._settings = (bound, *floats(of_returns)), floats(of_steps)
        self._inputs: tuple[Any, ...] = ()
        self._others: tuple[Any, ...] = ()
        self._helper: Job[int] | None = None

    def serves(self, agent: Agent[Any]) -> bool:
        """Whether it was made for the agent as it is now."""
        envs: Any = agent.envs
        now = agent.config, agent.actor, agent.critic, envs, envs.time_limit
        return all(one is other or one == other for one, other in zip(now, self._made_for, strict=True))

    def __call__(self, learnt: Learnt, collector: Collector, noise: Array, rates: Array) -> Made:
        """len(rates) updates, or fewer: they end before experience, and after a step, that is not finite.

        noise (U·T, N, …), rates (U, 2) of policy and critic. What is `learnt` comes back in new arrays; the collector
        and its environments stand where the last experience ended.
        """
        _, groups, steps, n = self._noise.shape[:4]
        wanted = len(rates)
        self._bind(collector)
        self._plan[0], self._rates[:wanted] = wanted, rates
        self._noise[:wanted] = noise.reshape(wanted, steps, groups, n, *noise.shape[2:]).swapaxes(1, 2)
        self._shown[:] = collector.obs.reshape(self._shown.shape)
        for own, array in zip(self._learnt, learnt, strict=True):
            own[:] = array
        with OneBlasThread():
            if self._backend.threads > 1 and (self._helper is None or self._helper.over):
                self._helper = self._backend.submit(self._kernel, False, *self._inputs)
            made: int = self._kernel(True, *self._inputs)
        collector.steps += made * groups * steps * n
        collector.obs = self._shown.reshape(groups * n, -1).copy()
        returns, lengths, counts = self._ended
        ends = np.arange(steps * n) < counts[:made, :, :1]
        lived = made + (made < wanted and not self._plan[2])  # the last experience was not learnt from
        after = Learnt(*(own.copy() for own in self._learnt))
        return Made(after, made, lived, self._record[made - 1], returns[:made][ends], lengths[:made][ends])

    def look_over(self, collector: Collector) -> None:
        """Raise EnvironmentFault for what is not finite in the last experience."""
        seen, obs, act, _, rew, *_ = self._batch
        groups, steps, n = rew.shape
        by_steps = lambda array: array.swapaxes(0, 1).reshape(steps, groups * n, *array.shape[3:])
        cuts = self._ended[2][self._plan[1], :, 1].tolist()
        finals = [group[(steps + 1) * n :][:count] for group, count in zip(seen, cuts, strict=True)]
        collector.look_over(by_steps(act), by_steps(obs), collector.obs, np.concatenate(finals), by_steps(rew))

    def _bind(self, collector: Collector) -> None:
        """The kernel's inputs. Where others' arrays, or threads, are new ones, so is the board: no helper is there."""
        limit, *arrays, _ = self._envs.in_kernels()
        others = (*arrays, *collector.tally, pool(self._backend.threads))
        if self._inputs and all(new is old for new, old in zip(others, self._others, strict=True)):
            return
        self._others, self._helper = others, None
        board = np.zeros(self._backend.kernels("_board").SIZE, np.int64)
        self._inputs = (
            board, self._plan, self._networks, tuple(self._learnt), self._settings, self._rates,
            (limit, *arrays, self._draws), collector.tally, self._noise, self._batch, self._ended, self._record,
            self._room,
        )  # fmt: skip
