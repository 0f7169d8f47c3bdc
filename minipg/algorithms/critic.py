"""How an actor-critic's V(s) is fitted to the returns of a batch, and the metrics of a whole update."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from minipg.algorithms.advantages import Samples, explained_variance
from minipg.algorithms.config import CriticConfig
from minipg.checks import Array
from minipg.runtime.backend import Backend, fetch
from minipg.value import ValueNetwork, ValueState


class CriticFit(NamedTuple):
    """The critic after a fit, the last epoch's loss, and `ok` or the failure."""

    value: ValueState
    loss: float
    status: str


def fit_critic(
    critic: ValueNetwork,
    state: ValueState,
    samples: Samples,
    config: CriticConfig,
    order: Array,
    *,
    learning_rate: float | None = None,
    clip_range: float = math.inf,
    max_grad_norm: float = math.inf,
) -> CriticFit:
    """Minibatch Adam, or L-BFGS, on E[(V(s) − ret)²]  (AC-1). If it is not finite, the given state is returned.

    order (vf_epochs, B): the rows as Adam's epochs visit them.

    `learning_rate` (default: the config's), `clip_range` and `max_grad_norm` apply to Adam only.
    """
    if config.vf_epochs == 0:
        return CriticFit(state, math.nan, "ok")
    obs, ret = samples.obs, samples.ret
    if config.vf_optimizer == "lbfgs":
        fit = critic.fit_lbfgs(state, obs, ret, config.vf_epochs, config.vf_l2)
    else:
        rate = config.vf_learning_rate if learning_rate is None else learning_rate
        fit = critic.fit_adam(
            state, obs, ret, order, config.vf_minibatch_size, rate,
            old=samples.value, clip_range=clip_range, max_grad_norm=max_grad_norm,
        )  # fmt: skip
    finite, loss = fetch(fit.finite, fit.losses[-1])
    if not finite:
        return CriticFit(state, math.nan, "critic not finite")
    return CriticFit(fit.state, float(loss), "ok")


class Outcome(NamedTuple):
    """The metrics of one update, of the policy and of the critic, and its rows."""

    info: Any
    fit: CriticFit | None = None
    samples: Samples | None = None
    more: tuple[tuple[str, Any], ...] = ()
    """Further columns, and their values."""

    def metrics(self, backend: Backend) -> dict[str, Any]:
        """One row of metrics. `status` is ok, or the failures of policy and critic."""
        row: dict[str, Any] = self.info._asdict()
        row |= dict(self.more)
        if self.fit is None:
            return row
        if self.fit.status != "ok":
            row["status"] = self.fit.status if row["status"] == "ok" else f"{row['status']}, {self.fit.status}"
        row["value_loss"] = self.fit.loss
        if self.samples is not None:
            row["explained_variance"] = explained_variance(self.samples.value, self.samples.ret, backend)
        return row
