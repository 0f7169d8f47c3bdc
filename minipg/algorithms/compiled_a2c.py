"""A2C in the kernels that make many updates in one call: kernels/cpu/classic_control/a2c.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from minipg.algorithms.advantages import Samples
from minipg.algorithms.compiled import InKernels, fit_of
from minipg.algorithms.compiled_updates import PER_STEP, Made, Own
from minipg.algorithms.critic import outcome
from minipg.algorithms.optimizers import StepInfo, scheduled
from minipg.checks import Array
from minipg.runtime.backend import tiles_of

_STATUS = ("ok", "gradient not finite", "step not finite")


class A2CInKernels(InKernels):
    """With advantages as they are, and batches of a tile of rows each."""

    def learnt(self, agent: Any) -> tuple[Array, ...]:
        """θ, θ_v and RMSProp's running squares of each."""
        return agent.theta, agent.value.theta, agent.state.second, agent.value.second

    def own(self, agent: Any) -> Own | None:
        """As the kernel says."""
        config, actor, critic = agent.config, agent.actor, agent.critic.mlp
        rows, family = config.num_envs * config.n_steps, actor.distribution
        if config.normalize_advantage or len(tiles_of(rows)) > 1:
            return None
        from minipg.kernels.cpu.classic_control.a2c import tasks  # which other agents need not load

        params = actor.layout.size + critic.layout.size
        of_a_row = max(sum(one.sizes) + 2 * max(one.sizes) for one in (actor.mlp, critic)) + 4 * family.n_params
        settings = config.ent_coef, config.max_grad_norm, config.rms_decay, config.rms_epsilon
        return Own(
            tasks=tasks(family.name),
            settings=tuple(map(float, settings)),
            room=(),
            work=params + rows * of_a_row,
            met=params * (rows + PER_STEP),
        )

    def given(self, agent: Any, shares: Array) -> tuple[Array, ...]:
        """Rates of policy and critic (U, 2)."""
        config = agent.config
        return (np.outer(scheduled(config.schedule, shares), (config.learning_rate, config.vf_learning_rate)),)

    def take(self, agent: Any, made: Made, samples: Samples) -> dict[str, Any]:
        """The last update's account, which the kernel has kept."""
        (norm, entropy, status), (loss, explained, missed) = made.record[-1].tolist()
        theta, value_theta, second, value_second = made.learnt
        steps = agent.value.step + made.updates - np.count_nonzero(made.record[:, 1, 2])
        value = agent.value._replace(theta=value_theta, second=value_second, step=steps)
        fit, step = fit_of(value, loss, missed), StepInfo(_STATUS[int(status)], norm, entropy)
        agent.theta, agent.state, agent.value = theta, agent.state._replace(second=second), value
        return {**outcome(step, fit), "explained_variance": explained}
