"""Actor-critics on compiled environments: many updates in one call of a kernel (kernels/cpu/classic_control)."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from minipg.algorithms.advantages import Samples
from minipg.algorithms.agent import Agent
from minipg.algorithms.compiled_updates import CompiledUpdates, Made, Own
from minipg.algorithms.config import AdvantageConfig
from minipg.algorithms.critic import CriticFit
from minipg.checks import Array
from minipg.rollout import Collector

C = TypeVar("C", bound=AdvantageConfig)


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


def fit_of(value: Any, loss: float, missed: float) -> CriticFit:
    """A kernel's account of the critic's fit: where it ended, its loss, and whether a step was not taken."""
    return CriticFit(value, math.nan if missed else loss, "critic not finite" if missed else "ok")


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
        if made.updates < wanted:  # the row tells of samples with a fault in them, so nobody gets it
            compiled.look_over(collector)
        return row
