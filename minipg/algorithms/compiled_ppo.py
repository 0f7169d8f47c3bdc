"""PPO in the kernels that make many updates in one call: kernels/cpu/classic_control/ppo.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from minipg.algorithms.advantages import Samples
from minipg.algorithms.compiled import InKernels, fit_of
from minipg.algorithms.compiled_updates import PER_STEP, Made, Own, in_groups
from minipg.algorithms.critic import account
from minipg.algorithms.optimizers import AdamState, keys_of, scheduled
from minipg.algorithms.surrogate import Climb, Surrogate, numbers_to_climb
from minipg.checks import Array


class PPOInKernels(InKernels):
    """With the critic fitted by Adam; where β adapts, an update at a time."""

    def learnt(self, agent: Any) -> tuple[Array, ...]:
        """θ, θ_v, Adam's moments of each, and the steps that each has taken (2,)."""
        state, value = agent.state, agent.value
        steps = np.array([state.step, value.step])
        return agent.theta, value.theta, state.first, state.second, value.first, value.second, steps

    def own(self, agent: Any) -> Own | None:
        """As the kernel says."""
        config, actor, critic = agent.config, agent.actor, agent.critic
        if config.vf_optimizer != "adam" or not config.vf_epochs:
            return None
        from minipg.kernels.cpu.classic_control.ppo import tasks  # which other agents need not load

        family, rows = actor.distribution, config.num_envs * config.n_steps
        sizes = min(config.minibatch_size, rows), min(config.vf_minibatch_size, rows)
        limits = config.stop_kl, config.max_grad_norm, config.vf_clip_range, config.ent_coef
        epochs, params = (config.n_epochs, config.vf_epochs), (actor.layout.size, critic.mlp.layout.size)
        acted = np.empty((sizes[0], *family.act_shape), np.int64 if family.discrete else np.float32)
        orders = [np.empty((passes, rows), np.int64) for passes in epochs]
        met = [
            numbers * passes * (rows + PER_STEP * -(-rows // size))
            for numbers, passes, size in zip(params, epochs, sizes, strict=True)
        ]
        return Own(
            tasks=tasks(family.name),
            settings=(sizes, tuple(map(float, limits)), config.normalize_advantage),
            room=(
                np.empty((3, rows), np.float32), acted, np.empty(2), np.empty(config.vf_epochs),
                in_groups(config.num_envs, config.n_steps), *orders,
            ),
            work=max(numbers_to_climb(actor, sizes[0]), critic.numbers_to_fit(sizes[1])),
            met=sum(met),
            one_by_one=config.objective == "adaptive-kl",
        )  # fmt: skip

    def given(self, agent: Any, shares: Array) -> tuple[Array, ...]:
        """Rates of policy and critic, clip range and β (U, 4); the keys of their random orders (U, 2)."""
        config, rates = agent.config, np.empty((len(shares), 4))
        rates[:, :2] = np.outer(scheduled(config.schedule, shares), (config.learning_rate, config.vf_learning_rate))
        rates[:, 2], rates[:, 3] = config.limits(agent.state.beta, shares)
        return rates, keys_of(agent.streams.shuffling, len(shares), 2)

    def take(self, agent: Any, made: Made, samples: Samples) -> dict[str, Any]:
        """The last update's account, from the policy that it led to."""
        config, record = agent.config, made.record[-1].tolist()
        (taken, beyond, failed), (loss, _, missed) = record
        theta, value_theta, first, second, value_first, value_second, (step, value_step) = made.learnt
        value = agent.value._replace(theta=value_theta, first=value_first, second=value_second, step=int(value_step))
        wanted = config.n_epochs * -(-len(samples.obs) // config.minibatch_size)
        status = "ok" if taken == wanted else "target KL"
        found = Climb(theta, AdamState(first, second, int(step)), beyond / max(taken, 1), status, not failed)
        surrogate = Surrogate.of(agent.actor, samples.obs, samples.act, samples.adv, samples.params)
        before = agent.state._replace(first=first, second=second, step=int(step - (0 if failed else taken)))
        theta, state, info = agent._after(surrogate, theta, before, found, config)
        agent.theta, agent.state, agent.value = theta, state, value
        return account(info, fit_of(value, loss, missed), samples)
