"""How an actor-critic's V(s) follows the returns of a batch."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minipg.algorithms.advantages import Samples, explained_variance
from minipg.algorithms.config import CriticConfig
from minipg.algorithms.optimizers import all_finite, shuffled
from minipg.runtime.backend import told
from minipg.value import ValueNetwork, ValueState


class CriticFit(NamedTuple):
    """The critic after a fit, the last loss met, and whether it went well."""

    value: ValueState
    loss: float
    status: str


def fit_critic(
    critic: ValueNetwork,
    state: ValueState,
    samples: Samples,
    config: CriticConfig,
    rng: np.random.Generator,
    *,
    share: float = 1.0,
    clip_range: float = math.inf,
    max_grad_norm: float = math.inf,
) -> CriticFit:
    """Adam on minibatches, or L-BFGS  (AC-1); a fit whose numbers are not finite is dropped.

    `share` of the learning rate is used; `clip_range` and `max_grad_norm` are limits of the Adam fit.
    """
    if config.vf_epochs == 0:
        return CriticFit(state, math.nan, "ok")
    obs, ret = samples.obs, samples.ret
    if config.vf_optimizer == "lbfgs":
        fitted, losses = critic.fit_lbfgs(state, obs, ret, config.vf_epochs, config.vf_l2)
    else:
        order = shuffled(critic.mlp.backend, rng, config.vf_epochs, len(obs))
        fitted, losses = critic.fit_adam(
            state, obs, ret, order, config.vf_minibatch_size, share * config.vf_learning_rate,
            old=samples.value, clip_range=clip_range, max_grad_norm=max_grad_norm,
        )  # fmt: skip
    finite, loss = told(all_finite(fitted.theta, fitted.first, fitted.second), losses[-1])
    if not finite:
        return CriticFit(state, math.nan, "critic not finite")
    return CriticFit(fitted, float(loss), "ok")


def outcome(info: Any, fit: CriticFit) -> dict[str, Any]:
    """What the policy's update and the critic's fit did, as one row; `status` names whatever went wrong."""
    row: dict[str, Any] = info._asdict()
    if fit.status != "ok":
        row["status"] = fit.status if row["status"] == "ok" else f"{row['status']}, {fit.status}"
    return {**row, "value_loss": fit.loss}


def account(info: Any, fit: CriticFit, samples: Samples) -> dict[str, Any]:
    """The `outcome` of an update, and how well V had explained the returns of the batch."""
    return {**outcome(info, fit), "explained_variance": explained_variance(samples.value, samples.ret)}
